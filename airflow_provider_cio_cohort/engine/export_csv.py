"""Reads one column of the CSV file that an Amplitude cohort export is."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Generator, Iterator
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import TextIO

from airflow_provider_cio_cohort.exceptions import IncompleteExportError, MissingPropertyError

#: How an export names a user property in its header: bare, or marked as a user property.
USER_PROPERTY_PREFIX = "gp:"

ROWS_AT_ONCE = 1_000
CHARACTERS_AT_ONCE = 256 * 2**10


def read_property(path: Path, name: str) -> Iterator[list[str]]:
    """
    Yield the values of the property ``name`` of all members of an exported cohort, in blocks.

    Every field of an export is quoted, so a file that ends within a row is noticed: the parser is strict, and
    every row must be as wide as the header.

    :param path: the export, decompressed.
    :param name: ``user_id``, ``amplitude_id`` or a user property.
    :raises MissingPropertyError: if the export has no such column.
    :raises IncompleteExportError: if the file is not a well-formed CSV file.
    """
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        export = _Export(file)
        try:
            yield from export.values(name)
        except csv.Error as error:
            problem = f"line {export.line}: {error}"
        except UnicodeDecodeError:
            problem = f"after line {export.line} it is not UTF-8"
        except _NarrowRowError as error:
            problem = str(error)
        else:
            return
    raise IncompleteExportError(
        f"Amplitude's export is cut short or damaged ({problem}).\nA retry downloads the same export again."
    )


class _NarrowRowError(Exception):
    """A row is not as wide as the header."""


class _Export:
    """
    An open export.

    :param file: the file, with its line ends as they are.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._rows = csv.reader(file, strict=True)
        #: Lines and rows of members that were read as plain text, without the parser.
        self._plain_lines = self._done = 0

    @property
    def line(self) -> int:
        """The line that was read last."""
        return self._plain_lines + self._rows.line_num

    def values(self, name: str) -> Generator[list[str]]:
        header = next(self._rows, None)
        if header is None:
            raise IncompleteExportError(
                "Amplitude's export is empty: it does not even have a header.\n"
                "A retry downloads the same export again."
            )
        column, width = _column(header, name), len(header)
        left = yield from self._plain(column, width)
        if left:
            yield from self._parsed(left, column, width)

    def _plain(self, column: int, width: int) -> Generator[list[str], None, str]:
        """
        Yield values as long as no field contains a quote; return the text from the first one that does.

        Almost every export has no such field, and cutting the text at its quotes takes a third of the
        parser's time.
        """
        text = ""
        while more := self._file.read(CHARACTERS_AT_ONCE):
            text += more
            end = text.rfind("\n") + 1
            fields = text[:end].split('"')
            if end and not _is_plain(fields, width):
                return text
            values = fields[2 * column + 1 :: 2 * width]
            self._done += len(values)
            self._plain_lines += text.count("\n")
            text = text[end:]
            if values:
                yield values
        return text

    def _parsed(self, text: str, column: int, width: int) -> Generator[list[str]]:
        lines = chain(io.StringIO(text + self._file.readline(), newline=""), self._file)
        self._plain_lines += self._rows.line_num
        self._rows = csv.reader(lines, strict=True)
        of_column = itemgetter(column)
        while block := list(islice(self._rows, ROWS_AT_ONCE)):
            if set(map(len, block)) != {width}:
                wrong = next(place for place, row in enumerate(block) if len(row) != width)
                row = f"row {self._done + wrong + 1:,}"
                raise _NarrowRowError(f"{row} has {len(block[wrong])} fields, not {width}")
            self._done += len(block)
            yield list(map(of_column, block))


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
    columns = [title.strip().removeprefix(USER_PROPERTY_PREFIX) for title in header]
    wanted = name.strip().removeprefix(USER_PROPERTY_PREFIX)
    if not {"amplitude_id", "user_id"} & set(columns):
        # The line is not shown: without a header, it holds people.
        raise IncompleteExportError(
            "The first line of Amplitude's export is not the header of an export.\n"
            "A retry downloads the same export again."
        )
    if wanted not in columns:
        raise MissingPropertyError(
            f"Amplitude's export has no column {wanted!r} for user_id_property.\n"
            f"The columns are {', '.join(columns)}. Check user_id_property: it must be the property's name "
            "in Amplitude, and case matters."
        )
    return columns.index(wanted)
