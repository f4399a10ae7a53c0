"""An export that Amplitude does not know yet is not lost: it is waited for, and no other one is requested."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator


@pytest.fixture(params=[400, 404])
def late(request: pytest.FixtureRequest, task) -> Any:
    """Let the status call learn of an export half a second after the request."""
    task.configure(EXPORT_GRACE="30")
    task.sandbox.configure(unknown_status=request.param, status_unknown_for=0.5)
    return task


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_status_call_that_lags_is_repeated(late, deferrable: bool) -> None:
    report = late.run(deferrable=deferrable)
    assert late.errors == []
    late.assert_as_without_faults(report)


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_lag_longer_than_a_try_is_left_to_a_retry_of_the_same_export(late, deferrable: bool) -> None:
    error = late.fail(deferrable=deferrable, export_timeout=0.1)
    assert isinstance(error, exceptions.ExportNotReadyError)
    late.assert_as_without_faults(late.run(deferrable=deferrable))


@pytest.mark.parametrize("deferrable", [False, True])
def test_after_the_grace_the_export_is_lost(late, deferrable: bool) -> None:
    late.configure(EXPORT_GRACE="0.2")
    late.sandbox.configure(status_unknown_for=600)
    error = late.fail(deferrable=deferrable)
    assert isinstance(error, exceptions.ExportFailedError)
    assert "no longer knows the export" in str(error)
    late.sandbox.configure(status_unknown_for=0)
    late.assert_as_without_faults(late.run(), exports=2)


def test_a_hook_of_ones_own_needs_no_time(late) -> None:
    hook = AmplitudeHook()
    request_id = hook.request_export("a1b2c3d")
    assert not hook.export_finished(request_id)
    with pytest.raises(exceptions.ExportFailedError):
        AmplitudeHook().export_finished(request_id)
    assert not AmplitudeHook().export_finished(request_id, "a1b2c3d", time.time())


def test_a_request_that_takes_longer_than_the_grace_does_not_use_it_up(late) -> None:
    late.configure(EXPORT_GRACE="1", READ_TIMEOUT="5")
    late.sandbox.faults.add("delay", path="/request/[^/]+$", seconds=1.2)
    late.assert_as_without_faults(late.run(deferrable=True))
    assert late.errors == []


@pytest.fixture
def given(task, sync) -> dict[str, Any]:
    """An export of another task, which the status call does not know any more."""
    task.configure(EXPORT_GRACE="30")
    export = sync.attempt(operator_class=AmplitudeCohortExportOperator, task_id="export")
    task.sandbox.configure(status_unknown_for=600)
    return dict(export)


def test_an_export_of_another_task_has_the_same_grace(task, given) -> None:
    error = task.fail(export=given, export_timeout=0.1)
    assert isinstance(error, exceptions.ExportNotReadyError)
    task.sandbox.configure(status_unknown_for=0)
    task.assert_as_without_faults(task.run(export=given))


@pytest.mark.parametrize("requested_at", [0, 1e9])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_time_that_cannot_be_right_gives_no_grace(task, given, requested_at, deferrable: bool) -> None:
    if deferrable:  # the worker finds it unfinished, and the trigger learns that it is lost
        answer = {"status": 202, "body": {"async_status": "JOB INPROGRESS"}}
        task.sandbox.faults.add("status", path="/request-status/", **answer)
    error = task.fail(export={**given, "requested_at": requested_at}, deferrable=deferrable)
    assert isinstance(error, exceptions.ExportFailedError)
    assert "Another task requested this export: clear that task as well" in str(error)


@pytest.mark.parametrize("retry_timeout", ["0.05", "10"])
def test_a_file_that_lags_behind_its_status_is_awaited(task, retry_timeout: str) -> None:
    task.configure(EXPORT_GRACE="30", RETRY_TIMEOUT=retry_timeout)
    task.sandbox.configure(file_after=0.5)
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)


def test_a_file_that_never_comes_is_lost_after_the_grace(task) -> None:
    task.configure(EXPORT_GRACE="0.3")
    task.sandbox.configure(file_after=600)
    error = task.fail()
    assert isinstance(error, exceptions.ExportFailedError)
    assert task.sandbox.count(path_regex="/file$") > 2
    task.sandbox.configure(file_after=0)
    task.assert_as_without_faults(task.run(), exports=2)
