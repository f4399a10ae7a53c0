"""
Reads a segment back after the writes: a 200 from Customer.io is no proof that anything changed.

Unknown people are ignored with a 200, and so are batches that a busy workspace drops. What the segment
holds afterwards is the only truth.

**What an early read proves.** How long a write takes to show in a read is not documented, nor whether every
read shows what an earlier one has shown. So a read that does *not* show a write proves nothing: the write may
be late. But a read that shows a write proves it, however early it comes: a person who was out before the
writes and is in now was added, and one who was in and is out now was removed. A later read that says
otherwise comes from a server that is behind, and catches up. So the run is done, without any waiting, with
the first read that shows all of its writes: everybody sent is in, or was looked up and does not exist;
everybody removed is out; nobody else is in; and nobody of the cohort who was in is missing.

That somebody is *out* holds only if no member was left out. While people join and leave, pages shift, so that
somebody can move to a page that was read already. So the number of members must equal the segment's count
before and after, and nobody may come twice, as a shift in the other direction shows. The people whom the run
itself removes cannot hide others: only somebody on a page that was read already can, when leaving later, move
the next pages up. So the read contains that person, and shows a removal that is not done.

Where a read shows less, only time tells whether a write is late or lost. Then the segment's count must not
change for a while (:class:`VerifyTimeouts`) before anything is sent again. The same holds before a read
counts that shows no more than is likely: more are missing than are looked up one by one, the App API key may
not look people up, or an earlier try has written and its writes may still come.

One case passes unseen: the removal is lost of somebody who joined just before the run, and the read comes
from a server that shows neither. The next run removes this person.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.customer_io import (
    MOST_LOOKUPS,
    Lookup,
    SegmentStore,
    SegmentWriter,
    existing,
    look_up,
    look_up_values,
    sample,
)
from airflow_provider_cio_cohort.engine.diff import (
    Change,
    common_lines,
    compare,
    of_any,
    present,
    without,
)
from airflow_provider_cio_cohort.engine.identifiers import CIO_PREFIX, ID_TYPES, IdType, may_be_too_long
from airflow_provider_cio_cohort.engine.members import FIRST_PAUSE, Reader, Stillness, has_id, without_id
from airflow_provider_cio_cohort.engine.report import Comparison, Outcome
from airflow_provider_cio_cohort.engine.sorted_file import (
    Block,
    open_text,
    read_blocks,
    read_lines,
    read_values,
    unescape,
    write_block,
    write_blocks,
)
from airflow_provider_cio_cohort.exceptions import NotRemovableError, VerificationError

log = logging.getLogger(__name__)

#: The file, in a run's directory, of the members whom the sync has added.
TRACKED_FILE = "tracked"
#: How often a removal that had no effect is sent again: a member may have further identifiers.
MAX_REMOVALS = 3
#: Up to this many members, the segment is read at once after the writes: ten pages, so about a second.
READ_AT_ONCE = 300_000
#: The share of a sample for those who were sent last, so that a short last batch is looked up as well.
LAST_SENT = 1 / 10
#: Seconds; a measured lag is doubled, and never counts as less than this.
LEAST_STABLE_SECONDS = 1.0
#: The longest pause between two readings, in seconds.
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True)
class VerifyTimeouts:
    """
    How long a write may take to become visible in a read; Customer.io guarantees nothing.

    :param timeout: seconds after which what is still missing counts as not done.
    :param stable_seconds: seconds for which the segment's count must not change before what was read counts
        although it does not prove everything; three times as long if the count has not changed at all.
    :param interval: seconds between two checks of the count; the first come sooner.
    """

    timeout: float = 60
    stable_seconds: float = 5
    interval: float = 1

    def after_lag(self, seconds: float | None, *, looks_up: bool) -> VerifyTimeouts:
        """
        Return the time-outs where a lag was measured: it replaces the default, but no other value.

        :param seconds: until the slowest write was visible; ``None`` if that was not measured.
        :param looks_up: whether people can be looked up; if not, those whose addition shows later would count
            as unknown, so nothing gets shorter.
        """
        default = VerifyTimeouts.stable_seconds
        if seconds is None or self.stable_seconds != default:
            return self
        stable = max(2 * seconds, LEAST_STABLE_SECONDS)
        return replace(self, stable_seconds=stable if looks_up else max(stable, default))


@dataclass(frozen=True)
class Verification:
    """
    Compares a segment with its cohort after a change was written.

    :param store: Customer.io.
    :param writer: writes to the segment.
    :param reader: reads the segment's members.
    :param mirror: whether nobody else may be in the segment.
    :param tracked: sorted identifiers of those whom the sync has added before, where it removes no others.
    :param cohort_path: sorted identifiers of the cohort.
    :param change: what was written.
    :param before: members before it.
    :param directory: where the members are written to be compared.
    :param timeouts: how long to wait until the writes are visible.
    :param removes_without_id: whether Customer.io removes people without an ``id``; ``None`` if unknown.
    :param unverified_writes: whether writes of an earlier try, which nobody has read back, may still show.
    :param unknown: identifiers, as they were sent, that were looked up in this run and do not exist.
    :param lag: seconds after which the slowest of earlier writes was visible; ``None`` if unknown.
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
    unverified_writes: bool = False
    unknown: set[str] = field(default_factory=set, repr=False)
    lag: float | None = None
    tracked: Path | None = None

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

    def why_unmatched(self) -> dict[tuple[str, IdType], Iterable[Block]]:
        """
        Return whom the run has not matched, as escaped identifiers by the reason and by which they are.

        Members who have no ``id``, and so cannot be removed, are named by what else they have.
        """
        change, read_back, own = self.change, self._missing_path.exists(), self.id_type
        long = {line for line in change.held_back if may_be_too_long(unescape(line), own)}
        found: dict[tuple[str, IdType], Iterable[Block]] = {
            ("unknown", own): read_blocks(self._missing_path if read_back else change.add_path),
            ("too_long", own): chain(read_blocks(change.impossible_path), [sorted(long)]),
            ("mistyped", own): [sorted({*change.held_back} - long)],
            ("rejected", own): read_blocks(self._rejected_path) if self._rejected_path.exists() else (),
        }
        for kind in ID_TYPES:
            stayed = read_blocks(self._not_removed_path) if read_back else ()
            found["not_removable", kind] = map(partial(_named_by, kind, own), stayed)
        return found

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
        Compare all members of the segment with the cohort: at once, and again until that proves the outcome
        or the writes have had their time.

        Removals that had no effect are sent again, by another identifier where the member has one. People who
        exist but are not in the segment are sent once more. If in the end the only ones left to remove have
        no ``id``, that is not for lack of time: Customer.io's API removes nobody without one.

        :param may_send: whether anything may be sent again.
        :raises VerificationError: if the segment still does not hold what it should after the timeout.
        :raises NotRemovableError: if Customer.io refuses the removal of people who have an ``id``.
        """
        deadline = time.monotonic() + self.timeouts.timeout
        if may_send and self._may_prove:
            if outcome := self._prove(deadline):
                return outcome
        elif may_send:
            self._wait_for_the_writes(deadline)
        return self._complete(deadline, may_send=may_send)

    def _complete(self, deadline: float, *, may_send: bool) -> Outcome:
        """Read and send again what has no effect, after the writes had their time, until all is as wanted."""
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
            self.reader.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 2, _LONGEST_PAUSE)

    @property
    def _may_prove(self) -> bool:
        """Whether an early read is cheap, and nothing else than the run's own writes is to be expected."""
        return not self.unverified_writes and self.before + self.change.to_add <= READ_AT_ONCE

    def _prove(self, deadline: float) -> Outcome | None:
        """Read until the members prove the outcome; return ``None`` once the writes have had their time."""
        wrote, still = time.monotonic(), None
        pause = self.timeouts.interval * FIRST_PAUSE
        while True:
            found = self._look(thorough=False)
            still = still or self._stillness(self.before, found, wrote)
            still.note(found.segment_after, found.read_at)
            done = found.as_wanted or (found.is_final and self.removes_without_id is False)
            if done and not found.refused and not self._worth_sending_again(found):
                if found.is_proof or self._stays(still, deadline):
                    return replace(self._outcome(found), visible_after=self._lag(found, wrote))
                if time.monotonic() < deadline:
                    continue
            left = min(still.until, deadline) - time.monotonic()
            self.reader.sleep(max(min(pause, left), 0))
            if pause >= left:
                return None
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _stillness(self, before: int, found: Comparison, wrote: float) -> Stillness:
        stable = self.timeouts.after_lag(self.lag, looks_up=found.looks_up).stable_seconds
        coming = found.estimate if found.looks_up else found.missing_of_sent
        return Stillness.of(before, coming, found.not_removed, wrote, stable)

    def _stays(self, still: Stillness, deadline: float) -> bool:
        """Wait for as long as the count must not change, and say whether it has not."""
        pause = self.timeouts.interval * FIRST_PAUSE
        while True:
            if self.store.count_members(self.segment_id) != still.count:
                return False
            left = min(still.until, deadline) - time.monotonic()
            if left <= 0:
                return True
            self.reader.sleep(min(pause, left))
            pause = min(2 * pause, self.timeouts.interval)

    def _lag(self, found: Comparison, wrote: float) -> float | None:
        """Return after how long the writes showed at the latest; ``None`` if there was nothing to show."""
        changed = found.missing_of_sent < self.change.to_add or found.not_removed < self.change.to_remove
        return found.read_at - wrote if changed else None

    def _remove_again(self, found: Comparison, attempt: int, deadline: float) -> None:
        level = logging.INFO if found.is_final else logging.WARNING
        log.log(level, "%s members are still in the segment: removing them again.", f"{found.not_removed:,}")
        self.remove(self._not_removed_path, attempt=attempt, total=found.not_removed)
        if found.is_final and attempt == MAX_REMOVALS:
            # It must not be for lack of time that they are still there.
            self._settle(found.segment_after, 0, found.not_removed, deadline, looks_up=found.looks_up)

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
    def _rejected_path(self) -> Path:
        return self.directory / "rejected"

    @property
    def _lost_path(self) -> Path:
        return self.directory / "lost"

    def _wait_for_the_writes(self, deadline: float) -> None:
        change, coming = self.change, self.change.to_add
        # A first sync changes the count in any case.
        is_first = not self.before
        known = look_up(self.store, change.add_path, change.to_add, self.id_type, until_found=is_first)
        if not is_first:
            coming = change.to_add if known is None else known.estimate
            coming = max(coming - len(self.writer.rejected), 0)
        if coming or change.to_remove:
            self._settle(self.before, coming, change.to_remove, deadline, looks_up=known is not None)

    def _settle(self, start: int, coming: int, going: int, deadline: float, *, looks_up: bool) -> None:
        """Wait until the segment's count is as expected or stops changing: some people may be unknown."""
        expected, pause = start + coming - going, self.timeouts.interval * FIRST_PAUSE
        stable = self.timeouts.after_lag(self.lag, looks_up=looks_up).stable_seconds
        still = Stillness.of(start, coming, going, time.monotonic(), stable)
        while True:
            still.note(self.store.count_members(self.segment_id), time.monotonic())
            left = min(still.until, deadline) - time.monotonic()
            # What an earlier try has written may come on top of what is expected.
            arrived = still.count == expected != start and not self.unverified_writes
            if left <= 0 or arrived:
                return
            self.reader.sleep(min(pause, left))
            pause = min(2 * pause, self.timeouts.interval)

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
        self._settle(found.segment_after, total, 0, deadline, looks_up=found.looks_up)

    def _look(self, *, thorough: bool) -> Comparison:
        path = self.directory / "members_after"
        seen, read_at = self.reader.read_once(path), time.monotonic()
        removes = self.mirror or self.change.to_remove > 0
        rest = compare(self.cohort_path, path, self.directory / "rest", id_type=self.id_type, remove=removes)
        tracked = None
        if self.tracked is not None:
            added = of_any([self.tracked, self.change.add_path])
            tracked = write_blocks(self.directory / TRACKED_FILE, present(added, path))
        path.unlink()
        if self.change.held_back:
            rest = without(rest, self.change.held_back)
        missing = rest.to_add
        if self.writer.rejected:
            blocks = read_blocks(rest.add_path)
            theirs = ([line for line in block if line in self.writer.rejected] for block in blocks)
            write_blocks(self._rejected_path, theirs)
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
            unexpected=rest.to_remove - not_removed if self.mirror else 0,
            unreliable="" if seen.agrees else str(seen),
            rejected=missing - rest.to_add,
            without_id=no_id,
            refused=refused,
            is_whole=seen.is_whole,
            read_at=read_at,
            tracked=tracked,
        )
        if thorough:
            return self._look_up_all(found)
        known = self._look_up_missing(rest.to_add)
        if known is None:
            return found
        return replace(
            found,
            lost=known.people,
            estimate=known.estimate,
            is_exact=known.is_exact,
            is_known=known.is_exact and not known.refused,
        )

    def _look_up_missing(self, total: int) -> Lookup | None:
        """
        Look up who of the missing exists, until one is found who does.

        A sample is large enough for a lost batch of a thousand to be noticed in a total of up to a million.
        """
        most = MOST_LOOKUPS
        if total > most:
            most = min(max(total // 500, most // 2), most)
        values = sample(self._missing_path, total, most, last=int(most * LAST_SENT))
        random.shuffle(values)
        asked = [value for value in values if value not in self.unknown]
        known = look_up_values(self.store, asked, total, self.id_type, until_found=True)
        if known is None:
            return None
        if total <= MOST_LOOKUPS:
            self.unknown.update(known.unknown)
        return replace(known, asked=known.asked + len(values) - len(asked))

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
            tracked=found.tracked,
        )


def longest(*lags: float | None) -> float | None:
    """
    Return the longest of the lags that were measured, ``None`` if none was.

    :param lags: seconds until writes were visible.
    """
    return max((lag for lag in lags if lag is not None), default=None)


def _named_by(kind: IdType, own: IdType, lines: Block) -> Block:
    """Return what names the members without an ``id``, of those whom this kind of identifier names."""
    named = [members.name_of(line, own) for line in lines if not has_id(line)]
    return [name for name_kind, name in named if name_kind == kind]


def _handles_of_kind(path: Path, kind: IdType, attempt: int) -> Iterator[str]:
    for line in read_lines(path):
        known = members.handles(line)
        if known:
            kind_of_handle, value = known[min(attempt, len(known) - 1)]
            if kind_of_handle == kind:
                yield value
