"""Formats numbers and times for the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def moment(value: datetime | None) -> str:
    """Return a moment in full; the browser turns it into the reader's timezone."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int | None) -> str:
    """Return a number of people."""
    return NOTHING if number is None else f"{number:,}"


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
        first = f"{of.used:,} of {of.limit:,} used, as of {ago(of.seen, now)}."
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
