"""
A segment's members as lines that sort and compare like the cohort's identifiers.

A line is the member's key (the identifier that the sync maps to, empty when he has none), followed by the
identifiers by which he can be removed, surest first. A member whose key is his ``id`` needs no more than
the key, so the line of almost every member is as short as the cohort's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from airflow_provider_cio_cohort.sync.identifiers import CIO_PREFIX, IdType, normaliser
from airflow_provider_cio_cohort.sync.lines import escape, sort_distinct, unescape


class Member(Protocol):
    """A person in a segment, as Customer.io identifies him; any of the three may be ``None``."""

    @property
    def id(self) -> str | None:
        """The identifier that the company chose."""

    @property
    def email(self) -> str | None:
        """The e-mail address."""

    @property
    def cio_id(self) -> str | None:
        """The identifier that Customer.io chose."""


def key_of(line: str) -> str:
    """Return the (escaped) key of a member's line."""
    return line.partition("\t")[0]


def handles(line: str) -> list[tuple[IdType, str]]:
    """Return the identifiers by which the member of ``line`` can be removed, surest first."""
    key, *fields = line.split("\t")
    if not fields:
        return [("id", unescape(key))] if key else []
    pairs = (field.partition("=") for field in fields)
    found: list[tuple[IdType, str]] = [(kind, unescape(value)) for kind, _, value in pairs]  # type: ignore[misc]
    # The Track API wants a cio_id with its prefix in a path; of one in a body its reference says nothing.
    return found + [(kind, _respelt(value)) for kind, value in found if kind == "cio_id"]


def _respelt(cio_id: str) -> str:
    bare = cio_id.removeprefix(CIO_PREFIX)
    return bare if bare != cio_id else f"{CIO_PREFIX}{cio_id}"


def to_lines(members: Iterable[Member], id_type: IdType) -> Iterator[str]:
    """
    Yield a line for each member.

    Customer.io's reference says of ``remove_customers`` that a person needs an ``id`` to be removed,
    although it takes ``id_type``: so the ``id`` comes first wherever there is one.
    """
    normalise = normaliser(id_type)
    for member in members:
        if id_type == "id" and member.id:
            # As it is: to Customer.io, an id with white space around it is another person's.
            yield escape(member.id)
            continue
        key = normalise(getattr(member, id_type) or "")
        fields = [
            f"{kind}={escape(value)}"
            for kind, value in (("id", member.id), ("email", member.email), ("cio_id", member.cio_id))
            if value
        ]
        yield "\t".join([escape(key), *fields])


def collect(members: Iterable[Member], id_type: IdType, path: Path) -> int:
    """
    Sort a segment's members into ``path`` and return how many they are.

    :param members: everybody in the segment; a person met twice while paging counts once.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param path: the file to write.
    """
    return sort_distinct(to_lines(members, id_type), path)
