"""Checks whether segments were filled recently, and alerts once when one was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from airflow_provider_cio_cohort.alerts.memory import FRESHNESS, Memory
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.durations import in_words
from airflow_provider_cio_cohort.exceptions import StaleSegmentError

if TYPE_CHECKING:
    from airflow.sdk import Context

#: How many events of a segment are searched for one of a sync: restores and others may lie in between.
_EVENTS = 50
#: An event that is dated further into the future than this would keep its segment fresh until then.
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class WatchedSegment:
    """
    A segment that must be filled regularly.

    :param sync: the sync's name, with its target.
    :param dag_id: its DAG.
    :param asset: the segment.
    :param max_age: how old its last good run may be.
    :param max_age_in_words: as the YAML says it.
    :param alerts: who is told.
    :param until: when its last scheduled run is; no run is expected after that. ``None`` for no end.
    """

    sync: str
    dag_id: str
    asset: Asset
    max_age: timedelta
    max_age_in_words: str
    alerts: Sequence[Alert] = ()
    until: datetime | None = None


class SegmentFreshnessOperator(BaseOperator):
    """
    Fail when a segment has not been filled for too long, and send one alert for each.

    It reads the events that Airflow keeps of the segments' assets; no vendor is called. For a segment that
    has never been filled, the time counts from the first check.

    :param segments: what is watched.
    :raises StaleSegmentError: if any of them is stale.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, segments: Sequence[WatchedSegment], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments = tuple(segments)
        self.inlets.extend(dict.fromkeys(segment.asset for segment in self.segments))

    def execute(self, context: Context) -> dict[str, int]:
        """Check each segment, send alerts for those that have become stale, and fail if there are any."""
        now = datetime.now(UTC)
        wanted = [each for each in self.segments if each.until is None or now < each.until]
        stale = [line for each in wanted if (line := self._look(context, each, now))]
        if stale:
            lines = "\n".join(f"- {line}" for line in stale)
            raise StaleSegmentError(
                f"{len(stale)} of {len(self.segments)} segments are stale.\n"
                f"{lines}\n"
                "Open the DAG of each sync, fix what stops it, and trigger a run."
            )
        self.log.info("All %d segments are fresh.", len(self.segments))
        return {"segments": len(self.segments), "stale": 0}

    def _look(self, context: Context, watched: WatchedSegment, now: datetime) -> str | None:
        memory = Memory(context, watched.asset, FRESHNESS)
        kept = memory.load()
        last = _last_good(context, watched.asset, now)
        since = last or min(datetime.fromisoformat(kept.get("since") or now.isoformat()), now)
        age = now - since
        self.log.info(
            "%s: last good run %s; max_age is %s.",
            watched.sync,
            f"{in_words(age)} ago" if last else "never seen",
            watched.max_age_in_words,
        )
        told = kept.get("told")
        if age <= watched.max_age:
            _keep(memory, kept, since, told)  # the sync's own success reports the recovery
            return None
        state = self._state(watched.dag_id)
        never = "" if last else ", and has never had one"
        line = f"has had no good run for {in_words(age)} (max_age: {watched.max_age_in_words}){never}"
        if told != since.isoformat() and self._tell(context, watched, line, state):
            told = since.isoformat()
        _keep(memory, kept, since, told)
        return f"{watched.sync} {line}. {state}"

    def _tell(self, context: Context, watched: WatchedSegment, line: str, state: str) -> bool:
        from airflow_provider_cio_cohort.alerts.message import Message, link_to, shorten
        from airflow_provider_cio_cohort.alerts.sending import send

        message = Message(
            event="stale",
            sync=watched.sync,
            headline=shorten(f"Cohort sync {watched.sync} {line}."),
            details=f"{state} The segment is as the last good run left it: people who joined the cohort "
            "since then are missing from it, people who left are still in it.",
            link=link_to(watched.dag_id),
            dag_id=watched.dag_id,
            events=frozenset({"stale"}),
        )
        return send(watched.alerts, message, context)

    def _state(self, dag_id: str) -> str:
        """Say why there may be no good run."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        if RuntimeTaskInstance.get_dag(dag_id).is_paused:
            return "Its DAG is paused: unpause it."
        under_way = RuntimeTaskInstance.get_dr_count(dag_id, states=["running", "queued"])
        if under_way:
            return "A run is running or queued: check what it is waiting for."
        if RuntimeTaskInstance.get_dr_count(dag_id, states=["failed"]):
            return "No run is running or queued: check the last one, which failed, or the schedule."
        return "No run is running or queued: check the schedule, and whether the scheduler creates runs."


def _keep(memory: Memory, kept: Mapping[str, Any], since: datetime, told: str | None) -> None:
    new = {"since": since.isoformat(), "told": told}
    if new != kept:
        memory.save(new)


def _last_good(context: Mapping[str, Any], asset: Asset, now: datetime) -> datetime | None:
    """Return when a sync has last filled a segment from its cohort."""
    events = context["inlet_events"][asset].ascending(False).limit(_EVENTS)
    past = (event for event in events if event.timestamp <= now + _CLOCK_SKEW)
    by_a_sync = (event for event in past if "cohort_id" in event.extra)
    return next((event.timestamp for event in by_a_sync if event.extra.get("source") != "snapshot"), None)
