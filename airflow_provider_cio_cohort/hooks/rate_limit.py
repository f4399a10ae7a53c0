"""Spaces requests, however many are in flight."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

#: The share of a limit that is used. Of the rest of each second, ``SLACK`` is for requests that are sent late
#: and caught up, and ``BURST`` for those that are sent in time and arrive late; both are in seconds. What
#: remains is for the error in how many these are.
SHARE_OF_LIMIT = 0.95
SLACK = 0.02
BURST = 0.02


class RateLimiter:
    """
    Spaces requests: evenly, or so that as many take as long as if they were spaced evenly.

    The latter lets a few requests after a pause follow each other at once, and is never faster in the long
    run: of any ``at_once + 1`` requests, the first and the last are as far apart as evenly spaced ones. It
    begins as if evenly spaced requests came before: those of another task, which has just ended.

    :param per_second: requests a second, of all that share the rate limiter.
    :param clock: where the time comes from, in seconds.
    :param slack: seconds; a request that is late by no more than this does not delay the next, so that a busy
        processor does not slow the pace down.
    :param at_once: how many requests may follow each other at once.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        slack: float = 0,
        at_once: int = 1,
    ) -> None:
        self.gap = 1 / per_second
        self._slack = slack
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        #: The moments of the last ``at_once`` requests, and the one before which none may be sent.
        self._moments: deque[float] = deque(maxlen=at_once)
        if at_once > 1:
            now = clock()
            self._moments.extend(now - each * self.gap for each in range(at_once, 0, -1))
        self._held_until = -math.inf

    @property
    def burst(self) -> float:
        """How many requests may arrive late, all at once, without exceeding the limit."""
        return BURST / self.gap

    @classmethod
    def within(cls, limit: float, clock: Callable[[], float] = time.monotonic) -> RateLimiter:
        """
        Return a rate limiter that stays within a limit that is counted on arrival, in any second.

        :param limit: requests a second.
        :param clock: where the time comes from, in seconds.
        """
        return cls(limit * SHARE_OF_LIMIT, clock, SLACK)

    @classmethod
    def unlimited(cls) -> RateLimiter:
        """Return a rate limiter that delays nothing unless :meth:`hold` is called."""
        return cls(math.inf)

    def wait(self, sleep: Callable[[float], object]) -> None:
        """
        Block until the next request may be sent.

        :param sleep: how to wait, in seconds.
        """
        if seconds := self.reserve():
            sleep(seconds)

    def reserve(self) -> float:
        """Reserve the next moment at which a request may be sent, and return the seconds until then."""
        with self._lock:
            now = self._clock()
            moment = max(now - self._slack if self._moments else now, self._held_until)
            if len(self._moments) == self._at_once:  # the first requests cannot be late
                moment = max(moment, self._moments[0] + self._at_once * self.gap)
            self._moments.append(moment)
        return max(moment - now, 0)

    def hold(self, seconds: float) -> None:
        """Let nothing be sent for ``seconds``: a 429 that one thread receives holds for all."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
