"""
One run of a sync, from the first check to the report, in the order in which it happens::

    preflight ─▶ request_export ─▶ transfer ─▶ report          restore

The operator, ``plan`` and ``snapshot restore`` call the same methods. Identifiers exist only in files of this
run, which are deleted with it; only counts leave it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from airflow_provider_cio_cohort.cohorts import is_low_match_rate
from airflow_provider_cio_cohort.engine.customer_io import Target
from airflow_provider_cio_cohort.engine.diff import LastMembers, of_any
from airflow_provider_cio_cohort.engine.guards import Counts
from airflow_provider_cio_cohort.engine.identifiers import (
    CohortIdentifiers,
    CohortRows,
    Identifier,
    mapping_in_words,
)
from airflow_provider_cio_cohort.engine.members import MEMBERS_FILE, Reader, SegmentReading
from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.engine.sorted_file import write_blocks
from airflow_provider_cio_cohort.engine.sync import UNMATCHED_FILE, Options, SegmentSync
from airflow_provider_cio_cohort.engine.verify import TRACKED_FILE
from airflow_provider_cio_cohort.exceptions import (
    ArchivedCohortError,
    CohortSyncError,
    ConfigurationError,
    ExportMismatchError,
    GroupCohortError,
    SegmentDeletedError,
    StateStoreError,
    UnknownSegmentError,
    WorkspaceMismatchError,
)
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.state import LIMITED, UNKNOWN, fingerprint
from airflow_provider_cio_cohort.sync import target
from airflow_provider_cio_cohort.sync.download import CohortDownload, PeopleSegment, RowMatching
from airflow_provider_cio_cohort.sync.export import (
    LIFE,
    CohortExport,
    Export,
    ExportMemory,
    ExportOf,
    check_given,
)
from airflow_provider_cio_cohort.sync.memory import SegmentMemory
from airflow_provider_cio_cohort.sync.parameters import TaskParameters
from airflow_provider_cio_cohort.sync.ports import Amplitude, Cohort, CohortFacts, Ports, Tracked
from airflow_provider_cio_cohort.sync.workdir import check_disk_space, full_disk_named, run_directory

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass
class Preflight:
    """
    What the checks before an export have found.

    :param cohort: as Amplitude's list shows it; ``None`` if it does not.
    :param target: the segment, its id ``None`` where a run would create it; ``None`` if it is unknown.
    :param unchanged: the report of a run that has nothing to do; ``None`` if there may be something to do.
    """

    cohort: Cohort | None = None
    target: Target | None = None
    unchanged: dict[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the transfer needs of the cohort, as plain data that a deferral can keep."""
        return {"name": self.cohort.name, "size": self.cohort.size} if self.cohort else {}


def _at_once(check: Callable[..., T], *arguments: Any) -> T | None:
    return check(*arguments)


class CohortSync:
    """
    One run of a sync.

    :param parameters: the run's parameters.
    :param ports: everything outside the run that it uses.
    """

    def __init__(self, parameters: TaskParameters, ports: Ports) -> None:
        self.parameters = parameters
        self.ports = ports
        #: What a person would have to approve: the guards that tripped, why, and the change.
        self.plan: dict[str, Any] = {}
        self._directory: Path | None = None
        self._visible_after: float | None = None
        self._unmatched: dict[str, int] = {}
        self._tracked: Tracked | None = None

    # ---- before an export

    def preflight(self, attempt: Callable[..., Any] = _at_once) -> Preflight:
        """
        Check both ends, and whether there is anything to do; uses no export and writes nothing.

        :param attempt: calls each check. By default the first that fails raises; a command that shows all
            failures passes a function that notes the error and returns ``None``.
        :raises PermanentError: if no retry can help.
        """
        parameters, found = self.parameters, Preflight()
        found.cohort = attempt(check_cohort, self.ports.amplitude, parameters.cohort_id)
        found.target = self._check_workspace(attempt)
        if parameters.skip_unchanged and not parameters.dry_run:
            found.unchanged = attempt(self.unchanged, found)
        if found.unchanged is None:
            self._check_storage(attempt)
        return found

    def check_for_export(self, exported: ExportOf) -> None:
        """
        Check all that the run needs beside the cohort, for a task that exports the cohort for it.

        :param exported: what that task is about to export.
        :raises ExportMismatchError: if the run could not use such an export.
        :raises CohortSyncError: if the run could not fill the segment.
        """
        if difference := exported.differs(self.export.wanted):
            raise ExportMismatchError(
                f"The sync could not use the export: {difference}.\n"
                "Give the task that requests the export the cohort, the connection and the properties of the "
                "tasks that use it."
            )
        self._check_workspace(_at_once)
        self._check_storage(_at_once)

    def _check_workspace(self, attempt: Callable[..., Any]) -> Target | None:
        attempt(self.ports.customer_io.check_track)
        found: Target | None = attempt(self.find_target)
        if not self.parameters.allow_no_match:
            for id_type in dict.fromkeys(identifier.id_type for identifier in self.parameters.mapping):
                attempt(target.check_id_type, self.ports.customer_io, id_type)
        if len(self.parameters.mapping) > 1:
            attempt(target.check_lookups, self.ports.customer_io)
            if self.parameters.people_segment_id is not None:
                attempt(target.check_people, self.ports.customer_io, self.parameters.people_segment_id)
        return found

    def _check_storage(self, attempt: Callable[..., Any]) -> None:
        for kept in (self.ports.snapshots, self.ports.unmatched):
            if kept and not self.parameters.dry_run:
                attempt(kept.check_writable)

    def find_target(self) -> Target:
        """
        Return the segment; its id is ``None`` where a run would create it.

        :raises SegmentConflictError: if another sync of the same file writes to it.
        """
        customer_io, memory = self.ports.customer_io, self.memory
        memory.refresh()
        segment = target.find_segment(customer_io, self.parameters, memory.remembered)
        target.check_other_writers(customer_io, segment, self.parameters, self.ports.workspace_of)
        self.ports.on_segment(segment.id if segment else None)
        memory.attach(segment.id if segment else None, segment.name if segment else "")
        if segment and not self.parameters.dry_run:
            memory.note_segment()
        if segment is None:
            return target.without_segment(self.parameters)
        return target.existing(segment, self.parameters.cohort_id, memory)

    def unchanged(self, found: Preflight) -> dict[str, Any] | None:
        """
        Return the report of a run that has nothing to do; ``None`` if there may be something to do.

        :param found: what the checks have found.
        """
        if found.cohort is None or found.target is None or found.target.id is None:
            return None
        if self.parameters.skip_unchanged and not self.memory.exists:
            log.warning("skip_unchanged has no effect: it needs the state stores of Airflow 3.3.")
        members = self.ports.customer_io.count_members(found.target.id)
        report = self.memory.unchanged(found.cohort.last_computed, members)
        if report and report.get("not_removable") and self.parameters.on_not_removable == "fail":
            return None  # it was a success while the parameter was warn
        return report

    # ---- the export

    @property
    def binding(self) -> dict[str, str]:
        """What the run is for: if that changes during the wait for an export, the run starts again."""
        parameters = self.parameters
        kind, which = parameters.named
        return {
            **self.export.wanted.binding,
            "customer_io_conn_id": parameters.customer_io_conn_id,
            f"segment_{kind}": which,
            "id_type": parameters.mapped[1],
            "mode": parameters.mode,
        }

    @cached_property
    def export(self) -> CohortExport:
        """The export that the run needs, over all tries of its task."""
        parameters = self.parameters
        return CohortExport(
            amplitude=self.ports.amplitude,
            wanted=ExportOf.of(
                parameters.cohort_id,
                [identifier.property for identifier in parameters.mapping],
                parameters.amplitude_conn_id,
            ),
            memory=ExportMemory(self.ports.task_store),
            given=parameters.export,
            poll_interval=parameters.poll_interval,
            timeout=parameters.export_timeout,
            reserve=parameters.export_reserve,
            clock=self.ports.clock,
        )

    def request_export(self, found: Preflight, outdated: Export | None = None) -> Export:
        """
        Return the export that was given, that of an earlier try, or one that is requested now.

        :param found: what the checks have found.
        :param outdated: the export for which this run has waited, if :meth:`transfer` refused it as outdated.
        :raises DiskFullError: if the worker's disk has no room for the cohort.
        :raises StateStoreError: if the run would be refused later, because Airflow's store cannot be read.
        :raises QuotaReachedError: if only the reserved exports of the month are left.
        :raises OutdatedExportError: if the segment was synced from a later export than the one given, or than
            two exports of this run.
        """
        synced_from = self.memory.synced_from
        if self.export.given is None:
            with run_directory() as directory:
                size = found.cohort.size if found.cohort else None
                check_disk_space(directory, size, 0, self.parameters.mapping)
            if not self.parameters.dry_run:
                self.memory.check_read()
        computed_at = found.cohort.last_computed if found.cohort else None
        return self.export.request(computed_at, synced_from, outdated)

    def resume(self) -> None:
        """Continue after a wait, before which the run has used the keys of both vendors."""
        self.ports.amplitude.trust_keys()
        self.ports.customer_io.trust_keys()

    # ---- the transfer

    def transfer(self, export: Export, cohort: CohortFacts, goal: Target | None = None) -> SyncReport:
        """
        Download the export, compare it with the segment, write, verify, and keep a snapshot.

        :param export: the finished export.
        :param cohort: what Amplitude's list said about the cohort, see :attr:`Preflight.facts`.
        :param goal: the segment, as :meth:`preflight` has just found it; ``None`` to look for it again, after
            a wait for the export.
        :raises OutdatedExportError: if the segment was synced from a later export meanwhile.
        :raises GuardTrippedError: before the first write, if the change looks dangerous.
        :raises VerificationError: if the segment does not hold afterwards what it should.
        """
        parameters, announced = self.parameters, cohort.get("size")
        if goal is None:
            self.ports.customer_io.check_track()
            goal = self.find_target()
        check_given(export, self.export.wanted, self.memory.synced_from)
        with self._private_directory() as directory, self.export.forgotten_if_lost():
            with self._members_read_aside(goal.id, directory, announced) as reading:
                downloaded = CohortDownload(
                    self.ports.amplitude, export.request_id, parameters.mapping, directory
                ).run(announced)
                last_members = self._last_members(directory)
            people = self._match(downloaded, directory, reading)
            last = self.last_report
            options = self._options(
                last,
                last=last_members,
                keep_unmatched=self.ports.unmatched is not None and parameters.makes_equal,
                announced=announced,
                previous=last.get("identifiers"),
                on_guard=parameters.on_guard,
                **self._read_tracked(goal, directory),
            )
            report = self._fill(people, options, goal, reading, cohort.get("name"))
            snapshot = self._keep(people.path, report)
        if self.export.given is None and not parameters.dry_run:
            self.export.memory.used(export)
        self._remember(report, export.computed_at, export.requested_at, snapshot)
        return report

    def _match(
        self, downloaded: CohortIdentifiers | CohortRows, directory: Path, reading: SegmentReading | None
    ) -> CohortIdentifiers:
        """Find the people of rows with several identifiers, once the segment's members are read."""
        if isinstance(downloaded, CohortIdentifiers):
            return downloaded
        if reading is not None:
            reading.members()
        customer_io, segment_id = self.ports.customer_io, self.parameters.people_segment_id
        everybody = PeopleSegment(customer_io, segment_id, directory) if segment_id is not None else None
        matching = RowMatching(customer_io, self.parameters.mapping, directory / MEMBERS_FILE, everybody)
        return matching.run(downloaded)

    def restore(self) -> SyncReport:
        """
        Restore the segment, in the same steps as a sync: guards, difference, verification, report.

        Amplitude is not called.

        :raises SnapshotMissingError: if there is no snapshot at or before that time.
        """
        parameters, snapshots = self.parameters, self.ports.snapshots
        if snapshots is None:
            raise ConfigurationError(
                "source is snapshot, but this sync keeps no snapshots.\n"
                "It has no snapshot_path, so there is nothing to restore."
            )
        self.ports.customer_io.check_track()
        goal = self.find_target()
        back_to = snapshots.restore_point(parameters.snapshot_at, self.ports.customer_io.workspace_id)
        log.info("Restoring the snapshot of %s: %s identifiers.", back_to.moment, f"{back_to.identifiers:,}")
        if back_to.cohort_id != parameters.cohort_id:
            log.warning("The snapshot was taken when the sync used another cohort, %s.", back_to.cohort_id)
        with self._private_directory() as directory:
            path = directory / "cohort"
            with self._members_read_aside(goal.id, directory, back_to.identifiers) as reading:
                back_to.fetch(path)
                last_members = self._last_members(directory)
            people = CohortIdentifiers(path, back_to.identifiers, 0, back_to.identifiers)
            # A snapshot is complete, so it never falls short: the last sync may be what is to be undone.
            options = self._options(
                self.last_report,
                last=last_members,
                announced=people.cohort_rows,
                source="snapshot",
                snapshot_at=back_to.moment,
                **self._read_tracked(goal, directory),
            )
            report = self._fill(people, options, goal, reading, None)
            # In tracked mode, it is not the snapshot alone that tells whom the sync has added.
            kept = self._keep_snapshot(people.path, report) if self._tracked else back_to.reference
        # The next sync is compared with what was restored, and does not treat the cohort as unchanged.
        self._remember(report, None, None, kept)
        return report

    def _keep(self, identifiers: Path, report: SyncReport) -> str | None:
        """Store a snapshot, and whom the run has not matched, as far as the sync keeps them."""
        snapshot = self._keep_snapshot(identifiers, report)
        if self.ports.unmatched and self.parameters.makes_equal:
            whose = self._whose(report.segment_id, report.segment_name)
            self.ports.unmatched.keep(identifiers.with_name(UNMATCHED_FILE), **whose, reasons=self._unmatched)
        return snapshot

    def _keep_snapshot(self, identifiers: Path, report: SyncReport) -> str | None:
        """Store a snapshot of the identifiers that were synced, or of the members whom the sync has added."""
        if self.ports.snapshots is None or not self.parameters.makes_equal:
            return None
        held = identifiers.with_name(TRACKED_FILE) if self._tracked else identifiers
        return self.ports.snapshots.keep(held, **self._whose(report.segment_id, report.segment_name))

    def _whose(self, segment_id: int | None, segment_name: str) -> dict[str, Any]:
        workspace_id = self.ports.customer_io.workspace_id
        return {"segment_id": segment_id, "segment_name": segment_name, "workspace_id": workspace_id}

    def _read_tracked(self, goal: Target, directory: Path) -> dict[str, Any]:
        """Return the options that say whom a sync in tracked mode has added."""
        if self.parameters.mode != "tracked" or self.ports.snapshots is None:
            return {}
        last_snapshot, last_count = self.memory.last_tracked
        found = self._tracked = self.ports.snapshots.fetch_tracked(
            directory,
            segment_id=goal.id,
            workspace_id=self.ports.customer_io.workspace_id,
            is_made=goal.owned,
            last_snapshot=last_snapshot,
            last_count=last_count,
            dry_run=self.parameters.dry_run,
        )
        path = directory / "added_before"
        write_blocks(path, of_any([*found.added, *found.pending]))
        for fetched in found.added:
            fetched.unlink()
        return {"tracked": path, "tracking_problem": found.problem}

    def _keep_pending(self, sync: SegmentSync) -> None:
        """Store whom the run is about to add: if it fails, or is limited, no snapshot tells it."""
        adding, found = sync.adding, self._tracked
        if found is None or self.ports.snapshots is None or adding is None or not adding.stat().st_size:
            return
        path = adding.with_name("pending")
        write_blocks(path, of_any([adding, *found.pending]))
        whose = self._whose(sync.target.id, sync.target.name)
        self.ports.snapshots.keep_pending(path, found.base, **whose)

    def _last_members(self, directory: Path) -> LastMembers | None:
        """Return the segment after the last good sync, as far as a snapshot tells of it."""
        self.memory.refresh()  # fetching the people may have taken minutes
        report, snapshots = self.last_report, self.ports.snapshots
        reference = self.memory.snapshot if snapshots else None
        matched = report.get("tracked")  # a snapshot in tracked mode holds nobody else
        if matched is None and report.get("unmatched") is not None:
            matched = report["identifiers"] - report["unmatched"] - report["rejected"]
        if snapshots is None or reference is None or matched is None:
            return None
        path = directory / "last_identifiers"
        try:
            is_there = snapshots.fetch(reference, path)
        except CohortSyncError as error:
            path.unlink(missing_ok=True)
            log.warning(
                "Whether others have changed the segment is unknown, because its last snapshot cannot be "
                "read. %s",
                error.headline,
            )
            return None
        return LastMembers(path, report["segment_after"], matched) if is_there else None

    def _remember(
        self, report: SyncReport, computed_at: int | None, synced_from: float | None, snapshot: str | None
    ) -> None:
        """Store a good sync; a limited run does not make the segment equal to the cohort, so it is none."""
        parameters = self.parameters
        if not parameters.makes_equal:
            return
        approved = parameters.approved_plan.guards if parameters.approved_plan else ()
        is_allowed = parameters.allow_large_addition or "large_addition" in approved
        self.memory.save(
            report.to_dict(),
            computed_at,
            synced_from,
            self._visible_after,
            growth_allowed=is_allowed,
            snapshot=snapshot,
        )

    def _fill(
        self,
        people: CohortIdentifiers,
        options: Options,
        goal: Target,
        reading: SegmentReading | None,
        cohort_name: str | None,
    ) -> SyncReport:
        """Compare, guard, write and verify."""
        parameters, customer_io, memory = self.parameters, self.ports.customer_io, self.memory
        existing_id = goal.id
        if existing_id is None and not parameters.dry_run:
            unique_names = self.ports.facts.unique_names is True
            goal = target.create(customer_io, parameters, cohort_name, memory, unique_names=unique_names)
            self.ports.on_segment(goal.id)
        sync = SegmentSync(
            customer_io,
            goal,
            options,
            people.path.parent,
            customer_io.cancel_token.wait,
            lambda: self._before_writing(sync),
            memory.note_proof,
        )
        try:
            report = sync.run(people, reading.members() if reading else None, is_new=reading is None)
        except UnknownSegmentError as error:
            if existing_id is not None and not options.keys_proven:
                self._check_deleted(existing_id)
            raise SegmentDeletedError(
                f"{error.headline}\nIt existed when the task began: a retry looks for it again."
            ) from None
        self.plan, self._unmatched = sync.plan, sync.unmatched
        self._visible_after = sync.visible_after
        log.info("%s\n%s", report.summary(), report.as_table())
        _warn_of_the_mapping(report, parameters.mapping)
        return report

    def _check_deleted(self, segment_id: int) -> None:
        """
        Ask the App API for a segment that one of the two APIs does not have.

        :raises WorkspaceMismatchError: if only the Track API does not have it.
        """
        try:
            self.ports.customer_io.get_segment(segment_id)
        except UnknownSegmentError:
            return
        raise WorkspaceMismatchError(
            f"Only one of the two APIs has segment {segment_id}: the keys may belong to two workspaces.\n"
            "The App API has it, the Track API does not. Copy Site ID, Tracking API key and App API key from "
            "one workspace into the connection."
        )

    def _before_writing(self, sync: SegmentSync) -> None:
        self._keep_pending(sync)
        self._note_limited(sync.cutoff)
        self.memory.void(sync.joiners)
        self.ports.before_writing()

    @property
    def _limited_for(self) -> str:
        """What a limited run is for; of anything else, a cutoff tells nothing."""
        return fingerprint(self.parameters.limit, sorted(self.binding.items()))

    def _cutoff(self) -> int | None:
        """
        Return whom an earlier try of a limited run has chosen; ``None`` if there was none.

        :raises StateStoreError: if that cannot be read: a second choice would add more people than the limit.
        """
        store = self.ports.task_store
        kept = store.get(LIMITED) if self.parameters.limit is not None and store.exists else None
        if kept is UNKNOWN:
            raise _unknown_choice()
        if not isinstance(kept, Mapping) or kept.get("of") != self._limited_for:
            return None
        return int(kept["cutoff"])

    def _note_limited(self, cutoff: int | None) -> None:
        store = self.ports.task_store
        if cutoff is None or self.parameters.dry_run or not store.exists:
            return
        kept = {"of": self._limited_for, "cutoff": str(cutoff)}
        if not store.set(LIMITED, kept, retention=LIFE):
            raise _unknown_choice()

    def counts(self, goal: Target, members: int) -> Counts:
        """
        Return what the guards look at, as far as it is known without an export.

        :param goal: the segment.
        :param members: its members.
        """
        return self._options(self.last_report).counts(goal, members)

    def _options(self, last_report: Mapping[str, Any], **facts: Any) -> Options:
        parameters, customer_io, memory = self.parameters, self.ports.customer_io, self.memory
        baseline = memory.baseline
        return Options(
            cohort_id=parameters.cohort_id,
            id_type=parameters.compared_by,
            mode=parameters.mode,
            dry_run=parameters.dry_run,
            limits=parameters.limits,
            verify_timeouts=self.ports.verify_timeouts,
            mapping=parameters.mapping,
            of={**self.binding, "place": self._workspace},
            digest_key=customer_io.digest_key,
            keys_proven=memory.keys_are_proven,
            on_not_removable=parameters.on_not_removable,
            form=self.ports.form,
            not_removable_before=last_report.get("not_removable") or 0,
            unmatched_before=last_report.get("unmatched") or 0,
            unverified_writes=self.memory.has_unverified_writes,
            lag=self.memory.visible_after,
            cio_prefix=self.ports.facts.cio_prefix,
            removes_without_id=self.ports.facts.removes_without_id,
            limit=parameters.limit,
            cutoff=self._cutoff(),
            never_filled=memory.synced_from is None and baseline is None,
            made_here=memory.is_made_for(parameters.cohort_id),
            baseline=baseline,
            **facts,
        )

    # ---- what it remembers, and where it works

    @cached_property
    def memory(self) -> SegmentMemory:
        """What is remembered of the segment from run to run."""
        parameters = self.parameters
        of = {
            "dag_id": self.ports.owner,
            "cohort_id": parameters.cohort_id,
            "user_id_property": parameters.mapped[0],
            "id_type": parameters.mapped[1],
            "mode": parameters.mode,
            "amplitude_conn_id": parameters.amplitude_conn_id,
        }
        keys = self.ports.customer_io.keys_fingerprint
        return SegmentMemory(
            self.ports.segment_store,
            self._workspace,
            keys,
            of,
            parameters.snapshot_path,
            self.ports.run_store,
            parameters.unmatched_path,
        )

    @property
    def last_report(self) -> dict[str, Any]:
        """The report of the last good sync; empty if there is none."""
        return (self.memory.load() or {}).get("report") or {}

    @property
    def _workspace(self) -> str:
        """The workspace that is written to: its number, or a fingerprint of its keys."""
        customer_io = self.ports.customer_io
        number = customer_io.workspace_id
        return f"keys {customer_io.keys_fingerprint}" if number is None else f"workspace {number}"

    @contextmanager
    def _private_directory(self) -> Iterator[Path]:
        """Make a directory for the identifiers of this run, which is removed however the run ends."""
        with run_directory() as directory, full_disk_named(directory):
            self._directory = directory
            try:
                yield directory
            except FileNotFoundError:
                # After a kill, the files are gone when somebody tries to open one.
                self.ports.customer_io.cancel_token.check("it had finished with the run's files")
                raise

    @contextmanager
    def _members_read_aside(
        self, segment_id: int | None, directory: Path, announced: int | None
    ) -> Iterator[SegmentReading | None]:
        """Check the disk space, and read the segment while the block fetches the people."""
        customer_io, timeouts = self.ports.customer_io, self.ports.verify_timeouts
        members_now = customer_io.count_members(segment_id) if segment_id is not None else 0
        check_disk_space(directory, announced, members_now, self.parameters.mapping)
        if segment_id is None:
            yield None
            return
        cancel = CancelToken(customer_io.cancel_token)
        reader = Reader(
            pages=lambda total: customer_io.stream_member_pages(segment_id, cancel, total),
            count=lambda: customer_io.count_members(segment_id),
            segment_id=segment_id,
            id_type=self.parameters.compared_by,
            sleep=cancel.wait,
        )
        path = directory / MEMBERS_FILE
        with SegmentReading(
            lambda: reader.read(path, timeout=timeouts.timeout, pause=timeouts.interval, counted=members_now),
            cancel.cancel,
        ) as reading:
            yield reading

    def stop(self) -> None:
        """Send nothing more, and leave no file: Airflow kills a task that does not end within seconds."""
        self.ports.amplitude.stop()
        self.ports.customer_io.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


def _unknown_choice() -> StateStoreError:
    return StateStoreError(
        "Airflow's state store cannot be reached, so nothing was sent to Customer.io.\n"
        "A limited run keeps there whom it has chosen, so that a retry adds no others. A retry tries again."
    )


def check_cohort(amplitude: Amplitude, cohort_id: str) -> Cohort | None:
    """
    Return the cohort, ``None`` where Amplitude's list does not show the cohort.

    :param amplitude: the project.
    :param cohort_id: the cohort.
    :raises ArchivedCohortError: if it is archived.
    :raises GroupCohortError: if its members are not people.
    """
    cohort = amplitude.find_cohort(cohort_id)
    if cohort is None:
        log.warning(
            "Amplitude's list does not show cohort %s: it may not be discoverable, or may not exist. "
            "Trying to export it anyway.",
            cohort_id,
        )
        return None
    return as_usable(cohort)


def as_usable(cohort: Cohort) -> Cohort:
    """
    Return a cohort if a sync can use it.

    :param cohort: the cohort, from Amplitude's list.
    :raises ArchivedCohortError: if it is archived.
    :raises GroupCohortError: if its members are not people.
    """
    title = f"Amplitude's cohort {cohort.name!r} ({cohort.id})"
    if cohort.archived:
        raise ArchivedCohortError(f"{title} is archived.\nUnarchive it in Amplitude, or use another cohort.")
    if cohort.group.strip().casefold() != "user":
        raise GroupCohortError(
            f"{title} contains groups of the type {cohort.group!r}, not people.\n"
            "A Customer.io segment takes people only: choose a cohort of users."
        )
    return cohort


def _warn_of_the_mapping(report: SyncReport, mapping: Sequence[Identifier]) -> None:
    if is_low_match_rate(report.match_rate, report.identifiers):
        log.warning(
            "Only %s of the cohort exists in Customer.io: check %s.",
            f"{report.match_rate:.1%}",
            mapping_in_words(mapping),
        )
    if report.mistyped:
        log.warning(
            "%s rows have an identifier with white space around it or invisible characters.",
            f"{report.mistyped:,}",
        )
    if report.conflicting:
        log.warning(
            "%s rows have identifiers of two different people: each was matched by its first one.",
            f"{report.conflicting:,}",
        )
    if report.rejected:
        log.warning(
            "Customer.io refuses %s identifiers of the cohort, so these people are not in the segment: "
            "correct them in Amplitude.",
            f"{report.rejected:,}",
        )
