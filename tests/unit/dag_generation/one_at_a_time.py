"""
Asks Airflow's own scheduler which tasks of a backfill it would let run together.

Run by ``test_one_at_a_time.py`` in a process and with a database of its own: the path of a YAML file with
one daily sync, then any number of states such as ``deferred,scheduled``, one for each run of the backfill.
Prints a list of the runs whose task is let go, for each of them.
"""

from __future__ import annotations

import json
import sys

import pendulum
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.backfill import ReprocessBehavior, _create_backfill
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from sqlalchemy import select, update

from airflow_provider_cio_cohort.dag_generation import build_dags


def backfill(path: str) -> None:
    """Store the sync's DAG and begin a backfill of four days with Airflow's own limit of ten active runs."""
    (dag,) = build_dags(path).values()
    with create_session() as session:
        session.add(DagBundleModel(name="testing"))
        session.commit()
        SerializedDAG.bulk_write_to_db("testing", None, [dag], session=session)
        SerializedDagModel.write_dag(
            LazyDeserializedDAG.from_dag(dag), bundle_name="testing", session=session
        )
        session.get(DagModel, dag.dag_id).is_paused = False
    _create_backfill(
        dag_id=dag.dag_id,
        from_date=pendulum.datetime(2026, 1, 1),
        to_date=pendulum.datetime(2026, 1, 5),
        max_active_runs=10,
        reverse=False,
        dag_run_conf=None,
        triggering_user_name="test",
        reprocess_behavior=ReprocessBehavior.NONE,
    )


def main(path: str, *cases: str) -> None:
    """Print what the scheduler lets go."""
    initdb()
    backfill(path)
    scheduler = SchedulerJobRunner(Job())
    let_go = []
    with create_session() as session:
        scheduler._start_queued_dagruns(session)
        session.flush()
        found = session.execute(
            select(TaskInstance.id, DagRun.state).join(DagRun).order_by(DagRun.logical_date)
        )
        tasks, runs = zip(*found, strict=True)
        assert set(runs) == {"running"}  # the backfill has started all its runs
        for case in cases:
            for task, state in zip(tasks, case.split(","), strict=True):
                session.execute(update(TaskInstance).where(TaskInstance.id == task).values(state=state))
            queued = scheduler._executable_task_instances_to_queued(max_tis=32, session=session)
            let_go.append(sorted(tasks.index(task.id) for task in queued))
        session.rollback()
    print(json.dumps(let_go))


if __name__ == "__main__":
    main(*sys.argv[1:])
