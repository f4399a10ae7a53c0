"""One sync: reads source and destination, compares, guards, writes, verifies, reports."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.engine import guards
from airflow_provider_cio_cohort.engine.customer_io import (
    MOST_EXAMPLES,
    MOST_LOOKUPS,
    Lookup,
    SegmentStore,
    SegmentWriter,
    Target,
    find,
    look_for_one,
    look_up,
)
from airflow_provider_cio_cohort.engine.diff import (
    Change,
    Drift,
    LastMembers,
    compare,
    digest_of,
    drift,
    keep_unreadable,
    limited,
    only_tracked,
    present,
    without,
    without_removals,
    write_unmatched,
)
from airflow_provider_cio_cohort.engine.guards import (
    FLOOR,
    Mode,
    OnGuard,
    OnNotRemovable,
    Sides,
    check_mapping,
)
from airflow_provider_cio_cohort.engine.identifiers import (
    CohortIdentifiers,
    Identifier,
    IdType,
    Tally,
    looks_mistyped,
    mapping_in_words,
    may_be_too_long,
    normaliser,
)
from airflow_provider_cio_cohort.engine.members import MEMBERS_FILE, Members, Reader, collect
from airflow_provider_cio_cohort.engine.proof import Proof, Proven
from airflow_provider_cio_cohort.engine.report import Outcome, SyncReport, match_rate
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_blocks, read_values, write_blocks
from airflow_provider_cio_cohort.engine.verify import TRACKED_FILE, Verification, VerifyTimeouts, longest
from airflow_provider_cio_cohort.exceptions import GuardTrippedError, MappingError, NotRemovableError

log = logging.getLogger(__name__)

#: The file, in a run's directory, of those whom it has not matched; see :func:`.write_unmatched`.
UNMATCHED_FILE = "unmatched"


@dataclass(frozen=True)
class Options:
    """
    The options of a run.

    :param cohort_id: the Amplitude cohort, for the report.
    :param id_type: by which of Customer.io's identifiers cohort and segment are compared.
    :param mode: ``mirror`` makes the segment equal to the cohort, ``add_only`` removes nobody, ``tracked``
        removes only those whom the sync has added.
    :param dry_run: compare, but write nothing.
    :param limits: what the guards allow.
    :param verify_timeouts: how long a write may take to become visible in a read.
    :param announced: members that Amplitude's list says the cohort has, if it does.
    :param previous: identifiers at the last good sync, if that is known.
    :param source: where the identifiers come from, for the report: ``cohort`` or ``snapshot``.
    :param snapshot_at: the moment of the snapshot, if it is one.
    :param mapping: the Amplitude properties and the identifiers that they hold, in order of preference.
    :param of: what the change is between: cohort, segment, mapping, connections.
    :param digest_key: a secret that keys the digests of a plan.
    :param keys_proven: whether this pair of keys is known to lead to one workspace.
    :param on_not_removable: ``warn`` if people who cannot be removed are counted, ``fail`` if they are an
        error.
    :param not_removable_before: people who could not be removed at the last good sync.
    :param unmatched_before: identifiers that did not exist in Customer.io at the last good sync.
    :param unverified_writes: whether an earlier try has written to the segment and did not read it back.
    :param lag: seconds after which the slowest write of earlier runs was visible; ``None`` if unknown.
    :param cio_prefix: whether a ``cio_id`` is sent with its prefix; ``None`` if both spellings are tried.
    :param removes_without_id: whether Customer.io removes people without an ``id``; ``None`` if unknown.
    :param form: the parameters that the DAG's form sets for a run, for messages; ``None`` if unknown.
    :param on_guard: when only guards of removals trip: ``fail`` writes nothing, ``add_only`` adds people
        first.
    :param limit: add no more people than this, and remove nobody; ``None`` for everybody.
    :param cutoff: what an earlier try of a limited run has chosen them by; ``None`` for the first try.
    :param never_filled: whether no good sync of the segment is known.
    :param made_here: whether it is known that a sync has made the segment for this cohort.
    :param baseline: the segment at an earlier good sync, for the guard of its growth.
    :param last: the segment after the last good sync, if nothing but others has written to it since.
    :param keep_unmatched: whether the run leaves a file of those whom it has not matched.
    :param tracked: sorted identifiers of those whom the sync has added; ``None`` if it removes others, too.
    :param tracking_problem: why it is unknown who they are; empty if it is known.
    """

    cohort_id: str
    id_type: IdType = "id"
    mode: Mode = "mirror"
    dry_run: bool = False
    limits: guards.Limits = field(default_factory=guards.Limits)
    verify_timeouts: VerifyTimeouts = field(default_factory=VerifyTimeouts)
    announced: int | None = None
    previous: int | None = None
    source: str = "cohort"
    snapshot_at: str | None = None
    mapping: Sequence[Identifier] = (Identifier("user_id", "id"),)
    of: Mapping[str, str] = field(default_factory=dict)
    digest_key: bytes = b""
    keys_proven: bool = True
    on_not_removable: OnNotRemovable = "warn"
    not_removable_before: int = 0
    unmatched_before: int = 0
    unverified_writes: bool = False
    lag: float | None = None
    cio_prefix: bool | None = None
    removes_without_id: bool | None = None
    form: Collection[str] | None = None
    on_guard: OnGuard = "fail"
    limit: int | None = None
    cutoff: int | None = None
    never_filled: bool = False
    made_here: bool = False
    baseline: guards.Baseline | None = None
    last: LastMembers | None = None
    keep_unmatched: bool = False
    tracked: Path | None = None
    tracking_problem: str = ""

    @property
    def fallbacks(self) -> bool:
        """Whether the people were found by several identifiers."""
        return len(self.mapping) > 1 and self.source == "cohort"

    @property
    def property_names(self) -> str:
        """The properties, for messages."""
        return ", ".join(identifier.property for identifier in self.mapping)

    @property
    def id_types(self) -> str:
        """The kinds of identifiers, for messages."""
        return " or ".join(dict.fromkeys(identifier.id_type for identifier in self.mapping))

    @property
    def setting(self) -> str:
        """The parameter that names the properties, for messages."""
        return "user_id_property" if len(self.mapping) == 1 else "properties"

    @property
    def settings(self) -> str:
        """The parameters that map the properties, for messages."""
        return (
            "user_id_property or id_type"
            if len(self.mapping) == 1
            else "a property or id_type in identifiers"
        )

    def counts(self, target: Target, members: int) -> guards.Counts:
        """
        Return what the guards look at, as far as it is known before cohort and segment are compared.

        :param target: the segment.
        :param members: its members.
        """
        is_made = target.owned and (self.made_here or not members)
        return guards.Counts(
            cohort_rows=0,
            identifiers=0,
            segment_before=members,
            to_add=0,
            to_remove=0,
            owned=target.owned,
            announced=self.announced,
            previous=self.previous,
            of=self.of,
            mapping=mapping_in_words(self.mapping),
            unmatched_before=self.unmatched_before,
            first_fill=is_made and self.never_filled,
            baseline=self.baseline,
            tracking_problem=self.tracking_problem,
        )


class SegmentSync:
    """
    Makes a segment equal to a cohort, or adds the cohort to it.

    :param store: Customer.io.
    :param target: the segment.
    :param options: the options of the run.
    :param directory: a directory of this run; the identifiers live in it and nowhere else.
    :param sleep: how to wait, in seconds; it may return early when the task is stopped.
    :param before_writing: called before the first write.
    :param on_proven: called when a write through Track has become visible in a read through App.
    """

    def __init__(
        self,
        store: SegmentStore,
        target: Target,
        options: Options,
        directory: Path,
        sleep: Callable[[float], object] = time.sleep,
        before_writing: Callable[[], object] = lambda: None,
        on_proven: Callable[[], object] = lambda: None,
    ) -> None:
        #: What a person would have to approve: the guards that tripped, why, and the change; "joining" is how
        #: many of the identifiers to add are people in Customer.io, if that is known exactly.
        self.plan: dict[str, Any] = {}
        #: How many were not matched, by the reason, once their file is written.
        self.unmatched: dict[str, int] = {}
        #: People who join, as far as it is known, once the guards have looked at the change.
        self.joiners = 0
        #: The members whom the sync has added, as far as they are known; ``None`` if it removes others, too.
        self.tracked: int | None = None
        #: The file of those whom the run is about to add.
        self.adding: Path | None = None
        #: What the people of a limited run are chosen by.
        self.cutoff = options.cutoff
        #: Seconds after which the slowest write was visible, at most; ``None`` if that was not measured.
        self.visible_after: float | None = None
        self.store = store
        self.sleep = sleep
        self.before_writing = before_writing
        self.on_proven = on_proven
        self.target = target
        self.options = options
        self.directory = directory

    def run(
        self, cohort: CohortIdentifiers, before: Members | None = None, *, is_new: bool = False
    ) -> SyncReport:
        """
        Sync, and return what was seen and done.

        :param cohort: the cohort's identifiers.
        :param before: the segment's members, if :class:`.SegmentReading` has read them into the directory.
        :param is_new: whether the segment was just made, so that it should be empty.
        :raises MappingError: before the first write, if cohort and segment cannot be compared.
        :raises GuardTrippedError: before the first write, if the change looks dangerous; with ``on_guard:
            add_only``, after people were added, if only the removals do.
        :raises WorkspaceMismatchError: if the first write does not become visible.
        :raises KeysNotProvenError: if it need not, but more would have to be written.
        :raises VerificationError: if the segment does not hold afterwards what it should.
        :raises NotRemovableError: if people cannot be removed, and the options do not allow that.
        """
        options = self.options
        members_path = self.directory / MEMBERS_FILE
        if before is None:
            before = self._read_members(members_path, is_new=is_new)
        drifted = self._drift(members_path, before.count)
        cohort = self._keep_unreadable(cohort, members_path)
        change = compare(
            cohort.path,
            members_path,
            self.directory / "change",
            id_type=options.id_type,
            remove=options.mode != "add_only",
        )
        if options.tracked is not None:
            own = present(read_blocks(options.tracked), members_path)
            self.tracked = write_blocks(self.directory / TRACKED_FILE, own)
            change = only_tracked(change, options.tracked)
        change = replace(change, impossible=change.impossible + cohort.unmatched + cohort.undecided)
        members_path.unlink()
        whole = self._hold_back(change, cohort)
        log.info(
            "The cohort has %s identifiers, the segment %s members: %s to add, %s to remove.",
            f"{cohort.identifiers:,}",
            f"{before.count:,}",
            f"{whole.to_add:,}",
            f"{whole.to_remove:,}",
        )
        change = self._limited(whole)
        seen = self._counts(cohort, before.count, change)
        for_guard = options.dry_run or guards.depends_on_matches(seen, options.limits)
        known = of_whole = self._look_up(whole, for_guard=for_guard, for_proof=change is whole)
        self._check_mapping(cohort, before, change, of_whole)
        if change is not whole:
            known = self._look_up(change, for_guard=for_guard, for_proof=True)
        if of_whole is not None:
            seen = replace(
                seen, matched=cohort.identifiers - whole.not_sent - whole.to_add + of_whole.estimate
            )
        if known is not None:
            seen = replace(seen, joining=known.estimate)
        self.joiners = seen.joiners
        held = self._guard(seen, known)
        if held:
            change = without_removals(change)
        if options.dry_run or self.target.id is None:
            outcome = self._expected_of_dry_run(before.count, whole, change, of_whole)
        else:
            is_partial = bool(held) or change is not whole
            outcome = self._apply(self.target.id, cohort, before.count, change, known, is_partial=is_partial)
        report = self._report(cohort, before.count, drifted, whole, change, outcome)
        if held:
            log.info("%s\n%s", report.summary(), report.as_table())
            raise self._stopped(held, report)
        return report

    def reader(self, segment_id: int) -> Reader:
        """
        Return what reads the segment's members.

        :param segment_id: the segment.
        """
        return Reader(
            pages=lambda total: self.store.stream_member_pages(segment_id, total=total),
            count=lambda: self.store.count_members(segment_id),
            segment_id=segment_id,
            id_type=self.options.id_type,
            sleep=self.sleep,
        )

    def _read_members(self, path: Path, *, is_new: bool) -> Members:
        if self.target.id is None:
            return collect((), self.options.id_type, path)
        timeouts, empty = self.options.verify_timeouts, 0 if is_new else None
        return self.reader(self.target.id).read(
            path, timeout=timeouts.timeout, pause=timeouts.interval, counted=empty
        )

    def _drift(self, members_path: Path, members: int) -> Drift:
        if self.options.last is None:
            return Drift()
        seen = drift(self.options.last, members_path, members)
        self.options.last.path.unlink()
        if seen.joined or seen.left:
            log.info(
                "Since the last good sync, others have added %s members and removed %s.",
                f"{seen.joined:,}",
                f"{seen.left:,}",
            )
        return seen

    def _keep_unreadable(self, cohort: CohortIdentifiers, members_path: Path) -> CohortIdentifiers:
        if not cohort.unreadable or self.options.mode == "add_only":
            return cohort
        cohort = keep_unreadable(cohort, members_path, self.options.id_type)
        if cohort.kept:
            log.warning(
                "%s members stay in the segment because they may be people whose rows cannot be read.",
                f"{cohort.kept:,}",
            )
        return cohort

    def _hold_back(self, change: Change, cohort: CohortIdentifiers) -> Change:
        """
        Leave out identifiers that look mistyped or may be too long, unless a person has exactly this one.

        Whether Customer.io itself ignores white space around an identifier is not documented. If it does,
        such an identifier would add a person with a different one.
        """
        if not cohort.mistyped and not cohort.long:
            return change
        id_type = self.options.id_type
        values = islice(
            (
                value
                for value in read_values(change.add_path)
                if looks_mistyped(value, id_type) or may_be_too_long(value, id_type)
            ),
            MOST_LOOKUPS + 1,
        )
        odd = list(values)
        if not odd or len(odd) > MOST_LOOKUPS:
            return change  # none; or the whole column, so that this is how these identifiers look
        found = find(self.store, odd, id_type)
        exact = set(map(normaliser(id_type), found.identifiers)) if found else set()
        held_back = tuple(escape(value) for value in odd if value not in exact)
        if held_back:
            log.warning(
                "%s identifiers have white space around them, hold invisible characters or may be too long, "
                "and no person is known to have exactly these identifiers: they are not sent.",
                f"{len(held_back):,}",
            )
        return replace(without(change, held_back), held_back=held_back)

    def _limited(self, change: Change) -> Change:
        """Choose the people of a limited run; without a limit, return the change itself."""
        if self.options.limit is None:
            return change
        part, self.cutoff = limited(change, self.options.limit, self.options.digest_key, self.options.cutoff)
        log.info(
            "This run is limited: it adds no more than %s people and removes nobody.",
            f"{self.options.limit:,}",
        )
        return part

    def _look_up(self, change: Change, *, for_guard: bool, for_proof: bool) -> Lookup | None:
        """Look up which of the people to add exist, as far as a guard, a dry run or a proof needs it."""
        options, path, to_add = self.options, change.add_path, change.to_add
        if not to_add or options.fallbacks:  # all of them were found before
            return Lookup(to_add, to_add, to_add, tuple(islice(read_values(path), MOST_EXAMPLES)))
        needs_proof = for_proof and not options.keys_proven
        # As many as were unknown last time, and nobody to remove: probably there is nothing to write.
        nothing_new = not change.to_remove and to_add <= min(MOST_LOOKUPS, 2 * options.unmatched_before)
        if not for_guard and change.same and not needs_proof and not nothing_new:
            return None
        until_found = not for_guard and not nothing_new
        known = look_up(self.store, path, to_add, options.id_type, until_found=until_found)
        if known is None or known.people or known.is_exact:
            return known
        if options.dry_run or not needs_proof or change.to_remove > change.without_id:
            return known
        if not change.same and not options.limits.allow_no_match:
            return known  # enough to refuse the mapping
        # Only a write of a person who exists can prove that the keys belong together.
        log.info(
            "None of the identifiers in a sample exists in Customer.io: looking up all %s, to find a person "
            "by whom a write can prove that all keys belong to one workspace.",
            f"{to_add:,}",
        )
        found = look_for_one(self.store, path, to_add, options.id_type)
        # Those before the first one that exists are no sample: the guards estimate from the sample alone.
        return replace(known, examples=found.examples) if found and found.people else found

    def _check_mapping(
        self, cohort: CohortIdentifiers, before: Members, change: Change, known: Lookup | None
    ) -> None:
        sides = Sides(
            user_id_property=self.options.property_names,
            id_type=self.options.id_types,
            cohort_rows=cohort.cohort_rows,
            identifiers=cohort.identifiers,
            members=before.count,
            have_keys=before.have_keys,
            same=change.same,
            to_remove=change.to_remove,
            looked_up=known.asked if known else 0,
            exist=known.people if known else None,
            setting=self.options.setting,
        )
        mismatch = check_mapping(sides)
        # If the first of several identifiers finds nobody, all people came by one that is less certain.
        for place, tally in enumerate(cohort.tallies if mismatch is None else ()):
            found = _check_identifier(sides, tally, is_first=place == 0)
            if place == 0:
                mismatch = found
            elif found is not None:
                log.warning("%s %s", found.headline, found.details)
        if mismatch is None:
            return
        if mismatch.is_fatal and not self.options.limits.allow_no_match:
            raise MappingError(
                f"{mismatch.headline}\n"
                f"{mismatch.details} Usually {self.options.settings} is wrong: correct it. If it is "
                f"right, {self._way_out(['allow_no_match'], 'allow_no_match')}."
            )
        log.warning("%s %s", mismatch.headline, mismatch.details)

    def _counts(self, cohort: CohortIdentifiers, before: int, change: Change) -> guards.Counts:
        """Return what the guards look at, without what only a look-up can tell."""
        options = self.options
        cohort_digest = removal_digest = ""
        if options.dry_run or options.limits.approved is not None:
            cohort_digest = digest_of(cohort.path, options.digest_key)
            removal_digest = digest_of(change.remove_path, options.digest_key)
        return replace(
            options.counts(self.target, before),
            cohort_rows=cohort.cohort_rows,
            identifiers=cohort.identifiers,
            to_add=change.to_add,
            to_remove=change.to_remove,
            not_removable=min(change.without_id, options.not_removable_before),
            cohort_digest=cohort_digest,
            removal_digest=removal_digest,
            tracked=self.tracked,
        )

    def _guard(self, seen: guards.Counts, known: Lookup | None) -> list[guards.Trip]:
        """
        Refuse a dangerous change.

        :return: the trips that stop nothing but the removals.
        :raises GuardTrippedError: if nothing may be written.
        """
        options = self.options
        trips = guards.check(seen, options.limits)
        self.plan = {
            "guards": [trip.guard for trip in trips],
            "reasons": [trip.reason for trip in trips],
            "to_add": seen.to_add,
            "to_remove": seen.to_remove,
            "joining": known.people if known is not None and known.is_exact else None,
            "of": dict(options.of),
            "cohort_digest": seen.cohort_digest,
            "removal_digest": seen.removal_digest,
        }
        if not trips:
            return []
        of_removals = guards.OF_REMOVALS.issuperset(self.plan["guards"])
        adds_only = of_removals and options.on_guard == "add_only"
        reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in trips)
        if options.dry_run:
            what = "the removals from" if adds_only else "the change of"
            log.warning("Without dry_run, a guard would stop %s %s: %s.", what, self._where, reasons)
            return []
        if not adds_only:
            raise self._stopped(trips)
        log.warning("A guard stops the removals; on_guard is add_only, so people are added: %s.", reasons)
        return trips

    def _stopped(self, trips: Sequence[guards.Trip], report: SyncReport | None = None) -> GuardTrippedError:
        """Return the error of guards that have stopped the change, or only its removals."""
        names = [trip.guard for trip in trips]
        passes = [guards.PASSES[name] for name in names if name in guards.PASSES]
        more = f" (and {', '.join(names[1:])})" if names[1:] else ""
        reasons = "; ".join(f"[{trip.guard}] {trip.reason}" for trip in trips)
        advice = (
            "Check the cohort and the segment; if the change is right, "
            f"{self._way_out(passes, 'this field set in its form')}."
        )
        if report is None:
            return GuardTrippedError(
                f"Guard {names[0]}{more} stopped the change of {self._where}: {trips[0].short}.\n"
                f"{reasons}. {advice}",
                names,
            )
        return GuardTrippedError(
            f"Guard {names[0]}{more} stopped the removals from {self._where}: {trips[0].short}.\n"
            f"on_guard is add_only: {report.added:,} people were added, and {report.left_to_remove:,} "
            f"members stay who would be removed. {reasons}. {advice}",
            names,
            report=report.to_dict(),
        )

    @property
    def _where(self) -> str:
        return f"segment {self.target.name!r} ({self.target.id})"

    def _way_out(self, parameters: Sequence[str], usual: str) -> str:
        """Return how to let one run pass, also where the DAG has no form with these parameters."""
        form = self.options.form
        missing = [name for name in parameters if form is not None and name not in form]
        if not missing:
            return f"trigger a run by hand with {usual}"
        params = ", ".join(f'"{name}": False' for name in missing)
        arguments = ", ".join(f'{name}="{{{{ params.{name} }}}}"' for name in missing)
        return (
            f"let one run pass. This DAG's form does not set {' and '.join(missing)}: give the DAG "
            f"params={{{params}}} and the task {arguments}, then trigger a run by hand with the field set"
        )

    def _apply(
        self,
        segment_id: int,
        cohort: CohortIdentifiers,
        before: int,
        change: Change,
        known: Lookup | None,
        *,
        is_partial: bool,
    ) -> Outcome:
        options = self.options
        writer = SegmentWriter(self.store, segment_id, options.id_type, options.cio_prefix)
        reader = self.reader(segment_id)
        verification = Verification(
            store=self.store,
            writer=writer,
            reader=reader,
            # Members are left who are not in the cohort, and of a limited run the rest of the cohort.
            mirror=options.mode == "mirror" and not is_partial,
            cohort_path=cohort.path if options.limit is None else change.add_path,
            change=change,
            before=before,
            directory=self.directory,
            timeouts=options.verify_timeouts,
            removes_without_id=options.removes_without_id,
            unverified_writes=options.unverified_writes,
            unknown=set(known.unknown) if known else set(),
            lag=options.lag,
            tracked=options.tracked,
        )
        nobody_to_add = not change.to_add or (known is not None and known.is_exact and not known.people)
        if known is not None and known.refused and options.keys_proven:
            nobody_to_add = False  # whom a look-up refuses may exist all the same
        if not change.to_remove and nobody_to_add:
            self._keep_unmatched(cohort, verification)
            return replace(verification.nothing_written(), tracked=self.tracked)
        self.adding = change.add_path
        self.before_writing()
        proven = Proven(True)
        if not options.keys_proven:
            proven = Proof(
                reader=reader,
                writer=writer,
                before=before,
                change=change,
                examples=known.examples if known else (),
                may_add=not nobody_to_add,
                directory=self.directory,
                timeout=options.verify_timeouts.timeout,
                interval=options.verify_timeouts.interval,
            ).run()
            if proven.is_shown:
                self.on_proven()
            else:
                log.warning(
                    "Nothing shows that all keys belong to one workspace: Customer.io refuses what was sent, "
                    "or does not remove people without an id. So nothing more is sent."
                )
        if proven.is_shown:
            # Adds come first, so that nobody who is in both is ever outside the segment in between.
            if change.to_add != proven.added:
                writer.add(read_values(change.add_path), change.to_add)
            if change.to_remove != proven.removed:
                verification.remove(change.remove_path, attempt=0, total=change.to_remove)
        verification = replace(verification, lag=longest(options.lag, proven.visible_after))
        outcome = verification.read_back(may_send=proven.is_shown)
        self.visible_after = longest(proven.visible_after, outcome.visible_after)
        if known is None:
            self._check_arrivals(cohort, change, outcome)
        if outcome.not_removable:
            self._check_removals(segment_id, outcome)
        self._keep_unmatched(cohort, verification)
        return outcome

    def _keep_unmatched(self, cohort: CohortIdentifiers, verification: Verification) -> None:
        if self.options.keep_unmatched:
            path = self.directory / UNMATCHED_FILE
            found = write_unmatched(path, verification.why_unmatched(), cohort.rows_path)
            rows = {"no_identifier": cohort.without_identifier, "unreadable": cohort.unreadable_rows}
            self.unmatched = {**found, **rows}

    def _check_removals(self, segment_id: int, outcome: Outcome) -> None:
        """Warn of people who cannot be removed, or raise an error, as the options say."""
        if self.options.on_not_removable == "fail":
            raise NotRemovableError(
                f"{outcome.not_removable:,} people without an id cannot be removed from segment "
                f"{segment_id}.\nThey are not in the cohort; everybody else is as wanted. Customer.io's API "
                "removes nobody without an id, so a retry does not help: remove them by hand in Customer.io, "
                "or give them an id. With on_not_removable: warn, such a run succeeds."
            )
        log.warning(
            "%s people who are not in the cohort stay in the segment: they have no id, and Customer.io's API "
            "removes nobody without one. Remove them by hand in Customer.io, or give them an id.",
            f"{outcome.not_removable:,}",
        )

    def _check_arrivals(self, cohort: CohortIdentifiers, change: Change, outcome: Outcome) -> None:
        """Raise an error if no identifier arrived, where no look-up could show that before the writes."""
        if self.options.limit is None:
            which, sent = "", cohort.identifiers
            matched = sent - (outcome.unmatched or 0) - outcome.rejected
        else:
            which, sent = f"{change.to_add:,} of ", change.to_add
            matched = change.same + outcome.added
        if matched or sent <= FLOOR or self.options.limits.allow_no_match:
            return
        raise MappingError(
            f"None of {which}the cohort's {cohort.identifiers:,} identifiers ({self.options.setting} "
            f"{self.options.property_names!r}) was added to the segment as {self.options.id_type}.\n"
            "Customer.io ignores identifiers that it does not know, and the App API key may not look "
            f"people up. Usually {self.options.settings} is wrong. If this is right, "
            f"{self._way_out(['allow_no_match'], 'allow_no_match')}."
        )

    def _report(
        self,
        cohort: CohortIdentifiers,
        before: int,
        drifted: Drift,
        whole: Change,
        change: Change,
        outcome: Outcome,
    ) -> SyncReport:
        # Of a limited run's identifiers, only a part was sent.
        is_known = self.options.limit is None or self.options.dry_run
        unmatched = outcome.unmatched if is_known else None
        rejected = outcome.rejected + cohort.undecided
        if unmatched is not None:
            unmatched -= cohort.undecided
        return SyncReport(
            cohort_id=self.options.cohort_id,
            segment_id=self.target.id,
            segment_name=self.target.name,
            mode=self.options.mode,
            source=self.options.source,
            snapshot_at=self.options.snapshot_at,
            dry_run=self.options.dry_run,
            limit=self.options.limit,
            cohort_rows=cohort.cohort_rows,
            without_identifier=cohort.without_identifier,
            unreadable=cohort.unreadable_rows,
            mistyped=cohort.mistyped,
            duplicates=cohort.duplicates,
            identifiers=cohort.identifiers,
            segment_before=before,
            joined_elsewhere=drifted.joined,
            left_elsewhere=drifted.left,
            to_add=change.to_add,
            to_remove=change.to_remove,
            left_to_add=whole.to_add - change.to_add,
            left_to_remove=whole.to_remove - change.to_remove,
            added=outcome.added,
            removed=outcome.removed,
            not_removable=outcome.not_removable,
            segment_after=outcome.segment_after,
            tracked=outcome.tracked,
            unmatched=unmatched,
            rejected=rejected,
            match_rate=match_rate(cohort.identifiers, unmatched, rejected),
            matched_by=_matched_by(cohort),
            conflicting=cohort.conflicting,
        )

    def _expected_of_dry_run(
        self, before: int, whole: Change, change: Change, known: Lookup | None
    ) -> Outcome:
        # An estimate is good enough for a guard, but a report holds what is known.
        unmatched = None
        if known is not None and known.is_exact:
            unmatched = whole.not_sent + whole.to_add - known.people
        may_stay = 0 if self.options.removes_without_id else change.without_id
        return Outcome(before, 0, 0, unmatched, not_removable=may_stay, tracked=self.tracked)


def _check_identifier(sides: Sides, tally: Tally, *, is_first: bool) -> guards.Mismatch | None:
    """Return what is wrong with one of several identifiers."""
    if not is_first and tally.present and not tally.same and not tally.looked_up:
        return None  # it was not needed
    return check_mapping(
        replace(
            sides,
            user_id_property=tally.identifier.property,
            id_type=tally.identifier.id_type,
            identifiers=tally.present,
            have_keys=True,
            same=tally.same,
            looked_up=tally.looked_up,
            exist=tally.exist,
            setting="property",
        )
    )


def _matched_by(cohort: CohortIdentifiers) -> dict[str, int]:
    people: dict[str, int] = {}
    for tally in cohort.tallies:
        id_type = tally.identifier.id_type
        people[id_type] = people.get(id_type, 0) + tally.people
    return people
