"""
Reads a segment back after the writes: a 200 from Customer.io is no proof that anything changed.

Unknown people are ignored with a 200, and so are batches that a busy workspace drops. What the segment
holds afterwards is the only truth.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cio_cohort.exceptions import VerificationError
from airflow_provider_cio_cohort.sync import members
from airflow_provider_cio_cohort.sync.diff import Change, common_lines, compare
from airflow_provider_cio_cohort.sync.identifiers import CIO_PREFIX, ID_TYPES, IdType
from airflow_provider_cio_cohort.sync.lines import read_lines, read_values, write_blocks
from airflow_provider_cio_cohort.sync.lookup import look_up
from airflow_provider_cio_cohort.sync.store import SegmentStore

log = logging.getLogger(__name__)

#: How often a removal that did not take is sent again: a member may have further identifiers.
MAX_REMOVALS = 3


@dataclass(frozen=True)
class Patience:
    """
    How long a write may take to show in a read; Customer.io promises nothing about it.

    :param timeout: seconds after which what is still missing counts as not done.
    :param settle: seconds for which the segment's count must stand still before the members are read;
        three times as long if it has not moved at all.
    :param interval: seconds between two looks.
    """

    timeout: float = 60
    settle: float = 5
    interval: float = 1


@dataclass(frozen=True)
class Outcome:
    """
    What the segment became.

    :param segment_after: its members.
    :param added: people who joined.
    :param removed: people who left.
    :param unmatched: identifiers with nobody in Customer.io; ``None`` if that cannot be known.
    """

    segment_after: int
    added: int
    removed: int
    unmatched: int | None


@dataclass(frozen=True)
class Verification:
    """
    Compares a segment with its cohort after a change was written.

    :param store: Customer.io.
    :param segment_id: the segment.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param mirror: whether nobody else may be in the segment.
    :param cohort_path: sorted identifiers of the cohort.
    :param change: what was written.
    :param before: members before it.
    :param directory: where the members are written to be compared.
    :param patience: how long to wait for the writes to show.
    :param sleep: how to wait, in seconds; it may return early when the task is killed.
    """

    store: SegmentStore
    segment_id: int
    id_type: IdType
    mirror: bool
    cohort_path: Path
    change: Change
    before: int
    directory: Path
    patience: Patience
    sleep: Callable[[float], object]

    def nothing_written(self) -> Outcome:
        """Return the outcome of a run that had nothing to write: the members were read a moment ago."""
        return Outcome(self.before, 0, 0, self.change.impossible)

    def remove(self, path: Path, *, attempt: int, total: int) -> None:
        """
        Remove the members in the file ``path``.

        :param path: members, see :mod:`.members`.
        :param attempt: 0 removes by the surest identifier, 1 by the next best where there is one, and so on.
        :param total: how many members there are to remove.
        """
        for kind in ID_TYPES:
            self.store.remove_members(self.segment_id, _handles_of_kind(path, kind, attempt), kind, total)

    def read_back(self) -> Outcome:
        """
        Wait until the writes show, then compare everybody in the segment with the cohort.

        Removals that did not take are sent again, by another identifier where the member has one. People who
        exist and did not come in are sent once more.

        :raises VerificationError: if the segment still is not what it should be when patience ends.
        """
        deadline = time.monotonic() + self.patience.timeout
        self._wait_for_the_writes(deadline)
        pause, attempt, resent = self.patience.interval, 0, False
        while True:
            found = self._look()
            if not resent and self._worth_sending_again(found):
                resent = True
                log.warning("Sending %s identifiers again: they did not come in.", f"{found.absent:,}")
                self._add_again(found.absent)
                self._settle(found.segment_after, found.absent, 0, deadline)
                continue
            if found.as_wanted:
                return self._outcome(found)
            if found.stayed and attempt < MAX_REMOVALS:
                attempt += 1
                log.warning("%s members are still in the segment: removing them again.", f"{found.stayed:,}")
                self.remove(self._stayed_path, attempt=attempt, total=found.stayed)
            if time.monotonic() >= deadline:
                raise VerificationError(
                    f"Segment {self.segment_id} is not what it should be: {found.in_short}.\n"
                    f"Read back {self.patience.timeout:g} s after the writes, {found}. A retry compares "
                    "again and sends what is missing."
                )
            self.sleep(pause)
            pause = min(pause * 2, 30)

    @property
    def _stayed_path(self) -> Path:
        return self.directory / "stayed"

    @property
    def _absent_path(self) -> Path:
        return self.directory / "rest" / "add"

    def _wait_for_the_writes(self, deadline: float) -> None:
        change, coming = self.change, self.change.to_add
        if self.before:  # a first sync moves the count in any case
            known = look_up(self.store, change.add_path, change.to_add, self.id_type)
            coming = change.to_add if known is None else known.estimate
        if coming or change.to_remove:
            self._settle(self.before, coming, change.to_remove, deadline)

    def _settle(self, start: int, coming: int, going: int, deadline: float) -> None:
        """Wait until the segment's count is what it must become, or stands still: some people are unknown."""
        expected = start + coming - going
        # As long as nothing has moved, no write may show yet. Where about as many come as go, the count need
        # not tell.
        balanced = abs(coming - going) * 10 <= coming + going
        still = self.patience.settle * (1 if balanced else 3)
        count, since = start, time.monotonic()
        while True:
            now = self.store.count_members(self.segment_id)
            if now != count:
                count, since, still = now, time.monotonic(), self.patience.settle
            arrived = count == expected != start
            if arrived or time.monotonic() >= min(deadline, since + still):
                return
            self.sleep(self.patience.interval)

    def _worth_sending_again(self, found: Comparison) -> bool:
        if not found.absent:
            return False
        # Where nobody tells who exists, one more try does; and how a cio_id is spelt is not documented.
        return found.dropped != 0 or self.id_type == "cio_id"

    def _add_again(self, total: int) -> None:
        prefix = CIO_PREFIX if self.id_type == "cio_id" else ""
        values = (f"{prefix}{value}" for value in read_values(self._absent_path))
        self.store.add_members(self.segment_id, values, self.id_type, total)

    def _look(self) -> Comparison:
        path = self.directory / "members_after"
        after = members.collect(self.store.stream_member_pages(self.segment_id), self.id_type, path)
        rest = compare(
            self.cohort_path, path, self.directory / "rest", id_type=self.id_type, remove=self.mirror
        )
        path.unlink()
        stayed = write_blocks(self._stayed_path, common_lines(self.change.remove_path, rest.remove_path))
        known = look_up(self.store, self._absent_path, rest.to_add, self.id_type)
        return Comparison(
            segment_after=after,
            absent=rest.to_add,
            missing=sum(map(len, common_lines(self.change.add_path, rest.add_path))),
            dropped=None if known is None else known.people,
            stayed=stayed,
            strangers=rest.to_remove - stayed,
        )

    def _outcome(self, found: Comparison) -> Outcome:
        return Outcome(
            segment_after=found.segment_after,
            added=self.change.to_add - found.missing,
            removed=self.change.to_remove,
            unmatched=found.absent + self.change.impossible,
        )


@dataclass(frozen=True)
class Comparison:
    """
    A segment as read back, held against its cohort.

    :param segment_after: its members.
    :param absent: identifiers of the cohort that nobody in it has.
    :param missing: how many of them were sent.
    :param dropped: how many of them are known to be somebody's; ``None`` if nobody tells.
    :param stayed: people who were removed and are in it still.
    :param strangers: people outside the cohort who have come in meanwhile.
    """

    segment_after: int
    absent: int
    missing: int
    dropped: int | None
    stayed: int
    strangers: int

    @property
    def as_wanted(self) -> bool:
        """Whether everybody is in it who can be, and nobody else."""
        return not (self.dropped or self.stayed or self.strangers)

    @property
    def in_short(self) -> str:
        """What is wrong, for a pager."""
        return (
            f"{self.dropped or 0:,} people missing, {self.stayed:,} not removed, "
            f"{self.strangers:,} came in from elsewhere"
        )

    def __str__(self) -> str:
        return (
            f"at least {self.dropped or 0:,} people of the cohort who exist are not in it, "
            f"{self.stayed:,} members could not be removed, "
            f"{self.strangers:,} who are not in the cohort have come in"
        )


def _handles_of_kind(path: Path, kind: IdType, attempt: int) -> Iterator[str]:
    for line in read_lines(path):
        known = members.handles(line)
        if known:
            kind_of_handle, value = known[min(attempt, len(known) - 1)]
            if kind_of_handle == kind:
                yield value
