"""
From the rows of an export to sorted, distinct identifiers and the counts of what was left out.

An identifier that is not valid UTF-8 is never sent: each byte that cannot be decoded is a lone surrogate in
the text, as Python's ``surrogateescape`` makes it. What can be read of it still says whose it may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from airflow_provider_cio_cohort.engine.sorted_file import Block, escape_all, sort_distinct

IdType = Literal["id", "email", "cio_id"]
ID_TYPES: tuple[IdType, ...] = ("id", "email", "cio_id")

CIO_PREFIX = "cio_"
#: Customer.io holds ids of at most 150 bytes, or characters: its reference says either.
MAX_ID_LENGTH = 150


class Identifier(NamedTuple):
    """
    How a sync finds people in Customer.io.

    :param property: the Amplitude property that holds the identifier.
    :param id_type: which of Customer.io's identifiers it is.
    """

    property: str
    id_type: IdType


def mapping_in_words(mapping: Sequence[tuple[str, str]]) -> str:
    """
    Return the parameters that decide how people are found, with their values, for messages.

    :param mapping: the Amplitude properties and the kinds of identifiers that they hold, in order.
    """
    if len(mapping) == 1:
        ((name, id_type),) = mapping
        return f"user_id_property {name!r} and id_type {id_type} (identifiers takes several)"
    return f"identifiers: {', '.join(f'{name!r} as {id_type}' for name, id_type in mapping)}"


@dataclass(frozen=True)
class Tally:
    """
    What one of several identifiers has found.

    :param identifier: the identifier.
    :param present: rows that have it.
    :param same: rows that it has led to a member.
    :param looked_up: identifiers that were looked up.
    :param exist: how many of them exist in Customer.io.
    :param people: people whom it was the first to find.
    """

    identifier: Identifier
    present: int
    same: int = 0
    looked_up: int = 0
    exist: int = 0
    people: int = 0


@dataclass(frozen=True)
class CohortIdentifiers:
    """
    The identifiers of a cohort in a file, and what became of its rows.

    :param path: sorted, distinct, escaped identifiers, one a line.
    :param cohort_rows: rows in the export.
    :param without_identifier: rows whose mapped property is empty.
    :param identifiers: distinct identifiers.
    :param mistyped: rows whose identifier looks mistyped, see :func:`looks_mistyped`.
    :param long: rows whose identifier has at most 150 characters, but more bytes.
    :param unreadable: the identifiers that are not valid UTF-8, one for each such row; not in the file.
    :param unreadable_rows: how many rows have such an identifier.
    :param kept: identifiers of members that were added to the file, see :func:`.keep_unreadable`.
    :param unmatched: of several identifiers a row, how many rows match nobody; not in the file. Rows are
        counted by the identifier that names them in ``rows_path``.
    :param undecided: how many rows match nobody, but Customer.io refused to look one of their identifiers up;
        not in the file.
    :param conflicting: how many rows have identifiers of two people.
    :param rows_path: these rows, as lines of :func:`.write_unmatched`; ``None`` for one identifier a row.
    :param tallies: what each of several identifiers has found; empty for one identifier a row.
    """

    path: Path
    cohort_rows: int
    without_identifier: int
    identifiers: int
    mistyped: int = 0
    long: int = 0
    unreadable: tuple[str, ...] = field(default=(), repr=False)
    unreadable_rows: int = 0
    kept: int = 0
    unmatched: int = 0
    undecided: int = 0
    conflicting: int = 0
    rows_path: Path | None = None
    tallies: tuple[Tally, ...] = ()

    @property
    def duplicates(self) -> int:
        """Rows that repeat the identifier of an earlier row."""
        present = self.cohort_rows - self.without_identifier - self.unreadable_rows
        return present - (self.identifiers - self.kept)


def normaliser(id_type: IdType) -> Callable[[str], str]:
    """
    Return the function that gives an identifier the form in which cohort and segment are compared.

    Only what Customer.io itself does not distinguish is dropped: the case of e-mail addresses, and the
    ``cio_`` before a ``cio_id``, which is seen with and without it. White space counts: ``"u-1 "`` and
    ``"u-1"`` can be two people.

    :param id_type: which of Customer.io's identifiers it is.
    """
    if id_type == "email":
        return str.lower
    if id_type == "cio_id":
        return _without_prefix
    return str


def _without_prefix(value: str) -> str:
    return value.removeprefix(CIO_PREFIX)


def looks_mistyped(identifier: str, id_type: IdType) -> bool:
    """
    Say whether an identifier looks mistyped: with white space around it, or invisible characters.

    Such an identifier may still be right, so it is compared as it is. Whether Customer.io itself drops such
    characters is not documented.

    :param identifier: the identifier.
    :param id_type: which of Customer.io's identifiers it is.
    """
    if identifier != identifier.strip() or not identifier.isprintable():
        return True
    return id_type == "email" and not unicodedata.is_normalized("NFC", identifier)


def can_exist(identifier: str, id_type: IdType) -> bool:
    """
    Say whether Customer.io can have a person with this identifier at all.

    :param identifier: the identifier.
    :param id_type: which of Customer.io's identifiers it is.
    """
    return id_type != "id" or len(identifier) <= MAX_ID_LENGTH


def may_be_too_long(identifier: str, id_type: IdType) -> bool:
    """
    Say whether an identifier is within the limit in characters, but not in bytes.

    :param identifier: the identifier.
    :param id_type: which of Customer.io's identifiers it is.
    """
    if id_type != "id" or not MAX_ID_LENGTH < len(identifier) * 4 <= MAX_ID_LENGTH * 4:
        return False
    return len(identifier.encode("utf-8", "surrogatepass")) > MAX_ID_LENGTH


def why_unknown(identifier: str, id_type: IdType) -> str:
    """
    Return the likely reason why nobody in Customer.io has an identifier.

    :param identifier: the identifier.
    :param id_type: which of Customer.io's identifiers it is.
    """
    if not can_exist(identifier, id_type) or may_be_too_long(identifier, id_type):
        return "too_long"
    return "mistyped" if looks_mistyped(identifier, id_type) else "unknown"


def collect(values: Iterable[Block], id_type: IdType, path: Path) -> CohortIdentifiers:
    """
    Sort the identifiers of a cohort into ``path``.

    A tab in front of a value is an artefact of Amplitude's exports (seen in cohorts of groups) and is
    dropped; the rest of a value is kept. Values that are not valid UTF-8 are kept apart.

    :param values: the mapped property of every row, in blocks; empty where a member has none.
    :param id_type: which of Customer.io's identifiers the property is.
    :param path: the file to write.
    """
    rows = missing = mistyped = long = 0
    unreadable: Block = []
    normalise = None if id_type == "id" else normaliser(id_type)

    def lines() -> Iterator[Block]:
        nonlocal rows, missing, mistyped, long
        for block in values:
            rows += len(block)
            together = "".join(block)
            if not (together.isascii() or is_readable(together)):
                unreadable.extend(value for value in block if not is_readable(value))
                block = list(filter(is_readable, block))
                together = "".join(block)
            present = [value.lstrip("\t") for value in block] if "\t" in together else block
            present = list(filter(None, map(normalise, present) if normalise else present))
            missing += len(block) - len(present)
            if " " in together or not (together.isascii() and together.isprintable()):
                mistyped += sum(looks_mistyped(value, id_type) for value in present)
                long += sum(may_be_too_long(value, id_type) for value in present)
            yield escape_all(present)

    identifiers = sort_distinct(lines(), path)
    return CohortIdentifiers(
        path, rows, missing, identifiers, mistyped, long, tuple(unreadable), len(unreadable)
    )


# ---- several identifiers a row

#: The state of a row with an identifier that cannot be read: nobody is looked up for it.
UNREADABLE = "u"


@dataclass(frozen=True)
class CohortRows:
    """
    The rows of a cohort in a file, each with several identifiers, and what was left out.

    :param path: sorted, distinct lines: a row's escaped identifiers in order of preference, empty where it
        has none; then its state, empty or :data:`UNREADABLE`, and three fields for :class:`.RowMatching`.
    :param cohort_rows: rows in the export.
    :param without_identifier: rows without any identifier; not in the file.
    :param mistyped: rows with an identifier that looks mistyped, see :func:`looks_mistyped`.
    :param present: rows that have a value, for each identifier.
    :param unreadable_rows: rows with an identifier that is not valid UTF-8.
    :param unreadable: these identifiers, each with its position; in the file, they are empty.
    """

    path: Path
    cohort_rows: int
    without_identifier: int
    mistyped: int
    present: tuple[int, ...]
    unreadable_rows: int = 0
    unreadable: tuple[tuple[int, str], ...] = field(default=(), repr=False)


def collect_rows(blocks: Iterable[Sequence[Block]], id_types: Sequence[IdType], path: Path) -> CohortRows:
    """
    Sort the rows of a cohort that have several identifiers each into ``path``.

    Values are treated as :func:`collect` does.

    :param blocks: for each block of rows, the values of each identifier; empty where a member has none.
    :param id_types: which of Customer.io's identifiers each of them is.
    :param path: the file to write.
    """
    rows = missing = mistyped = unreadable_rows = 0
    unreadable: list[tuple[int, str]] = []
    present = [0] * len(id_types)

    def lines() -> Iterator[Block]:
        nonlocal rows, missing, mistyped, unreadable_rows
        for block in blocks:
            columns = [_column(*each) for each in zip(block, id_types, strict=True)]
            for place, column in enumerate(columns):
                present[place] += len(column.fields) - column.fields.count("")
                unreadable.extend((place, value) for value in column.unreadable.values())
            unread: set[int] = set().union(*(column.unreadable for column in columns))
            whole = list(map("\t".join, zip(*(column.fields for column in columns), strict=True)))
            rows += len(whole)
            unreadable_rows += len(unread)
            mistyped += len(set().union(*(column.mistyped for column in columns)))
            states = dict.fromkeys(unread, f"\t{UNREADABLE}\t\t\t")
            found = [
                line + states.get(row, "\t\t\t\t")
                for row, line in enumerate(whole)
                if row in unread or line.strip("\t")
            ]
            missing += len(whole) - len(found)
            yield found

    sort_distinct(lines(), path)
    return CohortRows(path, rows, missing, mistyped, tuple(present), unreadable_rows, tuple(unreadable))


class _Column(NamedTuple):
    """One identifier of some rows, as fields; and by row, what cannot be read, and what looks mistyped."""

    fields: Block
    unreadable: dict[int, str]
    mistyped: list[int]


def _column(values: Block, id_type: IdType) -> _Column:
    together = "".join(values)
    unreadable: dict[int, str] = {}
    if not (together.isascii() or is_readable(together)):
        unreadable = {row: value for row, value in enumerate(values) if not is_readable(value)}
        values = ["" if row in unreadable else value for row, value in enumerate(values)]
    if "\t" in together:
        values = [value.lstrip("\t") for value in values]
    if id_type != "id":
        values = list(map(normaliser(id_type), values))
    mistyped: list[int] = []
    if " " in together or not (together.isascii() and together.isprintable()):
        mistyped = [row for row, value in enumerate(values) if looks_mistyped(value, id_type)]
    return _Column(escape_all(values), unreadable, mistyped)


# ---- identifiers that are not valid UTF-8

_ASCII = re.compile("[\x00-\x7f]")
_UNREADABLE = re.compile("[\udc80-\udcff]+")
#: Encodings that write some other characters with a byte of ASCII in them.
_ASCII_WITHIN = ("cp932", "gb18030", "big5hkscs", "cp949")


def is_readable(text: str) -> bool:
    """
    Say whether a text holds nothing that could not be decoded.

    :param text: an identifier, or many of them together.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def matcher_of(identifiers: Iterable[str], normalise: Callable[[str], str] = str) -> Callable[[str], bool]:
    """
    Return a function that says whether an identifier may be one of these.

    Almost every encoding writes ASCII characters as themselves, and them alone, with bytes below 128. So an
    unreadable byte stands for one other character or for none. Identifiers are looked up by their ASCII
    characters, so that thousands of unreadable ones take hardly longer than one. The few encodings that are
    different are tried one by one.

    Of an identifier that is all unreadable, only the length is known: it may be any that has no ASCII
    character and is not longer.

    :param identifiers: identifiers that are not readable.
    :param normalise: gives an identifier the form in which it is compared.
    """
    exact: set[str] = set()
    # By ASCII characters: what can be read between them, and how long each stretch there may be.
    similar: dict[str, set[tuple[tuple[str, ...], tuple[int, ...]]]] = defaultdict(set)
    for identifier in identifiers:
        exact.update(map(normalise, _decoded(identifier)))
        text = normalise(identifier)
        stretches = _ASCII.split(text)
        readable = tuple(_UNREADABLE.sub("", stretch) for stretch in stretches)
        similar[_ascii(text)].add((readable, tuple(map(len, stretches))))

    def may_be(text: str) -> bool:
        if text in exact:
            return True
        known = similar.get(_ascii(text))
        if not known:
            return False
        stretches = _ASCII.split(text)
        return any(all(map(_fits, stretches, *each)) for each in known)

    return may_be


def _ascii(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "ignore").decode()


def _fits(stretch: str, readable: str, length: int) -> bool:
    characters = iter(stretch)
    return len(stretch) <= length and all(each in characters for each in readable)


def _decoded(identifier: str) -> Iterable[str]:
    content = identifier.encode("utf-8", "surrogateescape")
    for encoding in _ASCII_WITHIN:
        try:
            yield content.decode(encoding)
        except UnicodeDecodeError:
            continue
