"""How a kill, a sibling's error, or the death of Airflow's supervisor reaches whoever sends or waits."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from airflow_provider_cio_cohort.exceptions import SyncStoppedError

SLICE = 0.2


class Halt:
    """
    Says that nothing more is to be sent.

    A task's process whose supervisor was killed lives on, and nobody can stop it any more, while Airflow
    starts another try beside it. So it is the death of the supervisor that stops it, too.

    :param parent: a halt that holds for this one as well.
    """

    def __init__(self, parent: Halt | None = None) -> None:
        self._event = threading.Event()
        self._parent = parent
        self._supervisor = os.getppid() if _is_supervised() else None

    def set(self) -> None:
        """Let nothing more be sent."""
        self._event.set()

    def is_set(self) -> bool:
        """Say whether nothing more is to be sent."""
        return (
            self._event.is_set()
            or (self._parent is not None and self._parent.is_set())
            or (self._supervisor is not None and os.getppid() != self._supervisor)
        )

    def check(self, what: str) -> None:
        """
        Make sure that something may still be sent.

        :param what: what is being done, for the message.
        :raises SyncStoppedError: if nothing more may be.
        """
        if self.is_set():
            raise SyncStoppedError(
                f"The task was stopped before {what}.\n"
                "Nothing more was sent. Whoever stopped it knows why: clear the task to let it go on."
            )

    def wait(self, seconds: float) -> None:
        """
        Sleep, but no longer than until nothing more is to be sent.

        :param seconds: how long.
        """
        deadline = time.monotonic() + seconds
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            self._event.wait(min(left, SLICE))

    async def sleep(self, seconds: float) -> None:
        """
        Sleep in the event loop, but no longer than until nothing more is to be sent.

        :param seconds: how long; others get their turn in any case.
        """
        deadline = time.monotonic() + seconds
        await asyncio.sleep(min(seconds, SLICE))
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(left, SLICE))


def _is_supervised() -> bool:
    """Say whether this is a task's own process, not a shell, a test, or a run without a supervisor."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    comms = getattr(runner, "SUPERVISOR_COMMS", None)
    if comms is None:
        return False
    from airflow.sdk.execution_time.comms import CommsDecoder

    return isinstance(comms, CommsDecoder)
