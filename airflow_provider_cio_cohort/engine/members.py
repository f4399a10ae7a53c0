"""
A segment's members: read, and written as lines that sort and compare like the cohort's identifiers.

A line is the member's key (the identifier that the sync maps to, empty if there is none), followed by the
identifiers by which the member can be removed, surest first. A member whose key is the ``id`` needs no more
than the key, so the line of almost every member is as short as the cohort's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.identifiers import CIO_PREFIX, IdType, normaliser
from airflow_provider_cio_cohort.engine.sorted_file import Block, escape, escape_all, sort_distinct, unescape
from airflow_provider_cio_cohort.exceptions import MembershipMismatchError


class MemberPage(Protocol):
    """Some people in a segment, as Customer.io identifies them; any of a person's three may be ``None``."""

    @property
    def ids(self) -> Sequence[str | None]:
        """The identifiers that the company chose."""

    @property
    def emails(self) -> Sequence[str | None]:
        """The e-mail addresses."""

    @property
    def cio_ids(self) -> Sequence[str | None]:
        """The identifiers that Customer.io chose."""


def key_of(line: str) -> str:
    """Return the (escaped) key of a member's line."""
    return line.partition("\t")[0]


def keys_of(lines: Block) -> Block:
    """Return the (escaped) keys of lines; where none has more than its key, these are the lines."""
    return list(map(key_of, lines)) if "\t" in "".join(lines) else lines


def handles(line: str) -> list[tuple[IdType, str]]:
    """Return the identifiers by which the member of ``line`` can be removed, surest first."""
    key, *fields = line.split("\t")
    if not fields:
        return [("id", unescape(key))] if key else []
    pairs = (field.partition("=") for field in fields)
    found: list[tuple[IdType, str]] = [(kind, unescape(value)) for kind, _, value in pairs]  # type: ignore[misc]
    # The Track API expects a cio_id with its prefix in a path; its reference does not say how in a body.
    return found + [(kind, respelt(value)) for kind, value in found if kind == "cio_id"]


def name_of(line: str, id_type: IdType) -> tuple[IdType, str]:
    """
    Return the key of a member, or another identifier if there is none, as a cohort's file would have it.

    :param line: the member.
    :param id_type: which of Customer.io's identifiers the keys are.
    """
    named = [(id_type, unescape(key_of(line))), *handles(line)]
    kind, value = next((kind, value) for kind, value in named if value)
    return kind, escape(normaliser(kind)(value))


def has_id(line: str) -> bool:
    """Return whether the member of ``line`` has an ``id``; Customer.io removes nobody without one."""
    return "\t" not in line or "\tid=" in line


def without_id(lines: Block) -> int:
    """Return how many of ``lines`` are of members without an ``id``."""
    return len(lines) - sum(map(has_id, lines)) if "\t" in "".join(lines) else 0


def respelt(cio_id: str) -> str:
    """
    Return a ``cio_id`` with its prefix if it has none, and without it if it has one.

    :param cio_id: the identifier.
    """
    bare = cio_id.removeprefix(CIO_PREFIX)
    return bare if bare != cio_id else f"{CIO_PREFIX}{cio_id}"


def to_lines(page: MemberPage, id_type: IdType) -> Block:
    """
    Return a line for each member.

    Customer.io's reference says of ``remove_customers`` that a person needs an ``id`` to be removed,
    although it takes ``id_type``: so the ``id`` comes first wherever there is one.

    :param page: the members.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    """
    ids = [value or "" for value in page.ids]
    if id_type == "id" and all(ids):
        # As they are: in Customer.io, an id with white space around it belongs to another person.
        return escape_all(ids)
    emails, cio_ids = ([value or "" for value in column] for column in (page.emails, page.cio_ids))
    of_type = {"id": ids, "email": emails, "cio_id": cio_ids}[id_type]
    keys = escape_all(list(map(normaliser(id_type), of_type)))
    columns = (escape_all(column) for column in (ids, emails, cio_ids))
    return [_line(id_type, *member) for member in zip(keys, *columns, strict=True)]


def _line(id_type: IdType, key: str, id: str, email: str, cio_id: str) -> str:
    if id_type == "id" and id:
        return id
    fields = [key]
    if id:
        fields.append(f"id={id}")
    if email:
        fields.append(f"email={email}")
    if cio_id:
        fields.append(f"cio_id={cio_id}")
    return "\t".join(fields)


@dataclass(frozen=True)
class Members:
    """
    What was read of a segment.

    :param count: its members.
    :param have_keys: whether any of them has the identifier that the sync maps to; ``True`` for an empty
        segment.
    """

    count: int
    have_keys: bool = True


def collect(pages: Iterable[MemberPage], id_type: IdType, path: Path) -> Members:
    """
    Sort a segment's members into ``path``.

    :param pages: all members of the segment; a person met twice while paging counts once.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param path: the file to write.
    """
    have_keys = False

    def lines() -> Iterator[Block]:
        nonlocal have_keys
        for page in pages:
            block = to_lines(page, id_type)
            have_keys = have_keys or any(key_of(line) for line in block)
            yield block

    count = sort_distinct(lines(), path)
    return Members(count, have_keys or not count)


log = logging.getLogger(__name__)

MEMBERS_FILE = "members"
#: The first pause between two checks, as a share of the usual one; each is twice as long as the one before.
FIRST_PAUSE = 1 / 8
#: The longest pause before members are read again, in seconds.
_LONGEST_PAUSE = 10.0
#: The first readings, whose number must equal both counts.
_STRICT_READINGS = 3


@dataclass(frozen=True)
class Reader:
    """
    Reads the members of one segment.

    :param pages: yields everybody in the segment; takes how many they are.
    :param count: tells how many people are in the segment.
    :param segment_id: the segment, for messages.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param sleep: how to wait, in seconds; it may return early when the task is stopped.
    """

    pages: Callable[[int], Iterator[MemberPage]]
    count: Callable[[], int]
    segment_id: int
    id_type: IdType
    sleep: Callable[[float], object] = time.sleep

    def read(self, path: Path, *, timeout: float, pause: float, counted: int | None = None) -> Members:
        """
        Read the members, repeatedly until their number agrees with the segment's count.

        Where other writers keep changing the segment, from the third reading on a number is accepted that
        lies between the counts before and after it.

        :param path: the file to write.
        :param timeout: seconds after which a disagreement is final.
        :param pause: seconds before the second reading; it doubles each time.
        :param counted: the segment's count a moment ago, if it was asked for.
        :raises MembershipMismatchError: if the two still disagree then.
        """
        deadline, readings = time.monotonic() + timeout, 0
        while True:
            seen = self.read_once(path, counted)
            readings, counted = readings + 1, None
            if seen.agrees or (readings >= _STRICT_READINGS and seen.is_possible):
                return seen.members
            if time.monotonic() >= deadline:
                raise self.unreliable(seen, readings, timeout)
            log.warning("Reading the members of segment %s again: %s.", self.segment_id, seen)
            self.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def unreliable(self, seen: Seen, readings: int, timeout: float) -> MembershipMismatchError:
        """
        Return the error for members that cannot be read reliably.

        :param seen: what was read last.
        :param readings: how often they were read.
        :param timeout: within how many seconds.
        """
        return MembershipMismatchError(
            f"The members of segment {self.segment_id} cannot be read reliably: {seen}.\n"
            f"They were read {readings} times in {timeout:g} s. Either Customer.io leaves out "
            "pages, or other writers keep changing the segment. A retry reads them again."
        )

    def read_once(self, path: Path, counted: int | None = None) -> Seen:
        """
        Read the members once, and count them before and after.

        A single page is read in one moment, so where the first count agrees with it, there is no second.

        :param path: the file to write.
        :param counted: the segment's count a moment ago, if it was asked for.
        """
        before = self.count() if counted is None else counted
        pages = rows = 0

        def read() -> Iterator[MemberPage]:
            nonlocal pages, rows
            for page in self.pages(before):
                pages, rows = pages + 1, rows + len(page.ids)
                yield page

        found = members.collect(read(), self.id_type, path)
        at_once = pages <= 1 and found.count == before
        return Seen(found, before, before if at_once else self.count(), repeated=rows - found.count)


@dataclass(frozen=True)
class Seen:
    """
    What was read of a segment, with its counts.

    :param members: the members on its pages.
    :param before: the segment's count before they were read.
    :param after: its count after that.
    :param repeated: how many members came twice: people joined or left while the pages were read.
    """

    members: Members
    before: int
    after: int
    repeated: int = 0

    @property
    def agrees(self) -> bool:
        """Whether pages and counts agree."""
        return self.before == self.members.count == self.after

    @property
    def is_whole(self) -> bool:
        """
        Whether nobody can be missing on the pages.

        People who join or leave while pages are read move others from page to page. Then the counts differ,
        or somebody comes twice.
        """
        return self.agrees and not self.repeated

    @property
    def is_possible(self) -> bool:
        """Whether the segment can have had this many members while its pages were read."""
        return min(self.before, self.after) <= self.members.count <= max(self.before, self.after)

    def __str__(self) -> str:
        """Return the numbers as a message shows them."""
        counts = f"{self.after:,}" if self.before == self.after else f"{self.before:,}, then {self.after:,}"
        return f"Customer.io's pages have {self.members.count:,} members, its count is {counts}"


@dataclass
class Stillness:
    """
    For how long a segment's count has not changed, and for how long it must not.

    :param count: the count when it was last asked for.
    :param since: the moment since which it is known to be this one.
    :param seconds: for how long it must not change.
    :param after_a_change: the same, once it has changed.
    """

    count: int
    since: float
    seconds: float
    after_a_change: float

    @classmethod
    def of(cls, count: int, coming: int, going: int, since: float, stable_seconds: float) -> Stillness:
        """
        Return the stillness of a count that people will change.

        As long as it has not changed, perhaps no write is visible yet. Where about as many people are added
        as removed, it need not change.

        :param count: the count.
        :param coming: people who will be added.
        :param going: people who will be removed.
        :param since: the moment of the last write.
        :param stable_seconds: see :class:`.VerifyTimeouts`.
        """
        is_balanced = abs(coming - going) * 10 <= coming + going
        return cls(count, since, stable_seconds * (1 if is_balanced else 3), stable_seconds)

    def note(self, count: int, at: float) -> None:
        """
        Note what the count is.

        :param count: the count.
        :param at: the moment at which it was asked for.
        """
        if count != self.count:
            self.count, self.since, self.seconds = count, at, self.after_a_change

    @property
    def until(self) -> float:
        """The moment until which it must not change."""
        return self.since + self.seconds


class SegmentReading:
    """
    Reads a segment in a thread of its own, as a context manager; the reading has ended after the block.

    Customer.io returns at most 30,000 members ten times a second, so two million take seven seconds; the
    cohort can be downloaded and sorted meanwhile.

    :param read: reads the members.
    :param stop: makes the reading end early; called when the block ends with an error.
    """

    def __init__(self, read: Callable[[], Members], stop: Callable[[], object]) -> None:
        self._read = read
        self._stop = stop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segment")
        self._members: Future[Members] | None = None

    def __enter__(self) -> SegmentReading:
        """Begin to read."""
        self._members = self._thread.submit(self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the end; where the caller has failed, the reading is stopped."""
        if error is not None:
            self._stop()
        self._thread.shutdown(wait=True)

    def members(self) -> Members:
        """Return what was read, or raise what went wrong with the reading."""
        if self._members is None:
            raise RuntimeError("the segment is not being read yet")
        return self._members.result()
