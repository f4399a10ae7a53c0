"""Deletes snapshots that are too old, and what crashed runs have left; never the last ones, nor more."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_provider_cio_cohort.exceptions import CohortSyncError, SnapshotDamagedError
from airflow_provider_cio_cohort.snapshots.entry import MANIFEST, Entry
from airflow_provider_cio_cohort.snapshots.store import SnapshotStore

log = logging.getLogger(__name__)

#: A file that no manifest names is a leftover only when no run can be writing it any more.
LEFTOVER_AGE = timedelta(days=1)


@dataclass(frozen=True)
class Retention:
    """
    How long snapshots are kept.

    :param keep_days: from when they were taken.
    :param keep_last: so many of the newest moments are kept however old they are.
    """

    keep_days: float
    keep_last: int

    def apply(self, store: SnapshotStore, workspace_id: int | None, now: datetime) -> int:
        """
        Delete what is too old, and return how many snapshots these were; an error is a warning.

        :param store: the snapshots of a segment.
        :param workspace_id: the segment's workspace, if it is known.
        :param now: the time.
        """
        deleted = 0
        try:
            entries = store.entries()
            for entry in self._expired(entries, now):
                if not _is_foreign(store, entry, workspace_id):
                    _delete(store, entry)
                    entries.remove(entry)
                    deleted += 1
            for entry in entries:
                _delete_leftovers(store, entry, now)
        except CohortSyncError as error:
            log.warning("Old snapshots could not be deleted; the next run tries again. %s", error.headline)
        return deleted

    def _expired(self, entries: list[Entry], now: datetime) -> list[Entry]:
        whole = [entry for entry in entries if entry.is_whole]
        age = timedelta(days=self.keep_days)
        return [entry for entry in whole[: -self.keep_last or None] if now - entry.taken_at > age]


def _is_foreign(store: SnapshotStore, entry: Entry, workspace_id: int | None) -> bool:
    """Say whether a snapshot is another's: two Airflows may share a storage."""
    try:
        manifest = store.manifest(entry)
    except SnapshotDamagedError:
        return False  # it holds people all the same
    return manifest.is_elsewhere(workspace_id) or manifest.identity != store.subject.identity


def _delete(store: SnapshotStore, entry: Entry) -> None:
    """Delete the manifest first: should we be killed now, nobody takes the rest for a snapshot."""
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
