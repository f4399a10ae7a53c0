"""Lengths of time as text: in words for messages, in short for pages and progress."""

from __future__ import annotations

from datetime import timedelta

import pendulum

#: The unit that a length of time is rounded to in words, from a length on; in seconds.
_ROUNDED = ((7 * 86400, 86400), (86400, 3600), (120, 60))
#: The units in short, in seconds; a month has 30 days.
_SHORT = ((30 * 86400, "months"), (86400, "d"), (3600, "h"), (60, "min"))


def in_words(time: timedelta | float) -> str:
    """
    Return a length of time in words, such as ``3 hours 20 minutes``; at least ``1 second``.

    It has no more than two units, so the smaller ones are rounded away.

    :param time: the length of time, or seconds.
    """
    seconds = _seconds(time)
    unit = next((unit for least, unit in _ROUNDED if seconds >= least), 1)
    return pendulum.duration(seconds=max(round(seconds / unit), 1) * unit).in_words(locale="en")


def in_short(time: timedelta | float) -> str:
    """
    Return a length of time in the largest unit of which there are two or more, such as ``3 h``.

    :param time: the length of time, or seconds.
    """
    seconds = _seconds(time)
    for unit, name in _SHORT:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def _seconds(time: timedelta | float) -> float:
    return time.total_seconds() if isinstance(time, timedelta) else time
