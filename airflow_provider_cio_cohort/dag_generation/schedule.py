"""
When a sync runs: cadence, timezone and spread become a schedule, and words for it.

Schedules are always built as a ``CronTriggerTimetable``: what Airflow makes of the bare string ``@daily``
depends on its configuration (``create_cron_data_intervals``). The data interval stays empty: a run reads
the cohort as it is at that moment, so an interval of a day would promise data of a past day, which
Amplitude does not have. A backfill then has one run for each time of the schedule within its dates.
"""

from __future__ import annotations

import hashlib
import re
import zoneinfo
from datetime import date, datetime, timedelta

import pendulum
from croniter import CroniterBadDateError, croniter

from airflow_provider_cio_cohort.compatibility import CronTriggerTimetable
from airflow_provider_cio_cohort.dag_generation.messages import did_you_mean, show

NAMED_CADENCES = ("manual", "once", "realtime", "hourly", "daily", "weekly", "monthly")
Schedule = CronTriggerTimetable | str | None

_NAMES_IN_CRON = re.compile(
    r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mon|tue|wed|thu|fri|sat|sun)", re.IGNORECASE
)
_CRON_FIELD = re.compile(r"[0-9*/,\-#?lL]+")
_WORDS = re.compile(r"[a-z]{2,}", re.IGNORECASE)
_WEEKDAY = re.compile(r"\b(mon|tues?|wednes|thurs?|fri|satur|sun)days?\b", re.IGNORECASE)
_EVERY_FEW = re.compile(r"\b(\d+)\s*(min|h)", re.IGNORECASE)
_UNITS = {
    "weekday": '"0 6 * * 1-5"',
    "minute": "realtime",
    "hour": "hourly",
    "day": "daily",
    "night": "daily",
    "week": "weekly",
    "month": "monthly",
    "never": "manual",
}
#: Abbreviations of timezones, which do not say when the clock changes, or mean several timezones.
_PLACES = {
    "Europe/Berlin": ("CET", "CEST", "MET", "MEZ", "MESZ"),
    "Europe/Helsinki": ("EET", "EEST"),
    "Europe/Lisbon": ("WET", "WEST"),
    "Europe/London": ("BST",),
    "America/New_York": ("EST", "EDT", "ET", "EST5EDT"),
    "America/Chicago": ("CST", "CDT", "CT", "CST6CDT"),
    "America/Denver": ("MST", "MDT", "MT", "MST7MDT"),
    "America/Los_Angeles": ("PST", "PDT", "PT", "PST8PDT"),
    "Pacific/Honolulu": ("HST",),
    "Asia/Kolkata": ("IST",),
    "Asia/Tokyo": ("JST",),
    "Asia/Singapore": ("SGT",),
    "Australia/Sydney": ("AEST", "AEDT"),
}
_ABBREVIATIONS = {short: place for place, all_short in _PLACES.items() for short in all_short}
_OFFSET = re.compile(r"(utc|gmt|z)?\s*[+-]\s*\d", re.IGNORECASE)
_SOME_DAY = datetime(2025, 1, 1)
_WITHOUT_TIMES = {"manual": "Only when triggered", "once": "Once, when the DAG is unpaused"}
_NOT_DESCRIBED = "At the times of the cron expression"


def check_cadence(cadence: str) -> str:
    """
    Return a cadence with single spaces, or refuse it.

    :param cadence: a named cadence or five fields of cron.
    :raises ValueError: if it is neither, or names a time that never comes.
    """
    if cadence in NAMED_CADENCES:
        return cadence
    fields = cadence.split()
    if len(fields) == 1 or _WORDS.search(_NAMES_IN_CRON.sub("", cadence)) or _WEEKDAY.search(cadence):
        near = _in_cadence(cadence) or did_you_mean(cadence.lstrip("@"), NAMED_CADENCES)
        raise ValueError(
            f"{show(cadence)} is no cadence.{near} "
            f'Use {", ".join(NAMED_CADENCES)}, or a cron expression of five fields such as "0 6 * * 1".'
        )
    if len(fields) != 5:
        raise ValueError(
            f"{show(cadence)} has {len(fields)} fields; a cron expression has five: "
            "minute, hour, day of the month, month, day of the week."
        )
    cron = " ".join(fields)
    # croniter would also take R for a random minute, another one each time the file is parsed.
    if not all(_CRON_FIELD.fullmatch(_NAMES_IN_CRON.sub("0", field)) for field in fields):
        raise ValueError(
            f"{show(cadence)} is no cron expression: use digits, names of days or months, * , - /."
        )
    try:
        croniter(cron, _SOME_DAY).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{show(cadence)} is a date that never comes.") from None
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(f"{show(cadence)} is no cron expression: {error}.") from None
    return cron


def _in_cadence(words: str) -> str:
    """Return a sentence with the cadence that words such as "every day" mean; empty if that is not clear."""
    meant = next((cadence for unit, cadence in _UNITS.items() if unit in words.lower()), None)
    if found := _WEEKDAY.search(words):
        meant = f'"0 6 * * {found[0][:3].lower()}"'
    elif found := _EVERY_FEW.search(words):
        number, most = int(found[1]), 60 if found[2].lower() == "min" else 24
        few = f"*/{number} * * * *" if most == 60 else f"0 */{number} * * *"
        meant = f'"{few}"' if 0 < number < most and most % number == 0 else None
    return f" Did you mean {meant}?" if meant else ""


def check_timezone(timezone: str) -> str:
    """
    Return the name of a timezone, or refuse it.

    :param timezone: a name of the IANA database, such as ``Europe/Berlin``.
    :raises ValueError: if there is none of that name, or if it is an abbreviation or an offset.
    """
    if timezone.upper() in _ABBREVIATIONS:
        raise ValueError(
            f"{show(timezone)} is no timezone but an abbreviation; use the name of a place, such as "
            f"{_ABBREVIATIONS[timezone.upper()]}."
        )
    if _OFFSET.match(timezone):
        raise ValueError(
            f"{show(timezone)} is no timezone but an offset; use the name of a place, such as Europe/Berlin, "
            "or UTC."
        )
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(timezone, sorted(zoneinfo.available_timezones()))
        raise ValueError(
            f"{show(timezone)} is no timezone; use a name such as Europe/Berlin or UTC.{near}"
        ) from None
    return timezone


def read_moment(value: object) -> object:
    """
    Return a date or a text in ISO 8601 as a datetime, anything else as it is.

    :param value: what YAML made of ``2026-01-31``, ``2026-01-31T06:00:00+01:00``, …
    :raises ValueError: if it is text that is no date, or a year that no schedule reaches.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{show(value)} is no date; write 2026-01-31 or 2026-01-31T06:00.") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day)
    if isinstance(moment, datetime) and not 1970 <= moment.year <= 9998:
        raise ValueError(f"the year {moment.year} is out of reach; leave the key out instead.")
    return moment


def localize(moment: datetime, timezone: str) -> pendulum.DateTime:
    """
    Return a moment in a timezone; without a timezone of its own, it is meant in that one.

    :param moment: with or without a timezone.
    :param timezone: a name of the IANA database.
    """
    if moment.tzinfo is None:
        return pendulum.instance(moment, tz=timezone)
    return pendulum.instance(moment).in_timezone(timezone)


def schedule(cadence: str, timezone: str, name: str, *, spread: bool) -> Schedule:
    """
    Return what a DAG takes as its schedule.

    :param cadence: a checked cadence.
    :param timezone: in which its times are meant, through changes of the clock.
    :param name: the sync's; its spread minute and hour are derived from it.
    :param spread: ``False`` puts a named cadence at the full hour, or at midnight.
    """
    if cadence == "manual":
        return None
    if cadence == "once":
        return "@once"
    cron = _cron(cadence, name, spread=spread)
    return CronTriggerTimetable(cron, timezone=timezone, interval=timedelta(0))


def in_words(cadence: str, timezone: str, name: str, *, spread: bool) -> str:
    """
    Return when a sync runs, such as ``At 06:00, Monday through Friday (0 6 * * 1-5, UTC)``.

    :param cadence: a checked cadence.
    :param timezone: in which its times are meant.
    :param spread: as for :func:`schedule`.
    """
    if cadence in _WITHOUT_TIMES:
        return _WITHOUT_TIMES[cadence]
    return f"{_describe(_cron(cadence, name, spread=spread))} ({cadence}, {timezone})"


def _describe(cron: str) -> str:
    """Return a cron expression in words, always in English and with 24 hours, wherever the DAG is parsed."""
    from cron_descriptor import ExpressionDescriptor, Options

    _, _, *days = cron.upper().split()
    if _is_beyond_words(day=days[0], weekday=days[2]):
        return _NOT_DESCRIBED
    options = Options(locale_code="en_US", use_24hour_time_format=True)
    try:
        return ExpressionDescriptor(cron.upper(), options).get_description()
    # Whatever it cannot describe must not stop the sync.
    except Exception:
        return _NOT_DESCRIBED


def _is_beyond_words(*, day: str, weekday: str) -> bool:
    """
    Return whether cron_descriptor's words would be wrong or misleading.

    Cron takes a day of the month *or* a day of the week, which not all its versions say; and of several last
    or nth days it forgets some.
    """
    both = not {"*", "?"} & {day, weekday}
    return both or any("," in field and re.search("[L#]", field) for field in (day, weekday))


def slot(name: str) -> tuple[int, int]:
    """
    Return the minute and the hour of a sync: always the same for a name, evenly spread over all names.

    All 24 hours are used, also those that a change of the clock skips or repeats: Airflow's timetable
    runs a daily schedule exactly once on each local day, on that one day an hour later.
    """
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return number % 60, number // 60 % 24


def _cron(cadence: str, name: str, *, spread: bool) -> str:
    minute, hour = slot(name) if spread else (0, 0)
    named = {
        "realtime": "* * * * *",
        "hourly": f"{minute} * * * *",
        "daily": f"{minute} {hour} * * *",
        "weekly": f"{minute} {hour} * * 1",
        "monthly": f"{minute} {hour} 1 * *",
    }
    return named.get(cadence, cadence)
