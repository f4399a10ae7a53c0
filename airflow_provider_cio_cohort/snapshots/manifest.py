"""The manifest of a snapshot: what it is of, and what its file must hold. It has no person in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from airflow_provider_cio_cohort.exceptions import ForeignSnapshotError, SnapshotDamagedError
from airflow_provider_cio_cohort.snapshots.subject import Subject

FORMAT = 1
ELSE = "Choose another snapshot; `airflow cohort-sync snapshot list` shows which there are."


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
    All that is known of a snapshot but the people in it.

    :param identity: what tells its segment from all others, see :class:`.Subject`.
    :param workspace_id: the Customer.io workspace; ``None`` if that was not known.
    :param segment_id: the segment's id.
    :param segment_name: the segment's name.
    :param cohort_id: the cohort.
    :param user_id_property: the Amplitude property that held the identifiers.
    :param id_type: which of Customer.io's identifiers they are.
    :param mode: ``mirror`` or ``add_only``.
    :param origin: the run, with its times as text.
    :param moment: what it is the state of, in ISO 8601.
    :param taken_at: when it was taken, in ISO 8601.
    :param content: the file with the identifiers.
    :param identifiers: how many they are.
    :param size: of the file, in bytes.
    :param sha256: of what the file holds.
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
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return it as its file holds it."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    def is_elsewhere(self, workspace_id: int | None) -> bool:
        """
        Say whether it is of another workspace, as far as both are known.

        :param workspace_id: the workspace that the sync's connection leads to, if it says so.
        """
        return None not in (workspace_id, self.workspace_id) and self.workspace_id != workspace_id

    def check(self, subject: Subject, workspace_id: int | None) -> None:
        """
        Refuse a snapshot of another segment: its people belong elsewhere.

        :param subject: what the sync fills.
        :param workspace_id: the workspace that the sync's connection leads to, if it says so.
        :raises ForeignSnapshotError: saying what is another.
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
            raise ForeignSnapshotError(
                f"The snapshot of {self.moment} is of {' and '.join(wrong)}, not of this sync's.\n"
                f"It lies in the folder {subject.folder}, but its people belong elsewhere. {ELSE}"
            )


def read_manifest(data: bytes | None, moment: datetime) -> Manifest:
    """
    Return a manifest.

    :param data: the file; ``None`` if it is gone.
    :param moment: the snapshot's, by the name of its folder.
    :raises SnapshotDamagedError: if it is none, or of a later version.
    """
    try:
        facts = json.loads(data or b"")
    except ValueError:
        raise damaged(as_text(moment), "its manifest is gone or no JSON") from None
    if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
        raise damaged(as_text(moment), "its manifest is none")
    if facts["format"] > FORMAT:
        raise damaged(as_text(moment), f"its format {facts['format']} is of a later version")
    if set(facts) != {field.name for field in fields(Manifest)}:
        raise damaged(as_text(moment), "its manifest lacks a field or has one too many")
    manifest = Manifest(**facts)
    if not _is_sound(manifest) or manifest.moment != as_text(moment):
        raise damaged(as_text(moment), "its manifest has a wrong value")
    return manifest


def _is_sound(manifest: Manifest) -> bool:
    counts = (manifest.identifiers, manifest.size)
    texts = (manifest.sha256, manifest.id_type, manifest.segment_name, manifest.taken_at, manifest.content)
    return (
        all(isinstance(count, int) and count >= 0 for count in counts)
        and all(isinstance(text, str) for text in texts)
        and isinstance(manifest.identity, list)
        and isinstance(manifest.origin, dict)
    )


def damaged(moment: str, how: str) -> SnapshotDamagedError:
    """
    Return what to raise for a snapshot that is not what it should be.

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
