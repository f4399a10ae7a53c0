"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_provider_cio_cohort.overview import Dag, Kind, Quota, State

NOTHING = "\N{EN DASH}"
_STEPS = ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h"), (60 * 86400, 86400, "d"))
TITLES = {
    Kind.CONFIG_ERROR: "Configuration error",
    Kind.FAILED: "Failed",
    Kind.OVERDUE: "Overdue",
    Kind.NO_POOL: "No such pool",
    Kind.WAITING: "Waiting for approval",
    Kind.QUOTA: "Exports of the month",
    Kind.DROP: "Sharp drop",
    Kind.LOW_MATCH: "Low match rate",
    Kind.PAUSED: "Paused",
}
TONES = {
    Kind.CONFIG_ERROR: "bad",
    Kind.FAILED: "bad",
    Kind.OVERDUE: "bad",
    Kind.NO_POOL: "bad",
    Kind.WAITING: "ask",
    Kind.QUOTA: "warn",
    Kind.DROP: "warn",
    Kind.LOW_MATCH: "warn",
    Kind.PAUSED: "calm",
    State.SUCCESS: "good",
    State.FAILED: "bad",
    State.WAITING: "ask",
    State.RETRYING: "warn",
    State.RUNNING: "busy",
    State.CONFIG_ERROR: "bad",
}


def tone(of: Kind | State) -> str:
    """Return the colour of a state, or of something that needs attention, as a CSS class."""
    return TONES.get(of, "calm")


def span(time: timedelta | float | None) -> str:
    """
    Return a length of time, such as ``3 h``.

    :param time: the time, or seconds.
    """
    if time is None:
        return NOTHING
    seconds = time.total_seconds() if isinstance(time, timedelta) else time
    for upto, unit, name in _STEPS:
        if seconds < upto:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / (30 * 86400):.0f} months"


def ago(moment: datetime | None, now: datetime) -> str:
    """
    Return how far away a moment is, such as ``3 h ago`` or ``in 3 h``.

    :param moment: the moment.
    :param now: this one.
    """
    if moment is None:
        return NOTHING
    distance = now - moment
    if abs(distance) < timedelta(seconds=60):
        return "just now" if distance >= timedelta(0) else "in a moment"
    return f"{span(distance)} ago" if distance > timedelta(0) else f"in {span(-distance)}"


def lasting(since: datetime, now: datetime) -> str:
    """
    Return how long something has been so, such as ``for 3 h``.

    :param since: when it began.
    :param now: this moment.
    """
    return f"for {span(max(now - since, timedelta(0)))}"


def moment(value: datetime | None) -> str:
    """Return a moment in full; the browser turns it into the reader's timezone."""
    return NOTHING if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int | None) -> str:
    """Return a number of people."""
    return NOTHING if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """Return a share; only all is 100%."""
    if share is None:
        return NOTHING
    return "99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def cadence(dag: Dag) -> str:
    """Return when a DAG runs."""
    if dag.schedule is None:
        return "Only by hand"
    return dag.description or dag.schedule


def quota(of: Quota, now: datetime) -> str:
    """
    Return in words what the exports of a month come to.

    :param of: the quota of a project.
    :param now: this moment.
    """
    if of.used is None:
        first = "No export was seen this month yet."
    else:
        first = f"{of.used:,} of {of.limit:,} used, as seen {ago(of.seen, now)}."
    if not of.to_come:
        rest = "No schedule will need one before the month ends."
    elif of.over:
        rest = (
            f"The schedules still need up to {of.to_come:,} more: {of.forecast:,} by the month's end, "
            f"{of.forecast - of.limit:,} over the limit of {of.limit:,}."
        )
    else:
        rest = (
            f"The schedules still need up to {of.to_come:,} more: {of.forecast:,} by the month's end, "
            f"within the limit of {of.limit:,}."
        )
    return f"{first} {rest}"
