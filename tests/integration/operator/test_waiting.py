"""What a task that waits in the triggerer depends on: the triggerer's connection, and the task's time-out."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.conftest import resume
from tests.integration.operator.test_sync import members

NAME = "AIRFLOW_CONN_AMPLITUDE_DEFAULT"


@pytest.fixture(params=[AmplitudeCohortToCustomerIOOperator, AmplitudeCohortExportOperator])
def deferred(request, sandbox, cohort, sync, store, assets, xcoms) -> tuple[Any, TaskDeferred, Any]:
    """A task that waits in the triggerer for its export."""
    cohort("a", "b")
    sandbox.configure(export_seconds=60)
    needs_segment = request.param is AmplitudeCohortToCustomerIOOperator
    operator = request.param(
        task_id="sync",
        cohort_id="a1b2c3d",
        poll_interval=0.05,
        deferrable=True,
        **({"segment_name": "Power users"} if needs_segment else {}),
    )
    context = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    sandbox.configure(export_seconds=0)
    for job in sandbox.project.jobs.values():
        job.ready_at = 0
    return operator, caught.value, context


def test_a_triggerer_without_the_connection_is_named_and_the_export_is_kept(
    deferred, sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, deferral, context = deferred
    execute_complete = operator.execute_complete

    def with_the_workers_connection(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setenv(NAME, json.dumps(sandbox.connections()["amplitude_default"]))
        return execute_complete(*args, **kwargs)

    operator.execute_complete = with_the_workers_connection
    monkeypatch.delenv(NAME)
    with pytest.raises(exceptions.TriggererError) as caught:
        resume(operator, deferral, context)
    assert caught.value.headline == (
        "The triggerer cannot read connection 'amplitude_default' (AirflowNotFoundException), so it cannot "
        "wait for the export."
    )
    assert "environment variables and secrets backend" in str(caught.value)
    assert "A retry continues to wait for the same export" in str(caught.value)
    operator.execute(context)
    assert sandbox.project.used == 1


def test_a_triggerer_whose_connection_cannot_be_read_says_why(
    deferred, sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, deferral, context = deferred
    monkeypatch.setenv(NAME, '{"conn_type": "amplitude", "login": "key-4711"')
    with pytest.raises(exceptions.TriggererError) as caught:
        resume(operator, deferral, context)
    assert "What EnvironmentVariablesBackend has for it is not valid JSON" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert "A retry continues to wait for the same export" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conn_type": "customer_io"}, "it must be 'amplitude'"),
        ({"password": ""}, "has no secret key"),
        ({"password": "another-key"}, "not the secret key"),
    ],
)
def test_a_triggerer_with_another_connection_is_named(
    deferred, sandbox, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], words: str
) -> None:
    operator, deferral, context = deferred
    usual = sandbox.connections()["amplitude_default"]
    execute_complete = operator.execute_complete

    def with_the_workers_connection(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setenv(NAME, json.dumps(usual))
        return execute_complete(*args, **kwargs)

    operator.execute_complete = with_the_workers_connection
    monkeypatch.setenv(NAME, json.dumps({**usual, **fields}))
    with pytest.raises(exceptions.PermanentError) as caught:
        resume(operator, deferral, context)
    assert words in str(caught.value)
    assert "it must have the same connection 'amplitude_default' as the workers" in str(caught.value)
    assert "another-key" not in str(caught.value)
    operator.execute(context)  # the task is cleared
    assert sandbox.project.used == 1


@pytest.mark.parametrize("kind", [AmplitudeCohortToCustomerIOOperator, AmplitudeCohortExportOperator])
@pytest.mark.parametrize(
    ("execution_timeout", "export_timeout", "named"),
    [
        (timedelta(seconds=0.3), 60, "execution_timeout (0.3 s)"),
        (timedelta(seconds=0), 60, "execution_timeout (0 s)"),
        (timedelta(hours=1), 0.3, "export_timeout (0.3 s)"),
        (None, 0.3, "export_timeout (0.3 s)"),
    ],
)
def test_the_execution_timeout_counts_while_the_task_is_deferred(
    sandbox, cohort, sync, kind, execution_timeout: timedelta | None, export_timeout: float, named: str
) -> None:
    cohort("a", "b")
    stuck = sandbox.faults.add("job_stuck", path="/request/[^/]+$")
    task = {"operator_class": kind, "deferrable": True}
    with pytest.raises(exceptions.ExportNotReadyError) as caught:
        sync.attempt(**task, export_timeout=export_timeout, execution_timeout=execution_timeout)
    assert f"within {named}" in caught.value.headline
    assert "continues to wait for the same export" in str(caught.value)
    assert stuck.met == 1
    for job in sandbox.project.jobs.values():
        job.ready_at = 0
    sync(**task, execution_timeout=execution_timeout)
    assert sandbox.project.used == 1
    if kind is AmplitudeCohortToCustomerIOOperator:
        assert members(sandbox) == {"a", "b"}
