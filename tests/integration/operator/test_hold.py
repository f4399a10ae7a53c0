"""An export in a pool keeps its slot for a while, so that few slots keep Amplitude's rate."""

from __future__ import annotations

import time

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.deferral import SHORTEST_DEFERRAL, initial_delay
from tests.integration.operator.conftest import resume
from tests.integration.operator.test_export import exports

HOLD = "AIRFLOW__CIO_COHORT__EXPORT_HOLD"


def export(**parameters) -> AmplitudeCohortExportOperator:
    return AmplitudeCohortExportOperator(
        task_id="export", cohort_id="a1b2c3d", poll_interval=0.05, **{"hold_slot": True, **parameters}
    )


def kept_id(store) -> str:
    return store.kept["amplitude_export"]["request_id"]


def test_an_export_that_is_finished_at_once_waits_in_the_triggerer_all_the_same(
    sandbox, cohort, store, monkeypatch
) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "1234")
    context = {"task_state_store": store}
    operator = export(deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    assert caught.value.trigger.serialize()[1]["initial_delay"] == 1234
    assert resume(operator, caught.value, context)["request_id"] == kept_id(store)


def test_by_default_sixty_exports_in_ten_minutes_fit_four_slots(sandbox, cohort, store) -> None:
    cohort("a")
    with pytest.raises(TaskDeferred) as caught:
        export(deferrable=True).execute({"task_state_store": store})
    wait = caught.value.trigger.serialize()[1]["initial_delay"]
    assert 4 * 600 / wait <= 60


def test_a_retry_that_continues_an_export_holds_nothing(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "1234")
    with pytest.raises(TaskDeferred):
        export(deferrable=True).execute({"task_state_store": store})
    assert export(deferrable=True).execute({"task_state_store": store})
    assert exports(sandbox) == 1


def test_without_a_pool_or_with_the_option_at_nought_nothing_is_held(
    sandbox, cohort, store, monkeypatch
) -> None:
    cohort("a")
    assert export(deferrable=True, hold_slot=False).execute({"task_state_store": store})
    monkeypatch.setenv(HOLD, "0")
    assert export(deferrable=True).execute({})


def test_on_a_worker_the_slot_is_held_as_well(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "0.5")
    waits = []
    operator = export(deferrable=False)
    began, wait = time.time(), CancelToken.wait

    def noted(token: CancelToken, seconds: float) -> None:
        waits.append(seconds)
        wait(token, seconds)

    monkeypatch.setattr(CancelToken, "wait", noted)
    assert operator.execute({"task_state_store": store})
    # The wait asked for, not the time taken: what is left of the hold when the export was finished.
    assert 0 < max(waits) <= 0.5
    assert store.kept["amplitude_export"]["requested_at"] >= began


def test_a_task_that_is_killed_while_it_holds_its_slot_ends(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "3600")
    operator = export(deferrable=False)
    sandbox.at_request(lambda request: operator.on_kill(), api="amplitude", path="request-status", after=0)
    operator.execute({"task_state_store": store})


def test_initial_delays_are_spread_over_a_poll_interval() -> None:
    for poll_interval in (1, 10, 60):
        waits = sorted(initial_delay(poll_interval) for _ in range(1000))
        start = max(SHORTEST_DEFERRAL, poll_interval)
        assert start <= waits[0] <= waits[-1] <= start + poll_interval
        # By chance alone, a tenth of the interval never gets twice its share of a thousand waits.
        tenths = [int((wait - start) / poll_interval * 10) for wait in waits]
        assert max(tenths.count(tenth) for tenth in range(10)) < 200
