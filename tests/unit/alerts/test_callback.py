"""When a sync's success is told, and what is remembered of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort.alerts import callback
from airflow_provider_cio_cohort.alerts.callback import SyncAlerts
from airflow_provider_cio_cohort.alerts.memory import key_of
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.assets import cohort_asset, segment_asset
from airflow_provider_cio_cohort.exceptions import GuardTrippedError, MappingError

ALERT = Alert("x.Y", ("failure", "guard", "recovery", "low_match"), match_rate_below=0.8)
REPORT = {"dry_run": False, "source": "cohort", "added": 1, "segment_after": 2, "match_rate": 0.9}
ALERTS, FRESHNESS = (key_of(kind, "cohort_sync__one", "sync__eu") for kind in ("alerts", "freshness"))
ASSET = segment_asset("customer_io_default", "One", None)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be sent."""
    sent: list[Any] = []
    monkeypatch.setattr(callback, "send", lambda alerts, message, context: sent.append(message))
    return sent


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What Airflow counts."""
    counted = SimpleNamespace(count=0)
    monkeypatch.setattr(
        callback,
        "RuntimeTaskInstance",
        SimpleNamespace(get_ti_count=lambda dag_id, task_ids, states: counted.count),
    )
    return counted


class Task:
    """A task of the sync ``one``, whose asset remembers from run to run."""

    def __init__(
        self, memory: dict[str, Any], dag_id: str = "cohort_sync__one", task_id: str = "sync__eu"
    ) -> None:
        self.memory = memory
        self.dag_id = dag_id
        self.task_id = task_id
        self.pushed: dict[str, Any] = {}

    def context(self, report: Any = None, error: Exception | None = None) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id=self.dag_id,
            run_id="r",
            task_id=self.task_id,
            map_index=-1,
            xcom_pull=lambda task_ids, map_indexes: report,
            xcom_push=self.pushed.__setitem__,
        )
        store = SimpleNamespace(get=self.memory.get, set=self.memory.__setitem__)
        task = SimpleNamespace(outlets=[ASSET], inlets=[])
        return {"ti": ti, "task": task, "asset_state_store": {ASSET: store}, "exception": error}


def test_a_failure_is_remembered_and_the_next_success_is_a_recovery(told: list[Any], failures: Any) -> None:
    task, alerts = Task({}), SyncAlerts("one", [ALERT])
    alerts.failed(task.context(error=GuardTrippedError("It stopped.", ["low_match"])))
    assert told[0].events == {"failure", "guard", "low_match"}
    assert told[0].headline == "Cohort sync one, target eu was stopped by a guard: It stopped."
    assert task.pushed == {callback.TOLD_KEY: True}
    alerts.succeeded(task.context(REPORT))
    alerts.succeeded(task.context(REPORT))
    assert [message.event for message in told[1:]] == ["recovery"]


@pytest.mark.parametrize(
    "other", [("cohort_sync__other", "sync__eu"), ("cohort_sync__one", "sync__us"), ("sync", "eu")]
)
def test_the_failure_of_another_sync_of_the_segment_is_no_recovery(
    told: list[Any], failures: Any, other: tuple[str, str]
) -> None:
    memory: dict[str, Any] = {}
    mine, theirs, alerts = Task(memory), Task(memory, *other), SyncAlerts("one", [ALERT])
    theirs_key = key_of("freshness", *other)
    memory[theirs_key] = {"since": "x", "told": "x"}
    alerts.failed(theirs.context(error=MappingError("No identifier matches.")))
    told.clear()
    for _ in range(3):
        alerts.succeeded(mine.context(REPORT))
    assert told == []
    assert memory[theirs_key]["told"] == "x"
    alerts.succeeded(theirs.context(REPORT))
    assert [message.event for message in told] == ["recovery"]


@pytest.mark.parametrize("before", ["plan__eu", "approve__eu"])
def test_a_failure_before_the_sync_task_is_one_of_the_sync(
    told: list[Any], failures: Any, before: str
) -> None:
    memory: dict[str, Any] = {}
    alerts = SyncAlerts("one", [ALERT])
    alerts.failed(Task(memory, task_id=before).context(error=MappingError("No identifier matches.")))
    alerts.succeeded(Task(memory).context(REPORT))
    assert told[-1].event == "recovery"


def test_the_failure_of_a_task_that_exports_for_others_is_kept_with_no_segment(
    told: list[Any], failures: Any
) -> None:
    memory: dict[str, Any] = {}
    task = Task(memory, task_id="export")
    context = task.context(error=MappingError("No identifier matches."))
    context["task"] = SimpleNamespace(outlets=[cohort_asset("c", "a1b2c3d")], inlets=[ASSET])
    SyncAlerts("one", [ALERT]).failed(context)
    assert len(told) == 1
    assert memory == {}


def test_no_match_at_all_is_a_low_match(told: list[Any], failures: Any) -> None:
    SyncAlerts("one", [ALERT]).failed(Task({}).context(error=MappingError("No identifier matches.")))
    assert [message.events for message in told] == [{"failure", "low_match"}]


def test_a_failure_that_nobody_could_remember_is_one(told: list[Any], failures: Any) -> None:
    task, alerts = Task({}), SyncAlerts("one", [ALERT])
    alerts.succeeded(task.context(REPORT))
    failures.count = 1
    alerts.failed(task.context())  # the DAG processor knows no exception, and leaves it to the run
    assert told == []
    alerts.succeeded(task.context(REPORT))
    alerts.succeeded(task.context(REPORT))
    assert [message.event for message in told] == ["recovery"]


@pytest.mark.parametrize("report", [None, "7", {"dry_run": True}, {**REPORT, "source": "snapshot"}])
def test_what_syncs_no_cohort_is_no_recovery(told: list[Any], failures: Any, report: Any) -> None:
    memory = {ALERTS: {"failed": True}, FRESHNESS: {"since": "x", "told": "x"}}
    task = Task(dict(memory))
    SyncAlerts("one", [ALERT]).succeeded(task.context(report))
    assert told == []
    assert task.memory == memory


def test_a_stale_segment_recovers(told: list[Any], failures: Any) -> None:
    task = Task({FRESHNESS: {"since": "x", "told": "x"}})
    SyncAlerts("one", [ALERT]).succeeded(task.context(REPORT))
    assert [message.event for message in told] == ["recovery"]
    assert task.memory[FRESHNESS]["told"] is None


def test_a_low_match_rate_is_told_when_it_becomes_low(told: list[Any], failures: Any) -> None:
    task, alerts = Task({}), SyncAlerts("one", [ALERT])
    for rate in (0.9, 0.5, 0.4, None, 0.85, 0.79):
        alerts.succeeded(task.context({**REPORT, "match_rate": rate}))
    assert [message.headline.split(" matches ")[1] for message in told] == [
        "only 50.0% of its cohort (alert below 80%).",
        "only 79.0% of its cohort (alert below 80%).",
    ]


def test_a_low_match_is_told_at_the_first_run_and_without_a_limit_of_its_own(
    told: list[Any], failures: Any
) -> None:
    task, alerts = Task({}), SyncAlerts("one", [Alert("x.Y")])
    for rate in (0.49, 0.1, None, 0.2):
        alerts.succeeded(task.context({**REPORT, "match_rate": rate, "identifiers": 21}))
    [message] = told
    assert message.event == "low_match"
    assert message.headline.endswith("matches only 49.0% of its cohort (alert below 50%).")
    assert "user_id_property" in message.details
    assert "id_type" in message.details


def test_a_handful_of_identifiers_has_no_low_match_unless_a_limit_is_set(
    told: list[Any], failures: Any
) -> None:
    few = {**REPORT, "match_rate": 0.1, "identifiers": 20}
    SyncAlerts("one", [Alert("x.Y")]).succeeded(Task({}).context(few))
    assert told == []
    SyncAlerts("one", [ALERT]).succeeded(Task({}).context(few))
    assert [message.event for message in told] == ["low_match"]


def test_a_cohort_that_outgrows_a_handful_is_told_of(told: list[Any], failures: Any) -> None:
    task, alerts = Task({}), SyncAlerts("one", [Alert("x.Y")])
    for identifiers in (20, 2_000):
        alerts.succeeded(task.context({**REPORT, "match_rate": 0.1, "identifiers": identifiers}))
    assert [message.event for message in told] == ["low_match"]


def test_who_wants_no_low_match_gets_none(told: list[Any], failures: Any) -> None:
    assert not Alert("x.Y", ("failure",)).concerns(frozenset({"low_match"}))


def test_without_a_memory_a_success_is_still_told(told: list[Any], failures: Any) -> None:
    failures.count = 2
    context = Task({}).context(REPORT)
    del context["asset_state_store"]
    SyncAlerts("one", [ALERT]).succeeded(context)
    assert [message.event for message in told] == ["recovery"]
