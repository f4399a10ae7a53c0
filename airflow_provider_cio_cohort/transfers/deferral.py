"""Waits for an export in the triggerer: which trigger, for how long, and what it reported."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import (
    ExportFailedError,
    ExportNotReadyError,
    PermanentError,
    TriggererError,
)
from airflow_provider_cio_cohort.sync.export import CohortExport, Export

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger

#: The least seconds for which a task stays deferred. A worker may report the end of the deferring process up
#: to ``[workers] min_heartbeat_interval`` (5 s) late; Airflow 3.3 treats a task that runs again by then as
#: killed, and starts a second try beside it.
SHORTEST_DEFERRAL = 7.0
#: Seconds past the deadline after which Airflow itself ends the deferral, if the trigger never reports.
GRACE = 600.0
#: The least seconds for which a task in a pool of four slots keeps its slot: four slots for 40 s each are the
#: 60 exports in 10 minutes that Amplitude allows. Source: "Behavioral Cohorts API", rate limits.
EXPORT_HOLD = 40.0
#: The seconds for which such a task waits in its worker before it is deferred: Amplitude usually needs 30 to
#: 60 s.
WAIT_BEFORE_DEFERRAL = 90.0
#: The exports that each slot takes in ten minutes.
_REQUESTS_OF_SLOT = 15
#: The most time before the request that counts, as part of the hold: 15 of 40 s. More would lengthen it.
_MOST_BEFORE_REQUEST = 0.375


def hold_left(started: float) -> float:
    """
    Return the seconds for which a task that has just requested an export still keeps its slot.

    The time before the request counts as well, up to 0.375 of ``[cio_cohort] export_hold`` (*h*). Let *v* be
    the task's start, or 0.375 *h* before now if that is later: the slot is kept until *v* + 1.025 *h*, and
    the next task starts then at the earliest. Each request is made after its task's start, and at most
    0.375 *h* after *v*, so that 16 requests of a slot take at least 15 * 1.025 *h* - 0.375 *h* = 15 *h*.

    :param started: when the task started, in epoch seconds: it has had its slot since then, or for longer.
    """
    from airflow_provider_cio_cohort.hooks.retry import settings

    hold = settings({"export_hold": EXPORT_HOLD})["export_hold"]
    most = _MOST_BEFORE_REQUEST * hold
    before = min(max(0.0, time.time() - started), most)
    return hold + most / _REQUESTS_OF_SLOT - before


def wait_before_deferral() -> float:
    """Return the seconds for which a task that holds its slot waits in its worker before it is deferred."""
    from airflow_provider_cio_cohort.hooks.retry import settings

    return settings({"wait_before_deferral": WAIT_BEFORE_DEFERRAL})["wait_before_deferral"]


def longest_wait(
    needed: CohortExport, execution_timeout: timedelta | None, began: float
) -> tuple[float, str]:
    """
    Return the seconds for which a task may stay deferred, and the limit that says so.

    Airflow 3.3 does not count them for ``execution_timeout``, although its documentation says so.

    :param execution_timeout: the task's; ``None`` for none.
    :param began: when the try began, in epoch seconds.
    """
    if execution_timeout is not None:
        allowed = execution_timeout.total_seconds()
        left = max(0.0, began + allowed - needed.clock())
        if left < needed.timeout:
            return left, f"execution_timeout ({allowed:g} s)"
    return needed.timeout, f"export_timeout ({needed.timeout:g} s)"


def deferral(
    needed: CohortExport, export: Export, longest: float, hold: float = 0.0
) -> tuple[AmplitudeExportTrigger, timedelta]:
    """
    Return the trigger that waits for an export, and when Airflow is to end it if it never reports.

    :param longest: the most seconds to wait, see :func:`longest_wait`.
    :param hold: the least seconds to wait, however soon the export is finished.
    """
    from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger

    trigger = AmplitudeExportTrigger(
        amplitude_conn_id=needed.wanted.amplitude_conn_id,
        request_id=export.request_id,
        poll_interval=needed.poll_interval,
        deadline=needed.clock() + longest,
        initial_delay=initial_delay(needed.poll_interval, hold),
        cohort_id=needed.wanted.cohort_id,
        # The request may have taken minutes itself.
        requested_at=needed.clock() if export.is_new else export.requested_at,
    )
    return trigger, timedelta(seconds=longest + GRACE)


def initial_delay(poll_interval: float, hold: float = 0.0) -> float:
    """
    Return the seconds before the first poll, at random.

    Syncs that were due together are deferred together; spread over a whole interval, they do not poll in
    step, neither now nor after a restart of the triggerer, which begins with this wait again.

    :param poll_interval: seconds between two polls.
    :param hold: the least seconds to wait.
    """
    spread = random.uniform(0, poll_interval)  # noqa: S311
    return max(hold, max(poll_interval, SHORTEST_DEFERRAL) + spread)


def read_event(needed: CohortExport, export: Export, event: Any, limit: str = "") -> None:
    """
    Return if the trigger reports that the export is finished; otherwise raise what it reports.

    :param event: what the trigger reported; anything but a clear success counts as a failure.
    :param limit: what ended the wait if it was too long, see :func:`longest_wait`.
    :raises ExportNotReadyError: if the deadline passed, or the event makes no sense.
    :raises ExportFailedError: if Amplitude gave up on the export, so that a retry must request another.
    :raises TriggererError: if the triggerer could not wait.
    :raises PermanentError: if no retry can help.
    """
    told = event if isinstance(event, dict) else {}
    status, message = told.get("status"), str(told.get("message") or "")
    if status == "success" and told.get("request_id") == export.request_id:
        return
    if status == "failed":
        with needed.forgotten_if_lost():
            raise ExportFailedError(message)
    if status == "error":
        raise PermanentError(message)
    if status == "broken":
        raise TriggererError(message)
    if status == "timeout":
        raise needed.not_ready(message, limit)
    raise ExportNotReadyError(
        f"The trigger ended without reporting the state of the export (status {status!r}).\n"
        "A retry continues to wait for it."
    )
