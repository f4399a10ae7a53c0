"""Looks whether a run of a sync is at work: two that write one segment would undo each other."""

from __future__ import annotations

from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_cio_cohort.cli.running import NO, CommandError, say

_AT_WORK = (
    TaskInstanceState.QUEUED,
    TaskInstanceState.RUNNING,
    TaskInstanceState.RESTARTING,
    TaskInstanceState.DEFERRED,
)


def check_nobody_writes(dag_id: str, task_id: str) -> None:
    """
    Refuse to go on while a run is at work; say so where that cannot be known.

    :param dag_id: the sync's DAG.
    :param task_id: the task that fills the segment.
    :raises CommandError: if one is.
    """
    try:
        count = _at_work(dag_id, task_id)
    except SQLAlchemyError:
        say(
            "Airflow's database cannot be read, so it is not known whether a run of this sync is at work: "
            "make sure that none is."
        )
        return
    if count:
        raise CommandError(
            f"A run of the DAG {dag_id} is at work on this segment: wait for its end, or mark it failed.", NO
        )


def _at_work(dag_id: str, task_id: str) -> int:
    from airflow.models.taskinstance import TaskInstance

    with create_session() as session:
        wanted = (
            TaskInstance.dag_id == dag_id,
            TaskInstance.task_id == task_id,
            TaskInstance.state.in_(_AT_WORK),
        )
        return session.scalar(select(func.count()).select_from(TaskInstance).where(*wanted)) or 0
