"""Determines the states of a sync's runs, and whether a good sync is overdue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from airflow_provider_cio_cohort.overview.model import ENDED, Dag, Report, Run, State
from airflow_provider_cio_cohort.overview.past import TaskRun

#: A sync is overdue half the time between two runs after it was due, within these bounds.
SHORTEST_GRACE = timedelta(hours=1)
LONGEST_GRACE = timedelta(hours=12)
_OF_A_TASK = {
    "success": State.SUCCESS,
    "failed": State.FAILED,
    "upstream_failed": State.FAILED,
    "skipped": State.SKIPPED,
    "removed": State.SKIPPED,
    "running": State.RUNNING,
    "restarting": State.RUNNING,
    "deferred": State.RUNNING,
    "up_for_reschedule": State.RUNNING,
    "up_for_retry": State.RETRYING,
    "awaiting_input": State.WAITING,
}
_OF_A_RUN = {
    "success": State.SKIPPED,  # the task did nothing
    "failed": State.FAILED,
    "queued": State.QUEUED,
    "running": State.RUNNING,
}
#: The state of a run with mapped tasks is the first of these that one of the tasks has.
_WORST_FIRST = (
    State.FAILED,
    State.WAITING,
    State.RETRYING,
    State.RUNNING,
    State.QUEUED,
    State.SUCCESS,
    State.SKIPPED,
)


def as_runs(found: Iterable[TaskRun], limit: int) -> tuple[Run, ...]:
    """
    Return the runs of one task, those first that were last started.

    :param found: the rows from the database; a mapped task has one for each of its parts.
    :param limit: the maximum number.
    """
    runs: dict[str, Run] = {}
    for one in found:
        state = _state(one)
        if state is None:
            continue
        known = runs.get(one.run_id)
        if known is None or _WORST_FIRST.index(state) < _WORST_FIRST.index(known.state):
            times = (one.due, one.queued, *_times(one, state))
            runs[one.run_id] = Run(
                one.run_id,
                one.run_type,
                *times,
                state,
                map_index=one.map_index,
                dag_run_id=one.dag_run_id,
            )
    return tuple(sorted(runs.values(), key=lambda run: run.at, reverse=True)[:limit])


def _times(one: TaskRun, state: State) -> tuple[datetime | None, datetime | None]:
    """Return when the task began and ended; of a run that was cleared, the task still has earlier times."""
    started = one.task_started if _OF_A_TASK.get(one.task_state or "") else None
    if state not in ENDED:
        return started, None
    return started or one.started, (one.task_ended if started else None) or one.ended


def _state(one: TaskRun) -> State | None:
    of_run = _OF_A_RUN.get(one.run_state)
    if not one.found and of_run in ENDED:
        return None  # a run from before the task was added
    return _OF_A_TASK.get(one.task_state or "", of_run)


def failures(runs: Sequence[Run]) -> tuple[int, datetime | None]:
    """
    Return how many runs in a row have failed, up to the last one that ended, and when the first one did.

    :param runs: those first that were last started.
    """
    count, since = 0, None
    for run in runs:
        if run.state is State.SUCCESS:
            break
        if run.state is State.FAILED:
            count, since = count + 1, run.ended or run.due
    return count, since


def overdue_since(dag: Dag, runs: Sequence[Run], last_good: Report | None, now: datetime) -> datetime | None:
    """
    Return since when a good sync is overdue: the time of the first missing run; ``None`` if none is.

    A run that is late or still active has a :func:`grace` period. A successful run without a report (a dry
    run, or a run from before this version) does not count as missing.

    :param dag: the sync's DAG.
    :param runs: those first that were last started.
    :param last_good: the newest good sync.
    :param now: the current time.
    """
    if dag.paused or dag.schedule is None or dag.missing_since is not None:
        return None
    good = [last_good.at] if last_good else []
    good += [run.ended or run.due for run in runs if run.state is State.SUCCESS]
    last = max(good, default=None)
    # Unpausing a DAG starts the run that was due last; that run is not late from its start.
    missing = [
        max(run.due, run.queued or run.due)
        for run in runs
        if run.state not in (State.SUCCESS, State.SKIPPED)
        and run.run_type == "scheduled"
        and (last is None or last < run.due)
    ]
    if dag.next_run is not None and dag.next_run <= now:  # the scheduler has not created the run
        missing.append(dag.next_run)
    first = min(missing, default=None)
    return first if first is not None and now - first > grace(dag, runs) else None


def distance(dag: Dag, runs: Sequence[Run]) -> timedelta | None:
    """
    Return the time between two scheduled runs, ``None`` if it is unknown.

    :param dag: the sync's DAG.
    :param runs: those first that were last started.
    """
    times = sorted((run.due for run in runs if run.run_type == "scheduled"), reverse=True)[:2]
    times = [*([dag.next_run] if dag.next_run else []), *times][:2]
    apart = times[0] - times[1] if len(times) == 2 else timedelta(0)
    return apart if apart > timedelta(0) else None


def grace(dag: Dag, runs: Sequence[Run]) -> timedelta:
    """
    Return how long after its due time a sync is not yet overdue.

    :param dag: the sync's DAG.
    :param runs: those first that were last started.
    """
    apart = distance(dag, runs)
    return LONGEST_GRACE if apart is None else min(max(apart / 2, SHORTEST_GRACE), LONGEST_GRACE)
