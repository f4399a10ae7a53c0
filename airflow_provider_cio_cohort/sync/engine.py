"""One sync: reads source and destination, compares, guards, writes, verifies, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from airflow_provider_cio_cohort.exceptions import GuardTrippedError
from airflow_provider_cio_cohort.sync import guards, identifiers, members
from airflow_provider_cio_cohort.sync.diff import Change, compare
from airflow_provider_cio_cohort.sync.identifiers import CohortIdentifiers, IdType
from airflow_provider_cio_cohort.sync.lines import read_lines, unescape
from airflow_provider_cio_cohort.sync.report import SyncReport, match_rate
from airflow_provider_cio_cohort.sync.verify import Outcome, Patience, Verification

log = logging.getLogger(__name__)

Mode = Literal["mirror", "add_only"]
MODES: tuple[Mode, ...] = ("mirror", "add_only")


class SegmentStore(Protocol):
    """What the engine needs from Customer.io; :class:`.CustomerIOHook` is one."""

    def stream_members(self, segment_id: int) -> Iterator[members.Member]:
        """Yield everybody in the segment."""

    def count_members(self, segment_id: int) -> int:
        """Return how many people are in the segment."""

    def add_members(self, segment_id: int, values: Iterable[str], id_type: IdType) -> int:
        """Add people; unknown ones are ignored. Return how many identifiers were sent."""

    def remove_members(self, segment_id: int, values: Iterable[str], id_type: IdType) -> int:
        """Remove people; non-members are ignored. Return how many identifiers were sent."""


@dataclass(frozen=True)
class Target:
    """
    The segment that a run fills.

    :param id: its id; ``None`` when a dry run found no such segment.
    :param name: its name.
    :param owned: whether it says that a sync made it for this cohort.
    """

    id: int | None
    name: str
    owned: bool


@dataclass(frozen=True)
class Options:
    """
    How a run is to be done.

    :param cohort_id: the Amplitude cohort, for the report.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param mode: ``mirror`` makes the segment equal to the cohort, ``add_only`` removes nobody.
    :param dry_run: look, but write nothing.
    :param limits: what the guards allow.
    :param patience: how long a write may take to show in a read.
    """

    cohort_id: str
    id_type: IdType = "id"
    mode: Mode = "mirror"
    dry_run: bool = False
    limits: guards.Limits = field(default_factory=guards.Limits)
    patience: Patience = field(default_factory=Patience)


class SegmentSync:
    """
    Makes a segment equal to a cohort, or adds the cohort to it.

    :param store: Customer.io.
    :param target: the segment.
    :param options: how it is to be done.
    :param directory: an empty directory of this run; the identifiers live in it and nowhere else.
    :param sleep: how to wait, in seconds; it may return early when the task is killed.
    """

    def __init__(
        self,
        store: SegmentStore,
        target: Target,
        options: Options,
        directory: Path,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.store = store
        self.sleep = sleep
        self.target = target
        self.options = options
        self.directory = directory

    def run(self, values: Iterable[str]) -> SyncReport:
        """
        Sync, and return what was seen and done.

        :param values: the mapped property of every row of the cohort; empty where a member has none.
        :raises GuardTrippedError: before the first write, if the change looks dangerous.
        :raises VerificationError: if the segment does not hold afterwards what it should.
        """
        options = self.options
        cohort = identifiers.collect(values, options.id_type, self.directory / "cohort")
        members_path = self.directory / "members"
        present: Iterable[members.Member] = ()
        if self.target.id is not None:
            present = self.store.stream_members(self.target.id)
        before = members.collect(present, options.id_type, members_path)
        change = compare(
            cohort.path,
            members_path,
            self.directory / "change",
            id_type=options.id_type,
            remove=options.mode == "mirror",
        )
        log.info(
            "The cohort has %s identifiers, the segment %s members: %s to add, %s to remove.",
            f"{cohort.identifiers:,}",
            f"{before:,}",
            f"{change.to_add:,}",
            f"{change.to_remove:,}",
        )
        self._guard(cohort, before, change)
        if options.dry_run or self.target.id is None:
            return self._report(cohort, before, change, _expected_of_dry_run(before, change))
        return self._report(cohort, before, change, self._apply(self.target.id, cohort, before, change))

    def _guard(self, cohort: CohortIdentifiers, before: int, change: Change) -> None:
        seen = guards.Observation(
            cohort_rows=cohort.cohort_rows,
            identifiers=cohort.identifiers,
            segment_before=before,
            to_remove=change.to_remove,
            owned=self.target.owned,
        )
        trips = guards.check(seen, self.options.limits)
        if not trips:
            return
        reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in trips)
        where = f"segment {self.target.name!r} ({self.target.id})"
        if self.options.dry_run:
            log.warning("Without dry_run, %s would be left alone: %s.", where, reasons)
            return
        raise GuardTrippedError(f"Nothing was written to {where}: {reasons}.", [trip.guard for trip in trips])

    def _apply(self, segment_id: int, cohort: CohortIdentifiers, before: int, change: Change) -> Outcome:
        verification = Verification(
            store=self.store,
            segment_id=segment_id,
            id_type=self.options.id_type,
            mirror=self.options.mode == "mirror",
            cohort_path=cohort.path,
            change=change,
            before=before,
            directory=self.directory,
            patience=self.options.patience,
            sleep=self.sleep,
        )
        if not change.to_add and not change.to_remove:
            return verification.nothing_written()
        # Adds come first, so that nobody who is in both is ever outside the segment in between.
        added = map(unescape, read_lines(change.add_path))
        self.store.add_members(segment_id, added, self.options.id_type)
        verification.remove(change.remove_path, attempt=0)
        return verification.read_back()

    def _report(self, cohort: CohortIdentifiers, before: int, change: Change, outcome: Outcome) -> SyncReport:
        return SyncReport(
            cohort_id=self.options.cohort_id,
            segment_id=self.target.id,
            segment_name=self.target.name,
            mode=self.options.mode,
            dry_run=self.options.dry_run,
            cohort_rows=cohort.cohort_rows,
            without_identifier=cohort.without_identifier,
            duplicates=cohort.duplicates,
            identifiers=cohort.identifiers,
            segment_before=before,
            to_add=change.to_add,
            to_remove=change.to_remove,
            added=outcome.added,
            removed=outcome.removed,
            segment_after=outcome.segment_after,
            unmatched=outcome.unmatched,
            match_rate=match_rate(cohort.identifiers, outcome.unmatched),
        )


def _expected_of_dry_run(before: int, change: Change) -> Outcome:
    # Only a write tells who of the people to add exists: Customer.io ignores unknown ones without a word.
    unmatched = None if change.to_add else change.impossible
    return Outcome(segment_after=before, added=0, removed=0, unmatched=unmatched)
