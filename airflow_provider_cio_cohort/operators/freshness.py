"""Looks whether segments have been filled lately, and tells once when one has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from airflow_provider_cio_cohort.alerts.memory import FRESHNESS, Memory
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.exceptions import StaleSegmentError

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Among so many events of a segment one of a sync is found, whatever restores and others did in between.
_EVENTS = 50


@dataclass(frozen=True)
class WatchedSegment:
    """
    A segment that must be filled again and again.

    :param sync: the sync's name, with its target.
    :param dag_id: its DAG.
    :param asset: the segment.
    :param max_age: how old its last good run may be.
    :param max_age_in_words: as the YAML says it.
    :param alerts: who is told.
    :param until: when its last scheduled run is; later nobody expects one. ``None`` for no end.
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
    Fail when a segment has not been filled for too long, and tell of each one once.

    It looks at the events that Airflow keeps of the segments' assets; no vendor is asked. A segment that has
    never been filled counts from the first look.

    :param segments: what is watched.
    :raises StaleSegmentError: if any of them is stale.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, segments: Sequence[WatchedSegment], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.segments = tuple(segments)
        self.inlets.extend(dict.fromkeys(segment.asset for segment in self.segments))

    def execute(self, context: Context) -> dict[str, int]:
        """Look at each segment, tell of those that have become stale, and fail if there are any."""
        now = datetime.now(UTC)
        wanted = [each for each in self.segments if each.until is None or now < each.until]
        stale = [line for each in wanted if (line := self._look(context, each, now))]
        if stale:
            lines = "\n".join(f"- {line}" for line in stale)
            raise StaleSegmentError(
                f"{len(stale)} of {len(self.segments)} segments are stale.\n{lines}\n"
                "Open the DAG of each sync, mend what stops it, and trigger a run."
            )
        self.log.info("All %d segments are fresh.", len(self.segments))
        return {"segments": len(self.segments), "stale": 0}

    def _look(self, context: Context, watched: WatchedSegment, now: datetime) -> str | None:
        memory = Memory(context, watched.asset, FRESHNESS)
        kept = memory.load()
        last = _last_good(context, watched.asset)
        since = last or datetime.fromisoformat(kept.get("since") or now.isoformat())
        age = now - since
        self.log.info(
            "%s: last good run %s; max_age is %s.",
            watched.sync,
            f"{_words(age)} ago" if last else "never seen",
            watched.max_age_in_words,
        )
        told = kept.get("told")
        if age <= watched.max_age:
            _keep(memory, kept, since, told)  # the sync's own success says that it is well again
            return None
        state = self._state(watched.dag_id)
        never = "" if last else ", and has never had one"
        line = f"has had no good run for {_words(age)} (max_age: {watched.max_age_in_words}){never}"
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
            details=f"{state} The segment is as the last good run left it: who has come into the cohort "
            "since then is missing, who has left it is still there.",
            link=link_to(watched.dag_id),
            dag_id=watched.dag_id,
            events=frozenset({"stale"}),
        )
        return send(watched.alerts, message, context)

    def _state(self, dag_id: str) -> str:
        """Say why there may be no good run."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        if RuntimeTaskInstance.get_dag(dag_id).is_paused:
            return "Its DAG is paused: switch it on."
        under_way = RuntimeTaskInstance.get_dr_count(dag_id, states=["running", "queued"])
        if under_way:
            return "A run is under way or waits: look at what it waits for."
        if RuntimeTaskInstance.get_dr_count(dag_id, states=["failed"]):
            return "No run is under way: look at the last one, which failed, or at the schedule."
        return "No run is under way: look at the schedule, and whether the scheduler makes runs."


def _keep(memory: Memory, kept: Mapping[str, Any], since: datetime, told: str | None) -> None:
    new = {"since": since.isoformat(), "told": told}
    if new != kept:
        memory.save(new)


def _last_good(context: Mapping[str, Any], asset: Asset) -> datetime | None:
    """Return when a sync has last filled a segment from its cohort."""
    events = context["inlet_events"][asset].ascending(False).limit(_EVENTS)
    by_a_sync = (event for event in events if "cohort_id" in event.extra)
    return next((event.timestamp for event in by_a_sync if event.extra.get("source") != "snapshot"), None)


def _words(age: timedelta) -> str:
    minutes = age.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"
