"""Reads columns of the CSV file that an Amplitude cohort export is."""

from __future__ import annotations

import csv
import io
import logging
import os
import re
from collections.abc import Generator, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

from airflow_provider_cio_cohort.engine.identifiers import is_readable
from airflow_provider_cio_cohort.exceptions import (
    ExportEncodingError,
    ExportTooLargeError,
    IncompleteExportError,
    MissingPropertyError,
)

log = logging.getLogger(__name__)

#: How an export names a user property in its header: bare, or marked as a user property.
USER_PROPERTY_PREFIX = "gp:"
#: The columns that every export has; a user property of the same name is meant only with the prefix.
BUILT_IN = ("user_id", "amplitude_id")

ROWS_AT_ONCE = 1_000
CHARACTERS_AT_ONCE = 256 * 2**10
#: Characters of the longest row that the parser takes; Amplitude's values have at most 1,024.
MOST_CHARACTERS = 64 * 2**10

#: Rows whose identifier may be invalid UTF-8: a hundredth of them or a few, but never more than a thousand.
UNREADABLE_SHARE = 100
FEW_UNREADABLE = 5
MOST_UNREADABLE = 1_000

_LINE_ENDS = (b"\n", b"\r")
_LINE_BREAK = re.compile("\r\n|\r|\n")
#: Columns that a message shows.
_SHOWN = 20


def read_property(path: Path, name: str, most_rows: int | None = None) -> Iterator[list[str]]:
    """
    Yield the values of the property ``name`` of all members of an exported cohort, in blocks.

    :param path: the export, decompressed.
    :param name: see :func:`read_properties`, also for the errors.
    :param most_rows: rows that the file may have; ``None`` for any number.
    """
    return (values for [values] in read_properties(path, [name], most_rows))


def read_properties(
    path: Path, names: Sequence[str], most_rows: int | None = None
) -> Iterator[list[list[str]]]:
    """
    Yield the values of several properties of all members of an exported cohort, in blocks.

    A block has a list for each property, with the values of the same members in the same order.

    A file that ends within a row is noticed: the parser is strict, every row must be as wide as the header,
    and the last line must have a line end. (A quote at the end of a file may be the first of two, which stand
    for a quote within the value.) Blank lines are ignored at the end of the file, and are damage elsewhere.

    A value that is not valid UTF-8 has lone surrogates in it, see :mod:`.identifiers`.

    :param path: the export, decompressed.
    :param names: ``user_id``, ``amplitude_id`` or user properties, which may have the prefix ``gp:``.
    :param most_rows: rows that the file may have; ``None`` for any number.
    :raises MissingPropertyError: if the export has no such column.
    :raises IncompleteExportError: if the file is not a well-formed CSV file.
    :raises ExportTooLargeError: if it has more rows.
    :raises ExportEncodingError: after the last value, if too many values are not valid UTF-8.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        export = _Export(file, _last_byte(path), most_rows)
        try:
            yield from export.values(names)
        except csv.Error as error:
            problem = f"line {export.line}: {error}"
        except _DamagedError as error:
            problem = str(error)
        else:
            export.check_encoding()
            return
    raise IncompleteExportError(
        f"Amplitude's export is cut short or damaged ({problem}).\nA retry downloads the same export again."
    )


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        return file.read(1)


class _DamagedError(Exception):
    """The file is not a well-formed export."""


class _Export:
    """
    An open export.

    :param file: the file, with its line ends as they are.
    :param last_byte: its last byte.
    :param most_rows: rows that it may have; ``None`` for any number.
    """

    def __init__(self, file: TextIO, last_byte: bytes, most_rows: int | None) -> None:
        self._file = file
        self._last_byte = last_byte
        self._most_rows = most_rows
        self._rows = csv.reader(self._lines(), strict=True)
        #: Lines and rows of members that were read as plain text, without the parser.
        self._plain_lines = self._done = 0
        #: Characters of the row that the parser is reading.
        self._characters = 0
        self._unreadable = self._first_unreadable = 0

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._plain_lines + self._rows.line_num

    def values(self, names: Sequence[str]) -> Generator[list[list[str]]]:
        header = next(self._rows, None)
        if header is None:
            raise IncompleteExportError(
                "Amplitude's export is empty: it does not even have a header.\n"
                "A retry downloads the same export again."
            )
        width = len(header)
        try:
            columns = [_column(header, name) for name in names]
        except MissingPropertyError:
            if self._last_byte not in _LINE_ENDS and not self._file.read(1):
                raise _DamagedError("it ends within its header") from None
            raise
        left = yield from self._plain(columns, width)
        if left:
            yield from self._parsed(left, columns, width)
        if self._last_byte not in _LINE_ENDS:
            raise _DamagedError(f"line {self.line:,} has no line end, so it may be cut")

    def check_encoding(self) -> None:
        """Refuse a file of which too much cannot be read."""
        limit = max(FEW_UNREADABLE, self._done // UNREADABLE_SHARE)
        if self._unreadable > limit:
            raise self._not_utf8(limit)
        if self._unreadable:
            log.warning(
                "%s of the export's %s rows have an identifier that cannot be read, the first in line %s: "
                "they are skipped.",
                f"{self._unreadable:,}",
                f"{self._done:,}",
                f"{self._first_unreadable:,}",
            )

    def _plain(self, columns: Sequence[int], width: int) -> Generator[list[list[str]], None, str]:
        """
        Yield values as long as no field contains a quote; return the text from the first one that does.

        Almost every export has no such field, and cutting the text at its quotes takes a third of the
        parser's time.
        """
        text = ""
        while more := self._file.read(CHARACTERS_AT_ONCE):
            text += more
            end = text.rfind("\n") + 1
            if not end and len(text) <= MOST_CHARACTERS:
                continue
            fields = text[:end].split('"')
            if not end or not _is_plain(fields, width):
                return text
            values = [fields[2 * column + 1 :: 2 * width] for column in columns]
            if not text.isascii():
                for each in values:
                    self._note_unreadable(each, fields[1:], 2 * width)
            self._note_rows(len(values[0]))
            self._plain_lines += text.count("\n")
            text = text[end:]
            yield values
        return text

    def _parsed(self, text: str, columns: Sequence[int], width: int) -> Generator[list[list[str]]]:
        self._plain_lines += self._rows.line_num
        self._rows = csv.reader(self._lines(text), strict=True)
        rows: list[list[str]] = []
        blank = self._characters = 0
        for row in self._rows:
            self._characters = 0
            if not row:
                blank = blank or self.line
                continue
            self._check_row(row, width, self._done + len(rows) + 1, blank)
            if len(rows) == ROWS_AT_ONCE:
                self._note_rows(len(rows))
                yield list(map(list, zip(*rows, strict=True)))
                rows = []
            values = [row[column] for column in columns]
            for value in values:
                if not value.isascii() and not is_readable(value):
                    self._note_unreadable_at(self.line - sum(len(_LINE_BREAK.findall(each)) for each in row))
            rows.append(values)
        self._note_rows(len(rows))
        if rows:
            yield list(map(list, zip(*rows, strict=True)))

    @staticmethod
    def _check_row(row: list[str], width: int, number: int, blank: int) -> None:
        if blank:
            raise _DamagedError(f"line {blank:,} is blank")
        if len(row) != width:
            raise _DamagedError(f"row {number:,} has {len(row)} fields, not {width}")

    def _lines(self, text: str = "") -> Iterator[str]:
        """Yield the lines of a text and the rest of the file, unless a row is too long."""
        if text:
            text += self._file.readline(MOST_CHARACTERS + 1)
        for source in (io.StringIO(text, newline=""), self._file):
            while line := source.readline(MOST_CHARACTERS + 1):
                self._characters += len(line)
                if self._characters > MOST_CHARACTERS:
                    raise _DamagedError(
                        f"line {self.line + 1:,}: a row has more than {MOST_CHARACTERS:,} characters"
                    )
                yield line

    def _note_rows(self, rows: int) -> None:
        self._done += rows
        if self._most_rows is not None and self._done > self._most_rows:
            raise ExportTooLargeError(
                f"Amplitude's export is too large: it has more than {self._most_rows:,} rows.\n"
                "That is far more than Amplitude's list reports, or than Amplitude exports at all. Nothing "
                "of it was used. A retry reads the list and downloads the same export again: check whether a "
                "proxy changes it."
            )

    def _note_unreadable(self, values: list[str], parts: list[str], parts_a_row: int) -> None:
        """Count what cannot be read among the values of rows that were cut into these parts."""
        if is_readable("".join(values)):
            return
        line = self.line + 1
        for place, value in enumerate(values):
            if not is_readable(value):
                self._note_unreadable_at(line)
            line += "".join(parts[place * parts_a_row : (place + 1) * parts_a_row]).count("\n")

    def _note_unreadable_at(self, line: int) -> None:
        self._first_unreadable = self._first_unreadable or line
        self._unreadable += 1
        if self._unreadable > MOST_UNREADABLE:
            raise self._not_utf8(MOST_UNREADABLE)

    def _not_utf8(self, limit: int) -> ExportEncodingError:
        return ExportEncodingError(
            f"Amplitude's export is not UTF-8: more than {limit:,} identifiers cannot be read.\n"
            f"The first is in line {self._first_unreadable:,} of the file. Correct the values of the "
            "property in Amplitude, or check whether a proxy changes the file. A few such rows would be "
            "skipped."
        )


def _is_plain(fields: list[str], width: int) -> bool:
    """Say whether a text that was cut at its quotes is whole lines of ``width`` quoted fields each."""
    between = fields[::2]
    commas = chain.from_iterable(between[place::width] for place in range(1, width))
    return (
        len(fields) % (2 * width) == 1
        and between[0] == ""
        and set(between[width::width]) in ({"\n"}, {"\r\n"})
        and set(commas) <= {","}
    )


def _column(header: list[str], name: str) -> int:
    # Group exports have been seen with a tab in front of every value, header included.
    columns = [title.strip() for title in header]
    if not set(BUILT_IN) & set(columns):
        # The line is not shown: without a header, it holds people.
        raise IncompleteExportError(
            "The first line of Amplitude's export is not the header of an export.\n"
            "A retry downloads the same export again."
        )
    wanted = name.strip()
    bare = wanted.removeprefix(USER_PROPERTY_PREFIX)
    spellings = [wanted]
    hint = "it must be the property's name in Amplitude, and case matters"
    if bare not in BUILT_IN:
        spellings.append(f"{USER_PROPERTY_PREFIX}{wanted}" if bare == wanted else bare)
    elif bare != wanted:
        hint = f"the column {bare!r} is not the user property {bare!r}, but Amplitude's own identifier"
    for title in spellings:
        if title in columns:
            return columns.index(title)
    raise MissingPropertyError(
        f"Amplitude's export has no column {wanted!r}.\n"
        f"The columns are {_shown(columns)}. Check user_id_property, or the property in identifiers: {hint}."
    )


def _shown(columns: list[str]) -> str:
    readable = [title.encode("utf-8", "replace").decode()[:60] for title in columns[:_SHOWN]]
    more = [f"and {len(columns) - _SHOWN:,} more"] if len(columns) > _SHOWN else []
    return ", ".join(readable + more)
