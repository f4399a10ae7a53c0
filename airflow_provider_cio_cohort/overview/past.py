"""
Reads the newest events and runs from Airflow's metadata database; a bounded number of rows for each sync.

Each query is for one asset or one DAG and uses Airflow's indexes, so that a long history costs nothing. Many
queries are joined into one statement (UNION ALL), which SQLite, PostgreSQL and MySQL all support.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from airflow.models.asset import (
    AssetEvent,
    AssetModel,
    TaskInletAssetReference,
    TaskOutletAssetReference,
)
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import CompoundSelect, Integer, Select, and_, bindparam, select, union_all
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import LATE_URI
from airflow_provider_cio_cohort.overview.queries import SEGMENTS, Reference, chunks

#: SQLite allows 500 selects in one statement; the runs need two for each DAG.
_TOGETHER = 100


@dataclass(frozen=True)
class Event:
    """An asset event of a task."""

    reference: Reference
    at: datetime
    run_id: str | None
    map_index: int | None
    extra: Any


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


def newest_events(session: Session, references: Sequence[Reference], limit: int) -> list[Event]:
    """
    Return the newest asset events of tasks; events of the same assets by others are left out.

    First the newest events of each asset are read, from all sources, because the index returns these quickly.
    Only if others have created so many that some of the task's own may be missing, these are queried alone.

    :param session: of the metadata database.
    :param references: the tasks and their assets.
    :param limit: how many for each of them.
    """
    found = _Sorted(references)
    for some in chunks(sorted({one.asset_id for one in references}), _TOGETHER):
        of_each = [{"asset_id": asset_id, "most": limit} for asset_id in some]
        found.add(session.execute(_events_of(len(some)), _numbered(of_each)))
    for several in chunks(found.crowded(limit), _TOGETHER):
        makers = [
            {"asset_id": one.asset_id, "dag_id": one.dag_id, "task_id": one.task_id, "most": limit}
            for one in several
        ]
        found.add(session.execute(_own_events_of(len(several)), _numbered(makers)))
    return [event for events in found.own.values() for event in events]


class _Sorted:
    """Events by their task."""

    def __init__(self, references: Sequence[Reference]) -> None:
        self._by_maker = {(one.asset_id, one.dag_id, one.task_id): one for one in references}
        self._read: Counter[int] = Counter()
        self.own: dict[Reference, list[Event]] = {one: [] for one in references}

    def add(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self._read[row.asset_id] += 1
            maker = self._by_maker.get((row.asset_id, row.source_dag_id, row.source_task_id))
            if maker is not None:
                self.own[maker].append(
                    Event(maker, row.timestamp, row.source_run_id, row.source_map_index, row.extra)
                )

    def crowded(self, limit: int) -> list[Reference]:
        """Return the tasks whose events were read only in part, and drop that part."""
        found = [one for one, own in self.own.items() if self._read[one.asset_id] == limit > len(own)]
        self.own |= {one: [] for one in found}
        return found


# The statements are cached: building one takes SQLAlchemy longer than the database needs to run it.
@lru_cache(maxsize=2 * _TOGETHER)
def _events_of(count: int) -> CompoundSelect[Any]:
    return _together(_some_events(number) for number in range(count))


@lru_cache(maxsize=2 * _TOGETHER)
def _own_events_of(count: int) -> CompoundSelect[Any]:
    table = AssetEvent.__table__.c
    return _together(
        _some_events(number).where(
            table.source_dag_id == bindparam(f"dag_id_{number}"),
            table.source_task_id == bindparam(f"task_id_{number}"),
        )
        for number in range(count)
    )


def _some_events(number: int) -> Select[Any]:
    table = AssetEvent.__table__.c
    maker = (table.source_dag_id, table.source_task_id, table.source_run_id, table.source_map_index)
    return (
        select(table.asset_id, *maker, table.timestamp, table.extra)
        .where(table.asset_id == bindparam(f"asset_id_{number}"))
        .order_by(table.timestamp.desc())
        .limit(bindparam(f"most_{number}", type_=Integer()))
    )


def newest_runs(session: Session, dag_ids: Sequence[str], limit: int, *, late: bool = False) -> list[TaskRun]:
    """
    Return the newest runs of DAGs, each once for every task that writes to a segment.

    :param session: of the metadata database.
    :param dag_ids: the DAGs.
    :param limit: how many for each of them; up to twice as many may come.
    :param late: of the tasks whose segment only their runs know, and once for every part of a mapped task.
    """
    found = []
    for some in chunks(dag_ids, _TOGETHER):
        of_each = [{"dag_id": dag_id, "most": limit} for dag_id in some]
        rows = session.execute(_runs_of(len(some), late), _numbered(of_each))
        found += [TaskRun(*row) for row in rows]
    return found


@lru_cache(maxsize=4 * _TOGETHER)
def _runs_of(count: int, late: bool) -> Select[Any]:
    parts = (part(number) for number in range(count) for part in (_dated_runs, _undated_runs))
    runs = _together(parts).subquery().c
    table = TaskInletAssetReference if late else TaskOutletAssetReference
    writes, asset, task = table.__table__, AssetModel.__table__, TaskInstance.__table__
    is_ours = asset.c.uri == LATE_URI if late else asset.c.uri.startswith(SEGMENTS)
    of_the_run = and_(
        task.c.dag_id == runs.dag_id, task.c.task_id == writes.c.task_id, task.c.run_id == runs.run_id
    )
    return (
        select(
            runs.dag_id,
            writes.c.task_id,
            *(
                runs.run_id,
                runs.run_type,
                runs.state,
                runs.run_after,
                runs.queued_at,
                runs.start_date,
                runs.end_date,
            ),
            task.c.task_id.is_not(None),
            *(task.c.state, task.c.start_date, task.c.end_date),
            *((task.c.map_index, task.c.rendered_map_index) if late else ()),
        )
        .join(writes, writes.c.dag_id == runs.dag_id)
        .join(asset, and_(asset.c.id == writes.c.asset_id, is_ours))
        .join(task, of_the_run, isouter=True)
    )


# Manual and asset-triggered runs have no logical date. Queried apart, they too use the index on DAG and
# logical date; there is no index on DAG and run_after.
def _dated_runs(number: int) -> Select[Any]:
    table = DagRun.__table__.c
    return _some_runs(number).where(table.logical_date.is_not(None)).order_by(table.logical_date.desc())


def _undated_runs(number: int) -> Select[Any]:
    table = DagRun.__table__.c
    return _some_runs(number).where(table.logical_date.is_(None)).order_by(table.id.desc())


def _some_runs(number: int) -> Select[Any]:
    table = DagRun.__table__.c
    return (
        select(
            *(table.dag_id, table.run_id, table.run_type, table.state),
            *(table.run_after, table.queued_at, table.start_date, table.end_date),
        )
        .where(table.dag_id == bindparam(f"dag_id_{number}"))
        .limit(bindparam(f"most_{number}", type_=Integer()))
    )


def _together(parts: Iterable[Select[Any]]) -> CompoundSelect[Any]:
    """Join limited queries into one; each must be a derived table to have its own LIMIT in a UNION."""
    return union_all(*(select(part.subquery()) for part in parts))


def _numbered(of_each: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{name}_{number}": value for number, one in enumerate(of_each) for name, value in one.items()}
