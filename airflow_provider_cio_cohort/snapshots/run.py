"""A run and the snapshots of its segment: the one that it takes, and the one that it restores."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pendulum

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ConfigurationError,
    SnapshotDamagedError,
    SnapshotStorageError,
)
from airflow_provider_cio_cohort.snapshots.layout import (
    MANIFEST,
    PENDING,
    UNMATCHED,
    Entry,
    Manifest,
    Origin,
    check_known,
    folder_name,
)
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore, run_of, some_moments

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RestorePoint:
    """
    A snapshot to restore.

    :param store: where it is.
    :param entry: which it is.
    :param manifest: what is known of it.
    """

    store: SnapshotStore
    entry: Entry
    manifest: Manifest

    @property
    def reference(self) -> str:
        """Which snapshot it is."""
        return reference_of(self.entry.name, self.manifest)

    @property
    def moment(self) -> str:
        """What it is the state of, in ISO 8601."""
        return self.manifest.moment

    @property
    def identifiers(self) -> int:
        """How many it holds."""
        return self.manifest.identifiers

    @property
    def cohort_id(self) -> str:
        """The cohort that the sync used then."""
        return self.manifest.cohort_id

    def fetch(self, path: Path) -> None:
        """
        Write its identifiers to a file.

        :param path: the file.
        :raises SnapshotDamagedError: if it does not hold what its manifest says.
        """
        self.store.fetch(self.entry, self.manifest, path)


class Tracked(NamedTuple):
    """
    What the storage tells of those whom a sync with ``mode: tracked`` has added.

    :param base: the newest snapshot, for :meth:`RunSnapshots.keep_pending`.
    :param problem: why it is unknown whom the sync has added, in words; empty if it is known.
    :param added: a file with those whom that snapshot holds, if it holds any.
    :param pending: files with those whom later runs, which took no snapshot, were about to add.
    """

    base: str
    problem: str
    added: tuple[Path, ...]
    pending: tuple[Path, ...]


@dataclass(frozen=True)
class RunSnapshots:
    """
    The snapshots of a segment, as one run uses them.

    :param store: where they are.
    :param retention: how long they are kept.
    :param origin: the run.
    :param zone: the timezone of its DAG.
    :param user_id_property: the property that holds the identifiers.
    """

    store: SnapshotStore
    retention: Retention
    origin: Origin
    zone: tzinfo | None
    user_id_property: str

    def check_writable(self) -> None:
        """
        Make sure that a snapshot can be stored, before an export is used and people are added or removed.

        :raises SnapshotStorageError: if it cannot.
        """
        self.store.check_writable()

    def keep(
        self,
        identifiers: Path,
        *,
        segment_id: int | None,
        segment_name: str,
        workspace_id: int | None,
        reasons: Mapping[str, int] | None = None,
    ) -> str:
        """
        Take a snapshot of what was synced, delete those that are too old, and return which one was taken.

        :param identifiers: a file with them, sorted.
        :param segment_id: the segment.
        :param segment_name: its name.
        :param workspace_id: the segment's workspace; ``None`` if that is unknown.
        :param reasons: how many were not matched, by the reason; ``None`` for a snapshot.
        :raises SnapshotStorageError: if it cannot be stored.
        """
        now = datetime.now(UTC)
        segment = Segment(workspace_id, segment_id, segment_name)
        try:
            kept_before = self.store.snapshots(workspace_id)
            moment = moment_of(self.origin, kept_before, run_of(self.origin), now)
            kept = self.store.keep(
                identifiers, self.origin, segment, self.user_id_property, now, moment, reasons
            )
        except SnapshotStorageError as error:
            raise SnapshotStorageError(
                f"The segment is synced, but its {self.store.kind.noun} could not be stored.\n"
                f"{error.headline}. A retry compares again, which costs no export, and tries to store them."
            ) from None
        deleted = self.retention.apply(self.store, workspace_id, now)
        if self.store.kind is not UNMATCHED:
            try:
                self._delete_pending(self._pending.entries(), workspace_id)
            except CohortSyncError as error:  # they count no more, because there is a later snapshot
                log.warning("Pending additions could not be deleted. %s", error.headline)
        log.info(
            "Stored a snapshot of %s%s, as of %s; deleted %s older ones.",
            f"{kept.identifiers:,} ",
            "identifiers" if reasons is None else self.store.kind.noun,
            kept.moment,
            f"{deleted:,}",
        )
        return reference_of(folder_name(moment, workspace_id, run_of(self.origin)), kept)

    def fetch(self, reference: str, path: Path) -> bool:
        """
        Write the identifiers of a snapshot to a file; return whether it still exists.

        :param reference: what :meth:`keep` returned.
        :param path: the file.
        :raises SnapshotDamagedError: if it does not hold what its manifest says.
        """
        for entry in self.store.entries():
            if entry.is_whole and reference.startswith(entry.name):
                manifest = self.store.manifest(entry)
                if reference_of(entry.name, manifest) == reference:
                    self.store.fetch(entry, manifest, path)
                    return True
        return False

    # ---- mode: tracked

    @cached_property
    def _pending(self) -> SnapshotStore:
        return SnapshotStore(self.store.storage.path, self.store.subject, PENDING)

    def keep_pending(
        self,
        identifiers: Path,
        base: str,
        *,
        segment_id: int | None,
        segment_name: str,
        workspace_id: int | None,
    ) -> None:
        """
        Store whom a run is about to add, so that they are known even if it takes no snapshot.

        :param identifiers: a file with them, and with those who were pending before, sorted.
        :param base: the snapshot that holds those who were added before, see :class:`Tracked`.
        :param segment_id: the segment.
        :param segment_name: its name.
        :param workspace_id: the segment's workspace; ``None`` if that is unknown.
        :raises SnapshotStorageError: if they cannot be stored.
        """
        before, now = self._pending.entries(), datetime.now(UTC)
        segment = Segment(workspace_id, segment_id, segment_name)
        self._pending.keep(identifiers, self.origin, segment, self.user_id_property, now, now, base=base)
        self._delete_pending(before, workspace_id)

    def _delete_pending(self, entries: Iterable[Entry], workspace_id: int | None) -> None:
        for entry in entries:
            if entry.workspace_id in (workspace_id, None):
                _delete(self._pending, entry)

    def fetch_tracked(
        self,
        directory: Path,
        *,
        segment_id: int | None,
        workspace_id: int | None,
        is_made: bool,
        last_snapshot: str | None,
        last_count: int,
        dry_run: bool,
    ) -> Tracked:
        """
        Write to files whom the sync has added: those in its newest snapshot, and those who are pending.

        :param directory: where the files are written.
        :param segment_id: the segment; ``None`` where there is none yet.
        :param workspace_id: the segment's workspace; ``None`` if that is unknown.
        :param is_made: whether a sync has made the segment for this cohort. Then a mirror has added those in
            its snapshot.
        :param last_snapshot: which snapshot the last good sync has taken; ``None`` if that is unknown.
        :param last_count: how many members the sync had added then.
        :param dry_run: whether the run writes nothing.
        :raises SnapshotStorageError: if the storage cannot be read.
        """
        path, base, problem = directory / "tracked_snapshot", "", ""
        added: tuple[Path, ...] = ()
        pending: tuple[Path, ...] = ()
        newest = self._newest(workspace_id)
        if newest is None and last_count:
            problem = f"{self.store.storage.path} has no snapshot of this segment any more"
        try:
            if newest is not None:
                base, manifest = newest.name, self.store.manifest(newest)
                base = reference_of(newest.name, manifest)
                problem = self._doubt(manifest, segment_id, workspace_id, last_snapshot, last_count, dry_run)
                if not problem and _is_of_added(manifest, segment_id, is_made=is_made):
                    self.store.fetch(newest, manifest, path)
                    added = (path,)
            bases = (base, newest.name if newest else "")
            pending = tuple(self._fetch_pending(directory, bases, segment_id, workspace_id))
        except SnapshotDamagedError as error:
            headline = error.headline.rstrip(".")
            problem = problem or headline[:1].lower() + headline[1:]
        return Tracked(base, problem, added, pending)

    def _newest(self, workspace_id: int | None) -> Entry | None:
        """Return the snapshot that was taken last, in this workspace or in one that may be this one."""
        entries = [
            entry
            for entry in self.store.entries()
            if entry.is_whole and (entry.workspace_id in (workspace_id, None) or workspace_id is None)
        ]
        return max(entries, key=lambda entry: entry.taken_at, default=None)

    def _doubt(
        self,
        newest: Manifest,
        segment_id: int | None,
        workspace_id: int | None,
        last_snapshot: str | None,
        last_count: int,
        dry_run: bool,
    ) -> str:
        """Say in words why the newest snapshot does not tell whom the sync has added; empty if it does."""
        subject, origin = self.store.subject, self.origin
        of = f"the newest snapshot, of {newest.moment},"
        if newest.segment_id != segment_id:
            return f"{of} is of another segment, {newest.segment_id}" if last_count else ""
        if workspace_id is None or newest.workspace_id is None:
            return f"the workspace of {'the connection' if workspace_id is None else of[:-1]} is unknown"
        if _is_older(newest, last_snapshot):
            return f"the snapshot of the last good sync is gone, and {of} is older"
        if newest.identity != subject.identity:
            return f"{of} is for segment {newest.segment_name!r}"
        if newest.mode != "tracked":
            return ""
        if newest.id_type != subject.id_type:
            return f"{of} has identifiers of the type {newest.id_type}, and the sync uses {subject.id_type}"
        dag_id, task_id = newest.origin.get("dag_id"), newest.origin.get("task_id")
        # The task that plans a change, and writes nothing, is another one.
        is_same = dag_id == origin.dag_id and (dry_run or task_id == origin.task_id)
        if newest.cohort_id != subject.cohort_id and not is_same:
            return f"{of} was taken by another sync, task {task_id} of DAG {dag_id}, for another cohort"
        return ""

    def _fetch_pending(
        self, directory: Path, bases: Sequence[str], segment_id: int | None, workspace_id: int | None
    ) -> Iterator[Path]:
        """Fetch pending additions, unless a later snapshot tells who of them has arrived."""
        for number, entry in enumerate(self._pending.entries()):
            if not entry.is_whole or entry.workspace_id != workspace_id:
                continue
            manifest = self._pending.manifest(entry)
            if manifest.base not in bases or manifest.segment_id != segment_id:
                continue
            if manifest.id_type != self.store.subject.id_type:
                raise SnapshotDamagedError(
                    f"The pending additions of {manifest.moment} are of the type {manifest.id_type}.\n"
                    "Give the sync this id_type again."
                )
            path = directory / f"tracked_pending.{number}"
            self._pending.fetch(entry, manifest, path)
            yield path

    def wanted(self, snapshot_at: str | None, workspace_id: int | None) -> datetime:
        """
        Return the moment to restore.

        :param snapshot_at: what the form says; ``None`` for the run's own logical date.
        :param workspace_id: the segment's workspace.
        :raises ConfigurationError: if both are missing.
        """
        if snapshot_at is not None:
            return parse_moment(snapshot_at, self.zone)
        if self.origin.logical_date is not None:
            return self.origin.logical_date
        found = self.store.snapshots(workspace_id)
        there = f"There are snapshots of {some_moments(found)}" if found else "There is none yet"
        raise ConfigurationError(
            "source is snapshot, but no time is given: this run has no logical date.\n"
            f"Set snapshot_at in the form to one of the moments, or to a later time. {there}."
        )

    def choose(self, snapshot_at: str | None, workspace_id: int | None) -> tuple[Entry, Manifest]:
        """
        Return the snapshot to restore.

        :param snapshot_at: what the form says.
        :param workspace_id: the segment's workspace.
        :raises PermanentError: if there is none, or it is damaged or another segment's.
        """
        entry = self.store.find(self.wanted(snapshot_at, workspace_id), workspace_id)
        manifest = self.store.manifest(entry)
        manifest.check(self.store.subject, workspace_id)
        return entry, manifest

    def restore_point(self, snapshot_at: str | None, workspace_id: int | None) -> RestorePoint:
        """
        Return the snapshot to restore, of a workspace that is known to be this one.

        :param snapshot_at: what the form says.
        :param workspace_id: the segment's workspace.
        :raises PermanentError: if there is none, or it is damaged or another segment's.
        """
        check_known(workspace_id, "the connection")
        entry, manifest = self.choose(snapshot_at, workspace_id)
        check_known(manifest.workspace_id, "the snapshot")
        return RestorePoint(self.store, entry, manifest)


def reference_of(name: str, manifest: Manifest) -> str:
    """
    Return which snapshot it is: a run that is cleared replaces its own under the same name.

    :param name: its folder's.
    :param manifest: what is known of it.
    """
    return f"{name} {manifest.taken_at}"


def _is_older(manifest: Manifest, reference: str | None) -> bool:
    """Say whether a snapshot was taken before another one, by the reference of that."""
    if reference is None:
        return False
    try:
        then = datetime.fromisoformat(reference.rpartition(" ")[2])
        return datetime.fromisoformat(manifest.taken_at) < then
    except (ValueError, TypeError):  # not a reference of this version
        return False


def _is_of_added(manifest: Manifest, segment_id: int | None, *, is_made: bool) -> bool:
    """Say whether those in a snapshot were added by the sync; log why not."""
    if manifest.segment_id != segment_id:
        log.info("The newest snapshot, of %s, is of another segment: it is not used.", manifest.moment)
        return False
    if manifest.mode != "tracked" and not is_made:
        log.warning(
            "The newest snapshot, of %s, was taken with mode: %s, and no sync has made the segment for this "
            "cohort: its people count as added by others, and stay.",
            manifest.moment,
            manifest.mode,
        )
        return False
    return True


#: A file that no manifest names is a leftover only when no run can be writing it any more.
LEFTOVER_AGE = timedelta(days=1)


@dataclass(frozen=True)
class Retention:
    """
    How long snapshots are kept.

    :param keep_days: from when they were taken.
    :param keep_last: this many of the newest moments are kept, however old they are.
    """

    keep_days: float
    keep_last: int

    def apply(self, store: SnapshotStore, workspace_id: int | None, now: datetime) -> int:
        """
        Delete what is too old, and return how many snapshots were deleted; an error is only logged.

        :param store: the snapshots of a segment.
        :param workspace_id: the segment's workspace, if it is known.
        :param now: the time.
        """
        deleted = 0
        try:
            # Where the workspace was unknown, nobody can restore the snapshot, and nobody else deletes it.
            entries = [entry for entry in store.entries() if entry.workspace_id in (workspace_id, None)]
            for entry in self._expired(entries, workspace_id, now):
                if not _is_of_another_segment(store, entry, workspace_id):
                    _delete(store, entry)
                    entries.remove(entry)
                    deleted += 1
            for entry in entries:
                _delete_leftovers(store, entry, now)
        except CohortSyncError as error:
            log.warning("Old snapshots could not be deleted; the next run tries again. %s", error.headline)
        return deleted

    def _expired(self, entries: list[Entry], workspace_id: int | None, now: datetime) -> list[Entry]:
        # One that is dated in the future would be among the newest until then.
        whole = [entry for entry in entries if entry.is_whole and entry.moment <= now]
        own = [entry for entry in whole if entry.workspace_id == workspace_id]
        kept = {entry.name for entry in own[-self.keep_last :]}
        # With mode: tracked, it alone tells whom the sync has added, whatever its moment is.
        kept.update(entry.name for entry in sorted(own, key=lambda entry: entry.taken_at)[-1:])
        age = timedelta(days=self.keep_days)
        return [entry for entry in whole if entry.name not in kept and now - entry.taken_at > age]


def _is_of_another_segment(store: SnapshotStore, entry: Entry, workspace_id: int | None) -> bool:
    """Say whether a manifest contradicts its folder's name, such as that of a folder that was copied here."""
    try:
        manifest = store.manifest(entry)
    except SnapshotDamagedError:
        return False  # it still holds people
    return manifest.is_elsewhere(workspace_id) or manifest.identity != store.subject.identity


def _delete(store: SnapshotStore, entry: Entry) -> None:
    """Delete the manifest first: after a kill in between, the rest does not count as a snapshot."""
    store.storage.delete(store.path(entry.name, MANIFEST))
    _delete_contents(store, entry, entry.contents)
    store.storage.delete_folder(store.path(entry.name))


def _delete_leftovers(store: SnapshotStore, entry: Entry, now: datetime) -> None:
    old = [content for content, taken_at in entry.contents.items() if now - taken_at > LEFTOVER_AGE]
    if entry.has_manifest and old:
        if len(entry.contents) == 1:
            return  # the snapshot itself
        with suppress(SnapshotDamagedError):
            named = store.manifest(entry).content
            _delete_contents(store, entry, [content for content in old if content != named])
    elif old:
        _delete_contents(store, entry, old)
        store.storage.delete_folder(store.path(entry.name))


def _delete_contents(store: SnapshotStore, entry: Entry, contents: Iterable[str]) -> None:
    for content in contents:
        store.storage.delete(store.path(entry.name, content))


# ---- which moment

#: A scheduled run that starts this much later than it was due has not synced the cohort of that time.
LATE = timedelta(days=1)


def moment_of(origin: Origin, entries: Sequence[Entry], own_run: str, now: datetime) -> datetime:
    """
    Return what a run's snapshot is the state of: its logical date, unless it runs too late for that.

    Amplitude knows only the current members. So a backfill, or a run that is cleared after a later one has
    succeeded, syncs the current state, and does not replace the snapshot of the earlier time.

    :param origin: the run.
    :param entries: the snapshots that there are.
    :param own_run: the end of the names of this run's own.
    :param now: the time.
    """
    moment = origin.logical_date or origin.run_after
    if moment is None or origin.run_type == "backfill":
        return now
    if origin.run_type != "manual" and now - moment > LATE:
        return now
    others = (entry for entry in entries if entry.is_whole and not entry.name.endswith(own_run))
    # One that is dated in the future says nothing about the order of the runs.
    return now if any(moment < entry.moment <= now for entry in others) else moment


def parse_moment(text: str, zone: tzinfo | None) -> datetime:
    """
    Return the moment that a text means; a date alone is the end of that day.

    :param text: in ISO 8601.
    :param zone: in which it is meant if it has no offset; an hour that the clock repeats is the second one.
    :raises ConfigurationError: if it is not a date or a time.
    """
    try:
        return _parsed(text.strip(), zone or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"snapshot_at is {text[:50]!r}; it must be a date or a time.\n"
            "Write 2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00:00+01:00: a time without an offset is "
            "in the timezone of the sync, and a date alone means the end of that day."
        ) from None


def _parsed(text: str, zone: tzinfo) -> datetime:
    if len(text) <= 10:
        day = date.fromisoformat(text)
        midnight = datetime.combine(day + timedelta(days=1), time())
        # Where the clock shows midnight twice, the day ends at the first one.
        return _localized(midnight, zone, fold=0) - timedelta(microseconds=1)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else _localized(moment, zone)


def _localized(naive: datetime, zone: tzinfo, fold: int = 1) -> datetime:
    return pendulum.instance(naive.replace(fold=fold), tz=zone).in_timezone("UTC")
