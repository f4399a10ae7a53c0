"""Keeps requests at a set pace, whatever the number of threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pacer:
    """
    Hands out moments to send at, evenly spaced.

    :param per_second: requests a second, over all threads that share the pacer.
    :param clock: where the time comes from, in seconds.
    :param sleep: how to wait, in seconds.
    """

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Block until the next request may be sent."""
        with self._lock:
            now = self._clock()
            moment = max(now, self._next)
            self._next = moment + self.gap
        if moment > now:
            self._sleep(moment - now)

    def hold(self, seconds: float) -> None:
        """Let nobody send for ``seconds``: what one thread is told by a 429 holds for all."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
