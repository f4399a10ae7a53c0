"""Adds up the month's exports of each Amplitude project."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month
from airflow_provider_cio_cohort.overview.freshness import distance
from airflow_provider_cio_cohort.overview.model import Dag, Quota, Report, Run
from airflow_provider_cio_cohort.overview.queries import Reference
from airflow_provider_cio_cohort.overview.reading import split_asset

#: The length of the month in :func:`.exports_a_month`.
_MONTH = timedelta(days=31)
_PRESETS = {"@hourly": "hourly", "@daily": "daily", "@weekly": "weekly", "@monthly": "monthly"}


@dataclass(frozen=True)
class Scheduled:
    """
    A DAG that uses exports.

    :param exports: the number of exports of a run, by connection.
    :param runs: its runs, newest first.
    """

    dag: Dag
    exports: Mapping[str, int]
    runs: Sequence[Run]


def exports_a_run(outlets: Iterable[Reference], inlets: Iterable[Reference]) -> dict[str, Counter[str]]:
    """
    Return the number of exports of a run of each DAG, by connection.

    :param outlets: tasks with a cohort as outlet: those that export it for other tasks.
    :param inlets: tasks with a cohort as inlet; they export it themselves if no other task of the DAG does.
    """
    found: dict[str, Counter[str]] = {}
    for references, unless in ((outlets, set()), (inlets, found)):
        shared = set(unless)
        for one in references:
            if one.dag_id not in shared:
                found.setdefault(one.dag_id, Counter())[split_asset(one.uri)[0]] += 1
    return found


def quotas(
    scheduled: Sequence[Scheduled], said: Mapping[str, Sequence[Report]], now: datetime
) -> tuple[Quota, ...]:
    """
    Return the quota of every Amplitude connection that a DAG uses.

    :param scheduled: the DAGs.
    :param said: the reports of each connection, in any order.
    :param now: the current time.
    """
    conn_ids = {conn_id for one in scheduled for conn_id in one.exports}
    return tuple(_quota(conn_id, scheduled, said.get(conn_id, ()), now) for conn_id in sorted(conn_ids))


def _quota(conn_id: str, scheduled: Sequence[Scheduled], said: Sequence[Report], now: datetime) -> Quota:
    newest_first = sorted(said, key=lambda one: one.told_at, reverse=True)
    limit = next((one.exports_limit for one in newest_first if one.exports_limit is not None), None)
    seen = told_last(said, now)
    since = seen.told_at if seen else start_of_month(now)
    unreported = sum(one.is_unreported and one.at >= since for one in said)
    ends = (seen and reset_of(seen)) or _next_month(now)
    costs = [_cost(one, now, ends) for one in scheduled if conn_id in one.exports]
    counts = [one.exports[conn_id] for one in scheduled if conn_id in one.exports]
    return Quota(
        conn_id=conn_id,
        used=(seen.exports_used or 0 if seen else 0) + unreported if seen or unreported else None,
        limit=AMPLITUDE_GRANTS if limit is None else limit,
        assumed=limit is None,
        seen=seen.told_at if seen else None,
        ends=ends,
        to_come=math.ceil(sum(cost * count for cost, count in zip(costs, counts, strict=True) if cost)),
        uncounted=costs.count(None),
        unreported=unreported,
    )


def decisive(said: Iterable[Report]) -> list[Report]:
    """
    Return those of a sync's reports that may decide a quota: the last with a count, and with a limit.

    :param said: the reports, in any order.
    """
    used = limit = None
    for one in said:
        told_at = one.exports_at or one.at
        if one.exports_used is not None and (used is None or told_at > used.told_at):
            used = one
        if one.exports_limit is not None and (limit is None or told_at > limit.told_at):
            limit = one
    return [one for one in (used, limit if limit is not used else None) if one is not None]


def told_last(said: Sequence[Report], now: datetime) -> Report | None:
    """
    Return the report of what Amplitude last said about the month; ``None`` if it has said nothing this month.

    :param said: the reports of a connection, in any order.
    :param now: the current time.
    """
    counted = (one for one in said if one.exports_used is not None)
    last = max(counted, key=lambda one: one.told_at, default=None)
    return last if last is not None and _is_of_this_month(last, now) else None


def _cost(one: Scheduled, now: datetime, ends: datetime) -> float | None:
    """Return how many runs a DAG will still have until a time, ``None`` if that is unknown."""
    dag = one.dag
    if dag.paused or dag.schedule is None:
        return 0
    if dag.next_run is None:  # a schedule that has ended, or one that is not time-based
        return None if dag.schedule.startswith(("Asset", "@continuous")) else 0
    if dag.next_run >= ends:
        return 0
    rest = max(ends - max(now, dag.next_run), timedelta(0))
    if dag.schedule == "@once":
        return 1
    a_month = _runs_a_month(dag.schedule)
    apart = distance(dag, one.runs)
    if a_month is None and apart is None:
        return None
    return max(1.0, rest / _MONTH * a_month if a_month is not None else rest / (apart or _MONTH))


def _runs_a_month(schedule: str) -> int | None:
    try:
        return exports_a_month(_PRESETS.get(schedule, schedule))
    except Exception:  # the summary of a timetable may be any text
        return None


def reset_of(report: Report) -> datetime | None:
    """
    Return when the count of a month's exports is reset; ``None`` if the report has no valid time.

    :param report: a report with the quota.
    """
    try:
        moment = datetime.fromisoformat(report.exports_reset or "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if timedelta(0) < moment - report.told_at <= timedelta(days=32) else None


def _is_of_this_month(report: Report, now: datetime) -> bool:
    reset = reset_of(report)
    return now < reset if reset else report.told_at >= start_of_month(now)


def start_of_month(moment: datetime) -> datetime:
    """Return the start of a month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next_month(moment: datetime) -> datetime:
    return start_of_month(start_of_month(moment) + timedelta(days=32))
