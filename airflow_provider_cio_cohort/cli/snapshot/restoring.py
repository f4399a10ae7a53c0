"""``snapshot restore``: puts a segment back to what it was, by the code of a run, in this process."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from airflow_provider_cio_cohort.cli.memory import AssetStores, Xcoms
from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.running import (
    FINE,
    INTERRUPTED,
    NO,
    WRONG_USAGE,
    CommandError,
    command,
    say,
)
from airflow_provider_cio_cohort.cli.snapshot.finding import Kept, find_one, refusing
from airflow_provider_cio_cohort.cli.snapshot.under_way import check_nobody_writes
from airflow_provider_cio_cohort.snapshots.store import some_moments
from airflow_provider_cio_cohort.transfers.filling import PLAN_KEY
from airflow_provider_cio_cohort.transfers.touched import Touched

_FLAGS = ("allow_large_removal", "allow_empty_cohort", "allow_low_match", "adopt_segment")
_COLUMNS = ("sync", "status", "snapshot_at", "segment_before", "to_add", "to_remove", "segment_after")


@command
def restore(args: Namespace) -> int:
    """
    Show what going back would change, ask, and do it.

    :param args: the arguments.
    """
    kept = find_one(args)
    _check_usage(kept, args)
    check_nobody_writes(kept.found.dag.dag_id, kept.found.task_id)
    _prepare(kept, args)
    with refusing():
        report, plan = _run(kept, dry_run=True)
    change = f"adds up to {report['to_add']:,} people and removes {report['to_remove']:,}"
    say(
        f"{kept.label}: going back to {report['snapshot_at']} {change}; the segment "
        f"{report['segment_name']!r} has {report['segment_before']:,} members now."
    )
    status = "refused" if plan["guards"] else "planned"
    if status == "planned" and not args.dry_run:
        if not args.yes and not _agrees():
            status = "declined"
        else:
            report = _write(kept)
            status = "restored"
    _show(kept, status, report, plan, args.output)
    if status == "restored":
        say("The next run makes the segment equal to the cohort again: correct the cohort, or pause the DAG.")
    return FINE if status in ("planned", "restored") else NO


def _check_usage(kept: Kept, args: Namespace) -> None:
    if args.at is None:
        with refusing():
            found = kept.snapshots.store.snapshots()
        there = f"There are snapshots of {some_moments(found)}." if found else "There is no snapshot yet."
        raise CommandError(f"Say of when with --at. {there}", WRONG_USAGE)
    if not (args.yes or args.dry_run or sys.stdin.isatty()):
        raise CommandError("Nobody can be asked, because this is no terminal: give --yes.", WRONG_USAGE)


def _prepare(kept: Kept, args: Namespace) -> None:
    task: Any = kept.task
    task.source, task.snapshot_at = "snapshot", args.at
    for flag in _FLAGS:
        if getattr(args, flag):
            setattr(task, flag, True)


def _run(kept: Kept, *, dry_run: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    task: Any = kept.task
    task.dry_run = dry_run
    xcoms = Xcoms()
    context: Any = {"ti": xcoms, "dag": kept.found.dag, "asset_state_store": AssetStores(writes=not dry_run)}
    task.touched = Touched(context)
    with task.touched.told():
        report = task.start(context)
    return report, xcoms.pushed.get(PLAN_KEY, {})


def _write(kept: Kept) -> dict[str, Any]:
    try:
        with refusing():
            return _run(kept, dry_run=False)[0]
    except KeyboardInterrupt:
        kept.task.on_kill()
        raise CommandError(
            "\nInterrupted. People may have been added or removed already; the same command completes it.",
            INTERRUPTED,
        ) from None


def _agrees() -> bool:
    sys.stderr.write("Put it back? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(kept: Kept, status: str, report: dict[str, Any], plan: dict[str, Any], output: str) -> None:
    row = {**kept.names, "status": status, **report, "guards": plan["guards"]}
    reasons = [
        f"Nothing was written: [{guard}] {why}."
        for guard, why in zip(plan["guards"], plan["reasons"], strict=True)
    ]
    table = {column: row[column] for column in _COLUMNS}
    show([row], output, [table], reasons)
