"""Tells the log of long work how far it is: at a quiet pace, in counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Progress:
    """
    The progress of one piece of work; work that is done sooner than the interval is not told of.

    :param what: the work, as a sentence begins with it.
    :param unit: what is counted, in the plural.
    :param parts: what it comes in, in the plural; empty where that says nothing.
    :param interval: seconds between two messages; 0 for none at all.
    :param total: how many there will be, ``None`` if nobody knows.
    :param clock: what time it is, in seconds.
    """

    def __init__(
        self,
        what: str,
        unit: str,
        parts: str,
        interval: float,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self.unit = unit
        self.parts = parts
        self.interval = interval
        self.total = total
        self.done = 0
        self.steps = 0
        self._clock = clock
        self._began = clock()
        self._due = self._began + interval

    def step(self, count: int) -> None:
        """
        Take note of one part that is done, and tell of it when it is time.

        :param count: how many were in it.
        """
        self.done += count
        self.steps += 1
        if self.interval and self._clock() >= self._due:
            self._due = self._clock() + self.interval
            log.info("%s", str(self))

    def __str__(self) -> str:
        seconds = self._clock() - self._began
        rate = self.done / seconds if seconds > 0 else 0.0
        of = f" of {self.total:,}" if self.total else ""
        parts = f" in {self.steps:,} {self.parts}" if self.parts else ""
        left = ""
        if self.total and rate:
            left = f", about {_span(max(self.total - self.done, 0) / rate)} left"
        return f"{self.what}: {self.done:,}{of} {self.unit}{parts}, {rate:,.0f} a second{left}."


def _span(seconds: float) -> str:
    """Return a time in the largest unit that says enough."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
