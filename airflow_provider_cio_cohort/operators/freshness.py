"""Checks whether segments were filled recently, and alerts once when one was not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import Asset, BaseOperator

from airflow_provider_cio_cohort.alerts.memory import FRESHNESS, Memory, fingerprints, key_of
from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.durations import in_words
from airflow_provider_cio_cohort.exceptions import ConfigurationError, StaleSegmentError
from airflow_provider_cio_cohort.sync.parameters import CORRECT

if TYPE_CHECKING:
    from airflow.sdk import Context

#: The highest ``max_age``: a longer one would hardly ever report anything.
LONGEST_AGE = timedelta(days=366)
#: How many events of a segment are read at a time, and how often at most: those of other syncs, restores and
#: users may be newer than the last one of the sync itself.
_EVENTS, _READS = 50, 40
#: An event that is dated further into the future than this would keep its segment fresh until then.
_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class WatchedSegment:
    """
    A segment that must be filled regularly by a sync.

    :param sync: the sync's name, with its target.
    :param dag_id: its DAG; a run of another DAG does not make the segment fresh.
    :param asset: the segment.
    :param max_age: how old its last good run may be: more than 0, up to 366 days.
    :param max_age_in_words: as the YAML says it.
    :param alerts: who is told.
    :param starts: when its first scheduled run is, with a timezone; no run is expected before that, and the
        time counts from then at the earliest. ``None`` for no start.
    :param until: when its last scheduled run is, with a timezone; no run is expected after that. ``None`` for
        no end.
    :param task_id: the sync's task.
    :param has_mistake: whether the sync cannot run because of a mistake in its file.
    :raises ConfigurationError: if ``max_age``, ``starts`` or ``until`` is not allowed.
    """

    sync: str
    dag_id: str
    asset: Asset
    max_age: timedelta
    max_age_in_words: str
    alerts: Sequence[Alert] = ()
    starts: datetime | None = None
    until: datetime | None = None
    task_id: str = "sync"
    has_mistake: bool = False

    def __post_init__(self) -> None:
        age: Any = self.max_age
        if not (isinstance(age, timedelta) and timedelta(0) < age <= LONGEST_AGE):
            raise ConfigurationError(
                f"max_age of the segment of {self.sync} is {age!r}; it must be a timedelta above 0 and up to "
                f"366 days.\n{CORRECT}"
            )
        for name in ("starts", "until"):
            moment: Any = getattr(self, name)
            if moment is not None and not (isinstance(moment, datetime) and moment.tzinfo):
                raise ConfigurationError(
                    f"{name} of the segment of {self.sync} is {moment!r}; it must be a datetime with a "
                    f"timezone.\n{CORRECT}"
                )

    def expects_runs(self, now: datetime) -> bool:
        """
        Return whether scheduled runs are expected.

        :param now: the current time.
        """
        return (self.starts is None or now >= self.starts) and (self.until is None or now < self.until)


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
        wanted = [each for each in self.segments if each.expects_runs(now)]
        lines, unchecked = [], 0
        for each in wanted:
            try:
                lines.append(self._look(context, each, now))
            except Exception:  # one segment must not keep the others from being checked
                self.log.exception("The segment of %s could not be checked.", each.sync)
                lines.append(f"{each.sync} could not be checked: see the log.")
                unchecked += 1
        stale = [line for line in lines if line]
        if stale:
            listed = "\n".join(f"- {line}" for line in stale)
            also = f", {unchecked} could not be checked" if unchecked else ""
            raise StaleSegmentError(
                f"{len(stale) - unchecked} of {len(wanted)} segments are stale{also}.\n"
                f"{listed}\n"
                "Open the DAG of each sync, fix what stops it, and trigger a run."
            )
        self.log.info("All %d segments are fresh.", len(wanted))
        return {"segments": len(wanted), "stale": 0}

    def _look(self, context: Context, watched: WatchedSegment, now: datetime) -> str | None:
        memory = Memory(context, watched.asset, key_of(FRESHNESS, watched.dag_id, watched.task_id))
        kept = memory.load()
        if kept is None:  # otherwise a segment without an event would count from now, and be fresh
            raise RuntimeError("Airflow's state store cannot be read")
        known = _moment(kept.get("since"), now)
        filled = _last_good(context, watched, now, since=known)
        seen = filled is not None or kept.get("seen") is True
        since = filled or known or now
        self.log.info(
            "%s: last good run %s; max_age is %s.",
            watched.sync,
            f"{in_words(now - since)} ago" if seen else "never seen",
            watched.max_age_in_words,
        )
        due_since = max(since, watched.starts or since)
        age = now - due_since
        new = {**kept, "since": since.isoformat(), "seen": seen}
        line = None
        if age > watched.max_age:  # otherwise the sync's own success reports the recovery
            state = _MISTAKE if watched.has_mistake else self._state(watched.dag_id)
            never = "" if seen else ", and has never had one"
            about = f"has had no good run for {in_words(age)} (max_age: {watched.max_age_in_words}){never}"
            stale_since = due_since.isoformat()
            sent = fingerprints(kept.get("told")) if kept.get("stale_since") == stale_since else []
            new["stale_since"] = stale_since
            new["told"] = self._tell(context, watched, about, state, sent)
            line = f"{watched.sync} {about}. {state}"
        if new != kept:
            memory.save(new)
        return line

    def _tell(
        self, context: Context, watched: WatchedSegment, about: str, state: str, sent: Collection[str]
    ) -> list[str]:
        from airflow_provider_cio_cohort.alerts.message import Message, link_to, shorten
        from airflow_provider_cio_cohort.alerts.sending import send

        message = Message(
            kind="stale",
            events=frozenset({"stale"}),
            sync=watched.sync,
            headline=shorten(f"Cohort sync {watched.sync} {about}."),
            reason=f"It {about}.",
            explanation=f"{state} The segment is as the last good run left it: people who joined the cohort "
            "since then are missing from it, people who left are still in it.",
            link=link_to(watched.dag_id),
            dag_id=watched.dag_id,
        )
        return send(watched.alerts, message, context, sent)

    def _state(self, dag_id: str) -> str:
        """Say why there may be no good run."""
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        try:
            paused = RuntimeTaskInstance.get_dag(dag_id).is_paused
        except AirflowRuntimeError:
            return "Airflow does not know its DAG: check the import errors of the DAG files."
        if paused:
            return "Its DAG is paused: unpause it."
        under_way = RuntimeTaskInstance.get_dr_count(dag_id, states=["running", "queued"])
        if under_way:
            return "A run is running or queued: check what it is waiting for."
        if RuntimeTaskInstance.get_dr_count(dag_id, states=["failed"]):
            return "No run is running or queued: check the last one, which failed, or the schedule."
        return "No run is running or queued: check the schedule, and whether the scheduler creates runs."


_MISTAKE = "It does not run because of a mistake in its file: the docs of its DAG show where and why."


def _moment(kept: object, now: datetime) -> datetime | None:
    """Return a stored time, at the latest ``now``; ``None`` if there is none, or it is invalid."""
    try:
        moment = datetime.fromisoformat(str(kept))
    except ValueError:
        return None
    return min(moment, now) if moment.tzinfo else None


def _last_good(
    context: Mapping[str, Any], watched: WatchedSegment, now: datetime, since: datetime | None
) -> datetime | None:
    """Return when the sync itself last filled the segment from its cohort, as far back as ``since``."""
    events = context["inlet_events"][watched.asset].ascending(False).limit(_EVENTS)
    if since is not None:
        events = events.after(since.isoformat())
    for _ in range(_READS):
        found = list(events)
        for event in found:
            if event.timestamp <= now + _CLOCK_SKEW and _is_of(event, watched):
                return cast("datetime", event.timestamp)
        if len(found) < _EVENTS or found[0].timestamp == found[-1].timestamp:
            return None
        events = events.before(found[-1].timestamp.isoformat())
    return None


def _is_of(event: Any, watched: WatchedSegment) -> bool:
    """Return whether an event is the report of the sync, for a cohort; events can also be made by users."""
    extra = event.extra
    return (
        (event.source_dag_id, event.source_task_id) == (watched.dag_id, watched.task_id)
        and isinstance(extra, Mapping)
        and "cohort_id" in extra
        and extra.get("source") != "snapshot"
    )
