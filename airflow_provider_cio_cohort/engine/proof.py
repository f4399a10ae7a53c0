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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.customer_io import SegmentWriter, sample
from airflow_provider_cio_cohort.engine.diff import Change
from airflow_provider_cio_cohort.engine.identifiers import IdType
from airflow_provider_cio_cohort.engine.members import FIRST_PAUSE, Reader, Seen
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_lines
from airflow_provider_cio_cohort.exceptions import (
    ConfigurationError,
    KeysNotProvenError,
    WorkspaceMismatchError,
)

log = logging.getLogger(__name__)

#: Up to this many members, the segment is read to see whether the person is in it; for a larger segment, the
#: count is used.
READ_UP_TO = 30_000
#: Identifiers of the batch that is sent where it is not known which exist: a new random sample each time.
FIRST_BATCH = 1_000
#: Members whose removal is tried, one after the other, as long as Customer.io refuses their ids.
MOST_REMOVALS = 20


@dataclass(frozen=True)
class Probe:
    """
    A write that proves it: what is sent, how to see that it arrived, and how messages describe it.

    :param write: sends it, and says whether any of it was accepted.
    :param shows: whether it has arrived, by the segment's count, and by its lines where they were read.
    :param added: identifiers to add that it sends.
    :param removed: members to remove that it sends.
    :param sent: what it sends, for messages.
    :param unseen: returns the error if it never arrives; ``None`` where that says nothing and is none.
    """

    write: Callable[[], bool]
    shows: Callable[[int, Iterable[str] | None], bool]
    added: int
    removed: int
    sent: str
    unseen: Callable[[Probe], ConfigurationError] | None


@dataclass(frozen=True)
class Proven:
    """
    The result of a proof.

    :param is_shown: whether a write has become visible. It need not where Customer.io refuses what is to be
        written, or where only people without an ``id`` are to be removed.
    :param added: identifiers to add that were sent.
    :param removed: members to remove that were sent.
    :param visible_after: seconds after which the write was visible, at most; ``None`` if it was not.
    """

    is_shown: bool
    added: int = 0
    removed: int = 0
    visible_after: float | None = None


@dataclass(frozen=True)
class Proof:
    """
    The proof for one segment.

    :param reader: reads the segment's members.
    :param writer: writes to the segment.
    :param before: the segment's members.
    :param change: what is to be written.
    :param examples: identifiers to add that exist in Customer.io; empty if none is known.
    :param may_add: whether any identifier to add is known to exist, or cannot be looked up.
    :param directory: where the members are written to be searched.
    :param timeout: seconds that a write may take to become visible in a read.
    :param interval: seconds between two checks; the first come sooner, later ones not so soon.
    """

    reader: Reader
    writer: SegmentWriter
    before: int
    change: Change
    examples: Sequence[str]
    may_add: bool
    directory: Path
    timeout: float
    interval: float

    @property
    def segment_id(self) -> int:
        """The segment."""
        return self.writer.segment_id

    @property
    def id_type(self) -> IdType:
        """Which of Customer.io's identifiers the cohort is mapped to."""
        return self.writer.id_type

    def run(self) -> Proven:
        """
        Write one person of the change, or a batch where nobody can be looked up, and wait until it is
        visible.

        With keys of two workspaces, at most one person of an unrelated segment is added or removed, or one
        batch added.

        :raises WorkspaceMismatchError: if a person who must become visible never does.
        :raises KeysNotProvenError: if nobody of a batch does, or Customer.io refuses what is sent: whether
            the rest may be sent is not known.
        """
        for probe in self._probes():
            if probe.write():
                wrote = time.monotonic()
                is_shown = self._wait_for(probe)
                lag = time.monotonic() - wrote if is_shown else None
                return Proven(is_shown, probe.added, probe.removed, lag)
        if self.may_add and self.change.to_add > len(self.writer.rejected):
            raise self._not_proven(
                "Customer.io refuses the identifiers that were sent first.", "Correct them in Amplitude."
            )
        return Proven(False)

    def _wait_for(self, probe: Probe) -> bool:
        """Wait until a write has become visible, and return whether it has."""
        deadline, half = time.monotonic() + self.timeout, time.monotonic() + self.timeout / 2
        pause, is_repeated, readings = self.interval * FIRST_PAUSE, False, 0
        while True:
            has_arrived, seen = self._look(probe)
            if has_arrived:
                break
            readings += 1
            if time.monotonic() >= deadline:
                if seen is not None and not seen.is_whole:
                    raise self.reader.unreliable(seen, readings, self.timeout)
                if probe.unseen is None:
                    return False
                raise probe.unseen(probe)
            if not is_repeated and time.monotonic() >= half:
                is_repeated = True
                probe.write()  # a busy workspace answers 200 and drops what was sent
            self.reader.sleep(pause)
            pause = min(pause * 2, 5.0)
        log.info(
            "The App API key reads in segment %s what the Tracking API key wrote: both keys belong to one "
            "workspace.",
            self.segment_id,
        )
        return True

    def _probes(self) -> Iterator[Probe]:
        """Yield the writes that may prove it, best first; the next is for where the last one is refused."""
        yield from map(self._addition, self.examples)
        with_id = filter(members.has_id, read_lines(self.change.remove_path))
        removals = [*islice(with_id, MOST_REMOVALS)]
        yield from map(self._removal, removals)
        if removals or self.examples:
            return
        if self.may_add:
            yield self._first_batch()
        elif self.change.to_remove:
            yield self._removal(next(read_lines(self.change.remove_path)))

    def _addition(self, value: str) -> Probe:
        key = escape(value)

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            return count > self.before if lines is None else key in map(members.key_of, lines)

        sent = f"One {self.id_type} was to be added."
        return Probe(lambda: self._add([value]), shows, 1, 0, sent, self._mismatch)

    def _removal(self, line: str) -> Probe:
        """Remove a member by one identifier: in another workspace, each may belong to a different person."""
        kind, value = members.handles(line)[0]

        def remove() -> bool:
            # All of them are sent, even if the first is accepted: which one is right is not documented.
            return sum(self.writer.remove(kind, [spelling], 1) for spelling in _spellings(kind, value)) > 0

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            return count < self.before if lines is None else line not in lines

        # Customer.io's reference says that nobody is removed without an id.
        unseen = self._mismatch if kind == "id" else None
        return Probe(remove, shows, 0, 1, f"One {kind} was to be removed.", unseen)

    def _first_batch(self) -> Probe:
        batch = sample(self.change.add_path, self.change.to_add, FIRST_BATCH)
        keys = set(map(escape, batch))

        def shows(count: int, lines: Iterable[str] | None) -> bool:
            if lines is None:
                return count > self.before
            return not keys.isdisjoint(map(members.key_of, lines))

        sent = (
            f"A batch of {len(batch):,} identifiers was sent with the Tracking API key; within "
            f"{self.timeout:g} s, none of them appeared in the segment that the App API key reads."
        )
        return Probe(lambda: self._add(batch), shows, len(batch), 0, sent, self._batch_unseen)

    def _add(self, values: Sequence[str]) -> bool:
        """Add people by each spelling; all are sent, because which one is right is not documented."""
        spelt = zip(*(_spellings(self.id_type, value) for value in values), strict=True)
        return sum(self.writer.add(spelling, len(values)) for spelling in spelt) > 0

    def _look(self, probe: Probe) -> tuple[bool, Seen | None]:
        """Return whether a write has become visible, and what was read where that may not be everybody."""
        if self.before > READ_UP_TO:
            return probe.shows(self.reader.count(), None), None
        path, seen = self.directory / "proof", None
        if probe.removed:  # whoever is on no page was removed only if no page was left out
            seen = self.reader.read_once(path)
        else:
            members.collect(self.reader.pages(self.before), self.id_type, path)
        has_arrived = (seen is None or seen.is_whole) and probe.shows(self.before, read_lines(path))
        path.unlink()
        return has_arrived, seen

    def _mismatch(self, probe: Probe) -> WorkspaceMismatchError:
        return WorkspaceMismatchError(
            f"A write to segment {self.segment_id} is not visible: the keys may belong to two workspaces.\n"
            f"{probe.sent} It was sent with the Tracking API key, to segment {self.segment_id} of the Site "
            f"ID's workspace; within {self.timeout:g} s, the segment that the App API key reads did not "
            "change. Copy Site ID, Tracking API key and App API key from one workspace into the "
            "connection. If they already belong to one workspace, Customer.io takes longer to show a "
            "write: raise verify_timeout in [cio_cohort]."
        )

    def _batch_unseen(self, probe: Probe) -> KeysNotProvenError:
        return self._not_proven(
            f"{probe.sent} Perhaps none of them exists in Customer.io, perhaps the keys belong to two "
            "workspaces: the App API key may not look people up, so a run cannot tell.",
            "Allow the App API key to look people up: then a run finds a person to prove it by, or learns "
            "that nobody of the cohort is left to add.",
        )

    def _not_proven(self, what: str, remedy: str) -> KeysNotProvenError:
        return KeysNotProvenError(
            f"Nothing proves that the keys that fill segment {self.segment_id} belong to one workspace.\n"
            f"{what} Nothing more was sent, and nobody was removed. {remedy} Check that Site ID, Tracking "
            "API key and App API key are of one workspace, and that user_id_property and id_type, or "
            "identifiers, are right."
        )


def _spellings(kind: IdType, value: str) -> Sequence[str]:
    """Return the spellings that the Track API may expect; for a ``cio_id``, that is not documented."""
    return (value, members.respelt(value)) if kind == "cio_id" else (value,)
