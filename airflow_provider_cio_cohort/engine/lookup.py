"""Looks up how many identifiers exist in Customer.io; of many identifiers, a sample."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_provider_cio_cohort.engine.identifiers import IdType, normaliser
from airflow_provider_cio_cohort.engine.ports import FoundPeople, SegmentStore
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_values
from airflow_provider_cio_cohort.exceptions import AuthenticationError, RequestRejectedError

log = logging.getLogger(__name__)

#: Two seconds of the App API's rate. Of more identifiers, a new random sample of this size is looked up each
#: time: one of each stretch of the sorted file, so that a lost batch of a thousand is noticed in a total of
#: up to a million.
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
    """

    asked: int
    people: int
    total: int
    examples: tuple[str, ...] = ()

    @property
    def is_exact(self) -> bool:
        """Whether every identifier was looked up."""
        return self.asked == self.total

    @property
    def estimate(self) -> int:
        """How many of all exist, estimated from the sample."""
        return self.people if self.is_exact else self.people * self.total // self.asked


def look_up(
    store: SegmentStore, path: Path, total: int, id_type: IdType, *, most: int = MOST_LOOKUPS
) -> Lookup | None:
    """
    Look identifiers up: all of them, or a new random sample each time.

    :param store: Customer.io.
    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param id_type: which of Customer.io's identifiers they are.
    :param most: look up no more than this many.
    :return: ``None`` if the key may not look people up.
    """
    values = sample(path, total, most)
    found = find(store, values, id_type)
    if found is None:
        return None
    return Lookup(len(values), found.count, total, _examples(values, found, id_type))


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


def find(store: SegmentStore, values: list[str], id_type: IdType) -> FoundPeople | None:
    """
    Look identifiers up.

    :param store: Customer.io.
    :param values: the identifiers.
    :param id_type: which of Customer.io's identifiers they are.
    :return: ``None`` if the key may not look people up.
    """
    try:
        return store.find_people(values, id_type)
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


def sample(path: Path, total: int, most: int) -> list[str]:
    """
    Return all identifiers of a file, or a new random sample each time.

    :param path: escaped identifiers, one a line, sorted.
    :param total: how many they are.
    :param most: return no more than this many.
    """
    values = read_values(path)
    return list(values if total <= most else _drawn(values, total, most))


def _drawn(values: Iterable[str], total: int, most: int) -> Iterator[str]:
    """Draw one value from each of ``most`` stretches of about equal length."""
    iterator, place = iter(values), 0
    for stretch in range(most):
        start, end = stretch * total // most, (stretch + 1) * total // most
        wanted = random.randrange(start, end)  # noqa: S311
        yield from islice(iterator, wanted - place, wanted - place + 1)
        place = wanted + 1
