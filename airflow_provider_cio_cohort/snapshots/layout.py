"""
What snapshots are of, the names of their files, and their manifests.

A snapshot is a folder ``<moment>__<workspace>__<run>`` with the identifiers and a manifest, which is written
last and makes it valid. The workspace is in the name because several Airflows may share a storage: each then
finds, counts and deletes the snapshots of its own workspace, without reading the manifests of all. The file
of the identifiers has the time at which it was written in its name: so a run that is cleared never overwrites
the file that the manifest names, and leftovers of a crash are recognised by their age.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

from airflow_provider_cio_cohort.exceptions import SnapshotDamagedError, SnapshotMismatchError

MANIFEST = "manifest.json"


class Kind(NamedTuple):
    """
    What is kept of a run.

    :param parameter: the sync's parameter that says where.
    :param noun: what the files are, in words.
    :param folder: the folder below the segment's that holds them; empty for the segment's own.
    """

    parameter: str
    noun: str
    folder: str


SNAPSHOTS = Kind("snapshot_path", "snapshots", "")
UNMATCHED = Kind("unmatched_path", "unmatched identifiers", "unmatched")
#: Whom a run in tracked mode is about to add, until a snapshot holds those who have arrived.
PENDING = Kind("snapshot_path", "pending additions", "pending")
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_STAMPED = r"\d{8}T\d{6}\.\d{6}Z"
_UNKNOWN = "unknown"
_FOLDER = re.compile(rf"({_STAMPED})__workspace-(\d{{1,18}}|{_UNKNOWN})__([0-9a-f]+)")
_CONTENT = re.compile(rf"identifiers\.({_STAMPED})(?:\.({_STAMPED}))?\.gz")


def stamp(moment: datetime) -> str:
    """
    Return a moment in the form that names have, which sorts by time.

    :param moment: with a timezone.
    """
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%dT%H%M%S.%f}Z"  # of a year before 1000, strftime would lose the zeros


def content_name(stored_at: datetime, rewritten_at: datetime | None = None) -> str:
    """
    Return the name of the file with the identifiers.

    :param stored_at: when they were stored, which decides how long they are kept.
    :param rewritten_at: when people were removed from it; ``None`` if nobody was.
    """
    stamps = [stamp(moment) for moment in (stored_at, rewritten_at) if moment is not None]
    return ".".join(["identifiers", *stamps, "gz"])


def folder_name(moment: datetime, workspace_id: int | None, run: str) -> str:
    """
    Return the name of the folder of a snapshot.

    :param moment: what it is the state of.
    :param workspace_id: the Customer.io workspace; ``None`` if it is unknown.
    :param run: a hash of the run that takes it.
    """
    return f"{stamp(moment)}__workspace-{_UNKNOWN if workspace_id is None else workspace_id}__{run}"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC)
    except ValueError:  # a month 13: not a name that this package writes
        return None


def taken_at(content: str) -> datetime | None:
    """
    Return when the identifiers in a file were stored; ``None`` if the name does not say.

    :param content: the file's name.
    """
    named = _CONTENT.fullmatch(content)
    return _moment(named[1]) if named else None


@dataclass(frozen=True)
class Entry:
    """
    A snapshot, or what is left of one, as a list of files shows it.

    :param name: its folder's.
    :param moment: what it is the state of.
    :param workspace_id: the Customer.io workspace; ``None`` if it was unknown.
    :param has_manifest: whether it is whole.
    :param contents: the files with identifiers, by their names, and when each was written.
    """

    name: str
    moment: datetime
    workspace_id: int | None = None
    has_manifest: bool = False
    contents: dict[str, datetime] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether it counts as a snapshot."""
        return self.has_manifest and bool(self.contents)

    @property
    def taken_at(self) -> datetime:
        """When its identifiers were stored last, whether or not people were removed from them since."""
        return max(taken_at(name) or written for name, written in self.contents.items())


def read_entries(files: Iterable[str]) -> list[Entry]:
    """
    Return the snapshots, and leftovers of some, that a list of files shows, oldest moment first.

    :param files: paths below the folder of a segment; files with other names are ignored.
    """
    found: dict[str, Entry] = {}
    for path in files:
        folder, _, file = path.rpartition("/")
        named, content = _FOLDER.fullmatch(folder), _CONTENT.fullmatch(file)
        moment = _moment(named[1]) if named else None
        if moment is None or not (content or file == MANIFEST):
            continue
        workspace_id = int(named[2]) if named and named[2] != _UNKNOWN else None
        entry = found.get(folder, Entry(folder, moment))
        stamps = [_moment(text) for text in content.groups() if text] if content else []
        written_at = None if None in stamps else max(filter(None, stamps), default=None)
        contents = {**entry.contents, **({file: written_at} if written_at else {})}
        has_manifest = entry.has_manifest or file == MANIFEST
        found[folder] = Entry(folder, moment, workspace_id, has_manifest, contents)
    return sorted(found.values(), key=_order)


def _order(entry: Entry) -> tuple[datetime, datetime, str]:
    taken = entry.taken_at if entry.contents else entry.moment
    return entry.moment, taken, entry.name


_LONGEST_SLUG = 60
_HASH = 12


def short_hash(*parts: object) -> str:
    """
    Return a short hash of some parts, to be part of a name.

    :param parts: plain values.
    """
    return sha256(json.dumps(parts).encode()).hexdigest()[:_HASH]


def slug(text: str) -> str:
    """
    Return a text in a form that any storage accepts as the name of a folder.

    :param text: such as a segment's name.
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text)[:_LONGEST_SLUG].strip("-") or "x"


@dataclass(frozen=True)
class Subject:
    """
    A segment as one sync fills it.

    :param customer_io_conn_id: the connection to its workspace.
    :param segment: what the sync calls it: ``name`` or ``id``, and which.
    :param id_type: which of Customer.io's identifiers the snapshots hold.
    :param mode: ``mirror``, ``add_only`` or ``tracked``.
    :param cohort_id: the cohort.
    """

    customer_io_conn_id: str
    segment: tuple[str, str]
    id_type: str
    mode: str
    cohort_id: str

    @property
    def identity(self) -> list[str]:
        """
        What tells the snapshots of one segment from all others.

        A mirror is its segment's only writer, whatever cohort it uses now, and a tracked sync the only one of
        its segment. Several add_only syncs may write to one segment, and each has added other people.
        """
        whose = [self.cohort_id] if self.mode == "add_only" else []
        return [self.customer_io_conn_id, *self.segment, *whose]

    @property
    def folder(self) -> str:
        """The folder of the snapshots: readable, and safe whatever the segment's name is."""
        return f"{slug(self.customer_io_conn_id)}/{slug(self.segment[1])}.{short_hash(*self.identity)}"


FORMAT = 1
ELSE = (
    "Choose another one; `airflow cohort-sync snapshot list` lists them, `unmatched list` those of unmatched "
    "identifiers."
)


@dataclass(frozen=True)
class Origin:
    """
    The run that takes a snapshot.

    :param dag_id: its DAG.
    :param task_id: its task.
    :param map_index: of a mapped task, -1 otherwise.
    :param run_id: the run.
    :param run_type: ``scheduled``, ``manual``, ``backfill`` …; empty where there is no run.
    :param run_after: before which it did not start.
    :param logical_date: its logical date, if it has one.
    :param data_interval_start: of its data interval, if it has one.
    :param data_interval_end: of its data interval, if it has one.
    """

    dag_id: str
    task_id: str
    map_index: int = -1
    run_id: str = ""
    run_type: str = ""
    run_after: datetime | None = None
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


@dataclass(frozen=True)
class Manifest:
    """
    Everything known about a snapshot except the people in it.

    :param identity: what tells its segment from all others, see :class:`.Subject`.
    :param workspace_id: the Customer.io workspace; ``None`` if that was not known.
    :param segment_id: the segment's id.
    :param segment_name: the segment's name.
    :param cohort_id: the cohort.
    :param user_id_property: the Amplitude property that held the identifiers.
    :param id_type: which of Customer.io's identifiers they are.
    :param mode: ``mirror`` or ``add_only`` if they are the cohort's, ``tracked`` if they are the members whom
        the sync has added.
    :param origin: the run, with its times as text.
    :param moment: what it is the state of, in ISO 8601.
    :param taken_at: when it was taken, in ISO 8601.
    :param content: the file with the identifiers.
    :param identifiers: how many they are.
    :param size: of the file, in bytes.
    :param sha256: of what the file holds.
    :param reasons: how many were not matched, by the reason; empty for a snapshot.
    :param base: for pending additions, the snapshot that holds those who were added before; else empty.
    :param format: of the file.
    """

    identity: list[str]
    workspace_id: int | None
    segment_id: int | None
    segment_name: str
    cohort_id: str
    user_id_property: str
    id_type: str
    mode: str
    origin: dict[str, Any]
    moment: str
    taken_at: str
    content: str
    identifiers: int
    size: int
    sha256: str
    reasons: dict[str, int] = field(default_factory=dict)
    base: str = ""
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return it as the bytes of its file."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    def is_elsewhere(self, workspace_id: int | None) -> bool:
        """
        Say whether it is of another workspace, as far as both are known.

        :param workspace_id: the workspace of the sync's connection; ``None`` if it is unknown.
        """
        return None not in (workspace_id, self.workspace_id) and self.workspace_id != workspace_id

    def check(self, subject: Subject, workspace_id: int | None) -> None:
        """
        Refuse a snapshot of another segment: its people belong elsewhere.

        :param subject: what the sync fills.
        :param workspace_id: the workspace of the sync's connection; ``None`` if it is unknown.
        :raises SnapshotMismatchError: saying what differs.
        """
        wrong = [
            words
            for words, is_wrong in (
                (f"segment {self.segment_name!r}", self.identity != subject.identity),
                (f"workspace {self.workspace_id}", self.is_elsewhere(workspace_id)),
                (f"id_type {self.id_type}", self.id_type != subject.id_type),
            )
            if is_wrong
        ]
        if wrong:
            raise SnapshotMismatchError(
                f"The snapshot of {self.moment} is for {' and '.join(wrong)}, not for this sync's.\n"
                f"It is in the folder {subject.folder}, but its people belong elsewhere. {ELSE}"
            )
        if self.mode == "tracked" and subject.mode != "tracked":
            raise SnapshotMismatchError(
                f"The snapshot of {self.moment} holds only the members whom the sync had added.\n"
                "It was taken with mode: tracked. This sync would remove everybody else, whom others have "
                f"added. Restore it with mode: tracked. {ELSE}"
            )


def read_manifest(data: bytes | None, moment: datetime) -> Manifest:
    """
    Return a manifest.

    :param data: the file; ``None`` if it is missing.
    :param moment: the snapshot's, by the name of its folder.
    :raises SnapshotDamagedError: if it is not valid, or from a later version.
    """
    try:
        facts = json.loads(data or b"")
    except ValueError:
        raise damaged(as_text(moment), "its manifest is missing or not JSON") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise damaged(as_text(moment), "its manifest is not valid")
    if facts["format"] > FORMAT:
        raise damaged(as_text(moment), f"its format {facts['format']} is from a later version")
    if set(facts) != {field.name for field in fields(Manifest)}:
        raise damaged(as_text(moment), "its manifest has a missing or an unknown field")
    manifest = Manifest(**facts)
    if not _is_sound(manifest) or manifest.moment != as_text(moment):
        raise damaged(as_text(moment), "its manifest has a wrong value")
    return manifest


def _is_sound(manifest: Manifest) -> bool:
    counts = (manifest.identifiers, manifest.size)
    texts = (
        *(manifest.sha256, manifest.id_type, manifest.segment_name, manifest.taken_at, manifest.content),
        *(manifest.mode, manifest.cohort_id, manifest.base),
    )
    return (
        all(isinstance(count, int) and count >= 0 for count in counts)
        and all(isinstance(text, str) for text in texts)
        and isinstance(manifest.identity, list)
        and isinstance(manifest.origin, dict)
        and isinstance(manifest.reasons, dict)
    )


def check_known(workspace_id: int | None, whose: str) -> None:
    """
    Refuse to restore a snapshot where its workspace, or the one to write to, is unknown.

    :param workspace_id: the workspace; ``None`` if it is unknown.
    :param whose: ``the snapshot`` or ``the connection``.
    :raises SnapshotMismatchError: if it is unknown.
    """
    if workspace_id is None:
        raise SnapshotMismatchError(
            f"The workspace of {whose} is unknown, so the snapshot is not used.\n"
            "Customer.io did not return the workspace's number. These people could be added to a segment "
            f"of another workspace. {ELSE}"
        )


def damaged(moment: str, how: str) -> SnapshotDamagedError:
    """
    Return the error for a damaged snapshot.

    :param moment: the snapshot's.
    :param how: what is wrong with it.
    """
    return SnapshotDamagedError(f"The snapshot of {moment} is damaged: {how}.\n{ELSE}")


def as_text(moment: datetime) -> str:
    """
    Return a moment in ISO 8601, UTC; the fraction of a second only where there is one.

    :param moment: with a timezone.
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
