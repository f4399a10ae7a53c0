"""Which moment a snapshot is of, and which one somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import pendulum

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.snapshots.entry import Entry
from airflow_provider_cio_cohort.snapshots.manifest import Origin

#: A scheduled run that comes so much later than it was due has not synced the cohort of then.
LATE = timedelta(days=1)


def moment_of(origin: Origin, entries: Sequence[Entry], own_run: str, now: datetime) -> datetime:
    """
    Return what a run's snapshot is the state of: its logical date, unless it comes too late for that.

    Amplitude knows only the members of now. So what a backfill syncs, or a run that is cleared after a later
    one has gone well, is the state of now; and it leaves alone what was kept of then.

    :param origin: the run.
    :param entries: the snapshots that there are.
    :param own_run: the end of the names of this run's own.
    :param now: the time.
    """
    moment = origin.logical_date or origin.run_after
    if moment is None or origin.run_type == "backfill":
        return now
    if origin.run_type != "manual" and now - moment > LATE:
        return now
    others = (entry for entry in entries if entry.is_whole and not entry.name.endswith(own_run))
    return now if any(entry.moment > moment for entry in others) else moment


def parse_moment(text: str, zone: tzinfo | None) -> datetime:
    """
    Return the moment that somebody has written; a date alone is the end of that day.

    :param text: in ISO 8601.
    :param zone: in which it is meant if it has no offset; an hour that the clock repeats is the second one.
    :raises ConfigurationError: if it is none.
    """
    try:
        return _parsed(text.strip(), zone or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"snapshot_at is {text[:50]!r}; it must be a date or a time.\n"
            "Write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00: what has no offset is meant in "
            "the timezone of the DAG, and a date alone is the end of that day."
        ) from None


def _parsed(text: str, zone: tzinfo) -> datetime:
    if len(text) <= 10:
        day = date.fromisoformat(text)
        midnight = datetime.combine(day + timedelta(days=1), time())
        return _localized(midnight, zone) - timedelta(microseconds=1)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else _localized(moment, zone)


def _localized(naive: datetime, zone: tzinfo) -> datetime:
    return pendulum.instance(naive.replace(fold=1), tz=zone).in_timezone("UTC")
