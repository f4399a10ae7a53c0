"""Loads the data about the syncs for the page and the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from airflow.sdk import literal
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.assets import LATE_URI, cohort_asset
from airflow_provider_cio_cohort.overview import past, queries
from airflow_provider_cio_cohort.overview.attention import attention, of_sync
from airflow_provider_cio_cohort.overview.exported import exports_since
from airflow_provider_cio_cohort.overview.failed import with_reasons
from airflow_provider_cio_cohort.overview.freshness import as_runs, failures, overdue_since
from airflow_provider_cio_cohort.overview.late import LateSync, late_syncs
from airflow_provider_cio_cohort.overview.memory import Memory
from airflow_provider_cio_cohort.overview.missing import present, unknown_files
from airflow_provider_cio_cohort.overview.model import (
    ENDED,
    Attention,
    Dag,
    History,
    Moment,
    Overview,
    Report,
    Run,
    State,
    Sync,
)
from airflow_provider_cio_cohort.overview.past import Event
from airflow_provider_cio_cohort.overview.queries import COHORTS, SEGMENTS, Reference, Waiting
from airflow_provider_cio_cohort.overview.quota import Scheduled, decisive, exports_a_run, quotas
from airflow_provider_cio_cohort.overview.reading import split_asset
from airflow_provider_cio_cohort.overview.serialized import with_serialized, with_timezones

#: The number of runs and reports of each sync that the overview reads, and that the page of one sync reads.
RECENT = 30
PAST = 100
#: The number of events of an export task to read for the quota, which not every event has.
_OF_AN_EXPORT = 3
#: The same as in the DAG generation, which is not imported here because it is slow.
_PREFIX = "cohort_sync__"
VisibleRuns = Callable[[Collection[str]], set[str]]


def load_overview(
    session: Session,
    readable: set[str] | None = None,
    now: datetime | None = None,
    visible_runs: VisibleRuns | None = None,
    memory: Memory | None = None,
) -> Overview:
    """
    Return all syncs, the exports of the month, and what needs attention.

    :param session: a session of Airflow's metadata database.
    :param readable: the ids of the DAGs that may be shown; ``None`` for all.
    :param now: the time to describe; the current time by default.
    :param visible_runs: returns those of some DAGs whose runs may be shown; by default, all. The other syncs
        have the state ``HIDDEN`` (``MISSING`` if their DAG is), and nothing that their runs tell.
    :param memory: what earlier looks have read, to look at the same database again in less time.
    """
    now, memory = now or datetime.now(UTC), memory or Memory()
    memory.begin()
    queries.without_compiling(session)
    found = _find(session, readable, now)
    found = replace(found, dags=with_timezones(session, found.dags, memory))
    syncs = with_reasons(session, _syncs(session, found, RECENT, now, memory, visible_runs))
    months = _quota_reports(session, found, syncs, now, memory)
    runs = {sync.dag.dag_id: sync.runs for sync in syncs}
    scheduled = [
        Scheduled(found.dags[dag_id], exports, runs.get(dag_id, ()))
        for dag_id, exports in exports_a_run(found.exporting, _reading(found, syncs)).items()
    ]
    spent = quotas(scheduled, months, now)
    return Overview(now, syncs, spent, attention(syncs, spent, found.files))


def load_history(
    session: Session,
    dag_id: str,
    task_id: str,
    asset_id: int | None,
    readable: set[str] | None = None,
    now: datetime | None = None,
    part: str | None = None,
) -> History | None:
    """
    Return one sync with its history; ``None`` if there is none, or it may not be shown.

    :param session: a session of Airflow's metadata database.
    :param dag_id: the sync's DAG.
    :param task_id: the sync's task.
    :param asset_id: the segment's asset; ``None`` if it has none.
    :param readable: the ids of the DAGs that may be shown; ``None`` for all.
    :param now: the time to describe; the current time by default.
    :param part: which of the task's syncs without an asset it is.
    """
    now = now or datetime.now(UTC)
    found = _find(session, readable, now, dag_id)
    if dag_id not in found.dags:  # removed; or missing, which only the other DAGs of its file can tell
        found = _only(_find(session, readable, now), dag_id)
    ours = {key: dag for key, dag in found.dags.items() if key == dag_id}
    found = replace(found, dags={**found.dags, **with_serialized(session, ours)})
    for sync in with_reasons(session, _syncs(session, found, PAST, now, Memory()), every=True):
        own = sync.part == part and (part is not None or sync.asset_id is None)
        is_same = own if asset_id is None else sync.asset_id == asset_id
        if (sync.dag.dag_id, sync.task_id) == (dag_id, task_id) and is_same:
            return History(now, sync, of_sync(sync), _moments(sync.runs, sync.reports))
    return None


@dataclass(frozen=True)
class _Found:
    """
    The DAGs and tasks, before their history is read.

    :param dags: the DAGs, by their ids.
    :param tags: which of our tags each DAG has.
    :param writing: tasks that write to a segment.
    :param late: tasks that write to segments which only their runs know.
    :param exporting: tasks that export a cohort for other tasks.
    :param reading: tasks that read a cohort.
    :param files: what needs attention about files.
    """

    dags: Mapping[str, Dag]
    tags: Mapping[str, set[str]]
    writing: Sequence[Reference]
    late: Sequence[Reference]
    exporting: Sequence[Reference]
    reading: Sequence[Reference]
    files: Sequence[Attention] = ()


def _find(session: Session, readable: set[str] | None, now: datetime, dag_id: str | None = None) -> _Found:
    tags = queries.tagged(session, dag_id)
    inlets = queries.inlets(session, COHORTS, LATE_URI, dag_id=dag_id)
    references = (
        queries.outlets(session, SEGMENTS, dag_id),
        [one for one in inlets if one.uri == LATE_URI],
        queries.outlets(session, COHORTS, dag_id),
        [one for one in inlets if one.uri != LATE_URI],
    )
    wanted = {*tags, *(one.dag_id for some in references for one in some)}
    shows_all = readable is None and dag_id is None
    known = queries.dags(session, wanted)
    errors = {}  # a DAG file that cannot be imported makes its DAGs stale
    if shows_all or (dag_id is None and any(one.stale for one in known.values())):
        errors = queries.import_errors(session)
    there = present(known, tags, errors, now, readable)
    dags, files = there.dags, list(there.attention)
    if shows_all:
        files += unknown_files(errors, files)
    writing, late, exporting, reading = ([one for one in some if one.dag_id in dags] for some in references)
    return _Found(dags, tags, writing, late, exporting, reading, files)


def _only(found: _Found, dag_id: str) -> _Found:
    writing, late, exporting, reading = (
        [one for one in some if one.dag_id == dag_id]
        for some in (found.writing, found.late, found.exporting, found.reading)
    )
    return replace(found, writing=writing, late=late, exporting=exporting, reading=reading)


def _syncs(
    session: Session,
    found: _Found,
    limit: int,
    now: datetime,
    memory: Memory,
    visible_runs: VisibleRuns | None = None,
) -> tuple[Sync, ...]:
    events = past.newest_events(session, found.writing, limit, memory)
    writing = {one.dag_id for one in (*found.writing, *found.late)}
    visible = writing if visible_runs is None else writing & visible_runs(writing)
    dag_ids = sorted(visible)
    runs = {
        own: memory.made(past.runs_of(own), rows, lambda rows: as_runs(rows.values(), limit))
        for own, rows in past.newest_runs(session, dag_ids, limit, memory).items()
    }
    waiting: dict[str, list[Waiting]] = {}
    for task in queries.awaiting_input(session, dag_ids):
        waiting.setdefault(task.dag_id, []).append(task)
    no_pool = queries.missing_pools(session, dag_ids)
    cohorts = {(one.dag_id, one.task_id): one for one in found.reading}
    by_dag = {one.dag_id: one for one in found.exporting}
    tasks = Counter(one.dag_id for one in (*found.writing, *found.late))
    syncs = []
    for one in found.writing:
        dag = found.dags[one.dag_id]
        cohort = cohorts.get((one.dag_id, one.task_id)) or by_dag.get(one.dag_id)
        sync = _sync(
            dag,
            one.task_id,
            name=_name(dag, one.task_id, several=tasks[one.dag_id] > 1),
            uri=one.uri,
            cohort_uri=cohort.uri if cohort else None,
            runs=runs.get((one.dag_id, one.task_id), ()),
            reports=memory.made(("reports", one), events[one], _reports),
            asset_id=one.asset_id,
        )
        syncs.append(sync)
    for late in _late(session, found, visible, limit, memory):
        dag_id, task_id = late.task
        dag = found.dags[dag_id]
        known = cohorts.get(late.task) or by_dag.get(dag_id)
        name = _name(dag, task_id, several=tasks[dag_id] > 1)
        sync = _sync(
            dag,
            task_id,
            name=f"{name} · {late.label}" if late.label else name,
            uri=late.uri,
            cohort_uri=late.cohort_uri or (known.uri if known else None),
            runs=as_runs(late.runs, limit),
            reports=_reports(late.events),
            asset_id=late.asset_id,
            part=late.uri or late.label,
        )
        syncs.append(sync)
    for number, sync in enumerate(syncs):
        if sync.dag.dag_id in visible:
            sync = _judged(
                _waiting(sync, waiting.get(sync.dag.dag_id, ())), _of_sync(sync, found, no_pool), now
            )
        else:
            sync = replace(sync, state=State.HIDDEN, shows_runs=False)
        syncs[number] = sync if sync.dag.missing_since is None else replace(sync, state=State.MISSING)
    return tuple(sorted([*syncs, *_idle(found)], key=lambda sync: (sync.name.casefold(), sync.task_id)))


def _late(
    session: Session, found: _Found, visible: Collection[str], limit: int, memory: Memory
) -> Iterator[LateSync]:
    """Yield the syncs that only runs know; of DAGs whose runs may not be shown, each task as one sync."""
    tasks = [(one.dag_id, one.task_id) for one in found.late]
    yield from late_syncs(session, (task for task in tasks if task[0] in visible), limit, memory)
    yield from (LateSync(task) for task in tasks if task[0] not in visible)


def _of_sync(sync: Sync, found: _Found, no_pool: Mapping[tuple[str, str], str]) -> tuple[str, ...]:
    """Return the missing pools of a sync's task, and of the tasks that it shares with other syncs."""
    own = (sync.dag.dag_id, sync.task_id)
    waiting = {task: pool for task, pool in no_pool.items() if task[0] == own[0]}
    if not waiting:
        return ()
    others = {(one.dag_id, one.task_id) for one in (*found.writing, *found.late)} - {own}
    mine = {pool for task, pool in waiting.items() if task not in others}
    return tuple(sorted(mine))


def _reports(events: Iterable[Event]) -> tuple[Report, ...]:
    return tuple([event.report for event in events])


def _sync(
    dag: Dag,
    task_id: str,
    name: str,
    uri: str | None,
    cohort_uri: str | None,
    runs: tuple[Run, ...],
    reports: tuple[Report, ...],
    asset_id: int | None,
    part: str | None = None,
) -> Sync:
    customer_io_conn_id, segment = split_asset(uri) if uri else (None, None)
    segment_id = None
    if uri and "/segments/id/" in uri:
        segment_id, segment = segment, f"segment {segment}"
    amplitude_conn_id, cohort_id = split_asset(cohort_uri) if cohort_uri else (None, None)
    last = reports[-1] if reports else None
    return Sync(
        dag,
        task_id,
        name,
        asset_id,
        cohort_id=cohort_id or (last.cohort_id if last else None),
        segment_id=(last.segment_id if last else None) or segment_id,
        segment_name=(last.segment_name if last else None) or segment,
        amplitude_conn_id=amplitude_conn_id,
        customer_io_conn_id=customer_io_conn_id,
        state=runs[0].state if runs else State.NEVER,
        runs=runs,
        reports=reports,
        part=part,
    )


def _waiting(sync: Sync, waiting: Iterable[Waiting]) -> Sync:
    """Set the state of a sync that waits for an approval, given the tasks of its DAG that do."""
    for one in waiting:
        run = next((run for run in sync.runs if run.run_id == one.run_id), None)
        if run is not None and (run.state in ENDED or not run.is_of_part(one.map_index)):
            continue
        if not sync.may_wait_for(one.task_id):
            continue
        return replace(sync, state=State.WAITING, waiting_since=one.since)
    return sync


def _judged(sync: Sync, missing_pools: tuple[str, ...], now: datetime) -> Sync:
    count, since = failures(sync.runs)
    return replace(
        sync,
        missing_pools=missing_pools,
        failures=count,
        failing_since=since,
        overdue_since=overdue_since(sync.dag, sync.runs, sync.last_good, now),
    )


def _idle(found: _Found) -> list[Sync]:
    """Return the syncs of YAML files that cannot run: missing, with a mistake, or disabled."""
    with_syncs = {one.dag_id for one in (*found.writing, *found.late)}
    syncs = []
    for dag_id, tags in found.tags.items():
        if dag_id not in found.dags or dag_id in with_syncs:
            continue
        dag = found.dags[dag_id]
        state = State.CONFIG_ERROR if "config-error" in tags else State.DISABLED
        state = state if dag.missing_since is None else State.MISSING
        if "cohort-sync" in tags and (tags & {"config-error", "disabled"} or state is State.MISSING):
            syncs.append(Sync(dag, "sync", _name(dag, "sync"), state=state))
    return syncs


def _name(dag: Dag, task_id: str, *, several: bool = False) -> str:
    """Return the name of a sync in its file; for hand-written DAGs, the name of the DAG."""
    if dag.dag_id.startswith(_PREFIX) and task_id.startswith("sync"):
        target = task_id.removeprefix("sync").removeprefix("__")
        return " · ".join(filter(None, (dag.dag_id.removeprefix(_PREFIX), target)))
    return f"{dag.display_name} · {task_id}" if several else dag.display_name


def _reading(found: _Found, syncs: Iterable[Sync]) -> list[Reference]:
    """Return the tasks that read a cohort, those that only runs know once for each of their syncs."""
    late = {(one.dag_id, one.task_id) for one in found.late}
    reading = [one for one in found.reading if (one.dag_id, one.task_id) not in late]
    for sync in syncs:
        task = (sync.dag.dag_id, sync.task_id)
        if task in late and sync.amplitude_conn_id:
            cohort = cohort_asset(literal(sync.amplitude_conn_id), literal(sync.cohort_id or ""))
            reading += [Reference(0, cohort.uri, *task)] if cohort else []
    return reading


def _quota_reports(
    session: Session, found: _Found, syncs: Sequence[Sync], now: datetime, memory: Memory
) -> dict[str, list[Report]]:
    """Return the reports with the quota of each Amplitude connection, and those of runs without a report."""
    said: dict[str, list[Report]] = {}
    for one, events in past.newest_events(session, found.exporting, _OF_AN_EXPORT, memory).items():
        said.setdefault(split_asset(one.uri)[0], []).extend(_reports(events))
    for sync in syncs:
        if sync.amplitude_conn_id is not None and sync.reports:
            subject = ("quota", sync.dag.dag_id, sync.task_id, sync.asset_id, sync.part)
            said.setdefault(sync.amplitude_conn_id, []).extend(memory.made(subject, sync.reports, decisive))
    reading = (*_reading(found, syncs), *found.exporting)
    of_tasks = {(one.dag_id, one.task_id): split_asset(one.uri)[0] for one in reading}
    for conn_id, report in exports_since(session, syncs, of_tasks, said, now):
        said.setdefault(conn_id, []).append(report)
    return said


def _moments(runs: Sequence[Run], reports: Sequence[Report]) -> tuple[Moment, ...]:
    """Join runs and reports, newest first."""
    by_id = {run.run_id: run for run in runs}
    last = {report.run_id: report for report in reports}  # of a run that was cleared, the one that holds
    moments = []
    for report in reports:
        run = by_id.get(report.run_id or "")
        holds = run is None or _reported_by(run, last[report.run_id], report)
        moments.append(Moment(report.at, run, report, ran_again=not holds))
    told = {moment.run.run_id for moment in moments if moment.run and not moment.ran_again}
    moments += [Moment(run.ended or run.at, run, None) for run in runs if run.run_id not in told]
    return tuple(sorted(moments, key=lambda moment: moment.at, reverse=True)[:PAST])


def _reported_by(run: Run, last: Report, report: Report) -> bool:
    """Say whether a report is what the run has come to, not an earlier pass of a run that was cleared."""
    return report is last and run.state is State.SUCCESS and report.at >= run.at
