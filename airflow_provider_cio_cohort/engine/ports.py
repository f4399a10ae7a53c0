"""What the core needs from Customer.io."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_cio_cohort.engine.identifiers import IdType
from airflow_provider_cio_cohort.engine.members import MemberPage


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

    def find_people(self, values: Iterable[str], id_type: IdType) -> FoundPeople:
        """Look up which of the identifiers exist."""

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
