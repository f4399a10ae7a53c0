"""What an export costs: Amplitude grants a few hundred exports a month to each project."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache

from croniter import CroniterBadDateError, croniter

#: Exports a month of Amplitude's Growth and Enterprise plans.
AMPLITUDE_GRANTS = 500
_DAYS = 31
_NAMED = {
    "manual": 0,
    "once": 1,
    "realtime": _DAYS * 24 * 60,
    "hourly": _DAYS * 24,
    "daily": _DAYS,
    "weekly": 5,
    "monthly": 1,
}


def exports_a_month(cadence: str) -> int:
    """
    Return how many exports a cadence costs in a month of 31 days; each run costs one.

    :param cadence: a checked cadence.
    """
    return _NAMED[cadence] if cadence in _NAMED else _times_of(cadence)


@lru_cache(maxsize=4096)
def _times_of(cron: str) -> int:
    minutes, hours = (len(values) if values != ["*"] else full for values, full in _clock(cron))
    return minutes * hours * _days_of(cron.split(maxsplit=2)[2])


@lru_cache(maxsize=4096)
def _days_of(days: str) -> int:
    """
    Count the days of a cron expression in the fullest of a year's months.

    Cached without the times of day, which differ between syncs: walking through a year takes milliseconds.

    :param days: the last three fields.
    """
    moment = datetime(2025, 1, 1) - timedelta(minutes=1)
    found: Counter[int] = Counter()
    times = croniter(f"0 0 {days}", moment, max_years_between_matches=5)
    with suppress(CroniterBadDateError):
        while (moment := times.get_next(datetime)).year == 2025:
            found[moment.month] += 1
    return max(found.values(), default=1)


def _clock(cron: str) -> list[tuple[list[object], int]]:
    fields, _ = croniter.expand(cron)
    return [(list(fields[0]), 60), (list(fields[1]), 24)]
