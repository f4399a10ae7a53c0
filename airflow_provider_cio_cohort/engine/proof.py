"""
Proves that all keys of a Customer.io connection belong to one workspace, before much is written.

Writes use the Track API's keys, reads use the App API key, and both APIs identify a segment by its number
alone. With keys of two workspaces, everything that is read looks right, and writes go to an unrelated
segment. Neither API tells which workspace the other's key belongs to. So one change is written through Track,
and must become visible in a read through App.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.diff import Change
from airflow_provider_cio_cohort.engine.identifiers import IdType
from airflow_provider_cio_cohort.engine.ports import SegmentStore
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_lines, read_values
from airflow_provider_cio_cohort.exceptions import WorkspaceMismatchError

log = logging.getLogger(__name__)

#: Up to this many members, the segment is read to see whether the person is in it; for a larger segment, the
#: count is used.
READ_UP_TO = 30_000
#: Identifiers of the first batch, where none is known to exist.
FIRST_BATCH = 1_000


@dataclass(frozen=True)
class Probe:
    """
    A write that proves it: what is sent, how to see that it arrived, and how messages describe it.

    :param write: sends it.
    :param shows: whether it has arrived, by the segment's count, and by its lines where they were read.
    :param added: identifiers to add that it sends.
    :param removed: members to remove that it sends.
    :param sent: what it sends, for messages.
    """

    write: Callable[[], object]
    shows: Callable[[int, Iterable[str] | None], bool]
    added: int
    removed: int
    sent: str


@dataclass(frozen=True)
class Proof:
    """
    The proof for one segment.

    :param store: Customer.io.
    :param segment_id: the segment.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param before: the segment's members.
    :param change: what is to be written.
    :param example: an identifier to add that exists in Customer.io; ``None`` if none is known.
    :param directory: where the members are written to be searched.
    :param timeout: seconds that a write may take to become visible in a read.
    :param interval: seconds between two checks.
    :param sleep: how to wait, in seconds; it may return early when the task is stopped.
    """

    store: SegmentStore
    segment_id: int
    id_type: IdType
    before: int
    change: Change
    example: str | None
    directory: Path
    timeout: float
    interval: float
    sleep: Callable[[float], object]

    def run(self) -> tuple[int, int]:
        """
        Write one person of the change, or a batch where none is known to exist, and wait until it is visible.

        With keys of two workspaces, at most one person of an unrelated segment is added or removed, or one
        batch added.

        :return: how many identifiers to add, and members to remove, were sent by it.
        :raises WorkspaceMismatchError: if it never becomes visible.
        """
        probe = self._probe()
        deadline, half = time.monotonic() + self.timeout, time.monotonic() + self.timeout / 2
        pause, is_repeated = self.interval, False
        probe.write()
        while not self._shows(probe):
            if time.monotonic() >= deadline:
                raise self._nothing_arrived(probe)
            if not is_repeated and time.monotonic() >= half:
                is_repeated = True
                probe.write()  # a busy workspace answers 200 and drops what was sent
            self.sleep(pause)
            pause = min(pause * 1.5, 5.0)
        log.info(
            "The App API key reads in segment %s what the Tracking API key wrote: both keys belong to one "
            "workspace.",
            self.segment_id,
        )
        return probe.added, probe.removed

    def _probe(self) -> Probe:
        if self.example is not None:
            return self._addition(self.example)
        if self.change.to_remove:
            return self._removal()
        return self._first_batch()

    def _addition(self, value: str) -> Probe:
        key = escape(value)

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            return count > self.before if lines is None else key in map(members.key_of, lines)

        return Probe(lambda: self._add([value]), shows, 1, 0, f"One {self.id_type} was to be added.")

    def _removal(self) -> Probe:
        """Remove a member by one identifier: in another workspace, each may belong to a different person."""
        lines = read_lines(self.change.remove_path)
        first = next(lines)
        line = next(filter(_has_id, chain([first], lines)), first)
        kind, value = members.handles(line)[0]

        def remove() -> None:
            for spelling in _spellings(kind, value):
                self.store.remove_members(self.segment_id, [spelling], kind, 1)

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            return count < self.before if lines is None else line not in lines

        sent = f"One {kind} was to be removed."
        if kind != "id":
            sent += f" The person has no id, and Customer.io may not remove people by {kind}."
        return Probe(remove, shows, 0, 1, sent)

    def _first_batch(self) -> Probe:
        batch = list(islice(read_values(self.change.add_path), FIRST_BATCH))

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            return count > self.before

        sent = (
            f"A batch of {len(batch):,} identifiers was to be added. The App API key may not look people up: "
            "if it may, a run finds an identifier that exists, or learns that none does."
        )
        return Probe(lambda: self._add(batch), shows, len(batch), 0, sent)

    def _add(self, values: Sequence[str]) -> None:
        spelt = [spelling for value in values for spelling in _spellings(self.id_type, value)]
        self.store.add_members(self.segment_id, spelt, self.id_type, len(spelt))

    def _shows(self, probe: Probe) -> bool:
        count = self.store.count_members(self.segment_id)
        if count > READ_UP_TO:
            return probe.shows(count, None)
        path = self.directory / "proof"
        members.collect(self.store.stream_member_pages(self.segment_id), self.id_type, path)
        has_arrived = probe.shows(count, read_lines(path))
        path.unlink()
        return has_arrived

    def _nothing_arrived(self, probe: Probe) -> WorkspaceMismatchError:
        return WorkspaceMismatchError(
            f"A write to segment {self.segment_id} is not visible: the keys may belong to two workspaces.\n"
            f"{probe.sent} It was sent with the Tracking API key, to segment {self.segment_id} of the Site "
            f"ID's workspace; within {self.timeout:g} s, the segment that the App API key reads did not "
            "change. Copy Site ID, Tracking API key and App API key from one workspace into the "
            "connection. If they already belong to one workspace, Customer.io takes longer to show a "
            "write: raise verify_timeout in [cio_cohort]."
        )


def _has_id(line: str) -> bool:
    return any(kind == "id" for kind, _ in members.handles(line))


def _spellings(kind: IdType, value: str) -> Sequence[str]:
    """Return the spellings that the Track API may expect; for a ``cio_id``, that is not documented."""
    return (value, members.respelt(value)) if kind == "cio_id" else (value,)
