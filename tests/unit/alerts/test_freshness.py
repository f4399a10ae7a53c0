"""When a segment is stale, and how often that is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort.alerts.memory import key_of
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.assets import known_segment
from airflow_provider_cio_cohort.exceptions import ConfigurationError, StaleSegmentError
from airflow_provider_cio_cohort.operators.freshness import SegmentFreshnessOperator, WatchedSegment
from tests.unit.alerts.receiver import RECEIVER, Receiver, receiver

__all__ = ["receiver"]

ASSET = known_segment("customer_io_default", "One", None)
SYNC = {"cohort_id": "a", "source": "cohort"}
FRESHNESS = key_of("freshness", "cohort_sync__one", "sync")


class Events(list[Any]):
    """The events of a segment's asset, as Airflow hands them out."""

    since, until, most = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), 10_000

    def ascending(self, ascending: bool) -> Events:
        return Events(sorted(self, key=lambda event: event.timestamp, reverse=not ascending))

    def after(self, moment: str) -> Events:
        self.since = datetime.fromisoformat(moment)
        return self

    def before(self, moment: str) -> Events:
        self.until = datetime.fromisoformat(moment)
        return self

    def limit(self, limit: int) -> Events:
        self.most = limit
        return self

    def __iter__(self) -> Iterator[Any]:
        found = [event for event in super().__iter__() if self.since <= event.timestamp <= self.until]
        return iter(found[: self.most])


OURS = ("cohort_sync__one", "sync")


class Look:
    """Looks again and again at one segment."""

    def __init__(self, sent: list[Any], *alerts: Alert, **watched: Any) -> None:
        self.sent = sent
        self.memory: dict[str, Any] = {}
        self.events = Events()
        self.watch(*(alerts or [Alert(RECEIVER)]), **watched)

    def watch(self, *alerts: Alert, **watched: Any) -> None:
        """Watch it as the file says now."""
        assert ASSET is not None
        one = WatchedSegment("one", "cohort_sync__one", ASSET, timedelta(hours=26), "26h", alerts, **watched)
        self.task = SegmentFreshnessOperator(task_id="look", segments=[one])

    def filled(self, hours_ago: float, by: tuple[str | None, str | None] = OURS, /, **extra: Any) -> None:
        self.event(hours_ago, by, extra)

    def event(self, hours_ago: float, by: tuple[str | None, str | None], extra: Any) -> None:
        timestamp = datetime.now(UTC) - timedelta(hours=hours_ago)
        dag_id, task_id = by
        self.events.append(
            SimpleNamespace(timestamp=timestamp, extra=extra, source_dag_id=dag_id, source_task_id=task_id)
        )

    def __call__(self, get: Any = None) -> str:
        """Return why it fails, empty if it does not."""
        store = SimpleNamespace(get=get or self.memory.get, set=self.memory.__setitem__)
        context: Any = {"inlet_events": {ASSET: self.events}, "asset_state_store": {ASSET: store}}
        try:
            self.task.execute(context)
        except StaleSegmentError as error:
            return str(error)
        return ""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, receiver: type[Receiver]) -> list[Any]:
    monkeypatch.setattr(SegmentFreshnessOperator, "_state", lambda self, dag_id: "Its DAG is paused.")
    return receiver.got


def test_one_that_was_filled_lately_is_fresh(sent: list[Any]) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    look.filled(1, **SYNC)
    assert look() == ""
    assert sent == []


def test_an_old_one_is_told_once_and_again_after_it_was_fresh(sent: list[Any]) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    for _ in range(3):
        assert "one has had no good run for 2 days 2 hours (max_age: 26h). Its DAG is paused." in look()
    [message] = sent
    assert message.headline == "Cohort sync one has had no good run for 2 days 2 hours (max_age: 26h)."
    look.filled(30, **SYNC)
    assert "1 day 6 hours" in look()
    assert len(sent) == 2


@pytest.mark.parametrize("extra", [{}, {"cohort_id": "a", "source": "snapshot"}])
def test_what_was_no_sync_does_not_make_it_fresh(sent: list[Any], extra: dict[str, Any]) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    look.filled(1, **extra)
    assert look()


@pytest.mark.parametrize(
    "by", [("cohort_sync__other", "sync"), ("cohort_sync__one", "sync__eu"), (None, None)]
)
def test_what_others_fill_does_not_make_it_fresh(sent: list[Any], by: Any) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    for minutes in range(300):
        look.filled(minutes / 60, by, **SYNC)
    assert "one has had no good run for 2 days 2 hours" in look()
    look.filled(0.01, **SYNC)
    assert look() == ""


@pytest.mark.parametrize("extra", [None, [], "text", 7, {"cohort_id": "a", "source": None}])
def test_an_event_may_hold_anything(sent: list[Any], extra: Any) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    look.event(1, (None, None), extra)
    assert look()
    look.event(0.5, OURS, extra)
    assert bool(look()) is not isinstance(extra, dict)


def test_what_is_known_of_an_event_outlives_it(sent: list[Any]) -> None:
    look = Look(sent)
    look.filled(20, **SYNC)
    assert look() == ""
    look.events.clear()
    assert look() == ""
    since = datetime.now(UTC) - timedelta(hours=50)
    look.memory[FRESHNESS]["since"] = since.isoformat()
    assert "no good run for 2 days 2 hours (max_age: 26h). " in look()  # but it has had one


@pytest.mark.parametrize("kept", ["yesterday", None, 7, "2026-01-01T00:00:00"])
def test_a_memory_that_somebody_has_edited(sent: list[Any], kept: Any) -> None:
    look = Look(sent)
    look.memory[FRESHNESS] = {"since": kept, "told": None}
    look.filled(50, **SYNC)
    assert look()


def test_a_sync_with_a_mistake_is_told_as_such(sent: list[Any]) -> None:
    look = Look(sent, has_mistake=True)
    look.filled(50, **SYNC)
    assert "It does not run because of a mistake in its file" in look()


def test_a_segment_that_cannot_be_checked_keeps_no_other_from_it(sent: list[Any]) -> None:
    other = known_segment("customer_io_default", "Other", None)
    assert other is not None
    look = Look(sent)
    broken = WatchedSegment("broken", "cohort_sync__broken", other, timedelta(hours=1), "1h")
    look.task = SegmentFreshnessOperator(task_id="look", segments=[broken, *look.task.segments])
    look.filled(50, **SYNC)
    reason = look()
    assert reason.startswith("1 of 2 segments are stale, 1 could not be checked.\n")
    assert "broken could not be checked" in reason
    assert len(sent) == 1


@pytest.mark.parametrize("max_age", [timedelta(0), timedelta(hours=-1), timedelta(days=366, seconds=1), 26])
def test_ages_that_are_refused(max_age: Any) -> None:
    assert ASSET is not None
    with pytest.raises(ConfigurationError, match=r"^max_age of the segment of one is .*up to 366 days\.\n"):
        WatchedSegment("one", "cohort_sync__one", ASSET, max_age, "26h")


def test_the_longest_age() -> None:
    assert ASSET is not None
    WatchedSegment("one", "cohort_sync__one", ASSET, timedelta(days=366), "366d")


@pytest.mark.parametrize("name", ["starts", "until"])
@pytest.mark.parametrize("moment", [datetime(2026, 1, 1), "2026-01-01"])
def test_a_time_without_a_timezone_is_refused(name: str, moment: Any) -> None:
    assert ASSET is not None
    with pytest.raises(ConfigurationError, match=rf"^{name} of the segment of one is .*with a timezone\.\n"):
        WatchedSegment("one", "cohort_sync__one", ASSET, timedelta(hours=1), "1h", **{name: moment})


def test_an_event_that_is_dated_in_the_future_does_not_keep_it_fresh(sent: list[Any]) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    look.filled(-48, **SYNC)
    assert "2 days 2 hours" in look()
    look.filled(0, **SYNC)
    assert look() == ""


def test_a_first_look_that_is_dated_in_the_future_counts_from_now(sent: list[Any]) -> None:
    look = Look(sent)
    look.memory[FRESHNESS] = {"since": (datetime.now(UTC) + timedelta(days=9)).isoformat(), "told": None}
    assert look() == ""
    assert datetime.fromisoformat(look.memory[FRESHNESS]["since"]) <= datetime.now(UTC)


def test_one_that_was_never_filled_counts_from_the_first_look(sent: list[Any]) -> None:
    look = Look(sent)
    assert look() == ""
    since = datetime.fromisoformat(look.memory[FRESHNESS]["since"]) - timedelta(hours=27)
    look.memory[FRESHNESS]["since"] = since.isoformat()
    assert "and has never had one" in look()
    assert len(sent) == 1


def test_only_the_alert_that_could_not_be_sent_is_tried_again(
    sent: list[Any], receiver: type[Receiver]
) -> None:
    look = Look(sent, *(Alert(RECEIVER, arguments={"name": name}) for name in ("desk", "chat")))
    look.filled(50, **SYNC)
    receiver.down.add("desk")
    for _ in range(3):
        assert look()
    assert receiver.names == ["chat"]
    receiver.down.clear()
    for _ in range(3):
        assert look()
    assert receiver.names == ["chat", "desk"]


def test_an_alert_that_is_added_while_the_segment_is_stale_is_sent(
    sent: list[Any], receiver: type[Receiver]
) -> None:
    others = Alert(RECEIVER, ("failure",), {"name": "others"})
    look = Look(sent, others)
    look.filled(50, **SYNC)
    assert look()
    look.watch(others, Alert(RECEIVER, ("stale",), {"name": "desk"}))
    assert look()
    assert look()
    assert receiver.names == ["desk"]


@pytest.mark.parametrize("told", [None, "text", 7, [None, 7], {"a": 1}])
def test_a_memory_of_alerts_that_somebody_has_edited(sent: list[Any], told: Any) -> None:
    look = Look(sent)
    look.filled(50, **SYNC)
    assert look()
    look.memory[FRESHNESS]["told"] = told
    assert look()
    assert look()
    assert len(sent) == 2


def test_a_state_that_cannot_be_read_is_neither_fresh_nor_overwritten(sent: list[Any]) -> None:
    look = Look(sent)
    look.memory[FRESHNESS] = {"since": (datetime.now(UTC) - timedelta(hours=50)).isoformat(), "seen": True}
    before = dict(look.memory)

    def fail(key: str) -> Any:
        raise OSError("database is locked")

    assert "one could not be checked" in look(get=fail)
    assert look.memory == before
    assert sent == []
    assert "one has had no good run for 2 days 2 hours" in look()


def test_after_its_end_nobody_expects_a_run(sent: list[Any]) -> None:
    look = Look(sent, until=datetime.now(UTC) - timedelta(days=1))
    look.filled(50, **SYNC)
    assert look() == ""


def test_before_its_start_nobody_expects_a_run_and_then_the_time_counts_from_it(sent: list[Any]) -> None:
    now = datetime.now(UTC)
    look = Look(sent, starts=now + timedelta(days=1))
    look.memory[FRESHNESS] = {"since": (now - timedelta(days=30)).isoformat(), "seen": False}
    assert look() == ""
    look.filled(50, **SYNC)
    assert look() == ""
    look.watch(Alert(RECEIVER), starts=now - timedelta(hours=25))
    assert look() == ""
    look.watch(Alert(RECEIVER), starts=now - timedelta(hours=27))
    assert "one has had no good run for 1 day 3 hours (max_age: 26h). " in look()
    assert len(sent) == 1
    look.filled(1, **SYNC)
    assert look() == ""


def test_only_segments_that_expect_a_run_are_counted(sent: list[Any]) -> None:
    look = Look(sent)
    ended = WatchedSegment(
        "ended",
        "cohort_sync__ended",
        look.task.segments[0].asset,
        timedelta(1),
        "1d",
        until=datetime.now(UTC),
    )
    look.task = SegmentFreshnessOperator(task_id="look", segments=[ended, *look.task.segments])
    look.filled(50, **SYNC)
    assert look().startswith("1 of 1 segments are stale.")
