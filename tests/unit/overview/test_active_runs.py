"""Which runs ``snapshot restore`` takes for active: those that write to the segment, or will."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.cli.snapshots import active_runs
from tests.unit.overview.rows import Airflow, run_row, task_row

DAG, RUN = "cohort_sync__power_users", "scheduled__1"


@pytest.fixture(autouse=True)
def database(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def create_session() -> Iterator[Session]:
        yield session

    monkeypatch.setattr(active_runs, "create_session", create_session)


def active(airflow: Airflow, task: str | None, run: str = "running", *, paused: bool = False) -> str | None:
    airflow.dag(DAG, is_paused=paused)
    airflow.put(DagRun, **run_row(DAG, RUN, airflow.ago(hours=1), run))
    airflow.put(TaskInstance, **task_row(DAG, "sync", RUN, task))
    airflow.put(TaskInstance, **task_row(DAG, "export", RUN, "running"))
    return active_runs._active_run(DAG, "sync")


@pytest.mark.parametrize("task", ["running", "queued", "deferred", "restarting"])
@pytest.mark.parametrize("paused", [True, False])
def test_a_task_at_work_is_active_whether_its_dag_is_paused_or_not(
    airflow: Airflow, task: str, paused: bool
) -> None:
    assert active(airflow, task, paused=paused) == RUN


@pytest.mark.parametrize("task", [None, "scheduled", "up_for_retry", "up_for_reschedule"])
@pytest.mark.parametrize("run", ["running", "queued"])
@pytest.mark.parametrize("paused", [True, False])
def test_a_task_that_is_to_come_is_active_unless_its_dag_is_paused(
    airflow: Airflow, task: str | None, run: str, paused: bool
) -> None:
    assert active(airflow, task, run, paused=paused) == (None if paused else RUN)


@pytest.mark.parametrize("task", ["success", "failed", "skipped", "upstream_failed", "removed"])
def test_a_task_that_has_ended_is_not_active(airflow: Airflow, task: str) -> None:
    assert active(airflow, task) is None


def test_a_task_of_a_run_that_has_ended_does_not_come(airflow: Airflow) -> None:
    assert active(airflow, None, "failed") is None


def test_a_dag_that_airflow_does_not_know_has_no_run(airflow: Airflow) -> None:
    assert active_runs._active_run("another", "sync") is None
