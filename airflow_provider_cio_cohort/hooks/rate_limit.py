"""Spaces requests evenly, however many are in flight."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

#: The share of a limit that is used. Of the rest of each second, ``SLACK`` is for requests that are sent late
#: and caught up, and ``BURST`` for those that are sent in time and arrive late; both are in seconds. What
#: remains is for the error in how many these are.
SHARE_OF_LIMIT = 0.95
SLACK = 0.02
BURST = 0.02


class RateLimiter:
    """
    Spaces requests evenly.

    :param per_second: requests a second, of all that share the rate limiter.
    :param clock: where the time comes from, in seconds.
    :param sleep: how to wait, in seconds.
    :param slack: seconds; a request that is late by no more than this does not delay the next, so that a busy
        processor does not slow the pace down.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        slack: float = 0,
    ) -> None:
        self.gap = 1 / per_second
        self._slack = slack
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next: float | None = None

    @property
    def burst(self) -> float:
        """How many requests may arrive late, all at once, without exceeding the limit."""
        return BURST / self.gap

    @classmethod
    def within(
        cls,
        limit: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> RateLimiter:
        """
        Return a rate limiter that stays within a limit that is counted on arrival, in any second.

        :param limit: requests a second.
        :param sleep: how to wait, in seconds.
        :param clock: where the time comes from, in seconds.
        """
        return cls(limit * SHARE_OF_LIMIT, clock, sleep, SLACK)

    @classmethod
    def unlimited(cls) -> RateLimiter:
        """Return a rate limiter that delays nothing unless :meth:`hold` is called."""
        return cls(math.inf)

    def wait(self, sleep: Callable[[float], object] | None = None) -> None:
        """
        Block until the next request may be sent.

        :param sleep: how to wait, in seconds; the rate limiter's own function by default.
        """
        seconds = self.reserve()
        if seconds:
            (sleep or self._sleep)(seconds)

    def reserve(self) -> float:
        """Reserve the next moment at which a request may be sent, and return the seconds until then."""
        with self._lock:
            now = self._clock()
            # The first request cannot be late.
            moment = now if self._next is None else max(now - self._slack, self._next)
            self._next = moment + self.gap
        return max(moment - now, 0)

    def hold(self, seconds: float) -> None:
        """Let nothing be sent for ``seconds``: a 429 that one thread receives holds for all."""
        with self._lock:
            until = self._clock() + seconds
            self._next = until if self._next is None else max(self._next, until)
