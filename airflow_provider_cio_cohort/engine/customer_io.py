"""Customer.io as the core uses it: what it must offer, the look-up of people, and the writes to a segment."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Protocol

from airflow_provider_cio_cohort.engine.identifiers import CIO_PREFIX, IdType, normaliser
from airflow_provider_cio_cohort.engine.members import MemberPage, handles
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_values
from airflow_provider_cio_cohort.exceptions import AuthenticationError, RequestRejectedError

log = logging.getLogger(__name__)


class FoundPeople(Protocol):
    """The result of a look-up of identifiers."""

    @property
    def count(self) -> int:
        """How many of the identifiers exist in Customer.io."""

    @property
    def identifiers(self) -> list[str]:
        """The people's identifiers of the kind that was looked up, as far as they are known."""

    @property
    def refused(self) -> int:
        """How many identifiers Customer.io refuses to look up."""

    @property
    def asked(self) -> int:
        """How many identifiers were looked up, the first ones; those that were refused are among them."""

    @property
    def cio_ids(self) -> list[str]:
        """The ``cio_id`` of each of these people; empty if Customer.io does not show it."""

    @property
    def rejected(self) -> list[str]:
        """The identifiers that Customer.io refuses to look up."""


class SentPeople(Protocol):
    """What became of identifiers that were sent."""

    @property
    def count(self) -> int:
        """How many Customer.io accepted; those of unknown people are among them."""

    @property
    def rejected(self) -> Sequence[str]:
        """Those that Customer.io refuses; few."""


class SegmentStore(Protocol):
    """Segments and people; :class:`.CustomerIOHook` is one."""

    def stream_member_pages(self, segment_id: int, *, total: int | None = None) -> Iterator[MemberPage]:
        """Yield everybody in the segment, many at once; ``total`` is how many they are, if that is known."""

    def count_members(self, segment_id: int) -> int:
        """Return how many people are in the segment."""

    def add_members(
        self, segment_id: int, values: Iterable[str], id_type: IdType, total: int | None = None
    ) -> SentPeople:
        """Add people; unknown identifiers are ignored, and refused ones left out."""

    def remove_members(
        self, segment_id: int, values: Iterable[str], id_type: IdType, total: int | None = None
    ) -> SentPeople:
        """Remove people; non-members are ignored, and refused identifiers left out."""

    def find_people(
        self, values: Iterable[str], id_type: IdType, *, until_found: bool = False
    ) -> FoundPeople:
        """Look up which of the identifiers exist, or only until one is found that does."""

    def find_people_in_blocks(
        self, values: Iterable[str], id_type: IdType, *, total: int
    ) -> Iterator[tuple[list[str], FoundPeople]]:
        """Look up many identifiers, and yield each block of them with what was found."""


@dataclass(frozen=True)
class Target:
    """
    The segment that a run fills.

    :param id: its id; ``None`` when a dry run found no such segment.
    :param name: its name.
    :param owned: whether it says that a sync made it for this cohort.
    """

    id: int | None
    name: str
    owned: bool


# ---- how many identifiers exist; of many identifiers, a sample is looked up

#: Two seconds of the App API's rate. Of more identifiers, a new random sample is looked up each time, of no
#: more than this: one of each stretch of the sorted file.
MOST_LOOKUPS = 2_000
#: Identifiers that exist of which a look-up keeps examples.
MOST_EXAMPLES = 20

_REFUSALS = (AuthenticationError, RequestRejectedError)


@dataclass(frozen=True)
class Lookup:
    """
    The result of a look-up.

    :param asked: identifiers that were looked up.
    :param people: how many of them exist in Customer.io.
    :param total: identifiers from which those were drawn.
    :param examples: some identifiers that exist, as they were looked up; empty if none is known.
    :param unknown: those that do not exist, as they were looked up; empty if they are not known one by one.
    :param refused: how many Customer.io refused to look up: whether they exist is not known.
    """

    asked: int
    people: int
    total: int
    examples: tuple[str, ...] = ()
    unknown: frozenset[str] = field(default=frozenset(), repr=False)
    refused: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether every identifier was looked up."""
        return self.asked == self.total

    @property
    def estimate(self) -> int:
        """How many of all exist, estimated from the sample."""
        return self.people if self.is_exact else self.people * self.total // self.asked


def look_up(
    store: SegmentStore, path: Path, total: int, id_type: IdType, *, until_found: bool = False
) -> Lookup | None:
    """
    Look identifiers up: all of them, or a new random sample each time.

    :param store: Customer.io.
    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param id_type: which of Customer.io's identifiers they are.
    :param until_found: whether to stop after the first request that finds anybody.
    :return: ``None`` if the key may not look people up.
    """
    values = sample(path, total, MOST_LOOKUPS)
    random.shuffle(values)  # so that the first ones are a sample as well
    return look_up_values(store, values, total, id_type, until_found=until_found)


def look_up_values(
    store: SegmentStore, values: list[str], total: int, id_type: IdType, *, until_found: bool
) -> Lookup | None:
    """
    Look identifiers up, all of them or until one is found that exists.

    :param store: Customer.io.
    :param values: the identifiers.
    :param total: identifiers from which those were drawn.
    :param id_type: which of Customer.io's identifiers they are.
    :param until_found: whether to stop after the first request that finds anybody.
    :return: ``None`` if the key may not look people up.
    """
    found = find(store, values, id_type, until_found=until_found)
    if found is None:
        return None
    asked, normalise = values[: found.asked], normaliser(id_type)
    known = set(map(normalise, found.identifiers))
    exist = [value for value in asked if normalise(value) in known]
    # Where an answer does not show whom it is about, nobody is known not to exist.
    each = len(exist) == found.count and not found.refused
    return Lookup(
        found.asked,
        found.count,
        total,
        tuple(sorted(exist)[:MOST_EXAMPLES]),  # of a few, a retry writes the same person
        frozenset(asked).difference(exist) if each else frozenset(),
        found.refused,
    )


def look_for_one(store: SegmentStore, path: Path, total: int, id_type: IdType) -> Lookup | None:
    """
    Look identifiers up until one of them exists: all of them if none does. Progress is logged.

    :param store: Customer.io.
    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param id_type: which of Customer.io's identifiers they are.
    :return: ``None`` if the key may not look people up.
    """
    asked = 0
    try:
        for block, found in store.find_people_in_blocks(read_values(path), id_type, total=total):
            asked += len(block)
            if found.count:
                return Lookup(asked, found.count, total, _examples(block, found, id_type))
    except _REFUSALS as error:
        _warn(error)
        return None
    return Lookup(asked, 0, total)


def find(
    store: SegmentStore, values: list[str], id_type: IdType, *, until_found: bool = False
) -> FoundPeople | None:
    """
    Look identifiers up.

    :param store: Customer.io.
    :param values: the identifiers.
    :param id_type: which of Customer.io's identifiers they are.
    :param until_found: whether to stop after the first request that finds anybody.
    :return: ``None`` if the key may not look people up.
    """
    try:
        return store.find_people(values, id_type, until_found=until_found)
    except _REFUSALS as error:
        _warn(error)
        return None


def _warn(error: AuthenticationError | RequestRejectedError) -> None:
    log.warning("Customer.io does not say which identifiers exist: %s", error.headline)


def existing(store: SegmentStore, path: Path, total: int, id_type: IdType) -> Iterator[tuple[list[str], int]]:
    """
    Look up all identifiers of a file, and yield those that exist, escaped, and how many exist, in blocks.

    :param store: Customer.io.
    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param id_type: which of Customer.io's identifiers they are.
    """
    normalise = normaliser(id_type)
    for block, found in store.find_people_in_blocks(read_values(path), id_type, total=total):
        known = set(map(normalise, found.identifiers))
        yield [escape(value) for value in block if normalise(value) in known], found.count


def _examples(values: Iterable[str], found: FoundPeople, id_type: IdType) -> tuple[str, ...]:
    normalise = normaliser(id_type)
    known = set(map(normalise, found.identifiers))
    return tuple(islice((value for value in values if normalise(value) in known), MOST_EXAMPLES))


def sample(path: Path, total: int, most: int, last: int = 0) -> list[str]:
    """
    Return all identifiers of a file, or a new random sample each time.

    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param most: return no more than this many.
    :param last: how many of the sample are the file's last ones; one of each stretch of the others is drawn.
    """
    values = read_values(path)
    if total <= most:
        return list(values)
    stretches, others = most - last, total - last
    bounds = [stretch * others // stretches for stretch in range(stretches + 1)]
    drawn = [random.randrange(start, end) for start, end in pairwise(bounds)]  # noqa: S311
    return list(_at(values, chain(drawn, range(others, total))))


def _at(values: Iterable[str], places: Iterable[int]) -> Iterator[str]:
    """Yield the values at some places, which ascend."""
    iterator, next_place = iter(values), 0
    for place in places:
        yield from islice(iterator, place - next_place, place - next_place + 1)
        next_place = place + 1


# ---- the writes to one segment, which keep what Customer.io refuses


class SegmentWriter:
    """
    Adds people to a segment and removes them.

    :param store: Customer.io.
    :param segment_id: the segment.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param cio_prefix: whether every ``cio_id`` is sent with its prefix, or none is; ``None`` to send them as
        given.
    """

    def __init__(
        self, store: SegmentStore, segment_id: int, id_type: IdType, cio_prefix: bool | None = None
    ) -> None:
        self.store = store
        self.segment_id = segment_id
        self.id_type = id_type
        self.cio_prefix = cio_prefix
        #: Refused identifiers of people to add, as the cohort's file has them.
        self.rejected: set[str] = set()
        self._refused_removals: set[tuple[IdType, str]] = set()

    def add(self, values: Iterable[str], total: int) -> int:
        """
        Add people, and return how many identifiers were accepted.

        :param values: identifiers of the cohort's kind.
        :param total: how many they are.
        """
        sent = self.store.add_members(self.segment_id, self._spelt(self.id_type, values), self.id_type, total)
        normalise = normaliser(self.id_type)
        self.rejected.update(escape(normalise(value)) for value in sent.rejected)
        return sent.count

    def remove(self, kind: IdType, values: Iterable[str], total: int) -> int:
        """
        Remove people, and return how many identifiers were accepted.

        :param kind: which of Customer.io's identifiers it is.
        :param values: the identifiers.
        :param total: how many they are at most.
        """
        sent = self.store.remove_members(self.segment_id, self._spelt(kind, values), kind, total)
        self._refused_removals.update((kind, value) for value in sent.rejected)
        return sent.count

    def _spelt(self, kind: IdType, values: Iterable[str]) -> Iterable[str]:
        if kind != "cio_id" or self.cio_prefix is None:
            return values
        prefix = CIO_PREFIX if self.cio_prefix else ""
        return (f"{prefix}{value.removeprefix(CIO_PREFIX)}" for value in values)

    def has_refused_removals(self) -> bool:
        """Say whether any removal was refused."""
        return bool(self._refused_removals)

    def is_refused(self, line: str) -> bool:
        """
        Say whether the removal of a member was refused.

        :param line: the member, see :mod:`.members`.
        """
        return not self._refused_removals.isdisjoint(handles(line))
