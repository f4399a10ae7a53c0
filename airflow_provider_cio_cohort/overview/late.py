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
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import Asset, literal
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import cohort_asset, known_segment
from airflow_provider_cio_cohort.overview import past
from airflow_provider_cio_cohort.overview.past import Event, TaskRun
from airflow_provider_cio_cohort.overview.queries import Reference, chunks
from airflow_provider_cio_cohort.overview.reading import split_asset

#: The types of runs that say which syncs there are; those that users trigger may be about a part of them.
_REGULAR = ("scheduled", "asset_triggered")
_TRUE = (True, "True", "true")

#: A task: its DAG and its id.
Task = tuple[str, str]
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


def late_syncs(session: Session, tasks: Iterable[Task], limit: int) -> list[LateSync]:
    """
    Return the syncs of tasks whose segment only their runs know; one without a segment if there was no run.

    :param session: of the metadata database.
    :param tasks: the tasks.
    :param limit: how many runs and events of each to read.
    """
    wanted = sorted(set(tasks))
    runs: dict[Task, list[TaskRun]] = {task: [] for task in wanted}
    for run in past.newest_runs(session, sorted({dag_id for dag_id, _ in wanted}), limit, late=True):
        if (run.dag_id, run.task_id) in runs:
            runs[run.dag_id, run.task_id].append(run)
    parts = {task: _parts(session, task, {run.run_id for run in runs[task]}) for task in wanted}
    ids = _asset_ids(session, [part.segment for some in parts.values() for part in some.values()])
    references = {
        Reference(ids[part.segment.uri], part.segment.uri, *task)
        for task, some in parts.items()
        for part in some.values()
        if part.segment.uri in ids
    }
    events: dict[Task, list[Event]] = {task: [] for task in wanted}
    for event in past.newest_events(session, sorted(references, key=lambda one: one.asset_id), limit):
        events[event.reference.dag_id, event.reference.task_id].append(event)
    found = (_Resolved(task, runs[task], parts[task], events[task]) for task in wanted)
    return [replace(sync, asset_id=ids.get(sync.uri or "")) for one in found for sync in one.syncs()]


def _parts(session: Session, task: Task, run_ids: Iterable[str]) -> dict[_Key, _Part]:
    table = RenderedTaskInstanceFields.__table__.c
    found = {}
    for some in chunks(sorted(run_ids), 500):
        question = select(table.run_id, table.map_index, table.rendered_fields).where(
            table.dag_id == task[0], table.task_id == task[1], table.run_id.in_(some)
        )
        for run_id, map_index, fields in session.execute(question):
            part = _read(fields)
            if part is not None:
                found[run_id, map_index] = part
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
    for some in chunks(sorted(by_uri), 500):
        question = select(AssetModel.id, AssetModel.uri, AssetModel.name).where(AssetModel.uri.in_(some))
        rows = session.execute(question)
        found |= {uri: asset_id for asset_id, uri, name in rows if by_uri[uri] == name}
    return found


class _Resolved:
    """The runs of one task, each with its segment."""

    def __init__(
        self, task: Task, runs: Sequence[TaskRun], parts: Mapping[_Key, _Part], events: Sequence[Event]
    ) -> None:
        self._task = task
        self._runs = sorted(runs, key=lambda run: run.due, reverse=True)
        self._events = events
        self._parts = parts
        self._known = {key: part.segment.uri for key, part in parts.items()}
        for event in events:
            if event.run_id is not None and event.map_index is not None:
                self._known.setdefault((event.run_id, event.map_index), event.reference.uri)
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
        events: dict[str, list[Event]] = {}
        for event in self._events:
            events.setdefault(event.reference.uri, []).append(event)
        for uri in listed:
            own = runs.get(uri, [])
            part = next(filter(None, (self._part_of(run, uri) for run in own)), None)
            yield LateSync(
                self._task,
                uri,
                cohort_uri=part.cohort_uri if part else None,
                label=self._label(own, part, uri) if self._is_mapped or len(listed) > 1 else None,
                runs=(*own, *whole),
                events=tuple(events.get(uri, ())),
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
