"""The snapshots of one segment: taken, found by their moment, and read."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from airflow_provider_cio_cohort.exceptions import SnapshotDamagedError, SnapshotMissingError
from airflow_provider_cio_cohort.snapshots.layout import (
    MANIFEST,
    SNAPSHOTS,
    Entry,
    Kind,
    Manifest,
    Origin,
    Subject,
    as_text,
    content_name,
    damaged,
    folder_name,
    read_entries,
    read_manifest,
    short_hash,
)
from airflow_provider_cio_cohort.snapshots.storage import Storage

#: How many moments a message lists.
_SHOWN = 10


@dataclass(frozen=True)
class Segment:
    """
    The segment as Customer.io knows it.

    :param workspace_id: its workspace, ``None`` if that is not known.
    :param id: its id.
    :param name: its name.
    """

    workspace_id: int | None
    id: int | None
    name: str


class SnapshotStore:
    """
    The snapshots of one segment.

    Another Airflow may keep those of a segment of the same name, in another workspace, in the same folder.

    :param path: the sync's ``snapshot_path``, or ``unmatched_path``.
    :param subject: what they are of.
    :param kind: which of the two.
    """

    def __init__(self, path: str, subject: Subject, kind: Kind = SNAPSHOTS) -> None:
        self.storage = Storage(path, kind)
        self.subject = subject
        self.kind = kind
        self.folder = "/".join(filter(None, (subject.folder, kind.folder)))

    def check_writable(self) -> None:
        """Make sure that a snapshot can be kept; see :meth:`.Storage.check_writable`."""
        self.storage.check_writable(self.folder)

    def entries(self) -> list[Entry]:
        """Return the snapshots of all workspaces, oldest moment first, and leftovers of some."""
        return read_entries(self.storage.list_files(self.folder))

    def snapshots(self, workspace_id: int | None) -> list[Entry]:
        """
        Return the snapshots of a workspace, oldest moment first.

        :param workspace_id: the workspace; ``None`` for the snapshots whose workspace was unknown.
        """
        return [one for one in self.entries() if one.is_whole and one.workspace_id == workspace_id]

    def keep(
        self,
        identifiers: Path,
        origin: Origin,
        segment: Segment,
        user_id_property: str,
        now: datetime,
        moment: datetime,
        reasons: Mapping[str, int] | None = None,
        base: str = "",
    ) -> Manifest:
        """
        Take a snapshot; one that the same run has taken of the same moment is replaced.

        :param identifiers: the identifiers, as a run has them: sorted and distinct, one a line.
        :param origin: the run.
        :param segment: the segment.
        :param user_id_property: the Amplitude property that held them.
        :param now: the time.
        :param moment: what it is the state of.
        :param reasons: how many were not matched, by the reason; ``None`` for a snapshot.
        :param base: see :class:`.Manifest`.
        """
        name, content = folder_name(moment, segment.workspace_id, run_of(origin)), content_name(now)
        before = next((entry for entry in self.entries() if entry.name == name), None)
        with self.storage.writing(self.path(name, content)) as file:
            written = write_content(identifiers, file)
        manifest = Manifest(
            identity=self.subject.identity,
            workspace_id=segment.workspace_id,
            segment_id=segment.id,
            segment_name=segment.name,
            cohort_id=self.subject.cohort_id,
            user_id_property=user_id_property,
            id_type=self.subject.id_type,
            mode=self.subject.mode,
            origin={key: _plain(value) for key, value in asdict(origin).items()},
            moment=as_text(moment),
            taken_at=as_text(now),
            content=content,
            identifiers=written.identifiers,
            size=written.size,
            sha256=written.sha256,
            reasons=dict(reasons or {}),
            base=base,
        )
        self.storage.replace(self.path(name, MANIFEST), manifest.to_bytes())
        for old in before.contents if before else ():
            if old != content:
                self.storage.delete(self.path(name, old))
        return manifest

    def find(self, moment: datetime, workspace_id: int | None) -> Entry:
        """
        Return the newest snapshot of a workspace at or before a moment.

        :param moment: the moment to restore.
        :param workspace_id: the workspace; ``None`` for the snapshots whose workspace was unknown.
        :raises SnapshotMissingError: if there is none.
        """
        whole = [entry for entry in self.entries() if entry.is_whole]
        found = [entry for entry in whole if entry.workspace_id == workspace_id]
        not_younger = [entry for entry in found if entry.moment <= moment]
        if not_younger:
            return not_younger[-1]
        oldest = f"The oldest one is of {as_text(found[0].moment)}" if found else "There is none"
        raise SnapshotMissingError(
            f"There is no snapshot{self._of} at or before {as_text(moment)}.\n"
            f"{oldest}, in {self.folder} below {self.kind.parameter}.{_others(whole, workspace_id)} A run "
            f"stores one only if it succeeds while the sync has a {self.kind.parameter}; snapshot_keep_days "
            "says how long it is kept."
        )

    @property
    def _of(self) -> str:
        return "" if self.kind is SNAPSHOTS else f" of {self.kind.noun}"

    def manifest(self, entry: Entry) -> Manifest:
        """
        Return the manifest of a snapshot.

        :param entry: the snapshot.
        :raises SnapshotDamagedError: if it is missing or not valid.
        """
        return self._checked(entry, self.storage.read(self.path(entry.name, MANIFEST)))

    def manifests(self, entries: Sequence[Entry]) -> list[Manifest | SnapshotDamagedError]:
        """
        Return the manifests of many snapshots; for one that is damaged, what is wrong with it.

        :param entries: the snapshots.
        """
        files = self.storage.read_all([self.path(entry.name, MANIFEST) for entry in entries])
        return [self._or_error(entry, data) for entry, data in zip(entries, files, strict=True)]

    def fetch(self, entry: Entry, manifest: Manifest, target: Path) -> None:
        """
        Write the identifiers of a snapshot into a file.

        :param entry: the snapshot.
        :param manifest: its manifest.
        :param target: the file to write.
        :raises SnapshotDamagedError: if they are not what the manifest says.
        """
        with self.storage.reading(self.path(entry.name, manifest.content)) as file:
            read_content(file, target, manifest)

    def path(self, *names: str) -> str:
        """
        Return the path of a file or a folder of this segment.

        :param names: below the segment's folder.
        """
        return "/".join((self.folder, *names))

    def _or_error(self, entry: Entry, data: bytes | None) -> Manifest | SnapshotDamagedError:
        try:
            return self._checked(entry, data)
        except SnapshotDamagedError as error:
            return error

    def _checked(self, entry: Entry, data: bytes | None) -> Manifest:
        manifest = read_manifest(data, entry.moment)
        if manifest.content not in entry.contents:
            raise damaged(manifest.moment, "the file with its identifiers is missing")
        return manifest


def run_of(origin: Origin) -> str:
    """
    Return the end of the names of a run's own snapshots.

    :param origin: the run.
    """
    return short_hash(origin.dag_id, origin.task_id, origin.map_index, origin.run_id)


def _others(whole: Sequence[Entry], workspace_id: int | None) -> str:
    """Return a sentence about the snapshots of other workspaces, which are not used."""
    others = [entry.workspace_id for entry in whole if entry.workspace_id != workspace_id]
    if not others:
        return ""
    known = sorted({one for one in others if one is not None})
    named = [*map(str, known[:_SHOWN]), *(["unknown"] if None in others else [])]
    return f" The folder has {len(others):,} of other workspaces ({', '.join(named)}), which are not used."


def some_moments(entries: Sequence[Entry]) -> str:
    """
    Return the newest moments of some snapshots, as a message lists them.

    :param entries: the snapshots, oldest first.
    """
    newest = [as_text(entry.moment) for entry in reversed(entries[-_SHOWN:])]
    more = f" and {len(entries) - _SHOWN:,} more" if len(entries) > _SHOWN else ""
    return ", ".join(newest) + more


def _plain(value: Any) -> Any:
    return as_text(value) if isinstance(value, datetime) else value


_CHUNK = 1 << 20


@dataclass(frozen=True)
class Written:
    """A written file: how many identifiers, its size in bytes, and the hash of its content."""

    identifiers: int
    size: int
    sha256: str


class _Counting:
    """Counts the bytes on their way to a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: the storage decides when to write, in parts of its own size."""


def write_content(source: Path, target: IO[bytes]) -> Written:
    """
    Write the identifiers of a cohort.

    :param source: the identifiers, sorted and distinct, one a line, as a run has them.
    :param target: the file.
    """
    counting, digest, lines = _Counting(target), hashlib.sha256(), 0
    # Without name and time: the same people make the same file.
    with (
        source.open("rb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=counting, mtime=0) as packed,
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            packed.write(chunk)
    return Written(lines, counting.size, digest.hexdigest())


def read_content(source: IO[bytes], target: Path, manifest: Manifest) -> None:
    """
    Write the identifiers of a snapshot into a file of a run, and check them against the manifest.

    :param source: the snapshot's file.
    :param target: the file to write.
    :param manifest: what it must hold.
    :raises SnapshotDamagedError: if it does not.
    """
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for line in _checked(source, manifest):
            digest.update(line)
            file.write(line)
    if digest.hexdigest() != manifest.sha256:
        raise damaged(manifest.moment, "its checksum does not match")


def _checked(source: IO[bytes], manifest: Manifest) -> Iterator[bytes]:
    previous, count = b"", 0
    for line in _lines(source, manifest):
        count += 1
        if count > manifest.identifiers:
            raise damaged(manifest.moment, f"it has more than {manifest.identifiers:,} identifiers")
        if not line.endswith(b"\n"):
            raise damaged(manifest.moment, "a line of it has no end")
        if line <= previous:  # UTF-8 sorts the same by bytes as by characters
            raise damaged(manifest.moment, "its identifiers are not sorted")
        yield line
        previous = line
    if count < manifest.identifiers:
        raise damaged(manifest.moment, f"it has {count:,} identifiers instead of {manifest.identifiers:,}")


def _lines(source: IO[bytes], manifest: Manifest) -> Iterator[bytes]:
    problem = None
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as packed:
            # No line that a run has written is nearly as long, and a small file can hold one of gigabytes.
            while line := packed.readline(_CHUNK):
                yield line
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = type(error).__name__
    if problem:
        raise damaged(manifest.moment, f"its file is truncated or overwritten ({problem})")
