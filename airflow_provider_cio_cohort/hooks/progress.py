"""Logs the progress of long work now and then, in counts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from airflow_provider_cio_cohort.durations import in_short

log = logging.getLogger(__name__)


class Progress:
    """
    The progress of one piece of work; work that takes less than the interval is not logged.

    :param what: the work, as a sentence begins with it.
    :param unit: what is counted, in the plural.
    :param parts: the name of its parts, in the plural; empty to leave them out.
    :param interval: seconds between two messages; 0 for none at all.
    :param total: how many there will be, ``None`` if unknown.
    :param clock: returns the time in seconds.
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
        Count a finished part, and log the progress if the interval is over.

        :param count: how many units were in it.
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
            left = f", about {in_short(max(self.total - self.done, 0) / rate)} left"
        return f"{self.what}: {self.done:,}{of} {self.unit}{parts}, {rate:,.0f} a second{left}."
