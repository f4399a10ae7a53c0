"""A run and the snapshots of its segment: the one that it takes, and the one that it restores."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path

import pendulum

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ConfigurationError,
    SnapshotDamagedError,
    SnapshotStorageError,
)
from airflow_provider_cio_cohort.snapshots.layout import (
    MANIFEST,
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
