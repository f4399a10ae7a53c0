"""Checks whether a run of a sync is active: two writers of a segment would undo each other's work."""

from __future__ import annotations

from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_cio_cohort.cli.runtime import NO, NOT_FOUND_OUT, CommandError, say

_AT_WORK = (
    TaskInstanceState.QUEUED,
    TaskInstanceState.RUNNING,
    TaskInstanceState.RESTARTING,
    TaskInstanceState.DEFERRED,
)
_TO_COME = (
    TaskInstanceState.SCHEDULED,
    TaskInstanceState.UP_FOR_RETRY,
    TaskInstanceState.UP_FOR_RESCHEDULE,
)


class Watch:
    """
    Checks whether a run of a sync is active.

    :param dag_id: the sync's DAG.
    :param task_id: the task that writes to the segment.
    """

    def __init__(self, dag_id: str, task_id: str) -> None:
        self._dag_id = dag_id
        self._task_id = task_id
        #: Whether Airflow's database can be read.
        self.can_see = True

    def begin(self) -> None:
        """
        Refuse to begin while a run is active; print a warning if that is unknown.

        :raises CommandError: if a run is active.
        """
        try:
            self._refuse_while_active("Nothing was written.")
        except SQLAlchemyError:
            self.can_see = False
            say(
                "Airflow's database cannot be read, so it is unknown whether a run of this sync is active: "
                "make sure that none is."
            )

    def go_on(self) -> None:
        """
        Refuse to write if a run has become active in the meantime.

        :raises CommandError: if a run is active, or if that is now unknown.
        """
        if not self.can_see:
            return
        try:
            self._refuse_while_active("It was started after the plan was made. Nothing was written.")
        except SQLAlchemyError as error:
            raise CommandError(
                "Airflow's database can no longer be read, so it is unknown whether a run of this sync is "
                f"active ({type(error).__name__}). Nothing was written: try again.",
                NOT_FOUND_OUT,
            ) from None

    def _refuse_while_active(self, consequence: str) -> None:
        run_id = _active_run(self._dag_id, self._task_id)
        if run_id is not None:
            raise CommandError(
                f"The run {run_id} of the DAG {self._dag_id} is active, and writes to this segment. "
                f"{consequence} Wait until the run has ended, or mark it as failed.",
                NO,
            )


def _active_run(dag_id: str, task_id: str) -> str | None:
    """
    Return a run whose task writes to the segment now, or will without user action.

    Tasks of a paused DAG that have not started will not start.
    """
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance

    with create_session() as session:
        is_paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))
        active: ColumnElement[bool] = TaskInstance.state.in_(_AT_WORK)
        if is_paused is False:
            to_come = or_(TaskInstance.state.is_(None), TaskInstance.state.in_(_TO_COME))
            unfinished = DagRun.state.in_((DagRunState.QUEUED, DagRunState.RUNNING))
            active = or_(active, and_(to_come, unfinished))
        run_id: str | None = session.scalar(
            select(TaskInstance.run_id)
            .join(DagRun, and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id))
            .where(TaskInstance.dag_id == dag_id, TaskInstance.task_id == task_id, active)
            .order_by(DagRun.run_after)
            .limit(1)
        )
        return run_id
