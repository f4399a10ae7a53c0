"""Formats numbers and times for the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow_provider_cio_cohort.durations import in_short
from airflow_provider_cio_cohort.overview import Dag, Kind, Quota, Run, State

NOTHING = "\N{EN DASH}"
TITLES = {
    Kind.BROKEN_FILE: "Broken file",
    Kind.MISSING: "Missing",
    Kind.UNWATCHED: "Not watched",
    Kind.CONFIG_ERROR: "Configuration error",
    Kind.FAILED: "Failed",
    Kind.OVERDUE: "Overdue",
    Kind.NO_POOL: "Missing pool",
    Kind.WAITING: "Waiting for approval",
    Kind.QUOTA: "Exports of the month",
    Kind.DROP: "Sharp drop",
    Kind.LOW_MATCH: "Low match rate",
    Kind.NOT_REMOVABLE: "Not removable",
    Kind.REJECTED: "Rejected identifiers",
    Kind.PAUSED: "Paused",
}
TONES = {
    Kind.BROKEN_FILE: "bad",
    Kind.MISSING: "bad",
    Kind.UNWATCHED: "bad",
    Kind.CONFIG_ERROR: "bad",
    Kind.FAILED: "bad",
    Kind.OVERDUE: "bad",
    Kind.NO_POOL: "bad",
    Kind.WAITING: "ask",
    Kind.QUOTA: "warn",
    Kind.DROP: "warn",
    Kind.LOW_MATCH: "warn",
    Kind.NOT_REMOVABLE: "warn",
    Kind.REJECTED: "warn",
    Kind.PAUSED: "calm",
    State.SUCCESS: "good",
    State.FAILED: "bad",
    State.WAITING: "ask",
    State.RETRYING: "warn",
    State.RUNNING: "busy",
    State.CONFIG_ERROR: "bad",
    State.MISSING: "bad",
}


def tone(of: Kind | State) -> str:
    """Return the colour of a state, or of something that needs attention, as a CSS class."""
    return TONES.get(of, "calm")


def span(time: timedelta | float | None) -> str:
    """
    Return a length of time, such as ``3 h``.

    :param time: the time, or seconds.
    """
    return NOTHING if time is None else in_short(time)


def ago(moment: datetime | None, now: datetime) -> str:
    """
    Return the time to or from a moment, such as ``3 h ago`` or ``in 3 h``.

    :param moment: the moment.
    :param now: the current time.
    """
    if moment is None:
        return NOTHING
    distance = now - moment
    if abs(distance) < timedelta(seconds=60):
        return "just now" if distance >= timedelta(0) else "in a moment"
    return f"{in_short(distance)} ago" if distance > timedelta(0) else f"in {in_short(-distance)}"


def lasting(since: datetime, now: datetime) -> str:
    """
    Return how long something has lasted, such as ``for 3 h``.

    :param since: when it began.
    :param now: the current time.
    """
    return f"for {in_short(max(now - since, timedelta(0)))}"


def moment(value: datetime | None, zone: str = "UTC") -> str:
    """
    Return a moment in full, with the timezone.

    :param value: the moment.
    :param zone: the name of the timezone.
    """
    return NOTHING if value is None else f"{clock(value, zone)} {zone}"


def clock(value: datetime, zone: str, form: str = "%Y-%m-%d %H:%M") -> str:
    """
    Return a moment, without its timezone.

    :param value: the moment.
    :param zone: the name of the timezone.
    :param form: as for :meth:`datetime.strftime`.
    """
    return value.astimezone(ZoneInfo(zone)).strftime(form)


def snapshot(said: str, zone: str) -> str:
    """
    Return the time of a snapshot.

    :param said: as a report has it.
    :param zone: the name of the timezone.
    """
    try:
        value = datetime.fromisoformat(said)
        return clock(value if value.tzinfo else value.replace(tzinfo=UTC), zone)
    except (ValueError, OverflowError):
        return said


def count(number: int | None) -> str:
    """Return a number of people."""
    return NOTHING if number is None else f"{number:,}"


def unmatched(number: int | None) -> str:
    """Return how many identifiers match no person; nothing if that is not known."""
    return "" if number is None else f"{number:,} unmatched"


def percent(share: float | None) -> str:
    """Return a share as a percentage; only 1 is shown as 100%."""
    if share is None:
        return NOTHING
    return "99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def cadence(dag: Dag) -> str:
    """Return when a DAG runs."""
    if dag.schedule is None:
        return "Manual only"
    return dag.description or dag.schedule


def no_next_run(dag: Dag) -> str:
    """Return why no run of a DAG is due."""
    if dag.missing_since is not None:
        return "Missing"
    if dag.paused:
        return "Paused"
    return "Manual only" if dag.schedule is None else NOTHING


@dataclass(frozen=True)
class Start:
    """
    A way to start a run, in Airflow's trigger form: its address cannot open the form, or fill it in.

    :param title: what it does.
    :param how: what to choose on the page of the DAG.
    """

    title: str
    how: str


def starts(dag: Dag) -> tuple[Start, ...]:
    """Return the ways to start a run of a DAG that its trigger form has."""
    found = [Start("Run now", "Trigger, then Trigger in the form")]
    if "dry_run" in dag.form:
        found.append(Start("Dry run", "Trigger, tick Dry run, then Trigger in the form"))
    if {"source", "snapshot_at"} <= dag.form:
        how = "Trigger, open Go back, set Source to snapshot and Snapshot of to a time"
        found.append(Start("Roll back…", f"{how}, then Trigger in the form"))
    return tuple(found)


def took(run: Run | None) -> str:
    """Return how long the sync's task took in a run."""
    return span(run.ended - run.started if run and run.started and run.ended else None)


def quota(of: Quota, now: datetime) -> str:
    """
    Describe the exports of a month.

    :param of: the quota of a project.
    :param now: the current time.
    """
    if of.used is None:
        first = "No export has been counted this month yet."
    else:
        first = f"{of.used:,} of {of.limit:,} used. {_source(of, now)}"
    if not of.to_come:
        rest = "No scheduled run needs one before the month ends."
    elif of.over:
        rest = (
            f"Scheduled runs still need up to {of.to_come:,} more: {of.forecast:,} by the month's end, "
            f"{of.forecast - of.limit:,} over the limit of {of.limit:,}."
        )
    else:
        rest = (
            f"Scheduled runs still need up to {of.to_come:,} more: {of.forecast:,} by the month's end, "
            f"within the limit of {of.limit:,}."
        )
    return f"{first} {rest}"


def _source(of: Quota, now: datetime) -> str:
    """Say where the number of used exports comes from."""
    runs = "1 run has" if of.unreported == 1 else f"{of.unreported:,} runs have"
    if of.seen is None:
        return f"Amplitude has not reported this month; {runs} requested an export."
    said = f"Amplitude reported {(of.used or 0) - of.unreported:,} {ago(of.seen, now)}"
    return f"{said}; {runs} requested an export since." if of.unreported else f"{said}."
