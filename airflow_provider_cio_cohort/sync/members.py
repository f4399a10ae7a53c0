"""
A segment's members as lines that sort and compare like the cohort's identifiers.

A line is the member's key (the identifier that the sync maps to, empty when he has none), followed by the
identifiers by which he can be removed, surest first. A member whose key is his ``id`` needs no more than
the key, so the line of almost every member is as short as the cohort's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from airflow_provider_cio_cohort.sync.identifiers import CIO_PREFIX, IdType, normaliser
from airflow_provider_cio_cohort.sync.lines import Block, escape_all, sort_distinct, unescape


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
    # The Track API wants a cio_id with its prefix in a path; of one in a body its reference says nothing.
    return found + [(kind, _respelt(value)) for kind, value in found if kind == "cio_id"]


def _respelt(cio_id: str) -> str:
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
        # As they are: to Customer.io, an id with white space around it is another person's.
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


def collect(pages: Iterable[MemberPage], id_type: IdType, path: Path) -> int:
    """
    Sort a segment's members into ``path`` and return how many they are.

    :param pages: everybody in the segment; a person met twice while paging counts once.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param path: the file to write.
    """
    return sort_distinct((to_lines(page, id_type) for page in pages), path)
