"""``snapshot restore``: restores a segment with the code of a run, in this process."""

from __future__ import annotations

import signal
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.plan import may_stay, sync_of
from airflow_provider_cio_cohort.cli.runtime import (
    FINE,
    INTERRUPTED,
    NO,
    WRONG_USAGE,
    CommandError,
    agrees,
    check_can_ask,
    command,
    say,
)
from airflow_provider_cio_cohort.cli.snapshots.active_runs import Watch
from airflow_provider_cio_cohort.cli.snapshots.select import Kept, find_one, refusing
from airflow_provider_cio_cohort.compatibility import HAS_STATE_STORES
from airflow_provider_cio_cohort.exceptions import GuardTrippedError
from airflow_provider_cio_cohort.snapshots.store import some_moments
from airflow_provider_cio_cohort.state import WriteMarker
from airflow_provider_cio_cohort.sync.run import CohortSync

_FLAGS = (
    "allow_large_removal",
    "allow_large_addition",
    "allow_empty_cohort",
    "allow_low_match",
    "allow_lost_tracking",
    "allow_no_match",
    "adopt_segment",
)
_CHANGED = "changed_plan"
_CHANGED_REASON = (
    "Nothing was written: the segment or the snapshots have changed since the plan was shown, so the "
    "plan no longer applies. Run the command again to see the new plan."
)
_COLUMNS = ("sync", "status", "snapshot_at", "segment_before", "to_add", "to_remove", "segment_after")


@command
def restore(args: Namespace) -> int:
    """
    Show what the restore would change, ask, and apply exactly this change.

    :param args: the arguments.
    """
    kept = find_one(args)
    _check_usage(kept, args)
    watch = Watch(kept.found.dag.dag_id, kept.found.task_id)
    watch.begin()
    _check_memory(kept, watch)
    _prepare(kept, args)
    with refusing():
        report, plan = _run(kept, watch, _WatchedMarker(watch), dry_run=True)
    removes = f"removes {report['to_remove']:,}{may_stay(report['not_removable'])}"
    change = f"adds up to {report['to_add']:,} people and {removes}"
    say(
        f"{kept.label}: going back to {report['snapshot_at']} {change}; the segment "
        f"{report['segment_name']!r} has {report['segment_before']:,} members now."
    )
    status = "refused" if plan["guards"] else "planned"
    if status == "planned" and not args.dry_run:
        if not args.yes and not agrees("Restore the segment?"):
            status = "declined"
        else:
            watch.go_on()
            status, report, plan = _write(kept, watch, report, plan)
    _show(kept, status, report, plan, args.output)
    if status == "restored":
        say("The next run syncs the cohort again: correct the cohort, or pause the DAG.")
    return FINE if status in ("planned", "restored") else NO


def _check_usage(kept: Kept, args: Namespace) -> None:
    if args.at is None:
        with refusing():
            found = kept.own()
        there = f"There are snapshots of {some_moments(found)}." if found else "There is no snapshot yet."
        raise CommandError(f"Pass --at: the moment to restore. {there}", WRONG_USAGE)
    if not args.dry_run:
        check_can_ask(args)


def _check_memory(kept: Kept, watch: Watch) -> None:
    """Refuse to write if a later run could treat the segment as unchanged."""
    if kept.task.skip_unchanged and HAS_STATE_STORES and not watch.can_see:
        raise CommandError(
            f"{kept.label} has skip_unchanged, and without Airflow's database its next runs could treat the "
            "restored segment as unchanged. Run the command where the scheduler runs.",
            NO,
        )


def _prepare(kept: Kept, args: Namespace) -> None:
    task: Any = kept.task
    task.source, task.snapshot_at = "snapshot", args.at
    for flag in _FLAGS:
        if getattr(args, flag):
            setattr(task, flag, True)


class _WatchedMarker(WriteMarker):
    """Checks again, right before the first write, whether a run of the sync has become active."""

    def __init__(self, watch: Watch) -> None:
        super().__init__({})
        self._watch = watch
        self.has_begun = False

    def note(self) -> None:
        if not self.has_begun:
            self._watch.go_on()
        self.has_begun = True
        super().note()


def _run(
    kept: Kept, watch: Watch, marker: _WatchedMarker, *, dry_run: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    task: Any = kept.task
    task.dry_run = dry_run
    with marker.told():
        sync = sync_of(
            kept.found,
            task,
            None,
            remembers=watch.can_see,
            writes=not dry_run,
            before_writing=marker.note,
        )
        with _stopped_by_ctrl_c(sync):
            report = sync.restore()
    return report.to_dict(), sync.plan


@contextmanager
def _stopped_by_ctrl_c(sync: CohortSync) -> Iterator[None]:
    """
    Make Ctrl-C stop all requests at once.

    The exception alone would wait for the sending threads, which would send everything first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    interrupted = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        sync.stop()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except Exception:
        if interrupted:  # the interrupted step may raise an error of its own
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _write(
    kept: Kept, watch: Watch, report: dict[str, Any], plan: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Write exactly the change that was shown; return the status, the report and the plan to show."""
    task: Any = kept.task
    task.approved_plan = {**plan, "strict": True}
    marker = _WatchedMarker(watch)
    try:
        with refusing():
            try:
                return "restored", _run(kept, watch, marker, dry_run=False)[0], plan
            except GuardTrippedError as error:
                if _CHANGED not in error.trips:
                    raise
                say(_CHANGED_REASON)
                return "refused", report, {**plan, "guards": [_CHANGED]}
    except KeyboardInterrupt:
        consequence = (
            "People may have been added or removed already; run the same command again to complete it."
            if marker.has_begun
            else "Nothing was written."
        )
        raise CommandError(f"\nInterrupted. {consequence}", INTERRUPTED) from None


def _show(kept: Kept, status: str, report: dict[str, Any], plan: dict[str, Any], output: str) -> None:
    row = {**kept.names, "status": status, **report, "guards": plan["guards"]}
    reasons = [
        f"Nothing was written: [{guard}] {why}."
        for guard, why in zip(plan["guards"], plan["reasons"], strict=False)
    ]
    table = {column: row[column] for column in _COLUMNS}
    show([row], output, [table], reasons)
