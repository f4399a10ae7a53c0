"""Waits for an export: on the worker, or in the triggerer and then reads what the trigger had to tell."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import (
    ExportFailedError,
    ExportNotReadyError,
    PermanentError,
    VendorUnavailableError,
)

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger

log = logging.getLogger(__name__)

#: Seconds for which a deferred task stays deferred at least. A worker may report the end of the deferring
#: process up to ``[workers] min_heartbeat_interval`` (5 s) late; Airflow 3.3 takes a task that runs again by
#: then for one that was killed, and starts a second try beside it.
SHORTEST_DEFERRAL = 7.0
#: Seconds past the deadline after which Airflow itself ends the deferral, should the trigger never tell.
GRACE = 600.0
#: Seconds for which a task in a pool of four slots keeps its slot at least: four slots for 40 s each are the
#: 60 exports in 10 minutes that Amplitude allows. Source: "Behavioral Cohorts API", rate limits.
EXPORT_HOLD = 40.0


@dataclass(frozen=True)
class ExportWait:
    """
    How a task waits for its export.

    :param cohort_id: the cohort, for messages.
    :param poll_interval: seconds between two looks.
    :param timeout: seconds that a try waits.
    :param hold: seconds that it takes at least, however soon the export is finished.
    """

    cohort_id: str
    poll_interval: float
    timeout: float
    hold: float = 0

    def on_worker(self, amplitude: AmplitudeHook, request_id: str) -> None:
        """
        Look until the export is finished, and keep the slot for as long as it is to be kept.

        :param amplitude: the hook.
        :param request_id: the export.
        :raises ExportNotReadyError: if it takes longer than the timeout.
        """
        log.info("Waiting for Amplitude to compute the export, for at most %g s.", self.timeout)
        deadline, held_until = time.time() + self.timeout, time.time() + self.hold
        while not amplitude.export_finished(request_id):
            if time.time() >= deadline:
                raise self._not_ready("")
            amplitude.stopped.wait(min(self.poll_interval, max(0.0, deadline - time.time())))
        amplitude.stopped.wait(max(0.0, held_until - time.time()))

    def deferral(self, amplitude_conn_id: str, request_id: str) -> tuple[AmplitudeExportTrigger, timedelta]:
        """
        Return the trigger that waits, and when Airflow is to end it if it never tells anything.

        :param amplitude_conn_id: the connection.
        :param request_id: the export.
        """
        from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger

        trigger = AmplitudeExportTrigger(
            amplitude_conn_id=amplitude_conn_id,
            request_id=request_id,
            poll_interval=self.poll_interval,
            deadline=time.time() + self.timeout,
            first_wait=self.first_wait(),
        )
        return trigger, timedelta(seconds=self.timeout + GRACE)

    def first_wait(self) -> float:
        """
        Return the seconds before the first poll, drawn anew each time.

        Syncs that were due together are deferred together; spread over a whole interval, they do not poll in
        step, neither now nor after a restart of the triggerer, which begins with this wait again.
        """
        spread = random.uniform(0, self.poll_interval)  # noqa: S311
        return max(self.hold, max(self.poll_interval, SHORTEST_DEFERRAL) + spread)

    def read_event(self, event: Any) -> str:
        """
        Return the request id of the finished export.

        :param event: what the trigger told; anything but a clear success is none.
        :raises ExportNotReadyError: if the deadline passed, or the event makes no sense.
        :raises ExportFailedError: if Amplitude gave the export up, so that a retry must ask for another.
        :raises VendorUnavailableError: if the waiting itself broke.
        :raises PermanentError: if no retry can mend it.
        """
        told = event if isinstance(event, dict) else {}
        status, message = told.get("status"), str(told.get("message") or "")
        if status == "success" and told.get("request_id"):
            return str(told["request_id"])
        if status == "failed":
            raise ExportFailedError(message)
        if status == "error":
            raise PermanentError(message)
        if status == "broken":
            raise VendorUnavailableError(f"{message}\nA retry waits on for the same export.")
        if status == "timeout":
            raise self._not_ready(message)
        raise ExportNotReadyError(
            f"The trigger ended without telling how the export is (status {status!r}).\nA retry waits on."
        )

    def _not_ready(self, problem: str) -> ExportNotReadyError:
        last = f"The last problem was: {problem} " if problem else ""
        return ExportNotReadyError(
            f"Amplitude has not finished the export of cohort {self.cohort_id} within export_timeout "
            f"({self.timeout:g} s).\n{last}A retry waits on for the same export."
        )
