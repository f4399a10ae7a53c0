"""What the core needs from Customer.io."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_cio_cohort.sync.identifiers import IdType
from airflow_provider_cio_cohort.sync.members import MemberPage


class SegmentStore(Protocol):
    """Segments and people; :class:`.CustomerIOHook` is one."""

    def stream_member_pages(self, segment_id: int) -> Iterator[MemberPage]:
        """Yield everybody in the segment, many at once."""

    def count_members(self, segment_id: int) -> int:
        """Return how many people are in the segment."""

    def add_members(
        self, segment_id: int, values: Iterable[str], id_type: IdType, total: int | None = None
    ) -> int:
        """Add people; unknown ones are ignored. Return how many identifiers were sent."""

    def remove_members(
        self, segment_id: int, values: Iterable[str], id_type: IdType, total: int | None = None
    ) -> int:
        """Remove people; non-members are ignored. Return how many identifiers were sent."""

    def count_people(self, values: Iterable[str], id_type: IdType) -> int:
        """Return how many of the identifiers are somebody's."""


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
