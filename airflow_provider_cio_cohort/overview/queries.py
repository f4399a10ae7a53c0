"""Finds the syncs in Airflow's metadata database: small tables, which do not grow with the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from airflow.models.asset import AssetModel, TaskInletAssetReference, TaskOutletAssetReference
from airflow.models.dag import DagModel, DagTag
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import AMPLITUDE_SCHEME, CUSTOMER_IO_SCHEME
from airflow_provider_cio_cohort.overview.model import Dag

SEGMENTS = f"{CUSTOMER_IO_SCHEME}://"
COHORTS = f"{AMPLITUDE_SCHEME}://"
OUR_TAGS = ("cohort-sync", "config-error", "disabled")
AWAITING_INPUT, SCHEDULED = "awaiting_input", "scheduled"
_NO_SCHEDULE = (None, "", "None")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reference:
    """A task and one of its assets."""

    asset_id: int
    uri: str
    dag_id: str
    task_id: str


@dataclass(frozen=True)
class Waiting:
    """A task that waits for an approval."""

    dag_id: str
    task_id: str
    run_id: str
    since: datetime | None


def outlets(session: Session, scheme: str, dag_id: str | None = None) -> list[Reference]:
    """
    Return the tasks with outlets of a URI scheme.

    :param session: of the metadata database.
    :param scheme: the start of the assets' URIs.
    :param dag_id: only of this DAG.
    """
    return _references(session, TaskOutletAssetReference, scheme, dag_id)


def inlets(session: Session, scheme: str, dag_id: str | None = None) -> list[Reference]:
    """
    Return the tasks with inlets of a URI scheme.

    :param session: of the metadata database.
    :param scheme: the start of the assets' URIs.
    :param dag_id: only of this DAG.
    """
    return _references(session, TaskInletAssetReference, scheme, dag_id)


def _references(session: Session, table: Any, scheme: str, dag_id: str | None) -> list[Reference]:
    question = (
        select(AssetModel.id, AssetModel.uri, table.dag_id, table.task_id)
        .join(AssetModel, AssetModel.id == table.asset_id)
        .where(AssetModel.uri.startswith(scheme))
        .order_by(table.dag_id, table.task_id, AssetModel.id)
    )
    if dag_id is not None:
        question = question.where(table.dag_id == dag_id)
    return [Reference(*row) for row in session.execute(question)]


def dags(session: Session, dag_ids: Iterable[str]) -> dict[str, Dag]:
    """
    Return those of the DAGs that are not stale.

    :param session: of the metadata database.
    :param dag_ids: which.
    """
    table = DagModel.__table__.c
    columns = (
        table.dag_id,
        table.dag_display_name,
        table.is_paused,
        table.timetable_summary,
        table.timetable_description,
        table.next_dagrun_create_after,
    )
    found = {}
    for some in chunks(sorted(set(dag_ids)), 500):
        question = select(*columns).where(table.dag_id.in_(some), table.is_stale.is_(False))
        for dag_id, display_name, paused, summary, description, next_run in session.execute(question):
            schedule = None if summary in _NO_SCHEDULE else summary
            found[dag_id] = Dag(dag_id, display_name or dag_id, paused, schedule, description, next_run)
    return found


def tagged(session: Session, dag_id: str | None = None) -> dict[str, set[str]]:
    """
    Return the DAGs that have any of our tags, with these tags.

    :param session: of the metadata database.
    :param dag_id: only this one.
    """
    question = select(DagTag.dag_id, DagTag.name).where(DagTag.name.in_(OUR_TAGS))
    if dag_id is not None:
        question = question.where(DagTag.dag_id == dag_id)
    found: dict[str, set[str]] = {}
    for tagged_id, name in session.execute(question):
        found.setdefault(tagged_id, set()).add(name)
    return found


def awaiting_input(session: Session, dag_ids: Sequence[str]) -> list[Waiting]:
    """
    Return the tasks of DAGs that wait for an approval.

    :param session: of the metadata database.
    :param dag_ids: the DAGs.
    """
    columns = (TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.run_id, TaskInstance.start_date)
    found = []
    for some in chunks(dag_ids, 500):
        question = select(*columns).where(TaskInstance.state == AWAITING_INPUT, TaskInstance.dag_id.in_(some))
        found += [Waiting(*row) for row in session.execute(question)]
    return found


def missing_pools(session: Session, dag_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """
    Return the tasks of DAGs that cannot start because their pool does not exist, with the pool's name.

    :param session: of the metadata database.
    :param dag_ids: the DAGs.
    """
    # Few tasks are in the state scheduled at a time, and the state is indexed.
    question = select(TaskInstance.dag_id, TaskInstance.task_id, TaskInstance.pool).where(
        TaskInstance.state == SCHEDULED, TaskInstance.pool.not_in(select(Pool.pool))
    )
    rows, ours = session.execute(question), {*dag_ids}
    return {(dag_id, task_id): pool for dag_id, task_id, pool in rows if dag_id in ours}


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Yield a list in parts."""
    return (items[start : start + size] for start in range(0, len(items), size))
