"""Removes people from everything that is kept in a storage, whichever segment or workspace it is of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.snapshots.layout import (
    MANIFEST,
    Entry,
    Manifest,
    as_text,
    content_name,
    read_entries,
    read_manifest,
    taken_at,
)
from airflow_provider_cio_cohort.snapshots.run import LEFTOVER_AGE
from airflow_provider_cio_cohort.snapshots.storage import Storage
from airflow_provider_cio_cohort.snapshots.store import read_content, write_content

_TRIES = 3


class Forgotten(NamedTuple):
    """
    What was done to the files of one moment.

    :param folder: the folder, below the storage's address.
    :param moment: what it is the state of, in ISO 8601.
    :param removed: how many lines with these people it held.
    :param problem: why people may be left in it; ``None`` if none are.
    """

    folder: str
    moment: str
    removed: int
    problem: str | None = None


@dataclass(frozen=True)
class Forgetting:
    """
    Removes people from a storage.

    A file is replaced by a new one beside it, which the manifest names from one moment to the next: a crash
    leaves the old state or the new one. When the identifiers were stored is kept, and so is their retention.

    :param storage: the storage.
    :param people: the people as lines of files, by the ``id_type`` of their manifests.
    :param directory: a private directory.
    :param now: the time.
    :param dry_run: whether nothing is written.
    """

    storage: Storage
    people: Mapping[str, Collection[bytes]] = field(repr=False)
    directory: Path
    now: datetime
    dry_run: bool = False

    def run(self) -> Iterator[Forgotten]:
        """Yield what was found and done, for each folder that held one of the people or may still do so."""
        folders: dict[str, list[str]] = defaultdict(list)
        for path in self.storage.list_files(""):
            above, _, file = path.rpartition("/")
            folder, _, name = above.rpartition("/")
            folders[folder].append(f"{name}/{file}")
        for folder, files in sorted(folders.items()):
            for entry in read_entries(files):
                found = self._forget(f"{folder}/{entry.name}".lstrip("/"), entry)
                if found.removed or found.problem:
                    yield found

    def _forget(self, folder: str, entry: Entry) -> Forgotten:
        moment, removed = as_text(entry.moment), 0
        for _ in range(_TRIES):
            try:
                data = self.storage.read(f"{folder}/{MANIFEST}") if entry.has_manifest else None
                manifest = read_manifest(data, entry.moment) if data is not None else None
                left = self._leftovers(folder, entry, manifest)
                removed = self._rewrite(folder, manifest) if manifest else 0
                if manifest and removed and not self.dry_run and not self._replace(folder, data, manifest):
                    continue
            except CohortSyncError as error:
                return Forgotten(folder, moment, 0, error.headline)
            return Forgotten(folder, moment, removed, left)
        return Forgotten(folder, moment, 0, "A run keeps replacing it: wait until the run has ended.")

    def _rewrite(self, folder: str, manifest: Manifest) -> int:
        """Write what is left to a file of the directory, and return how many lines are not."""
        with self.storage.reading(f"{folder}/{manifest.content}") as file:
            read_content(file, self._before, manifest)
        gone, removed = _is_gone(self.people, manifest), 0
        with self._before.open("rb") as lines, self._after.open("wb") as rest:
            for line in lines:
                if gone(line):
                    removed += 1
                else:
                    rest.write(line)
        return removed

    def _replace(self, folder: str, data: bytes | None, manifest: Manifest) -> bool:
        """Store what is left; return whether nobody else has written there meanwhile."""
        content = content_name(taken_at(manifest.content) or self.now, self.now)
        with self.storage.writing(f"{folder}/{content}") as file:
            written = write_content(self._after, file)
        if self.storage.read(f"{folder}/{MANIFEST}") != data:
            self.storage.delete(f"{folder}/{content}")
            return False
        changed = replace(
            manifest,
            content=content,
            identifiers=written.identifiers,
            size=written.size,
            sha256=written.sha256,
            reasons=self._reasons(manifest),
        )
        self.storage.replace(f"{folder}/{MANIFEST}", changed.to_bytes())
        if content != manifest.content:
            self.storage.delete(f"{folder}/{manifest.content}")
        return True

    def _reasons(self, manifest: Manifest) -> dict[str, int]:
        if not manifest.reasons:
            return {}
        with self._before.open("rb") as before, self._after.open("rb") as after:
            named, counts = set(map(_reason, before)), Counter(map(_reason, after))
        # The rest are counts of rows that have no identifier.
        return {key: counts[key] if key in named else value for key, value in manifest.reasons.items()}

    def _leftovers(self, folder: str, entry: Entry, manifest: Manifest | None) -> str | None:
        """Delete files that no manifest names; those that a run may be writing are named as a problem."""
        others = {
            name: written
            for name, written in entry.contents.items()
            if manifest is None or name != manifest.content
        }
        young = [name for name, written in others.items() if self.now - written <= LEFTOVER_AGE]
        if not self.dry_run:
            for name in others.keys() - {*young}:
                self.storage.delete(f"{folder}/{name}")
        if not young:
            return None
        return "A run is writing it, or was killed: forget again when the run has ended, or a day later."

    @property
    def _before(self) -> Path:
        return self.directory / "before"

    @property
    def _after(self) -> Path:
        return self.directory / "after"


def _is_gone(people: Mapping[str, Collection[bytes]], manifest: Manifest) -> Callable[[bytes], bool]:
    """Return a function that says whether a line of a file is about one of the people."""
    own, by_kind = people[manifest.id_type], {kind.encode(): who for kind, who in people.items()}

    def is_gone(line: bytes) -> bool:
        # A line with a reason says which identifier it has.
        who, *more = line.rstrip(b"\n").split(b"\t")
        return who in (by_kind[more[-1]] if more else own)

    return is_gone


def _reason(line: bytes) -> str:
    return line.split(b"\t")[1].decode()
