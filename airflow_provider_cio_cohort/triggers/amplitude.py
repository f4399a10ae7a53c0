"""Waits in the triggerer for an Amplitude export, without a worker and without blocking the event loop."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    ExportFailedError,
    PermanentError,
    RetryableError,
    TriggererError,
)

_POLLING = "airflow_provider_cio_cohort.hooks.export_status"
_CONTINUES = "See the triggerer's log. A retry continues to wait for the same export."


class AmplitudeExportTrigger(BaseTrigger):
    """
    Polls an export until Amplitude finishes it or gives up on it, or the deadline is over.

    Yields one event: ``{"status", "request_id", "message"}``, where the status is ``success``, ``timeout``,
    ``failed`` (a retry must request a new export), ``error`` (no retry can help) or ``broken`` (the triggerer
    cannot wait, such as without the connection; a retry continues to wait).

    :param amplitude_conn_id: the Airflow connection.
    :param request_id: the export.
    :param poll_interval: seconds between two polls; spread by a tenth so that waiting syncs do not poll
        in step.
    :param deadline: when to give up, in epoch seconds; it stays where it is when the triggerer restarts.
    :param initial_delay: seconds before the first poll; the deferring task has polled just before.
    :param cohort_id: the cohort that the export must be of; ``None`` for any.
    :param requested_at: when the export was requested, in epoch seconds; ``None`` if unknown.
    """

    def __init__(
        self,
        amplitude_conn_id: str,
        request_id: str,
        poll_interval: float,
        deadline: float,
        initial_delay: float = 0,
        cohort_id: str | None = None,
        requested_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.amplitude_conn_id = amplitude_conn_id
        self.request_id = request_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.initial_delay = initial_delay
        self.cohort_id = cohort_id
        self.requested_at = requested_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments; no key is among them."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "amplitude_conn_id": self.amplitude_conn_id,
                "request_id": self.request_id,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "initial_delay": self.initial_delay,
                "cohort_id": self.cohort_id,
                "requested_at": self.requested_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is something to report, and yield it."""
        try:
            status, message = await self._wait()
        except ExportFailedError as error:
            status, message = "failed", str(error)
        except PermanentError as error:
            # The worker has just used its connection, so the triggerer may have another one of that id.
            hint = "The triggerer reported this: it must have the same connection"
            status, message = "error", f"{error} {hint} {self.amplitude_conn_id!r} as the workers."
        except TriggererError as error:
            status, message = "broken", str(error)
        except Exception as error:
            # The task must learn that the wait has ended; the error's text is left out, as it may hold a URL.
            self.log.exception("Waiting for the export ended unexpectedly.")
            problem = f"The triggerer could not wait for the export: {type(error).__name__}."
            status, message = "broken", f"{problem}\n{_CONTINUES}"
        event = {"status": status, "request_id": self.request_id, "message": message}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self) -> tuple[str, str]:
        problem, is_refused = "", False
        await asyncio.sleep(self.initial_delay)
        # In a thread, because the first import takes longer than the loop may block.
        polling = await asyncio.to_thread(import_module, _POLLING)
        async with polling.open_status_client(self.amplitude_conn_id) as client:
            while True:
                try:
                    if await client.export_finished(self.request_id, self.cohort_id, self.requested_at):
                        return "success", ""
                    problem, is_refused = "", False
                except ExportFailedError:
                    raise
                except (RetryableError, AuthenticationError) as error:
                    # Polling is free, and the export continues meanwhile: the next poll may succeed, also
                    # after a refusal of the keys, which have worked for the task.
                    if is_refused and isinstance(error, AuthenticationError):
                        raise
                    is_refused = is_refused or isinstance(error, AuthenticationError)
                    problem = error.headline
                    self.log.warning("%s", problem)
                if time.time() >= self.deadline:
                    return "timeout", problem
                pause = self.poll_interval * random.uniform(0.9, 1.1)  # noqa: S311
                await asyncio.sleep(min(pause, max(0.0, self.deadline - time.time())))
