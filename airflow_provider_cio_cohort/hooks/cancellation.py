"""Stops all requests: after a kill, a time-out, an error in another thread, or the supervisor's death."""

from __future__ import annotations

import asyncio
import os
import sys
import time

from airflow_provider_cio_cohort.exceptions import SyncStoppedError

#: Seconds between two checks for cancellation during a wait.
SLICE = 0.2


class CancelToken:
    """
    Says whether requests may still be sent; it is checked right before each request.

    A task's process survives the death of its supervisor, and cannot be stopped any more, while Airflow
    starts another try beside it. So the token is also cancelled when the supervisor dies.

    :param parents: tokens whose cancellation also cancels this one; ``None`` is ignored.
    """

    def __init__(self, *parents: CancelToken | None) -> None:
        # Not a threading.Event: a signal handler calls cancel(), and it may have interrupted the very thread
        # that holds the event's lock. It would wait for that lock forever.
        self._cancelled = False
        self._parents = [parent for parent in parents if parent is not None]
        self._supervisor = os.getppid() if _is_supervised() else None

    def cancel(self) -> None:
        """Allow no further request."""
        self._cancelled = True

    def is_cancelled(self) -> bool:
        """Return whether no further request may be sent."""
        return (
            self._cancelled
            or any(parent.is_cancelled() for parent in self._parents)
            or (self._supervisor is not None and os.getppid() != self._supervisor)
        )

    def check(self, what: str) -> None:
        """
        Raise an error if the token is cancelled.

        :param what: what would be done next, for the message.
        :raises SyncStoppedError: if it is cancelled.
        """
        if self.is_cancelled():
            raise SyncStoppedError(
                f"The task was stopped before {what}.\nNothing more was sent. To continue, clear the task."
            )

    def wait(self, seconds: float) -> None:
        """
        Sleep, but no longer than until the token is cancelled.

        :param seconds: how long.
        """
        deadline = time.monotonic() + seconds
        while not self.is_cancelled() and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, SLICE))

    async def sleep(self, seconds: float) -> None:
        """
        Sleep in the event loop, but no longer than until the token is cancelled.

        :param seconds: how long; 0 also yields to other coroutines.
        """
        deadline = time.monotonic() + seconds
        await asyncio.sleep(min(seconds, SLICE))
        while not self.is_cancelled() and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(left, SLICE))


def _is_supervised() -> bool:
    """Return whether this is a task's own process, not a shell, a test, or a run without a supervisor."""
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    comms = getattr(runner, "SUPERVISOR_COMMS", None)
    if comms is None:
        return False
    from airflow.sdk.execution_time.comms import CommsDecoder

    return isinstance(comms, CommsDecoder)
