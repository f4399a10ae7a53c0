"""Finds the syncs in Airflow's metadata database: small tables, which do not grow with the history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from airflow.models.asset import AssetModel, TaskInletAssetReference, TaskOutletAssetReference
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import Select, and_, case, or_, select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import AMPLITUDE_SCHEME, CUSTOMER_IO_SCHEME
from airflow_provider_cio_cohort.overview.model import Dag

SEGMENTS = f"{CUSTOMER_IO_SCHEME}://"
COHORTS = f"{AMPLITUDE_SCHEME}://"
BROKEN_FILE, FRESHNESS = "cohort-file", "cohort-freshness"
OUR_TAGS = ("cohort-sync", "config-error", "disabled", BROKEN_FILE, FRESHNESS)
#: In the traceback of a DAG file that cannot be imported and has syncs.
OUR_PACKAGE = "airflow_provider_cio_cohort"
AWAITING_INPUT, SCHEDULED = "awaiting_input", "scheduled"
#: How many things one query names: SQLite allows 32,766 variables.
TOGETHER = 30_000
_NO_SCHEDULE = (None, "", "None")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reference:
    """A task and one of its assets."""

    asset_id: int
    uri: str
    dag_id: str
    task_id: str


#: A DAG file: its bundle, and its path there.
Place = tuple[str | None, str | None]


@dataclass(frozen=True)
class Known:
    """
    What Airflow has stored of a DAG.

    :param stale: whether it is no longer in its file, as far as Airflow can read that.
    :param bundle: the bundle of its DAG file.
    :param file: the path of its DAG file in the bundle.
    :param parsed: when it was last found there.
    :param description: what the list of DAGs shows.
    """

    dag: Dag
    stale: bool
    bundle: str | None
    file: str | None
    parsed: datetime | None
    description: str | None

    @property
    def place(self) -> Place:
        """The DAG file."""
        return self.bundle, self.file


@dataclass(frozen=True)
class Waiting:
    """A task that waits for an approval."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    since: datetime | None


def without_compiling(session: Session) -> None:
    """
    Let PostgreSQL not compile the queries of this transaction: these are short, and that takes longer.

    :param session: of the metadata database.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql("SET LOCAL jit = off")


def outlets(session: Session, scheme: str, dag_id: str | None = None) -> list[Reference]:
    """
    Return the tasks with outlets of a URI scheme.

    :param session: of the metadata database.
    :param scheme: the start of the assets' URIs.
    :param dag_id: only of this DAG.
    """
    return _references(session, TaskOutletAssetReference, (scheme,), dag_id)


def inlets(session: Session, *starts: str, dag_id: str | None = None) -> list[Reference]:
    """
    Return the tasks with inlets of some URIs.

    :param session: of the metadata database.
    :param starts: the start of the assets' URIs; any of them.
    :param dag_id: only of this DAG.
    """
    return _references(session, TaskInletAssetReference, starts, dag_id)


def _references(session: Session, table: Any, starts: Sequence[str], dag_id: str | None) -> list[Reference]:
    question = (
        select(AssetModel.id, AssetModel.uri, table.dag_id, table.task_id)
        .join(AssetModel, AssetModel.id == table.asset_id)
        .where(or_(*(AssetModel.uri.startswith(start) for start in starts)))
        .order_by(table.dag_id, table.task_id, AssetModel.id)
    )
    if dag_id is not None:
        question = question.where(table.dag_id == dag_id)
    return [Reference(*row) for row in session.execute(question)]


def dags(session: Session, dag_ids: Iterable[str]) -> dict[str, Known]:
    """
    Return what Airflow has stored of DAGs, also of those that are no longer in their file.

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
        table.is_stale,
        table.bundle_name,
        table.relative_fileloc,
        table.last_parsed_time,
        table.description,
    )
    found = {}
    for some in chunks(sorted(set(dag_ids))):
        for row in session.execute(select(*columns).where(table.dag_id.in_(some))):
            dag_id, display_name, paused, summary, in_words, next_run, *known = row
            schedule = None if summary in _NO_SCHEDULE else summary
            dag = Dag(dag_id, display_name or dag_id, paused, schedule, in_words, next_run)
            found[dag_id] = Known(dag, *known)
    return found


def import_errors(session: Session) -> dict[Place, bool]:
    """
    Return the DAG files that cannot be imported, and whether the error names this package.

    :param session: of the metadata database.
    """
    table = ParseImportError.__table__.c
    ours = table.stacktrace.contains(OUR_PACKAGE, autoescape=True)
    question = select(table.bundle_name, table.filename, case((ours, 1), else_=0))
    return {(bundle, file): bool(names_us) for bundle, file, names_us in session.execute(question)}


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
    table = TaskInstance.__table__.c
    columns = (table.dag_id, table.task_id, table.run_id, table.map_index, table.start_date)
    found = []
    for some in chunks(dag_ids):
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


def with_xcoms(question: Select[Any], dag_run_ids: Sequence[int], key: str) -> Select[Any]:
    """
    Let a query be about the task instances of some runs, each with one of its XComs, if it has that.

    It is asked by the runs, because the index on the keys of XComs leads through the whole past.

    :param question: what to select of both tables.
    :param dag_run_ids: the numbers of the runs.
    :param key: the key of the XCom.
    """
    run, task, xcom = DagRun.__table__, TaskInstance.__table__, XComModel.__table__
    of_run = and_(task.c.dag_id == run.c.dag_id, task.c.run_id == run.c.run_id)
    of_task = and_(xcom.c.task_id == task.c.task_id, xcom.c.map_index == task.c.map_index)
    its = and_(xcom.c.dag_run_id == run.c.id, of_task, xcom.c.key == key)
    tables = run.join(task, of_run).outerjoin(xcom, its)
    return question.select_from(tables).where(run.c.id.in_(dag_run_ids))


def chunks(items: Sequence[Item], size: int = TOGETHER) -> Iterator[Sequence[Item]]:
    """Yield a list in parts."""
    return (items[start : start + size] for start in range(0, len(items), size))
