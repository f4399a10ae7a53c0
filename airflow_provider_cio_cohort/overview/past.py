"""
Reads the newest events and runs from Airflow's metadata database; a bounded number of rows for each sync.

The database first says which rows these are, and in which version: one row for each sync. Then those are
read that are not in memory. All of it uses Airflow's indexes, so that a long history costs nothing, and takes
the same number of queries for any number of syncs. SQLite, PostgreSQL and MySQL support all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

from airflow.models.asset import (
    AssetEvent,
    AssetModel,
    TaskInletAssetReference,
    TaskOutletAssetReference,
)
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import (
    JSON,
    ColumnElement,
    CompoundSelect,
    Integer,
    ScalarSelect,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import LATE_URI
from airflow_provider_cio_cohort.overview.memory import Memory
from airflow_provider_cio_cohort.overview.model import Report
from airflow_provider_cio_cohort.overview.queries import SEGMENTS, Reference, chunks
from airflow_provider_cio_cohort.overview.reading import read_report

#: SQLite allows 500 selects in one statement.
_TOGETHER = 100
#: The function that makes a list of the values of several rows.
_LISTS = {"sqlite": "json_group_array", "postgresql": "json_agg", "mysql": "json_arrayagg"}

#: A task: its DAG and its id.
Task = tuple[str, str]


@dataclass(frozen=True)
class Event:
    """
    An asset event.

    :param dag_id: the DAG of the task that created it; ``None`` if no task did.
    :param task_id: that task.
    :param map_index: its part.
    :param report: what it says, when, and in which run.
    """

    dag_id: str | None
    task_id: str | None
    map_index: int | None
    report: Report


@dataclass(frozen=True)
class TaskRun:
    """
    A DAG run and the state of one task in it.

    :param found: whether the run has the task; a run from before the task was added has not.
    :param task_started: when the task began, or an earlier pass of it if the run was cleared.
    :param task_ended: when that ended.
    :param map_index: which part of a mapped task it is, -1 for a task that is not mapped or not expanded;
        ``None`` if that does not matter, or the run does not have the task.
    :param label: what the DAG calls the part, if it does.
    """

    dag_run_id: int
    dag_id: str
    task_id: str
    run_id: str
    run_type: str
    run_state: str
    due: datetime
    queued: datetime | None
    started: datetime | None
    ended: datetime | None
    found: bool
    task_state: str | None
    task_started: datetime | None
    task_ended: datetime | None
    map_index: int | None = None
    label: str | None = None


def newest_events(
    session: Session, references: Sequence[Reference], limit: int, memory: Memory
) -> dict[Reference, list[Event]]:
    """
    Return the newest asset events of tasks, oldest first; events of the same assets by others are left out.

    First the newest events of each asset are found, from all sources, because the index returns these
    quickly. Only if others have created so many that some of the task's own may be missing, these are queried
    alone.

    :param session: of the metadata database.
    :param references: the tasks and their assets.
    :param limit: how many for each of them.
    :param memory: what earlier looks have read.
    """
    newest = _newest_of_assets(session, sorted({one.asset_id for one in references}), limit, memory)
    found: dict[Reference, list[Event]] = {}
    crowded = []
    for one in references:
        rows = newest[one.asset_id]
        by_maker = memory.made(("events", one.asset_id, limit), rows, _by_maker)
        found[one] = by_maker.get((one.dag_id, one.task_id), [])
        if len(rows) == limit > len(found[one]):
            crowded.append(one)
    return found | _own_events(session, crowded, limit)


def _by_maker(rows: Mapping[int, Event]) -> dict[tuple[str | None, str | None], list[Event]]:
    """Return the events of each task, oldest first."""
    found: dict[tuple[str | None, str | None], list[Event]] = {}
    for event in sorted(rows.values(), key=lambda event: event.report.at):
        found.setdefault((event.dag_id, event.task_id), []).append(event)
    return found


def _newest_of_assets(
    session: Session, asset_ids: Sequence[int], limit: int, memory: Memory
) -> dict[int, Mapping[int, Event]]:
    """Return the newest events of each asset. An event never changes, so that its id is its version."""
    newest: dict[int, list[int]] = {}
    question = _newest_event_ids(_dialect(session))
    for some in chunks(asset_ids):
        rows = session.execute(question, {"asset_ids": some, "most": limit})
        newest.update((asset_id, event_ids or []) for asset_id, event_ids in rows)
    unknown = []
    for asset_id, event_ids in newest.items():
        known = memory.rows(("events", asset_id, limit))
        unknown += [event_id for event_id in event_ids if event_id not in known]
    table = AssetEvent.__table__.c
    read = {}
    for some in chunks(unknown):
        for row in session.execute(_events().where(table.id.in_(some))).all():
            read[row.id] = _event(row)
    found = {}
    for asset_id in asset_ids:
        subject = ("events", asset_id, limit)
        event_ids, known = newest.get(asset_id, []), memory.rows(subject)
        if list(known) != event_ids:
            events = ((event_id, known.get(event_id) or read.get(event_id)) for event_id in event_ids)
            known = {event_id: event for event_id, event in events if event is not None}
        memory.keep(subject, known)
        found[asset_id] = known
    return found


# Statements are cached: building one takes SQLAlchemy longer than the database needs to run it.
@lru_cache
def _newest_event_ids(dialect: str) -> Select[Any]:
    asset, event = AssetModel.__table__, AssetEvent.__table__.c
    newest = (
        select(event.id)
        .where(event.asset_id == asset.c.id)
        .order_by(event.timestamp.desc())
        .limit(bindparam("most", type_=Integer()))
        .correlate(asset)
        .subquery()
    )
    ids = select(_as_list(newest.c.id, dialect)).correlate(asset).scalar_subquery()
    return select(asset.c.id, ids).where(asset.c.id.in_(bindparam("asset_ids", expanding=True)))


def _as_list(column: ColumnElement[Any], dialect: str) -> ColumnElement[Any]:
    name = _LISTS["mysql" if dialect == "mariadb" else dialect]
    return getattr(func, name)(column, type_=JSON())  # type: ignore[no-any-return]  # a function of that name


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


@lru_cache
def _events() -> Select[Any]:
    table = AssetEvent.__table__.c
    maker = (table.source_dag_id, table.source_task_id, table.source_run_id, table.source_map_index)
    return select(table.id, table.asset_id, *maker, table.timestamp, table.extra)


def _event(row: Any) -> Event:
    report = read_report(row.timestamp, row.source_run_id, row.extra)
    return Event(row.source_dag_id, row.source_task_id, row.source_map_index, report)


def _own_events(session: Session, makers: Sequence[Reference], limit: int) -> dict[Reference, list[Event]]:
    found: dict[Reference, list[Event]] = {one: [] for one in makers}
    by_maker = {(one.asset_id, one.dag_id, one.task_id): one for one in makers}
    for some in chunks(makers, _TOGETHER):
        values = {
            f"{name}_{number}": value
            for number, one in enumerate(some)
            for name, value in (
                ("asset_id", one.asset_id),
                ("dag_id", one.dag_id),
                ("task_id", one.task_id),
                ("most", limit),
            )
        }
        for row in session.execute(_own_events_of(len(some)), values):
            found[by_maker[row.asset_id, row.source_dag_id, row.source_task_id]].append(_event(row))
    for own in found.values():
        own.sort(key=lambda event: event.report.at)
    return found


@lru_cache(maxsize=_TOGETHER)
def _own_events_of(count: int) -> CompoundSelect[Any]:
    table = AssetEvent.__table__.c
    parts = (
        _events()
        .where(
            table.asset_id == bindparam(f"asset_id_{number}"),
            table.source_dag_id == bindparam(f"dag_id_{number}"),
            table.source_task_id == bindparam(f"task_id_{number}"),
        )
        .order_by(table.timestamp.desc())
        .limit(bindparam(f"most_{number}", type_=Integer()))
        for number in range(count)
    )
    # Each must be a derived table to have its own LIMIT in a UNION.
    return union_all(*(select(part.subquery()) for part in parts))


def newest_runs(
    session: Session, dag_ids: Sequence[str], limit: int, memory: Memory, *, late: bool = False
) -> dict[Task, Mapping[str, TaskRun]]:
    """
    Return the newest runs of DAGs, for every task that writes to a segment, by their versions.

    They are those of the subject :func:`runs_of` in memory.

    :param session: of the metadata database.
    :param dag_ids: the DAGs.
    :param limit: how many for each of them; up to twice as many may come.
    :param memory: what earlier looks have read.
    :param late: of the tasks whose segment only their runs know, and once for every part of a mapped task.
    """
    newest: dict[Task, list[str]] = {}
    question = _newest_versions(_dialect(session), late)
    for some in chunks(dag_ids):
        for dag_id, task_id, dated, undated in session.execute(question, {"dag_ids": some, "most": limit}):
            newest[dag_id, task_id] = [*(dated or []), *(undated or [])]
    changed: dict[Task, set[int]] = {}
    for task, versions in newest.items():
        known = memory.rows(runs_of(task, late=late))
        if unknown := {_number(version) for version in versions if version not in known}:
            changed[task] = unknown
    read = _read_runs(session, changed, late)
    found = {}
    for task, versions in newest.items():
        subject = runs_of(task, late=late)
        known = memory.rows(subject)
        if list(known) != versions:
            # What was read may be newer than the versions; so of such a run, nothing else is used.
            anew = changed.get(task, ())
            same = {version: known[version] for version in versions if _number(version) not in anew}
            all_of_it = {**same, **read.get(task, {})}
            known = {version: all_of_it[version] for version in versions if version in all_of_it} | all_of_it
        memory.keep(subject, known)
        found[task] = known
    return found


def runs_of(task: Task, *, late: bool = False) -> tuple[str, Task]:
    """
    Return the subject of a task's runs in memory.

    :param task: the task.
    :param late: whether they are of the parts of a mapped task.
    """
    return "late runs" if late else "runs", task


def _number(version: str) -> int:
    return int(version.partition("|")[0])


def _read_runs(
    session: Session, changed: Mapping[Task, set[int]], late: bool
) -> dict[Task, dict[str, TaskRun]]:
    found: dict[Task, dict[str, TaskRun]] = {task: {} for task in changed}
    for some in chunks(sorted(set().union(*changed.values()))):
        question = _runs(late).where(DagRun.__table__.c.id.in_(some))
        for version, *row in session.execute(question).all():
            values: list[Any] = [intern(value) if type(value) is str else value for value in row]
            run = TaskRun(*values)
            if run.dag_run_id in changed.get((run.dag_id, run.task_id), ()):
                found[run.dag_id, run.task_id][version] = run
    return found


# Manual and asset-triggered runs have no logical date. Queried apart, they too use the index on DAG and
# logical date; there is no index on DAG and run_after.
@lru_cache
def _newest_versions(dialect: str, late: bool) -> Select[Any]:
    run = DagRun.__table__.c
    dated = select(run.id, run.run_id, run.state, run.updated_at).where(run.logical_date.is_not(None))
    undated = select(run.id, run.run_id, run.state, run.updated_at).where(run.logical_date.is_(None))
    writes, asset, is_ours = _writes(late)
    return (
        select(
            writes.c.dag_id,
            writes.c.task_id,
            _versions_of(dated.order_by(run.logical_date.desc()), writes, dialect),
            _versions_of(undated.order_by(run.id.desc()), writes, dialect),
        )
        .join(asset, and_(asset.c.id == writes.c.asset_id, is_ours))
        .where(writes.c.dag_id.in_(bindparam("dag_ids", expanding=True)))
    )


def _versions_of(newest: Select[Any], writes: Any, dialect: str) -> ScalarSelect[Any]:
    task = TaskInstance.__table__
    runs = (
        newest.where(DagRun.__table__.c.dag_id == writes.c.dag_id)
        .limit(bindparam("most", type_=Integer()))
        .correlate(writes)
        .subquery()
    )
    of_the_run = and_(
        task.c.dag_id == writes.c.dag_id,
        task.c.task_id == writes.c.task_id,
        task.c.run_id == runs.c.run_id,
    )
    return (
        select(_as_list(_version(runs.c, task.c), dialect))
        .select_from(runs.outerjoin(task, of_the_run))
        .correlate(writes)
        .scalar_subquery()
    )


def _version(run: Any, task: Any) -> ColumnElement[str]:
    # Airflow sets ``updated_at`` with every change; somebody who changes a state by SQL may not.
    parts = (run.state, run.updated_at, task.map_index, task.state, task.updated_at)
    version: ColumnElement[str] = cast(run.id, String(20))
    for part in parts:
        version = version + "|" + func.coalesce(cast(part, String(64)), "", type_=String())
    return version


def _writes(late: bool) -> tuple[Any, Any, ColumnElement[bool]]:
    table, asset = TaskInletAssetReference if late else TaskOutletAssetReference, AssetModel.__table__
    return (
        table.__table__,
        asset,
        asset.c.uri == LATE_URI if late else asset.c.uri.startswith(SEGMENTS),
    )


@lru_cache
def _runs(late: bool) -> Select[Any]:
    run, task = DagRun.__table__, TaskInstance.__table__
    writes, asset, is_ours = _writes(late)
    of_the_run = and_(
        task.c.dag_id == run.c.dag_id,
        task.c.task_id == writes.c.task_id,
        task.c.run_id == run.c.run_id,
    )
    return (
        select(
            _version(run.c, task.c),
            *(run.c.id, run.c.dag_id, writes.c.task_id),
            *(run.c.run_id, run.c.run_type, run.c.state),
            *(run.c.run_after, run.c.queued_at, run.c.start_date, run.c.end_date),
            task.c.task_id.is_not(None),
            *(task.c.state, task.c.start_date, task.c.end_date),
            *((task.c.map_index, task.c.rendered_map_index) if late else ()),
        )
        .select_from(run)
        .join(writes, writes.c.dag_id == run.c.dag_id)
        .join(asset, and_(asset.c.id == writes.c.asset_id, is_ours))
        .join(task, of_the_run, isouter=True)
    )
