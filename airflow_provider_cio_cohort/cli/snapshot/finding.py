"""The snapshots of the syncs that a command is about."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.cli.finding import Found, find, render
from airflow_provider_cio_cohort.cli.running import NO, WRONG_USAGE, CommandError
from airflow_provider_cio_cohort.exceptions import (
    ConfigurationError,
    ForeignSnapshotError,
    GuardTrippedError,
    SnapshotDamagedError,
    SnapshotMissingError,
)
from airflow_provider_cio_cohort.snapshots.entry import Entry
from airflow_provider_cio_cohort.snapshots.manifest import Manifest
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.transfers.rendered import RunParameters, rendered
from airflow_provider_cio_cohort.transfers.snapshotting import RunSnapshots, snapshots_of


@dataclass(frozen=True)
class Kept:
    """
    The snapshots of one segment.

    :param found: the task that keeps them.
    :param task: the same, rendered as a dry run.
    :param run: its parameters.
    :param snapshots: them.
    """

    found: Found
    task: AmplitudeCohortToCustomerIOOperator
    run: RunParameters
    snapshots: RunSnapshots

    @property
    def names(self) -> dict[str, Any]:
        """What tells its rows from those of others."""
        return {"sync": self.found.sync, "target": self.found.target}

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return ", ".join(part for part in (self.found.sync, self.found.target) if part)

    def choose(self, moment: str | None) -> tuple[Entry, Manifest]:
        """
        Return the snapshot that was asked for.

        :param moment: as it was written; ``None`` for the newest of all.
        :raises SnapshotMissingError: if there is none.
        """
        if moment is not None:
            return self.snapshots.choose(moment, None)
        store = self.snapshots.store
        newest = store.snapshots()[-1:]
        if not newest:
            raise SnapshotMissingError(f"{self.label} has no snapshot yet.\nA run that goes well keeps one.")
        manifest = store.manifest(newest[0])
        manifest.check(store.subject, None)
        return newest[0], manifest


def find_all(args: Namespace) -> list[Kept]:
    """
    Return the snapshots of all syncs that a command is about.

    :param args: the arguments.
    :raises CommandError: if none of them keeps any.
    """
    there = find(args.what, args.sync)
    found = [one for one in there if args.target in (None, one.target)]
    if not found:
        targets = ", ".join(sorted({one.target for one in there if one.target}))
        others = f"there are {targets}" if targets else "nothing there has targets"
        raise CommandError(f"There is no target {args.target!r}; {others}.", WRONG_USAGE)
    kept = [one for one in map(_kept, found) if one is not None]
    if not kept:
        problems = [one.problem for one in found if one.problem]
        raise CommandError(
            " ".join(problems) or "Nothing keeps snapshots there: there is no snapshot_path.", NO
        )
    return kept


def find_one(args: Namespace) -> Kept:
    """
    Return the snapshots of the one segment that a command is about.

    :param args: the arguments.
    :raises CommandError: if there are several.
    """
    kept = find_all(args)
    if len(kept) > 1:
        labels = "; ".join(one.label for one in kept)
        raise CommandError(f"Choose one with --sync or --target: {labels}.", WRONG_USAGE)
    return kept[0]


@contextmanager
def refusing() -> Iterator[None]:
    """Let what a run would refuse be the answer no."""
    try:
        yield
    except (ForeignSnapshotError, GuardTrippedError, SnapshotDamagedError, SnapshotMissingError) as error:
        raise CommandError(str(error), NO) from None
    except ConfigurationError as error:
        raise CommandError(str(error), WRONG_USAGE) from None


def _kept(found: Found) -> Kept | None:
    task = found.task
    if task is None:
        return None
    render(found, task)
    run = rendered(task)
    snapshots = snapshots_of(task, {"dag": found.dag}, run)
    return None if snapshots is None else Kept(found, task, run, snapshots)
