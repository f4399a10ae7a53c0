"""From the rows of an export to sorted, distinct identifiers and the counts of what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airflow_provider_cio_cohort.sync.lines import Block, escape_all, sort_distinct

IdType = Literal["id", "email", "cio_id"]
ID_TYPES: tuple[IdType, ...] = ("id", "email", "cio_id")

CIO_PREFIX = "cio_"
#: Customer.io holds ids of at most 150 bytes, so nobody can have a longer one.
MAX_ID_BYTES = 150


@dataclass(frozen=True)
class CohortIdentifiers:
    """
    The identifiers of a cohort in a file, and what became of its rows.

    :param path: sorted, distinct, escaped identifiers, one a line.
    :param cohort_rows: rows in the export.
    :param without_identifier: rows whose mapped property is empty.
    :param identifiers: distinct identifiers.
    """

    path: Path
    cohort_rows: int
    without_identifier: int
    identifiers: int

    @property
    def duplicates(self) -> int:
        """Rows whose identifier another row had already."""
        return self.cohort_rows - self.without_identifier - self.identifiers


def _as_email(value: str) -> str:
    return value.strip().lower()


def _as_cio_id(value: str) -> str:
    return value.strip().removeprefix(CIO_PREFIX)


def normaliser(id_type: IdType) -> Callable[[str], str]:
    """
    Return what brings an identifier of ``id_type`` to the form in which both sides are compared.

    Customer.io tells ids apart by case, but not e-mail addresses; a ``cio_id`` is seen with and without
    its ``cio_`` prefix. White space around a value is never part of it.
    """
    if id_type == "email":
        return _as_email
    if id_type == "cio_id":
        return _as_cio_id
    return str.strip


def can_exist(identifier: str, id_type: IdType) -> bool:
    """Say whether Customer.io can have a person with this identifier at all."""
    if id_type != "id" or len(identifier) * 4 <= MAX_ID_BYTES:
        return True
    return len(identifier.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES


def collect(values: Iterable[Block], id_type: IdType, path: Path) -> CohortIdentifiers:
    """
    Sort the identifiers of a cohort into ``path``.

    :param values: the mapped property of every row, in blocks; empty where a member has none.
    :param id_type: which of Customer.io's identifiers the property is.
    :param path: the file to write.
    """
    rows = missing = 0
    normalise = normaliser(id_type)

    def lines() -> Iterator[Block]:
        nonlocal rows, missing
        for block in values:
            present = list(filter(None, map(normalise, block)))
            rows += len(block)
            missing += len(block) - len(present)
            yield escape_all(present)

    identifiers = sort_distinct(lines(), path)
    return CohortIdentifiers(path, rows, missing, identifiers)
