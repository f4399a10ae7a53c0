"""
Finds why runs failed: what their tasks have kept of the errors that ended them.

A task of ours keeps that in an XCom; Airflow keeps the XComs of a task that failed until its next try starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview.model import Failure, Run, State, Sync
from airflow_provider_cio_cohort.overview.queries import chunks, with_xcoms
from airflow_provider_cio_cohort.overview.reading import read_failure
from airflow_provider_cio_cohort.state import FAILURE

_FAILED = ("failed", "up_for_retry")


@dataclass(frozen=True)
class _Task:
    """A task instance that failed, and what it has kept."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    ended: datetime | None
    kept: Any


def with_reasons(session: Session, syncs: Sequence[Sync], *, every: bool = False) -> tuple[Sync, ...]:
    """
    Add to failed runs why they failed.

    :param session: of the metadata database.
    :param syncs: all syncs of their DAGs.
    :param every: whether to add it to all runs of each sync, not only to those that the overview shows.
    """
    wanted = [_wanted(sync, every=every) for sync in syncs]
    numbers = {run.dag_run_id for runs in wanted for run in runs if run.dag_run_id is not None}
    failed: dict[tuple[str, str], list[_Task]] = {}
    for task in _failed_tasks(session, sorted(numbers)):
        failed.setdefault((task.dag_id, task.run_id), []).append(task)
    writing = {(sync.dag.dag_id, sync.task_id) for sync in syncs}
    found = []
    for sync, runs in zip(syncs, wanted, strict=True):
        reasons = {run.run_id: _reason(sync, run, failed, writing) for run in runs}
        changed = (
            replace(run, failure=reasons[run.run_id]) if run.run_id in reasons else run for run in sync.runs
        )
        found.append(replace(sync, runs=tuple(changed)) if runs else sync)
    return tuple(found)


def _wanted(sync: Sync, *, every: bool) -> list[Run]:
    if every:
        return [run for run in sync.runs if run.state in (State.FAILED, State.RETRYING)]
    last = sync.last_failed if sync.failures else None
    return [run for run in dict.fromkeys((sync.failing, last)) if run is not None]


def _failed_tasks(session: Session, runs: Sequence[int]) -> Iterator[_Task]:
    task = TaskInstance.__table__.c
    columns = (*(task.dag_id, task.run_id, task.task_id, task.map_index), task.try_number, task.end_date)
    question = select(*columns, XComModel.__table__.c.value).where(task.state.in_(_FAILED))
    for some in chunks(runs):
        yield from (_Task(*row) for row in session.execute(with_xcoms(question, some, FAILURE)))


def _reason(
    sync: Sync,
    run: Run,
    failed: dict[tuple[str, str], list[_Task]],
    writing: set[tuple[str, str]],
) -> Failure | None:
    """Return why a run failed: from the sync's own task, or from one of those that it waits for."""
    tasks = failed.get((sync.dag.dag_id, run.run_id), [])
    own = [task for task in tasks if task.task_id == sync.task_id and run.map_index in (None, task.map_index)]
    before = [
        task
        for task in tasks
        if (task.dag_id, task.task_id) not in writing
        and sync.may_wait_for(task.task_id)
        and run.is_of_part(task.map_index)
    ]
    return _first(own or before, run)


def _first(tasks: Iterable[_Task], run: Run) -> Failure | None:
    """Return the failure of the task that has kept a reason, and of several, that which failed first."""
    failures = [
        read_failure(
            task.task_id, task.map_index, task.ended or run.ended or run.due, task.kept, task.try_number
        )
        for task in tasks
    ]
    return min(failures, key=lambda one: (one.error is None, one.at, one.map_index), default=None)
