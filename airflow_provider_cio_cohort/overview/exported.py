"""
Finds exports that runs have requested and no report shows: of runs that failed or still run, and of dry runs.

A task keeps that in an XCom as soon as it has requested the export. Airflow deletes it when the next try
starts, which keeps it again if it continues the export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview.model import Report, Sync
from airflow_provider_cio_cohort.overview.queries import chunks, with_xcoms
from airflow_provider_cio_cohort.overview.quota import start_of_month, told_last
from airflow_provider_cio_cohort.overview.reading import read_export
from airflow_provider_cio_cohort.state import REQUESTED_EXPORT


def exports_since(
    session: Session,
    syncs: Iterable[Sync],
    conn_ids: Mapping[tuple[str, str], str],
    told: Mapping[str, Sequence[Report]],
    now: datetime,
) -> Iterator[tuple[str, Report]]:
    """
    Yield the exports that runs have requested since Amplitude last reported the month, with their connection.

    :param session: of the metadata database.
    :param syncs: all syncs, with their runs.
    :param conn_ids: the Amplitude connection of each task that may request an export.
    :param told: the reports of each connection.
    :param now: the current time.
    """
    of_dags: dict[str, set[str]] = {}
    for (dag_id, _), conn_id in conn_ids.items():
        of_dags.setdefault(dag_id, set()).add(conn_id)
    since = {conn_id: _since(told.get(conn_id, ()), now) for conn_id in set(conn_ids.values())}
    runs: set[int | None] = set()
    for sync in syncs:
        first = min((since[conn_id] for conn_id in of_dags.get(sync.dag.dag_id, ())), default=now)
        runs.update([run.dag_run_id for run in sync.runs if run.ended is None or run.ended >= first])
    for dag_id, task_id, report in _kept(session, {number for number in runs if number is not None}):
        project = conn_ids.get((dag_id, task_id)) or _only(of_dags[dag_id])
        if project is not None and report.at >= since[project]:
            yield project, report


def _since(reports: Sequence[Report], now: datetime) -> datetime:
    last = told_last(reports, now)
    return start_of_month(now) if last is None else last.told_at


def _only(conn_ids: set[str]) -> str | None:
    """Return the connection of a task without an asset, such as a dry run, if its DAG has only one."""
    return next(iter(conn_ids)) if len(conn_ids) == 1 else None


def _kept(session: Session, runs: Iterable[int]) -> Iterator[tuple[str, str, Report]]:
    task, xcom = TaskInstance.__table__.c, XComModel.__table__.c
    question = select(task.dag_id, task.task_id, task.run_id, xcom.timestamp, xcom.value)
    for some in chunks(sorted(runs)):
        for dag_id, task_id, run_id, at, value in session.execute(
            with_xcoms(question, some, REQUESTED_EXPORT)
        ):
            # Not left out by the database: it would then begin with all XComs of the key.
            report = read_export(at, run_id, value) if at is not None else None
            if report is not None:
                yield dag_id, task_id, report
