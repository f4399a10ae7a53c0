"""Finds syncs that would undo each other's work: in one file, and across files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_cio_cohort.dag_generation.spec import Sync

#: The name of a sync, and of one of its targets; the second is empty for a sync without targets.
Label = tuple[str, str]

_UNDO = (
    "write to the same segment, and a mirror or a tracked sync removes people who are not in its own cohort, "
    "so they would undo each other's work"
)
_WAYS_OUT = "Give each a segment of its own, make all of them add_only, or set enabled: false."


def find_conflicts(syncs: Mapping[Label, Sync]) -> dict[Label, str]:
    """
    Return the message of each sync that must not run because it conflicts with others.

    Two mirrors of one segment remove each other's members at every run, and so do a mirror and an
    ``add_only`` sync of another cohort: people would repeatedly enter and leave the segment, and get its
    messages again. An ``add_only`` sync may share the segment with a mirror of the same people (add every
    hour, remove every night), and any number of ``add_only`` syncs may write to one segment. A ``tracked``
    sync shares its segment with no other: whom the other one has added, it would never remove. Disabled
    syncs conflict with nothing.

    :param syncs: every valid sync or target by its label.
    """
    shared: dict[tuple[str, str, str], dict[Label, Sync]] = {}
    for label, sync in syncs.items():
        if sync.enabled:
            shared.setdefault((sync.customer_io_conn_id, *_segment(sync)), {})[label] = sync
    found: dict[Label, str] = {}
    for group in shared.values():
        for label, sync in group.items():
            others = [other for other in group if other != label and _collide(sync, group[other])]
            if others:
                found[label] = _message(sync, others, group)
    return found


def find_conflicts_of_files(
    files: Mapping[str, Mapping[Label, Sync]],
) -> Iterator[tuple[str, Label, str, str]]:
    """
    Yield each sync that conflicts with a sync of another file: its file, its label, the key, the message.

    Airflow reads each file on its own, so these conflicts show only when all files are checked together.
    :func:`find_conflicts` finds those within a file.

    :param files: the valid syncs and targets of each file.
    """
    shared: dict[tuple[str, str, str], list[tuple[str, Label, Sync]]] = {}
    for file, syncs in files.items():
        for label, sync in syncs.items():
            if sync.enabled:
                place = (sync.customer_io_conn_id, *_segment(sync))
                shared.setdefault(place, []).append((file, label, sync))
    for group in shared.values():
        for file, label, sync in group:
            others = [each for each in group if each[0] != file and _collide(sync, each[2])]
            if others:
                them = ", ".join(f"{shown(other)} ({that.mode}) in {where}" for where, other, that in others)
                key = "segment_id" if sync.segment_name is None else "segment_name"
                yield file, label, key, f"this sync ({sync.mode}) and {them} {_UNDO}. {_WAYS_OUT}"


class Writers:
    """
    All syncs of a file, by the segments that they name.

    :param syncs: every valid sync or target of the file by its label.
    """

    def __init__(self, syncs: Mapping[Label, Sync]) -> None:
        self._syncs = syncs
        self._order = {label: place for place, label in enumerate(syncs)}
        self._by_kind: dict[str, list[Label]] = {"id": [], "name": []}
        self._by_segment: dict[tuple[str, str], list[Label]] = {}
        for label, sync in syncs.items():
            if sync.enabled:
                segment = _segment(sync)
                self._by_kind[segment[0]].append(label)
                self._by_segment.setdefault(segment, []).append(label)

    def others(self, label: Label) -> list[dict[str, Any]]:
        """
        Return the other syncs that may write to the segment of a sync, in the order of the file.

        They would undo each other's work if the segment is the same, but only Customer.io knows whether it
        is: one sync gives its name and the other its id, or they use two connections. A run asks.
        """
        sync = self._syncs[label]
        segment = _segment(sync)
        elsewhere = [
            other
            for other in self._by_segment.get(segment, ())
            if self._syncs[other].customer_io_conn_id != sync.customer_io_conn_id
        ]
        named_otherwise = self._by_kind["id" if segment[0] == "name" else "name"]
        return [
            {
                "sync": shown(other),
                "customer_io_conn_id": that.customer_io_conn_id,
                "segment_name": that.segment_name,
                "segment_id": that.segment_id,
                "mode": that.mode,
                "people": that.people,
            }
            for other in sorted([*elsewhere, *named_otherwise], key=self._order.__getitem__)
            if _collide(sync, that := self._syncs[other])
        ]


def _segment(sync: Sync) -> tuple[str, str]:
    """Return the kind of a segment's reference, and the reference."""
    return ("id", str(sync.segment_id)) if sync.segment_name is None else ("name", sync.segment_name)


def _collide(one: Sync, other: Sync) -> bool:
    modes = {one.mode, other.mode}
    if modes == {"add_only"}:
        return False
    return modes != {"mirror", "add_only"} or one.people != other.people


def shown(label: Label) -> str:
    """Return a label as text for messages."""
    name, target = label
    return f"{name}, target {target}" if target else name


def _message(sync: Sync, others: list[Label], group: Mapping[Label, Sync]) -> str:
    them = ", ".join(f"{shown(other)} ({group[other].mode})" for other in others)
    return f"this sync ({sync.mode}) and {them} {_UNDO}; none of them runs. {_WAYS_OUT}"
