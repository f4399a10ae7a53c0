"""Keeps requests at a set pace, however many are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Of a limit, the share that is used. What is left of each second is for requests that are sent late and made
#: up for, and for those that are sent in time and arrive late: seconds, each. The rest is for the error in
#: how many these are.
SHARE_OF_LIMIT = 0.95
SLACK = 0.02
ROOM = 0.02


class Pacer:
    """
    Hands out moments to send at, evenly spaced.

    :param per_second: requests a second, of all that share the pacer.
    :param clock: where the time comes from, in seconds.
    :param sleep: how to wait, in seconds.
    :param slack: seconds; who is late by no more than this makes up for it, so that a busy processor does not
        slow the pace down.
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
    def room(self) -> float:
        """How many requests may arrive late, and all at once, without being too many."""
        return ROOM / self.gap

    @classmethod
    def within(
        cls,
        limit: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> Pacer:
        """
        Return a pacer that stays within a limit as whoever sets it counts: in any second, on arrival.

        :param limit: requests a second.
        :param sleep: how to wait, in seconds.
        :param clock: where the time comes from, in seconds.
        """
        return cls(limit * SHARE_OF_LIMIT, clock, sleep, SLACK)

    def wait(self) -> None:
        """Block until the next request may be sent."""
        seconds = self.reserve()
        if seconds:
            self._sleep(seconds)

    def reserve(self) -> float:
        """Take the next moment at which a request may be sent, and return how many seconds it is away."""
        with self._lock:
            now = self._clock()
            # Nobody is late before the first request.
            moment = now if self._next is None else max(now - self._slack, self._next)
            self._next = moment + self.gap
        return max(moment - now, 0)

    def hold(self, seconds: float) -> None:
        """Let nobody send for ``seconds``: what one thread is told by a 429 holds for all."""
        with self._lock:
            until = self._clock() + seconds
            self._next = until if self._next is None else max(self._next, until)
