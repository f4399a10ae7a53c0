"""
Finds the syncs of tasks whose segment is known only when they run: a template or a mapping decides.

Such a sync is a task and one of its segments; a map index may be that of another segment in the next run.
What a task instance was about is read from its rendered fields, which Airflow keeps for the last runs
(``num_dag_runs_to_retain_rendered_fields``), and from its event. Where neither tells, because it has not
started or could not, it counts as one of the segment that the same map index had last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow.models.asset import AssetModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import Asset, literal
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import cohort_asset, known_segment
from airflow_provider_cio_cohort.overview import past
from airflow_provider_cio_cohort.overview.memory import Memory
from airflow_provider_cio_cohort.overview.past import Event, Task, TaskRun
from airflow_provider_cio_cohort.overview.queries import Reference, chunks
from airflow_provider_cio_cohort.overview.reading import split_asset

#: The types of runs that say which syncs there are; those that users trigger may be about a part of them.
_REGULAR = ("scheduled", "asset_triggered")
_TRUE = (True, "True", "true")

#: A task instance, by its run and its map index.
_Key = tuple[str, int]


@dataclass(frozen=True)
class LateSync:
    """
    A sync that its runs have shown.

    :param task: its task.
    :param uri: the segment's asset; ``None`` if no run has shown it yet.
    :param asset_id: its id; ``None`` if Airflow does not know the asset, because no run was good.
    :param cohort_uri: the cohort's asset, if it is known.
    :param label: what tells it from the other syncs of its task; ``None`` if there are none.
    :param runs: its runs, in any order.
    :param events: its good runs.
    """

    task: Task
    uri: str | None = None
    asset_id: int | None = None
    cohort_uri: str | None = None
    label: str | None = None
    runs: tuple[TaskRun, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class _Part:
    """What a task instance was about."""

    segment: Asset
    name: str
    cohort_uri: str | None
    is_dry: bool


def late_syncs(session: Session, tasks: Iterable[Task], limit: int, memory: Memory) -> list[LateSync]:
    """
    Return the syncs of tasks whose segment only their runs know; one without a segment if there was no run.

    :param session: of the metadata database.
    :param tasks: the tasks.
    :param limit: how many runs and events of each to read.
    :param memory: what earlier looks have read.
    """
    wanted = sorted(set(tasks))
    dag_ids = sorted({dag_id for dag_id, _ in wanted})
    newest = past.newest_runs(session, dag_ids, limit, memory, late=True)
    runs = {task: [*newest.get(task, {}).values()] for task in wanted}
    parts = _parts(session, runs)
    ids = _asset_ids(session, [part.segment for some in parts.values() for part in some.values()])
    references = {
        Reference(ids[part.segment.uri], part.segment.uri, *task)
        for task, some in parts.items()
        for part in some.values()
        if part.segment.uri in ids
    }
    events: dict[Task, dict[str, list[Event]]] = {task: {} for task in wanted}
    for one, own in past.newest_events(session, [*references], limit, memory).items():
        events[one.dag_id, one.task_id][one.uri] = own
    found = (_Resolved(task, runs[task], parts[task], events[task]) for task in wanted)
    return [replace(sync, asset_id=ids.get(sync.uri or "")) for one in found for sync in one.syncs()]


def _parts(session: Session, runs: Mapping[Task, Iterable[TaskRun]]) -> dict[Task, dict[_Key, _Part]]:
    table, run = RenderedTaskInstanceFields.__table__.c, DagRun.__table__.c
    columns = (table.dag_id, table.task_id, table.run_id, table.map_index, table.rendered_fields)
    of_the_run = and_(
        table.dag_id == run.dag_id,
        table.run_id == run.run_id,
        table.task_id.in_(sorted({task_id for _, task_id in runs})),
    )
    found: dict[Task, dict[_Key, _Part]] = {task: {} for task in runs}
    for some in chunks(sorted({one.dag_run_id for own in runs.values() for one in own})):
        question = select(*columns).join(DagRun.__table__, of_the_run).where(run.id.in_(some))
        for dag_id, task_id, run_id, map_index, fields in session.execute(question):
            part = _read(fields)
            if part is not None and (dag_id, task_id) in found:
                found[dag_id, task_id][run_id, map_index] = part
    return found


def _read(fields: Any) -> _Part | None:
    """Return what rendered fields say; ``None`` if they name no segment."""
    given = fields if isinstance(fields, Mapping) else {}
    name, number = _text(given.get("segment_name")), _text(given.get("segment_id"))
    conn_id = _text(given.get("customer_io_conn_id"))
    if conn_id is None or (name is None and number is None):
        return None
    segment = known_segment(literal(conn_id), None if name is None else literal(name), number)
    cohort_id, amplitude = _text(given.get("cohort_id")), _text(given.get("amplitude_conn_id"))
    cohort = cohort_asset(literal(amplitude), literal(cohort_id)) if cohort_id and amplitude else None
    if segment is None:
        return None
    return _Part(
        segment,
        name if number is None else f"segment {number}",  # type: ignore[arg-type]  # one of them is there
        cohort.uri if cohort else None,
        given.get("dry_run") in _TRUE,
    )


def _text(value: Any) -> str | None:
    """Return text or a number as text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value in ("", "None"):
        return None
    return str(value)


def _asset_ids(session: Session, assets: Iterable[Asset]) -> dict[str, int]:
    by_uri = {asset.uri: asset.name for asset in assets}
    found: dict[str, int] = {}
    for some in chunks(sorted(by_uri)):
        question = select(AssetModel.id, AssetModel.uri, AssetModel.name).where(AssetModel.uri.in_(some))
        rows = session.execute(question)
        found |= {uri: asset_id for asset_id, uri, name in rows if by_uri[uri] == name}
    return found


class _Resolved:
    """The runs of one task, each with its segment."""

    def __init__(
        self,
        task: Task,
        runs: Sequence[TaskRun],
        parts: Mapping[_Key, _Part],
        events: Mapping[str, Sequence[Event]],
    ) -> None:
        self._task = task
        self._runs = sorted(runs, key=lambda run: run.due, reverse=True)
        self._events = events
        self._parts = parts
        self._known = {key: part.segment.uri for key, part in parts.items()}
        for segment, told in events.items():
            for event in told:
                if event.report.run_id is not None and event.map_index is not None:
                    self._known.setdefault((event.report.run_id, event.map_index), segment)
        self._by_index: dict[int, str] = {}
        for run in self._runs:
            if run.map_index is not None and (uri := self._known.get((run.run_id, run.map_index))):
                self._by_index.setdefault(run.map_index, uri)
        self._is_mapped = any((run.map_index or 0) >= 0 for run in self._runs if run.map_index is not None)

    def syncs(self) -> Iterator[LateSync]:
        listed, unknown = self._listed()
        whole = tuple(run for run in self._runs if self._is_whole(run))
        runs: dict[str | None, list[TaskRun]] = {}
        for run in self._runs:
            if not self._is_whole(run):
                runs.setdefault(self._uri_of(run), []).append(run)
        for uri in listed:
            own = runs.get(uri, [])
            part = next(filter(None, (self._part_of(run, uri) for run in own)), None)
            yield LateSync(
                self._task,
                uri,
                cohort_uri=part.cohort_uri if part else None,
                label=self._label(own, part, uri) if self._is_mapped or len(listed) > 1 else None,
                runs=(*own, *whole),
                events=tuple(self._events.get(uri, ())),
            )
        for index in unknown:
            alike = tuple(run for run in runs.get(None, ()) if run.map_index == index)
            yield LateSync(self._task, label=f"[{index}]" if index >= 0 else None, runs=alike)
        if not listed and not unknown and not self._known:
            yield LateSync(self._task, runs=whole)

    def _listed(self) -> tuple[list[str], list[int]]:
        """
        Return the segments of the last regular run and those since, and map indexes of unknown ones.

        Segments that only dry runs were about are left out.
        """
        listed: dict[str, None] = {}
        unknown: dict[int, None] = {}
        for some in self._by_run():
            is_regular = False
            for run in some:
                if run.map_index is None or self._is_whole(run) or run.task_state == "removed":
                    continue
                key = (run.run_id, run.map_index)
                part, uri = self._parts.get(key), self._uri_of(run)
                if uri is None:
                    unknown[run.map_index] = None
                elif part is None or not part.is_dry:
                    listed[uri] = None
                    is_regular = is_regular or (run.run_type in _REGULAR and key in self._known)
            if is_regular:
                break
        return list(listed), sorted(unknown)

    def _by_run(self) -> Iterable[list[TaskRun]]:
        found: dict[str, list[TaskRun]] = {}
        for run in self._runs:
            found.setdefault(run.run_id, []).append(run)
        return found.values()

    def _is_whole(self, run: TaskRun) -> bool:
        """Return whether a mapped task was not expanded in a run, which so stands for all of its parts."""
        return run.map_index is None or (self._is_mapped and run.map_index < 0)

    def _uri_of(self, run: TaskRun) -> str | None:
        if run.map_index is None:
            return None
        return self._known.get((run.run_id, run.map_index)) or self._by_index.get(run.map_index)

    def _part_of(self, run: TaskRun, uri: str) -> _Part | None:
        part = self._parts.get((run.run_id, run.map_index or 0))
        return part if part is not None and part.segment.uri == uri else None

    def _label(self, own: Sequence[TaskRun], part: _Part | None, uri: str) -> str:
        """Return the name that the DAG gives to the part, or else that of its segment."""
        given = next((run.label for run in own if run.label), None)
        return given or (part.name if part else split_asset(uri)[1])
