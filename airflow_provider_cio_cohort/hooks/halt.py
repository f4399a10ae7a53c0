"""How a kill, or a sibling's error, reaches whoever waits."""

from __future__ import annotations

import threading
import time

SLICE = 0.2


class Halt:
    """
    Says that nothing more is to be sent.

    :param parent: a halt that holds for this one as well.
    """

    def __init__(self, parent: Halt | None = None) -> None:
        self._event = threading.Event()
        self._parent = parent

    def set(self) -> None:
        """Let nothing more be sent."""
        self._event.set()

    def is_set(self) -> bool:
        """Say whether nothing more is to be sent."""
        return self._event.is_set() or (self._parent is not None and self._parent.is_set())

    def wait(self, seconds: float) -> None:
        """
        Sleep, but no longer than until nothing more is to be sent.

        :param seconds: how long.
        """
        if self._parent is None:
            self._event.wait(seconds)
            return
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._event.wait(min(left, SLICE))
