"""A task that fails keeps why, for the page and ``status``: our own words, and never a person."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.state import (
    FAILURE,
    NOTHING,
    REQUESTED_EXPORT,
    SOME,
    WriteMarker,
    keep_failure,
)
from tests.integration.operator.conftest import Xcoms
from tests.integration.operator.test_approval import LARGE, run

__all__ = ["run"]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RETRY_TIMEOUT": "0.05", "VERIFY_TIMEOUT": "0.2"}.items():
        monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sync(sandbox, cohort, sync, xcoms: Xcoms, deferrable: bool) -> None:
    cohort("a")
    sandbox.faults.add(api="track", path="/add_customers$", action="status", status=500, times=0)
    with pytest.raises(exceptions.VendorUnavailableError) as caught:
        sync(deferrable=deferrable)
    assert xcoms.pushed[FAILURE] == {
        "error": "VendorUnavailableError",
        "reason": caught.value.headline,
        "segment": SOME,
        "try_number": 1,
        "cohort_id": "a1b2c3d",
        "cohort_name": "Power users",
        "cohort_url": "https://analytics.amplitude.com/cohort/a1b2c3d",
        "segment_url": segment_page(sandbox),
    }


def segment_page(sandbox) -> str:
    segment = sandbox.workspace.find_segment("Power users")
    workspace = sandbox.workspace.environment_id
    return f"https://fly.customer.io/workspaces/{workspace}/journeys/segments/{segment.id}"


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sync_that_fails_keeps_that_it_has_paid(sandbox, cohort, sync, xcoms: Xcoms, deferrable) -> None:
    cohort("a")
    sandbox.faults.add(api="track", path="/add_customers$", action="status", status=500, times=0)
    before = time.time()
    with pytest.raises(exceptions.VendorUnavailableError):
        sync(deferrable=deferrable)
    kept = xcoms.pushed[REQUESTED_EXPORT]
    assert before - 1 <= kept["requested_at"] <= time.time() + 1
    assert (kept["exports_used"], kept["exports_limit"]) == (1, 500)
    assert datetime.fromisoformat(kept["exports_at"]).tzinfo is not None
    # Airflow deletes the XComs of a try when the next one starts; that one continues the export.
    xcoms.pushed.clear()
    sandbox.faults.clear()
    sync.attempt(deferrable=deferrable)
    assert xcoms.pushed[REQUESTED_EXPORT] == kept


def test_a_sync_that_is_refused_before_an_export_keeps_none(sandbox, cohort, sync, xcoms: Xcoms) -> None:
    with pytest.raises(exceptions.UnknownCohortError):
        sync()
    assert REQUESTED_EXPORT not in xcoms.pushed
    assert xcoms.pushed[FAILURE]["cohort_url"] == "https://analytics.amplitude.com/cohort/a1b2c3d"


def test_a_sync_that_uses_the_export_of_another_task_has_not_paid(cohort, sync, xcoms: Xcoms) -> None:
    cohort("a")
    export = sync(operator_class=AmplitudeCohortExportOperator, task_id="export")
    assert xcoms.pushed.pop(REQUESTED_EXPORT)["exports_used"] == 1
    sync(export=export)
    assert REQUESTED_EXPORT not in xcoms.pushed


def test_a_sync_that_succeeds_keeps_none(sandbox, cohort, sync, xcoms: Xcoms) -> None:
    cohort("a")
    sync()
    assert FAILURE not in xcoms.pushed


def test_an_export_for_other_tasks(sandbox, cohort, sync, xcoms: Xcoms) -> None:
    with pytest.raises(exceptions.UnknownCohortError) as caught:
        sync(operator_class=AmplitudeCohortExportOperator, task_id="export")
    kept = xcoms.pushed[FAILURE]
    assert (kept["reason"], kept["segment"]) == (caught.value.headline, NOTHING)


def test_an_approval(run) -> None:
    asking = run(LARGE)
    asking.ask()
    assert asking.pushed == {}  # waiting for an answer is no failure
    with pytest.raises(exceptions.GuardTrippedError):
        asking.answer("Reject")
    kept = asking.pushed[FAILURE]
    assert kept["reason"] == "Somebody rejected the change, so nothing was written."
    assert (kept["error"], kept["segment"]) == ("GuardTrippedError", NOTHING)


@pytest.mark.parametrize("kind", [OSError, AirflowTaskTimeout])
def test_of_an_exception_that_is_not_ours_only_the_class(kind: type[BaseException], xcoms: Xcoms) -> None:
    with pytest.raises(kind), WriteMarker({"ti": xcoms}).told():
        raise kind("anna@example.com")
    assert xcoms.pushed[FAILURE] == {
        "error": kind.__name__,
        "reason": None,
        "segment": NOTHING,
        "try_number": 1,
    }


def test_what_the_vendor_said_is_left_out(xcoms: Xcoms) -> None:
    error = exceptions.UnknownSegmentError('It said "Anna". That is all.\nCorrect it.')
    error.quotation = 'It said "Anna". '
    keep_failure({"ti": xcoms}, error, "")
    assert xcoms.pushed[FAILURE]["reason"] == "That is all."


def test_a_reason_that_cannot_be_kept_hides_no_error() -> None:
    class Away:
        try_number = 1

        def xcom_push(self, key: str, value: Any) -> None:
            raise ConnectionError(key)

    with pytest.raises(exceptions.UnknownCohortError), WriteMarker({"ti": Away()}).told():
        raise exceptions.UnknownCohortError("There is none.")
