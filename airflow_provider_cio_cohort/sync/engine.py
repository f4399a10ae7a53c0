"""One sync: reads source and destination, compares, guards, writes, verifies, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from airflow_provider_cio_cohort.exceptions import GuardTrippedError
from airflow_provider_cio_cohort.sync import guards, members
from airflow_provider_cio_cohort.sync.diff import Change, compare
from airflow_provider_cio_cohort.sync.identifiers import CohortIdentifiers, IdType
from airflow_provider_cio_cohort.sync.lines import read_values
from airflow_provider_cio_cohort.sync.lookup import Lookup, look_up
from airflow_provider_cio_cohort.sync.reading import MEMBERS_FILE
from airflow_provider_cio_cohort.sync.report import SyncReport, match_rate
from airflow_provider_cio_cohort.sync.store import SegmentStore, Target
from airflow_provider_cio_cohort.sync.verify import Outcome, Patience, Verification

log = logging.getLogger(__name__)

Mode = Literal["mirror", "add_only"]
MODES: tuple[Mode, ...] = ("mirror", "add_only")


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
    :param announced: members that Amplitude's list says the cohort has, if it does.
    :param previous: identifiers at the last good sync, if that is known.
    :param source: where the identifiers come from, for the report: ``cohort`` or ``snapshot``.
    :param snapshot_at: the moment of the snapshot, if it is one.
    """

    cohort_id: str
    id_type: IdType = "id"
    mode: Mode = "mirror"
    dry_run: bool = False
    limits: guards.Limits = field(default_factory=guards.Limits)
    patience: Patience = field(default_factory=Patience)
    announced: int | None = None
    previous: int | None = None
    source: str = "cohort"
    snapshot_at: str | None = None


class SegmentSync:
    """
    Makes a segment equal to a cohort, or adds the cohort to it.

    :param store: Customer.io.
    :param target: the segment.
    :param options: how it is to be done.
    :param directory: a directory of this run; the identifiers live in it and nowhere else.
    :param sleep: how to wait, in seconds; it may return early when the task is killed.
    :param before_writing: called before the first write.
    """

    def __init__(
        self,
        store: SegmentStore,
        target: Target,
        options: Options,
        directory: Path,
        sleep: Callable[[float], object] = time.sleep,
        before_writing: Callable[[], object] = lambda: None,
    ) -> None:
        #: What somebody would have to decide: the guards that tripped, why, and the change.
        self.plan: dict[str, Any] = {}
        self.store = store
        self.sleep = sleep
        self.before_writing = before_writing
        self.target = target
        self.options = options
        self.directory = directory

    def run(self, cohort: CohortIdentifiers, before: int | None = None) -> SyncReport:
        """
        Sync, and return what was seen and done.

        :param cohort: the cohort's identifiers.
        :param before: the segment's members, if :class:`.SegmentReading` has read them into the directory.
        :raises GuardTrippedError: before the first write, if the change looks dangerous.
        :raises VerificationError: if the segment does not hold afterwards what it should.
        """
        options = self.options
        members_path = self.directory / MEMBERS_FILE
        if before is None:
            before = self._read_members(members_path)
        change = compare(
            cohort.path,
            members_path,
            self.directory / "change",
            id_type=options.id_type,
            remove=options.mode == "mirror",
        )
        members_path.unlink()
        log.info(
            "The cohort has %s identifiers, the segment %s members: %s to add, %s to remove.",
            f"{cohort.identifiers:,}",
            f"{before:,}",
            f"{change.to_add:,}",
            f"{change.to_remove:,}",
        )
        known = self._who_is_known(change)
        self._guard(cohort, before, change, known)
        if options.dry_run or self.target.id is None:
            return self._report(cohort, before, change, _expected_of_dry_run(before, change, known))
        return self._report(cohort, before, change, self._apply(self.target.id, cohort, before, change))

    def _read_members(self, path: Path) -> int:
        present: Iterable[members.MemberPage] = ()
        if self.target.id is not None:
            present = self.store.stream_member_pages(self.target.id)
        return members.collect(present, self.options.id_type, path)

    def _who_is_known(self, change: Change) -> Lookup | None:
        """Look up who of the people to add exists, where a guard or somebody who only looks asks for it."""
        if not self.options.dry_run and self.options.limits.min_match_rate is None:
            return None
        return look_up(self.store, change.add_path, change.to_add, self.options.id_type)

    def _guard(self, cohort: CohortIdentifiers, before: int, change: Change, known: Lookup | None) -> None:
        options, matched = self.options, None
        if known is not None:
            matched = cohort.identifiers - change.impossible - change.to_add + known.estimate
        seen = guards.Observation(
            cohort_rows=cohort.cohort_rows,
            identifiers=cohort.identifiers,
            segment_before=before,
            to_add=change.to_add,
            to_remove=change.to_remove,
            owned=self.target.owned,
            announced=options.announced,
            previous=options.previous,
            matched=matched,
        )
        trips = guards.check(seen, options.limits)
        self.plan = {
            "guards": [trip.guard for trip in trips],
            "reasons": [trip.reason for trip in trips],
            "to_add": change.to_add,
            "to_remove": change.to_remove,
        }
        if not trips:
            return
        reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in trips)
        where = f"segment {self.target.name!r} ({self.target.id})"
        if options.dry_run:
            log.warning("Without dry_run, %s would be left alone: %s.", where, reasons)
            return
        names = [trip.guard for trip in trips]
        more = f" (and {', '.join(names[1:])})" if names[1:] else ""
        raise GuardTrippedError(
            f"Guard {names[0]}{more} stopped the change of {where}: {trips[0].short}.\n{reasons}. "
            "Look at both ends; if the change is right, start a run by hand and set the field in its form.",
            names,
        )

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
        self.before_writing()
        # Adds come first, so that nobody who is in both is ever outside the segment in between.
        added = read_values(change.add_path)
        self.store.add_members(segment_id, added, self.options.id_type, change.to_add)
        verification.remove(change.remove_path, attempt=0, total=change.to_remove)
        return verification.read_back()

    def _report(self, cohort: CohortIdentifiers, before: int, change: Change, outcome: Outcome) -> SyncReport:
        return SyncReport(
            cohort_id=self.options.cohort_id,
            segment_id=self.target.id,
            segment_name=self.target.name,
            mode=self.options.mode,
            source=self.options.source,
            snapshot_at=self.options.snapshot_at,
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


def _expected_of_dry_run(before: int, change: Change, known: Lookup | None) -> Outcome:
    # An estimate is good enough for a guard, but a report holds what is known.
    unmatched = None
    if known is not None and known.is_exact:
        unmatched = change.impossible + change.to_add - known.people
    return Outcome(segment_after=before, added=0, removed=0, unmatched=unmatched)
