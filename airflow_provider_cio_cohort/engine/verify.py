"""
Reads a segment back after the writes: a 200 from Customer.io is no proof that anything changed.

Unknown people are ignored with a 200, and so are batches that a busy workspace drops. What the segment
holds afterwards is the only truth.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.customer_io import SegmentStore, SegmentWriter, existing, look_up
from airflow_provider_cio_cohort.engine.diff import Change, common_lines, compare, without
from airflow_provider_cio_cohort.engine.identifiers import CIO_PREFIX, ID_TYPES, IdType
from airflow_provider_cio_cohort.engine.members import Reader, has_id, without_id
from airflow_provider_cio_cohort.engine.sorted_file import (
    open_text,
    read_blocks,
    read_lines,
    read_values,
    write_block,
    write_blocks,
)
from airflow_provider_cio_cohort.exceptions import NotRemovableError, VerificationError

log = logging.getLogger(__name__)

#: How often a removal that had no effect is sent again: a member may have further identifiers.
MAX_REMOVALS = 3


@dataclass(frozen=True)
class VerifyTimeouts:
    """
    How long a write may take to become visible in a read; Customer.io guarantees nothing.

    :param timeout: seconds after which what is still missing counts as not done.
    :param stable_seconds: seconds for which the segment's count must not change before the members are read;
        three times as long if it has not changed at all.
    :param interval: seconds between two checks.
    """

    timeout: float = 60
    stable_seconds: float = 5
    interval: float = 1


@dataclass(frozen=True)
class Outcome:
    """
    The result of the writes, as read back.

    :param segment_after: its members.
    :param added: people who joined.
    :param removed: people who left.
    :param unmatched: identifiers that do not exist in Customer.io; ``None`` if that cannot be known.
    :param rejected: identifiers that Customer.io refuses, of people who are not in the segment.
    :param not_removable: people without an ``id`` who are still in the segment although they were removed.
    """

    segment_after: int
    added: int
    removed: int
    unmatched: int | None
    rejected: int = 0
    not_removable: int = 0


@dataclass(frozen=True)
class Verification:
    """
    Compares a segment with its cohort after a change was written.

    :param store: Customer.io.
    :param writer: writes to the segment.
    :param reader: reads the segment's members.
    :param mirror: whether nobody else may be in the segment.
    :param cohort_path: sorted identifiers of the cohort.
    :param change: what was written.
    :param before: members before it.
    :param directory: where the members are written to be compared.
    :param timeouts: how long to wait until the writes are visible.
    :param removes_without_id: whether Customer.io removes people without an ``id``; ``None`` if unknown.
    """

    store: SegmentStore
    writer: SegmentWriter
    reader: Reader
    mirror: bool
    cohort_path: Path
    change: Change
    before: int
    directory: Path
    timeouts: VerifyTimeouts
    removes_without_id: bool | None = None

    @property
    def segment_id(self) -> int:
        """The segment."""
        return self.reader.segment_id

    @property
    def id_type(self) -> IdType:
        """Which of Customer.io's identifiers the cohort is mapped to."""
        return self.reader.id_type

    def nothing_written(self) -> Outcome:
        """Return the outcome of a run that has written nothing: the members were read a moment ago."""
        return Outcome(self.before, 0, 0, self.change.to_add + self.change.not_sent)

    def remove(self, path: Path, *, attempt: int, total: int) -> None:
        """
        Remove the members in the file ``path``.

        :param path: members, see :mod:`.members`.
        :param attempt: 0 removes by the surest identifier, 1 by the next best where there is one, and so on.
        :param total: how many members there are to remove.
        """
        for kind in ID_TYPES:
            self.writer.remove(kind, _handles_of_kind(path, kind, attempt), total)

    def read_back(self, *, may_send: bool = True) -> Outcome:
        """
        Wait until the writes are visible, then compare all members of the segment with the cohort.

        Removals that had no effect are sent again, by another identifier where the member has one. People who
        exist but are not in the segment are sent once more. If in the end the only ones left to remove have
        no ``id``, that is not for lack of time: Customer.io's API removes nobody without one.

        :param may_send: whether anything may be sent again.
        :raises VerificationError: if the segment still does not hold what it should after the timeout.
        :raises NotRemovableError: if Customer.io refuses the removal of people who have an ``id``.
        """
        deadline = time.monotonic() + self.timeouts.timeout
        if may_send:
            self._wait_for_the_writes(deadline)
        pause, thorough, resent = self.timeouts.interval, False, not may_send
        attempt = 0 if may_send else MAX_REMOVALS
        while True:
            found = self._look(thorough=thorough)
            if found.lost and not found.is_exact:
                # A sample has shown that something was lost: from here on, every identifier is looked up.
                thorough = True
                found = self._look_up_all(found)
            if not resent and found.is_reliable and self._worth_sending_again(found):
                resent = True
                self._add_again(found, deadline)
                continue
            if found.as_wanted:
                return self._outcome(found)
            is_over = time.monotonic() >= deadline
            known = self.removes_without_id is False and not found.refused
            if found.is_final and (is_over or attempt == MAX_REMOVALS or known):
                return self._without_removals(found)
            if found.not_removed and found.is_reliable and attempt < MAX_REMOVALS:
                attempt += 1
                self._remove_again(found, attempt, deadline)
            if is_over:
                raise VerificationError(
                    f"Segment {self.segment_id} is not what it should be: {found.in_short}.\n"
                    f"Read back {self.timeouts.timeout:g} s after the writes: {found}. A retry compares "
                    "again and sends what is missing."
                )
            self.reader.sleep(pause)
            pause = min(pause * 2, 30)

    def _remove_again(self, found: Comparison, attempt: int, deadline: float) -> None:
        level = logging.INFO if found.is_final else logging.WARNING
        log.log(level, "%s members are still in the segment: removing them again.", f"{found.not_removed:,}")
        self.remove(self._not_removed_path, attempt=attempt, total=found.not_removed)
        if found.is_final and attempt == MAX_REMOVALS:
            # It must not be for lack of time that they are still there.
            self._settle(found.segment_after, 0, found.not_removed, deadline)

    def _without_removals(self, found: Comparison) -> Outcome:
        if not found.refused:
            return self._outcome(found)
        raise NotRemovableError(
            f"Customer.io refuses to remove {found.refused:,} people from segment {self.segment_id}.\n"
            "They are not in the cohort, and are still in the segment; everybody else is as wanted. A retry "
            "would be refused as well: remove them by hand in Customer.io."
        )

    @property
    def _not_removed_path(self) -> Path:
        return self.directory / "not_removed"

    @property
    def _missing_path(self) -> Path:
        return self.directory / "rest" / "add"

    @property
    def _lost_path(self) -> Path:
        return self.directory / "lost"

    def _wait_for_the_writes(self, deadline: float) -> None:
        change, coming = self.change, self.change.to_add
        if self.before:  # a first sync changes the count in any case
            known = look_up(self.store, change.add_path, change.to_add, self.id_type)
            coming = change.to_add if known is None else known.estimate
            coming = max(coming - len(self.writer.rejected), 0)
        if coming or change.to_remove:
            self._settle(self.before, coming, change.to_remove, deadline)

    def _settle(self, start: int, coming: int, going: int, deadline: float) -> None:
        """Wait until the segment's count is as expected or stops changing: some people may be unknown."""
        expected = start + coming - going
        # As long as the count has not changed, perhaps no write is visible yet. Where about as many people
        # are added as removed, the count need not change.
        balanced = abs(coming - going) * 10 <= coming + going
        still = self.timeouts.stable_seconds * (1 if balanced else 3)
        count, since = start, time.monotonic()
        while True:
            now = self.store.count_members(self.segment_id)
            if now != count:
                count, since, still = now, time.monotonic(), self.timeouts.stable_seconds
            arrived = count == expected != start
            if arrived or time.monotonic() >= min(deadline, since + still):
                return
            self.reader.sleep(self.timeouts.interval)

    def _worth_sending_again(self, found: Comparison) -> bool:
        if not found.missing:
            return False
        # Where the key may not look people up, one more try decides; how a cio_id is spelt is not documented.
        return found.lost != 0 or self.id_type == "cio_id"

    def _add_again(self, found: Comparison, deadline: float) -> None:
        path, total = self._missing_path, found.missing
        if found.is_exact and found.listed and found.listed == found.lost:
            path, total = self._lost_path, found.listed
        log.warning("Sending %s identifiers again: they are not in the segment.", f"{total:,}")
        prefix = CIO_PREFIX if self.id_type == "cio_id" else ""
        values = (f"{prefix}{value}" for value in read_values(path))
        self.writer.add(values, total)
        self._settle(found.segment_after, total, 0, deadline)

    def _look(self, *, thorough: bool) -> Comparison:
        path = self.directory / "members_after"
        seen = self.reader.read_once(path)
        rest = compare(
            self.cohort_path, path, self.directory / "rest", id_type=self.id_type, remove=self.mirror
        )
        path.unlink()
        if self.change.held_back:
            rest = without(rest, self.change.held_back)
        missing = rest.to_add
        if self.writer.rejected:
            rest = without(rest, tuple(self.writer.rejected))
        not_removed = write_blocks(
            self._not_removed_path, common_lines(self.change.remove_path, rest.remove_path)
        )
        no_id, refused = self._why_not_removed() if not_removed else (0, 0)
        found = Comparison(
            segment_after=seen.members.count,
            missing=rest.to_add,
            missing_of_sent=sum(map(len, common_lines(self.change.add_path, rest.add_path))),
            lost=None,
            not_removed=not_removed,
            unexpected=rest.to_remove - not_removed,
            unreliable="" if seen.agrees else str(seen),
            rejected=missing - rest.to_add,
            without_id=no_id,
            refused=refused,
        )
        if thorough:
            return self._look_up_all(found)
        known = look_up(self.store, self._missing_path, rest.to_add, self.id_type)
        if known is None:
            return found
        return replace(found, lost=known.people, estimate=known.estimate, is_exact=known.is_exact)

    def _why_not_removed(self) -> tuple[int, int]:
        """Return how many left-over members have no id, and how many of the others were refused."""
        no_id = refused = 0
        for block in read_blocks(self._not_removed_path):
            no_id += without_id(block)
            if self.writer.has_refused_removals():
                refused += sum(self.writer.is_refused(line) for line in block if has_id(line))
        return no_id, refused

    def _look_up_all(self, found: Comparison) -> Comparison:
        """Find everybody who exists but is not in the segment, and write them to a file."""
        lost = listed = 0
        log.warning("Looking up all %s identifiers that are not in the segment.", f"{found.missing:,}")
        with open_text(self._lost_path, "w") as file:
            for block, count in existing(self.store, self._missing_path, found.missing, self.id_type):
                listed += write_block(file, block)
                lost += count
        return replace(found, lost=lost, estimate=lost, is_exact=True, listed=listed)

    def _outcome(self, found: Comparison) -> Outcome:
        return Outcome(
            segment_after=found.segment_after,
            added=self.change.to_add - found.missing_of_sent - found.rejected,
            removed=self.change.to_remove - found.not_removed,
            unmatched=found.missing + self.change.not_sent,
            rejected=found.rejected,
            not_removable=found.without_id,
        )


@dataclass(frozen=True)
class Comparison:
    """
    A segment as read back, compared with its cohort.

    :param segment_after: its members.
    :param missing: identifiers of the cohort that no member has.
    :param missing_of_sent: how many of them were sent.
    :param lost: how many of them were found to exist in Customer.io; ``None`` if the key may not look people
        up.
    :param not_removed: people who were removed and are still in it.
    :param unexpected: people outside the cohort who were not in it before.
    :param unreliable: how pages and counts contradict each other; empty if they agree.
    :param estimate: how many of the missing exist, as far as a sample tells.
    :param is_exact: whether all the missing were looked up.
    :param listed: how many of the lost are known by their identifiers.
    :param rejected: identifiers that no member has and that Customer.io refuses; not among the missing.
    :param without_id: how many of those who were not removed have no ``id``.
    :param refused: how many of the others Customer.io refuses to remove.
    """

    segment_after: int
    missing: int
    missing_of_sent: int
    lost: int | None
    not_removed: int
    unexpected: int
    unreliable: str = ""
    estimate: int = 0
    is_exact: bool = False
    listed: int = 0
    rejected: int = 0
    without_id: int = 0
    refused: int = 0

    @property
    def is_reliable(self) -> bool:
        """Whether what was read agrees with the segment's count."""
        return not self.unreliable

    @property
    def as_wanted(self) -> bool:
        """Whether everybody is in it who can be, and nobody else."""
        return self.is_reliable and not (self.lost or self.not_removed or self.unexpected)

    @property
    def is_final(self) -> bool:
        """Whether nothing is wrong but what no time and no retry can change."""
        others = self.lost or self.unexpected or self.not_removed != self.without_id + self.refused
        return self.is_reliable and self.not_removed > 0 and not others

    @property
    def in_short(self) -> str:
        """What is wrong, for a pager."""
        if not self.is_reliable:
            return self.unreliable
        about = "" if self.is_exact or not self.lost else "about "
        return (
            f"{about}{self.estimate:,} people missing, {self.not_removed:,} not removed, "
            f"{self.unexpected:,} unexpected"
        )

    def __str__(self) -> str:
        at_least = "" if self.is_exact else "at least "
        no_id = f" ({self.without_id:,} of them have no id, so they never can)" if self.without_id else ""
        return (
            f"{at_least}{self.lost or 0:,} people of the cohort who exist in Customer.io are missing, "
            f"{self.not_removed:,} members could not be removed{no_id}, {self.unexpected:,} people outside "
            "the cohort have joined since (through other writers, or an earlier try whose changes appeared "
            "late)"
        )


def _handles_of_kind(path: Path, kind: IdType, attempt: int) -> Iterator[str]:
    for line in read_lines(path):
        known = members.handles(line)
        if known:
            kind_of_handle, value = known[min(attempt, len(known) - 1)]
            if kind_of_handle == kind:
                yield value
