"""An export in a pool keeps its slot for a while, so that few slots keep Amplitude's rate."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers import deferral
from airflow_provider_cio_cohort.transfers.deferral import SHORTEST_DEFERRAL, initial_delay
from tests.integration.operator.conftest import resume
from tests.integration.operator.test_export import exports

HOLD = "AIRFLOW__CIO_COHORT__EXPORT_HOLD"
BEFORE = "AIRFLOW__CIO_COHORT__WAIT_BEFORE_DEFERRAL"


def export(**parameters) -> AmplitudeCohortExportOperator:
    return AmplitudeCohortExportOperator(
        task_id="export", cohort_id="a1b2c3d", poll_interval=0.05, **{"hold_slot": True, **parameters}
    )


def kept_id(store) -> str:
    return store.kept["amplitude_export"]["request_id"]


def test_an_export_that_is_finished_soon_takes_no_second_process(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    sandbox.configure(export_seconds=0.3)
    monkeypatch.setenv(HOLD, "0.6")
    began = time.time()
    assert export(deferrable=True).execute({"task_state_store": store})["request_id"] == kept_id(store)
    assert time.time() - began >= 0.6  # the slot was kept


def test_an_export_that_takes_longer_is_waited_for_in_the_triggerer(
    sandbox, cohort, store, monkeypatch
) -> None:
    cohort("a")
    sandbox.configure(export_seconds=1)
    monkeypatch.setenv(HOLD, "1234")
    monkeypatch.setenv(BEFORE, "0.2")
    context, operator = {"task_state_store": store}, export(deferrable=True, export_timeout=50)
    began = time.time()
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    trigger = caught.value.trigger.serialize()[1]
    assert 1200 < trigger["initial_delay"] <= 1234 * 1.025 - 0.2
    assert trigger["deadline"] == pytest.approx(began + 50, abs=5)  # the wait here counts
    time.sleep(1)
    assert resume(operator, caught.value, context)["request_id"] == kept_id(store)


def test_an_export_that_is_finished_at_once_waits_in_the_triggerer_if_none_waits_in_a_worker(
    sandbox, cohort, store, monkeypatch
) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "1234")
    monkeypatch.setenv(BEFORE, "0")
    context = {"task_state_store": store}
    operator = export(deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    # What the task has done before counts.
    assert 1234 < caught.value.trigger.serialize()[1]["initial_delay"] <= 1234 * 1.025
    assert resume(operator, caught.value, context)["request_id"] == kept_id(store)


@pytest.mark.parametrize("longest", [0, 3, 20, 90])
def test_by_default_sixty_exports_in_ten_minutes_fit_four_slots(monkeypatch, longest: float) -> None:
    """However long tasks take until they request, fifteen of a slot take ten minutes."""
    clock, chance, requests = 0.0, random.Random(longest), []  # noqa: S311
    monkeypatch.setattr(deferral.time, "time", lambda: clock)
    for _ in range(200):
        started = clock
        clock += chance.choice([0, chance.uniform(0, longest), longest])
        requests.append(clock)
        clock += max(0.0, deferral.hold_left(started))
    assert all(last - first >= 599.999 for first, last in zip(requests, requests[15:], strict=False))
    assert longest or requests[15] < 620


def test_the_time_since_the_tasks_start_counts(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    monkeypatch.setenv(BEFORE, "0")
    ti = SimpleNamespace(start_date=datetime.now(UTC) - timedelta(seconds=11), try_number=1)
    ti.xcom_push = lambda key, value: None
    with pytest.raises(TaskDeferred) as caught:
        export(deferrable=True).execute({"task_state_store": store, "ti": ti})
    assert 20 < caught.value.trigger.serialize()[1]["initial_delay"] <= 30


def test_a_retry_that_continues_an_export_holds_nothing(sandbox, cohort, store, monkeypatch) -> None:
    cohort("a")
    monkeypatch.setenv(HOLD, "1234")
    monkeypatch.setenv(BEFORE, "0")
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
    assert 0 < max(waits) <= 0.5 * 1.025
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
