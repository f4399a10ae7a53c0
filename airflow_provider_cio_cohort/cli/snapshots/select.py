"""The snapshots of the syncs that a command is about."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.cli.runtime import NO, WRONG_USAGE, CommandError
from airflow_provider_cio_cohort.cli.select import Found, find, render
from airflow_provider_cio_cohort.cli.vendors import Vendors
from airflow_provider_cio_cohort.exceptions import (
    ConfigurationError,
    GuardTrippedError,
    KeysNotProvenError,
    MappingError,
    SegmentConflictError,
    SnapshotDamagedError,
    SnapshotMismatchError,
    SnapshotMissingError,
    WorkspaceMismatchError,
)
from airflow_provider_cio_cohort.snapshots.layout import SNAPSHOTS, Entry, Kind, Manifest
from airflow_provider_cio_cohort.snapshots.run import RunSnapshots
from airflow_provider_cio_cohort.sync.parameters import TaskParameters
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

#: Errors that a run would end with as well.
_ANSWERS = (
    SnapshotMismatchError,
    GuardTrippedError,
    KeysNotProvenError,
    MappingError,
    SegmentConflictError,
    SnapshotDamagedError,
    SnapshotMissingError,
    WorkspaceMismatchError,
)


@dataclass(frozen=True)
class Kept:
    """
    The snapshots of one segment.

    :param found: the task that keeps them.
    :param task: the task, rendered as a dry run.
    :param parameters: the parameters of the task.
    :param snapshots: the snapshots.
    :param vendors: the workspaces that the command uses.
    """

    found: Found
    task: AmplitudeCohortToCustomerIOOperator
    parameters: TaskParameters
    snapshots: RunSnapshots
    vendors: Vendors

    @property
    def names(self) -> dict[str, Any]:
        """The columns that identify the segment."""
        return {"sync": self.found.sync, "target": self.found.target}

    @property
    def label(self) -> str:
        """The name for messages."""
        return ", ".join(part for part in (self.found.sync, self.found.target) if part)

    @property
    def workspace_id(self) -> int | None:
        """The workspace of the sync's connection: other Airflows may have snapshots of other ones."""
        return self.vendors.customer_io(self.parameters.customer_io_conn_id).workspace_id

    def own(self) -> list[Entry]:
        """Return the snapshots of the workspace, oldest first; asks Customer.io only if there are any."""
        store = self.snapshots.store
        is_empty = not any(entry.is_whole for entry in store.entries())
        return [] if is_empty else store.snapshots(self.workspace_id)

    def choose(self, moment: str | None) -> tuple[Entry, Manifest]:
        """
        Return the wanted snapshot.

        :param moment: the option's text; ``None`` for the newest of all.
        :raises SnapshotMissingError: if there is none.
        """
        if moment is not None:
            return self.snapshots.choose(moment, self.workspace_id)
        store = self.snapshots.store
        newest = self.own()[-1:]
        if not newest:
            of = "" if store.kind is SNAPSHOTS else f" of {store.kind.noun}"
            raise SnapshotMissingError(f"{self.label} has no snapshot{of} yet.\nA successful run keeps one.")
        manifest = store.manifest(newest[0])
        manifest.check(store.subject, self.workspace_id)
        return newest[0], manifest


def find_all(args: Namespace, kind: Kind = SNAPSHOTS) -> list[Kept]:
    """
    Return the snapshots of all syncs that a command is about.

    :param args: the arguments.
    :param kind: of the kept files, if it is about others.
    :raises CommandError: if none of them keeps any.
    """
    there = find(args.what, args.sync)
    found = [one for one in there if args.target in (None, one.target)]
    if not found:
        targets = ", ".join(sorted({one.target for one in there if one.target}))
        others = f"the targets are {targets}" if targets else "none of these syncs has targets"
        raise CommandError(f"There is no target {args.target!r}; {others}.", WRONG_USAGE)
    vendors = Vendors()
    kept = [one for each in found if (one := _kept(each, vendors, kind)) is not None]
    if not kept:
        problems = [one.problem for one in found if one.problem]
        raise CommandError(
            " ".join(problems) or f"None of these syncs keeps {kind.noun}: {kind.parameter} is not set.", NO
        )
    return kept


def find_one(args: Namespace, kind: Kind = SNAPSHOTS) -> Kept:
    """
    Return the snapshots of the one segment that a command is about.

    :param args: the arguments.
    :param kind: of the kept files, if it is about others.
    :raises CommandError: if there are several.
    """
    kept = find_all(args, kind)
    if len(kept) > 1:
        labels = "; ".join(one.label for one in kept)
        raise CommandError(f"Choose one with --sync or --target: {labels}.", WRONG_USAGE)
    return kept[0]


@contextmanager
def refusing() -> Iterator[None]:
    """Turn the errors that a run would end with into exit code 1."""
    try:
        yield
    except _ANSWERS as error:
        raise CommandError(str(error), NO) from None
    except ConfigurationError as error:
        raise CommandError(str(error), WRONG_USAGE) from None


def _kept(found: Found, vendors: Vendors, kind: Kind) -> Kept | None:
    task = found.task
    if task is None:
        return None
    render(found, task)
    parameters = task.parameters
    find = task.snapshots if kind is SNAPSHOTS else task.unmatched
    snapshots = find(parameters, {"dag": found.dag})
    return None if snapshots is None else Kept(found, task, parameters, snapshots, vendors)
