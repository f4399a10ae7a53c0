"""Writes to one segment, and keeps what Customer.io refuses of it."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider_cio_cohort.engine.identifiers import CIO_PREFIX, IdType, normaliser
from airflow_provider_cio_cohort.engine.members import handles
from airflow_provider_cio_cohort.engine.ports import SegmentStore
from airflow_provider_cio_cohort.engine.sorted_file import escape


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
