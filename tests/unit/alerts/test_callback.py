"""When a sync's success is told, and what is remembered of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort.alerts import callback
from airflow_provider_cio_cohort.alerts.callback import SyncAlerts
from airflow_provider_cio_cohort.alerts.memory import key_of
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.assets import cohort_asset, known_segment
from airflow_provider_cio_cohort.exceptions import GuardTrippedError, MappingError
from tests.unit.alerts.receiver import RECEIVER, Receiver, receiver

__all__ = ["receiver"]

ALERT = Alert(RECEIVER, ("failure", "guard", "recovery", "low_match"), match_rate_below=0.8)
REPORT = {"dry_run": False, "source": "cohort", "added": 1, "segment_after": 2, "match_rate": 0.9}
ALERTS, FRESHNESS = (key_of(kind, "cohort_sync__one", "sync__eu") for kind in ("alerts", "freshness"))
ASSET = known_segment("customer_io_default", "One", None)


@pytest.fixture
def told(receiver: type[Receiver]) -> list[Any]:
    """What was sent."""
    return receiver.got


class Runs:
    """What Airflow's database knows of the runs of the sync's task, the oldest first."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.reports: dict[str, Any] = {}
        #: The run with the logical date before that of the current one.
        self.previous: str | None = None

    def add(self, *states: str, report: Any = None, dated: bool = True) -> None:
        for state in states:
            run_id = f"run-{len(self.states)}"
            self.states[run_id], self.reports[run_id] = state, report
            self.previous = run_id if dated else self.previous

    def get_ti_count(
        self, dag_id: str, task_ids: list[str], states: list[str], run_ids: list[str] | None = None
    ) -> int:
        return sum(
            state in states and (run_ids is None or run_id in run_ids)
            for run_id, state in {**self.states, "r": "success"}.items()
        )

    def get_task_states(self, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        (task_id,) = task_ids
        return {run_id: {task_id: self.states[run_id]} for run_id in run_ids}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    known = Runs()
    monkeypatch.setattr(callback, "RuntimeTaskInstance", known)
    return known


class Task:
    """A task of the sync ``one``, whose asset remembers from run to run."""

    def __init__(
        self,
        memory: dict[str, Any] | None,
        runs: Runs,
        dag_id: str = "cohort_sync__one",
        task_id: str = "sync__eu",
    ) -> None:
        self.memory = memory
        self.runs = runs
        self.dag_id = dag_id
        self.task_id = task_id
        self.pushed: dict[str, Any] = {}

    def context(self, report: Any = None, error: Exception | None = None) -> dict[str, Any]:
        previous = self.runs.previous
        ti = SimpleNamespace(
            dag_id=self.dag_id,
            run_id="r",
            task_id=self.task_id,
            map_index=-1,
            xcom_pull=lambda task_ids, map_indexes, run_id: {**self.runs.reports, None: report}[run_id],
            xcom_push=self.pushed.__setitem__,
            get_previous_dagrun=lambda: SimpleNamespace(run_id=previous) if previous else None,
        )
        task = SimpleNamespace(outlets=[ASSET], inlets=[])
        context = {"ti": ti, "task": task, "exception": error}
        if self.memory is not None:
            store = SimpleNamespace(get=self.memory.get, set=self.memory.__setitem__)
            context["asset_state_store"] = {ASSET: store}
        return context


def test_a_failure_is_remembered_and_the_next_success_is_a_recovery(told: list[Any], runs: Runs) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [ALERT])
    alerts.failed(task.context(error=GuardTrippedError("It stopped.", ["low_match"])))
    assert told[0].events == {"failure", "guard", "low_match"}
    assert told[0].headline == "Cohort sync one, target eu failed: It stopped."
    assert (told[0].event, told[0].kind) == ("guard", "guard")
    assert task.pushed == {callback.TOLD_KEY: True}
    alerts.succeeded(task.context(REPORT))
    alerts.succeeded(task.context(REPORT))
    assert [message.event for message in told[1:]] == ["recovery"]


@pytest.mark.parametrize(
    "other", [("cohort_sync__other", "sync__eu"), ("cohort_sync__one", "sync__us"), ("sync", "eu")]
)
def test_the_failure_of_another_sync_of_the_segment_is_no_recovery(
    told: list[Any], runs: Runs, other: tuple[str, str]
) -> None:
    memory: dict[str, Any] = {}
    mine, theirs, alerts = Task(memory, runs), Task(memory, runs, *other), SyncAlerts("one", [ALERT])
    theirs_key = key_of("freshness", *other)
    memory[theirs_key] = {"since": "x", "stale_since": "x"}
    alerts.failed(theirs.context(error=MappingError("No identifier matches.")))
    told.clear()
    for _ in range(3):
        alerts.succeeded(mine.context(REPORT))
    assert told == []
    assert memory[theirs_key]["stale_since"] == "x"
    alerts.succeeded(theirs.context(REPORT))
    assert [message.event for message in told] == ["recovery"]


@pytest.mark.parametrize("before", ["plan__eu", "approve__eu"])
def test_a_failure_before_the_sync_task_is_one_of_the_sync(told: list[Any], runs: Runs, before: str) -> None:
    memory: dict[str, Any] = {}
    alerts = SyncAlerts("one", [ALERT])
    alerts.failed(Task(memory, runs, task_id=before).context(error=MappingError("No identifier matches.")))
    alerts.succeeded(Task(memory, runs).context(REPORT))
    assert told[-1].event == "recovery"


def test_the_failure_of_a_task_that_exports_for_others_is_kept_with_no_segment(
    told: list[Any], runs: Runs
) -> None:
    memory: dict[str, Any] = {}
    task = Task(memory, runs, task_id="export")
    context = task.context(error=MappingError("No identifier matches."))
    context["task"] = SimpleNamespace(outlets=[cohort_asset("c", "a1b2c3d")], inlets=[ASSET])
    SyncAlerts("one", [ALERT]).failed(context)
    assert len(told) == 1
    assert memory == {}


def test_no_match_at_all_is_a_low_match(told: list[Any], runs: Runs) -> None:
    SyncAlerts("one", [ALERT]).failed(Task({}, runs).context(error=MappingError("No identifier matches.")))
    assert [message.events for message in told] == [{"failure", "low_match"}]


def test_a_failure_that_nobody_could_remember_is_one(told: list[Any], runs: Runs) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [ALERT])
    alerts.succeeded(task.context(REPORT))
    runs.add("failed")
    alerts.failed(task.context())  # the DAG processor knows no exception, and leaves it to the run
    assert told == []
    alerts.succeeded(task.context(REPORT))
    alerts.succeeded(task.context(REPORT))
    assert [message.event for message in told] == ["recovery"]


@pytest.mark.parametrize(
    "report", [None, "7", {"dry_run": True}, {**REPORT, "source": "snapshot"}, {**REPORT, "limit": 5}]
)
def test_what_syncs_no_cohort_is_no_recovery(told: list[Any], runs: Runs, report: Any) -> None:
    memory = {ALERTS: {"failed": True}, FRESHNESS: {"since": "x", "stale_since": "x"}}
    task = Task(dict(memory), runs)
    SyncAlerts("one", [ALERT]).succeeded(task.context(report))
    assert told == []
    assert task.memory == memory


def test_a_stale_segment_recovers(told: list[Any], runs: Runs) -> None:
    task = Task({FRESHNESS: {"since": "x", "stale_since": "x"}}, runs)
    SyncAlerts("one", [ALERT]).succeeded(task.context(REPORT))
    assert [message.event for message in told] == ["recovery"]
    assert task.memory[FRESHNESS] == {"since": "x", "stale_since": None, "told": []}


def test_a_low_match_rate_is_told_when_it_becomes_low(told: list[Any], runs: Runs) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [ALERT])
    for rate in (0.9, 0.5, 0.4, None, 0.85, 0.79):
        alerts.succeeded(task.context({**REPORT, "match_rate": rate}))
    assert [message.headline.split(" matches ")[1] for message in told] == [
        "only 50.0% of its cohort (alert below 80%).",
        "only 79.0% of its cohort (alert below 80%).",
    ]


def test_a_low_match_is_told_at_the_first_run_and_without_a_limit_of_its_own(
    told: list[Any], runs: Runs
) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [Alert(RECEIVER)])
    for rate in (0.49, 0.1, None, 0.2):
        alerts.succeeded(task.context({**REPORT, "match_rate": rate, "identifiers": 21}))
    [message] = told
    assert message.event == "low_match"
    assert message.headline.endswith("matches only 49.0% of its cohort (alert below 50%).")
    assert "user_id_property" in message.details
    assert "id_type" in message.details


def test_a_low_match_of_several_identifiers_says_what_each_has_found(told: list[Any], runs: Runs) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [ALERT])
    found = {"match_rate": 0.4, "identifiers": 9000, "matched_by": {"id": 3000, "email": 600}}
    alerts.succeeded(task.context({**REPORT, **found}))
    [message] = told
    assert "in identifiers is right (they have found 3,000 by id, 600 by email)" in message.details
    assert "user_id_property" not in message.details


def test_a_handful_of_identifiers_has_no_low_match_unless_a_limit_is_set(told: list[Any], runs: Runs) -> None:
    few = {**REPORT, "match_rate": 0.1, "identifiers": 20}
    SyncAlerts("one", [Alert(RECEIVER)]).succeeded(Task({}, runs).context(few))
    assert told == []
    SyncAlerts("one", [ALERT]).succeeded(Task({}, runs).context(few))
    assert [message.event for message in told] == ["low_match"]


def test_a_cohort_that_outgrows_a_handful_is_told_of(told: list[Any], runs: Runs) -> None:
    task, alerts = Task({}, runs), SyncAlerts("one", [Alert(RECEIVER)])
    for identifiers in (20, 2_000):
        alerts.succeeded(task.context({**REPORT, "match_rate": 0.1, "identifiers": identifiers}))
    assert [message.event for message in told] == ["low_match"]


def test_only_the_alert_that_could_not_be_sent_is_tried_again(
    told: list[Any], runs: Runs, receiver: type[Receiver]
) -> None:
    both = [Alert(RECEIVER, arguments={"name": name}, match_rate_below=0.8) for name in ("desk", "chat")]
    task, alerts = Task({}, runs), SyncAlerts("one", both)
    alerts.failed(task.context(error=MappingError("No identifier matches.")))
    told.clear()
    receiver.names.clear()
    receiver.down.add("desk")
    for _ in range(2):
        alerts.succeeded(task.context({**REPORT, "match_rate": 0.1}))
    receiver.down.clear()
    for _ in range(2):
        alerts.succeeded(task.context({**REPORT, "match_rate": 0.1}))
    assert list(zip(receiver.names, [message.event for message in told], strict=True)) == [
        ("chat", "recovery"),
        ("chat", "low_match"),
        ("desk", "recovery"),
        ("desk", "low_match"),
    ]


def test_who_wants_no_low_match_gets_none(told: list[Any], runs: Runs) -> None:
    assert not Alert(RECEIVER, ("failure",)).concerns(frozenset({"low_match"}))


@pytest.mark.parametrize("has_store", [False, True])
@pytest.mark.parametrize(
    ("states", "recovers"),
    [
        ((), False),
        (("failed", "success"), False),
        (("failed", "failed", "skipped"), False),
        (("success", "failed"), True),
        (("upstream_failed",), True),
    ],
)
def test_without_a_memory_the_run_before_decides_on_a_recovery(
    told: list[Any], runs: Runs, has_store: bool, states: tuple[str, ...], recovers: bool
) -> None:
    runs.add(*states)
    memory: dict[str, Any] | None = {} if has_store else None
    alerts = SyncAlerts("one", [ALERT])
    alerts.succeeded(Task(memory, runs).context(REPORT))
    assert [message.event for message in told] == ["recovery"] * recovers
    runs.add("success", report=REPORT)
    alerts.succeeded(Task(memory, runs).context(REPORT))
    assert len(told) == recovers


@pytest.mark.parametrize(
    ("states", "recovers"), [((), False), (("failed", "failed"), True), (("success", "failed"), False)]
)
def test_without_a_memory_and_a_date_only_the_first_success_is_a_recovery(
    told: list[Any], runs: Runs, states: tuple[str, ...], recovers: bool
) -> None:
    runs.add(*states, dated=False)
    SyncAlerts("one", [ALERT]).succeeded(Task(None, runs).context(REPORT))
    assert [message.event for message in told] == ["recovery"] * recovers


@pytest.mark.parametrize(
    ("before", "is_told"),
    [
        ({**REPORT, "match_rate": 0.5}, False),
        (REPORT, True),
        ({**REPORT, "match_rate": None}, True),
        ({**REPORT, "match_rate": 0.5, "dry_run": True}, True),
        ({**REPORT, "match_rate": None, "limit": 5}, True),
        ("7", True),
    ],
)
def test_without_a_memory_the_run_before_decides_on_a_low_match(
    told: list[Any], runs: Runs, before: Any, is_told: bool
) -> None:
    runs.add("success", report=before)
    SyncAlerts("one", [ALERT]).succeeded(Task(None, runs).context({**REPORT, "match_rate": 0.6}))
    assert [message.event for message in told] == ["low_match"] * is_told


@pytest.mark.parametrize(
    "kept", [{"failures": "7"}, {"failures": None, "low": 7, "unsent": "x"}, {"unsent": [7]}]
)
def test_a_memory_that_somebody_has_edited(told: list[Any], runs: Runs, kept: Any) -> None:
    task = Task({ALERTS: kept}, runs)
    SyncAlerts("one", [ALERT]).succeeded(task.context({**REPORT, "match_rate": 0.5}))
    assert [message.event for message in told] == ["low_match"]
    assert task.memory is not None
    assert task.memory[ALERTS] == {"failed": False, "failures": 0, "unsent": [], "low": [ALERT.fingerprint]}


def test_an_alert_that_is_new_is_told_of_a_rate_that_was_low_before(told: list[Any], runs: Runs) -> None:
    low = {**REPORT, "match_rate": 0.5}
    runs.add("success", report=low)
    SyncAlerts("one", [ALERT]).succeeded(Task({}, runs).context(low))
    assert [message.event for message in told] == ["low_match"]


def test_a_memory_that_cannot_be_read_is_none(told: list[Any], runs: Runs) -> None:
    def fail(key: str) -> Any:
        raise OSError("database is locked")

    runs.add("failed", "success")
    context = Task({}, runs).context(REPORT)
    context["asset_state_store"][ASSET].get = fail
    SyncAlerts("one", [ALERT]).succeeded(context)
    assert told == []


@pytest.mark.parametrize("kept", [{"failed": True, "failures": 1, "unsent": ["a"], "low": ["b"]}, {}])
def test_a_memory_that_cannot_be_read_is_not_overwritten(told: list[Any], runs: Runs, kept: Any) -> None:
    def fail(key: str) -> Any:
        raise OSError("database is locked")

    task, alerts = Task({ALERTS: dict(kept)}, runs), SyncAlerts("one", [ALERT])
    for call, context in (
        (alerts.failed, task.context(error=MappingError("No identifier matches."))),
        (alerts.succeeded, task.context({**REPORT, "match_rate": 0.1})),
    ):
        context["asset_state_store"][ASSET].get = fail
        call(context)
    assert [message.event for message in told] == ["failure", "low_match"]
    assert task.memory == {ALERTS: kept}


def test_an_approval_is_asked_for_with_counts_and_reasons(told: list[Any], runs: Runs) -> None:
    context = Task(None, runs, task_id="approve__eu").context()
    change = {"to_add": 1234, "to_remove": 60, "reasons": ["60 of 100 members would be removed"]}
    context["task"] = SimpleNamespace(segment="One", change=change, outlets=[], inlets=[])
    SyncAlerts("one", [ALERT]).asked(context)
    [message] = told
    assert (message.event, message.kind) == ("guard", "approval")
    assert message.headline.startswith("Cohort sync one, target eu waits for an approval: ")
    assert message.facts == {"Segment": "One", "Added, at most": "1,234", "Removed": "60"}
    assert message.causes == ("60 of 100 members would be removed",)
    assert message.link.endswith("/tasks/approve__eu/required_actions")
    for medium in (message.text, message.html, message.markdown, str(message.slack)):
        assert "|---" not in medium
