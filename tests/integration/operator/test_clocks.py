"""Workers, the triggerer and Amplitude have clocks that differ by minutes: no export is bought for that."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.state import WRITES
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger
from tests.integration.operator.conftest import AssetStores, Store, resume
from tests.integration.operator.test_export import exports
from tests.integration.operator.test_sync import members

#: Seconds between two clocks.
APART = 200


def synced(assets: AssetStores, later_by: float) -> None:
    """Let a run have synced the segment from an export that is later than the last one by these seconds."""
    for store in assets.values():
        for key, value in store.kept.items():
            if key.startswith(WRITES):
                value["synced_from"] += later_by


@pytest.mark.parametrize("deferrable", [False, True])
def test_after_a_run_of_a_worker_that_is_ahead_one_export_is_enough(
    sandbox, cohort, sync, assets, deferrable: bool
) -> None:
    sandbox.configure(export_seconds=0.1, limits=False)
    cohort("a")
    sync()
    synced(assets, APART)
    cohort("a", "b")
    assert sync(deferrable=deferrable)["added"] == 1
    assert exports(sandbox) == 2


def run(context: Any, meanwhile: Any) -> dict[str, Any]:
    """Run a deferrable sync to its end; something happens each time that it waits."""

    def operator() -> AmplitudeCohortToCustomerIOOperator:
        return AmplitudeCohortToCustomerIOOperator(
            task_id="sync",
            cohort_id="a1b2c3d",
            segment_name="Power users",
            poll_interval=0.05,
            deferrable=True,
        )

    step = operator().execute
    arguments: tuple[Any, ...] = (context,)
    for _ in range(6):
        try:
            report: dict[str, Any] = step(*arguments)
        except TaskDeferred as deferral:
            meanwhile()
            step, arguments = resume, (operator(), deferral, context)
        else:
            return report
    raise AssertionError("the run waits for one export after the other")


@pytest.mark.parametrize("stored", [True, False])
def test_an_export_that_replaces_an_outdated_one_is_not_replaced_itself(
    sandbox, cohort, sync, assets, xcoms, stored: bool
) -> None:
    sandbox.configure(export_seconds=0.1, limits=False)
    cohort("a")
    sync()
    before = exports(sandbox)
    store = Store()
    if not stored:
        store.set = lambda *_, **__: 1 / 0  # type: ignore[method-assign]
    context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    with pytest.raises(exceptions.OutdatedExportError, match="again") as caught:
        run(context, lambda: synced(assets, 10))
    assert "clear this task" in str(caught.value)
    assert exports(sandbox) == before + 2
    cohort("a", "b")
    assert run(context, lambda: None)["added"] == 1  # cleared
    assert exports(sandbox) == before + 3
    assert members(sandbox) == {"a", "b"}


def test_nor_is_it_replaced_by_a_later_try(sandbox, cohort, sync, store, assets) -> None:
    sandbox.configure(limits=False)
    cohort("a")
    sync()
    sandbox.configure(export_seconds=60)
    for spent in (2, 3):
        with pytest.raises(exceptions.ExportNotReadyError):
            sync.attempt(export_timeout=0.1)
        assert exports(sandbox) == spent
        synced(assets, 10)
    with pytest.raises(exceptions.OutdatedExportError):
        sync.attempt(export_timeout=0.1)
    assert exports(sandbox) == 3
    with pytest.raises(exceptions.ExportNotReadyError):
        sync.attempt(export_timeout=0.1)  # cleared
    assert exports(sandbox) == 4


def test_whether_the_cohort_was_computed_since_is_told_by_amplitudes_clock_alone(
    sandbox, cohort, sync, store
) -> None:
    cohort("a").last_computed = int(time.time()) - 1000
    sync.attempt()
    store.kept["amplitude_export"]["requested_at"] += APART  # by the clock of the worker
    cohort("a", "b").last_computed = int(time.time())
    assert sync.attempt()["added"] == 1
    assert exports(sandbox) == 2


@pytest.mark.parametrize("apart", [-APART, APART])
def test_an_export_that_amplitude_does_not_know_yet_is_awaited_whatever_the_clock_of_the_triggerer(
    sandbox, cohort, monkeypatch, apart: float
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__EXPORT_GRACE", "60")
    sandbox.configure(status_unknown_for=0.3)
    cohort("a")
    request_id = AmplitudeHook().request_export("a1b2c3d")
    requested_at = time.time() - apart
    trigger = AmplitudeExportTrigger(
        "amplitude_default", request_id, 0.05, time.time() + 60, requested_at=requested_at
    )

    async def event() -> Any:
        return (await anext(aiter(trigger.run()))).payload

    assert asyncio.run(event())["status"] == "success"


@pytest.mark.parametrize("apart", [-APART, APART])
def test_a_retry_on_another_worker_awaits_it_as_well(
    sandbox, cohort, sync, store, monkeypatch, apart: float
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__EXPORT_GRACE", "60")
    sandbox.configure(status_unknown_for=0.3)
    cohort("a")
    with pytest.raises(exceptions.ExportNotReadyError):
        sync.attempt(export_timeout=0.05)
    store.kept["amplitude_export"]["requested_at"] -= apart
    assert sync.attempt()["added"] == 1
    assert exports(sandbox) == 1
