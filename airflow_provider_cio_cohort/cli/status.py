"""``status``: shows the status of every sync from what Airflow has stored; calls no vendor API."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from airflow_provider_cio_cohort.alerts.message import link_to
from airflow_provider_cio_cohort.cli.database import database
from airflow_provider_cio_cohort.cli.output import named, show
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, WRONG_USAGE, CommandError, command
from airflow_provider_cio_cohort.overview import Attention, Kind, Overview, Run, Sync, load_overview

#: The kinds that make the exit code 1; the others need attention, but are not failures.
_WRONG = (
    *(Kind.BROKEN_FILE, Kind.MISSING, Kind.UNWATCHED),
    *(Kind.CONFIG_ERROR, Kind.FAILED, Kind.OVERDUE, Kind.NO_POOL),
)
_TIMES = ("last_run", "last_success", "next_run")


@command
def status(args: Namespace) -> int:
    """Show the status of every sync."""
    with database() as session:
        overview = load_overview(session)
    wanted = [
        sync for sync in overview.syncs if not args.names or {sync.name, sync.dag.dag_id} & {*args.names}
    ]
    known = {name for sync in overview.syncs for name in (sync.name, sync.dag.dag_id)}
    if unknown := [name for name in args.names if name not in known]:
        raise CommandError(
            f"Airflow has no sync {unknown[0]!r}. Run airflow cohort-sync status without a name to list "
            "all; a new sync appears once Airflow has parsed its file.",
            WRONG_USAGE,
        )
    concerns = [one for one in overview.attention if _concerns(one, wanted, every=not args.names)]
    rows = [_row(sync, overview) for sync in wanted]
    table = [_short(sync, row) for sync, row in zip(wanted, rows, strict=True)]
    show(rows, args.output, table, [f"{_subject(one)}{one.text}{_after(one)}" for one in concerns])
    return NO if any(one.kind in _WRONG for one in concerns) else FINE


def _row(sync: Sync, overview: Overview) -> dict[str, Any]:
    last, good = sync.last_run, sync.last_good
    run = sync.failing
    failure = run.failure if run else None
    return {
        "sync": sync.name,
        "dag_id": sync.dag.dag_id,
        "task_id": sync.task_id,
        "cohort_id": sync.cohort_id,
        "cohort_name": sync.cohort_name,
        "cohort_url": sync.cohort_url,
        "segment_id": sync.segment_id,
        "segment_name": sync.segment_name,
        "segment_url": sync.segment_url,
        "state": str(sync.state),
        "paused": sync.dag.paused,
        "last_run": _time(last.started or last.due) if last else None,
        "last_success": _time(good.at) if good else None,
        "size": good.size if good else None,
        "match_rate": good.match_rate if good else None,
        "unmatched": good.unmatched if good else None,
        "next_run": _time(sync.dag.runs_next),
        "timezone": sync.dag.timezone,
        "reason": failure.reason if failure else None,
        "error": failure.error if failure else None,
        "failed_at": _time(failure.at) if failure else None,
        "segment": failure.segment if failure else None,
        "log": _log(sync, run) if run else None,
        "needs_attention": [one.text for one in overview.attention if one.sync is sync],
    }


def _concerns(one: Attention, wanted: Sequence[Sync], *, every: bool) -> bool:
    """Return whether something is about the wanted syncs: a file may be that of others."""
    if one.sync is None:
        return every or one.file is None
    return one.sync in wanted


def _subject(one: Attention) -> str:
    return "" if one.quota is not None else f"{one.subject}: "


def _after(one: Attention) -> str:
    """Return what is known of a failure besides its reason: its time, what became of the segment, the log."""
    run = one.sync.last_failed if one.sync is not None and one.kind is Kind.FAILED else None
    if one.sync is None or run is None:
        return ""
    failure = run.failure
    segment = f" {failure.segment}" if failure and failure.segment else ""
    at = failure.at if failure else run.ended or run.due
    return f"{segment} Failed at {_local(at, one.sync)} {one.sync.dag.timezone}; log: {_log(one.sync, run)}"


def _log(sync: Sync, run: Run) -> str:
    """Return the address of the log of the task that failed."""
    failure = run.failure
    address = link_to(sync.dag.dag_id, run.run_id, failure.task_id if failure else sync.task_id)
    index = failure.map_index if failure else run.map_index
    return address if index is None or index < 0 else f"{address}/mapped/{index}"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _local(moment: datetime | None, sync: Sync) -> str | None:
    return None if moment is None else f"{moment.astimezone(ZoneInfo(sync.dag.timezone)):%Y-%m-%d %H:%M}"


def _short(sync: Sync, row: dict[str, Any]) -> dict[str, Any]:
    """Return a sync's row of the table, with times in its timezone."""
    last, good = sync.last_run, sync.last_good
    times = (last.started or last.due if last else None, good.at if good else None, sync.dag.runs_next)
    return {
        "sync": sync.name,
        "cohort": named(sync.cohort_name, sync.cohort_id),
        "segment": named(sync.segment_name, sync.segment_number),
        "state": row["state"],
        **{name: _local(time, sync) for name, time in zip(_TIMES, times, strict=True)},
        "timezone": row["timezone"],
        "size": row["size"],
        "match_rate": None if row["match_rate"] is None else f"{row['match_rate']:.1%}",
        "unmatched": row["unmatched"],
    }
