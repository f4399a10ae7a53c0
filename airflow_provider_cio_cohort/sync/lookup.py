"""How many of some identifiers are somebody's: asked, not guessed, and for no more people than it takes."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from airflow_provider_cio_cohort.exceptions import AuthenticationError, RequestRejectedError
from airflow_provider_cio_cohort.sync.identifiers import IdType
from airflow_provider_cio_cohort.sync.lines import read_values
from airflow_provider_cio_cohort.sync.store import SegmentStore

log = logging.getLogger(__name__)

#: Two seconds of the App API's pace. Of more identifiers, so many are looked up, evenly spaced: in sorted
#: order, a batch of a thousand that got lost then shows up to a total of two millions.
MOST_LOOKUPS = 2_000


@dataclass(frozen=True)
class Lookup:
    """
    What a lookup told.

    :param asked: identifiers that were looked up.
    :param people: how many of them are somebody's.
    :param total: identifiers of which those were taken.
    """

    asked: int
    people: int
    total: int

    @property
    def is_exact(self) -> bool:
        """Whether every identifier was looked up."""
        return self.asked == self.total

    @property
    def estimate(self) -> int:
        """How many of all are somebody's, as far as can be told."""
        return self.people if self.is_exact else self.people * self.total // self.asked


def look_up(store: SegmentStore, path: Path, total: int, id_type: IdType) -> Lookup | None:
    """
    Look identifiers up.

    :param store: Customer.io.
    :param path: escaped identifiers, one a line.
    :param total: how many they are.
    :param id_type: which of Customer.io's identifiers they are.
    :return: ``None`` if the key may not look people up.
    """
    step = -(-total // MOST_LOOKUPS) or 1
    values = list(islice(read_values(path), 0, None, step))
    try:
        people = store.count_people(values, id_type) if values else 0
    except (AuthenticationError, RequestRejectedError) as error:
        log.warning("Customer.io does not tell which identifiers are somebody's: %s", error.headline)
        return None
    return Lookup(len(values), people, total)
