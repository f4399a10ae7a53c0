"""Reads one column of the CSV file that an Amplitude cohort export is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

from airflow_provider_cio_cohort.exceptions import IncompleteExportError, MissingPropertyError

#: How an export names a user property in its header: bare, or marked as a user property.
USER_PROPERTY_PREFIX = "gp:"

ROWS_AT_ONCE = 1_000


def read_property(path: Path, name: str) -> Iterator[list[str]]:
    """
    Yield the values of the property ``name`` of all members of an exported cohort, in blocks.

    Every field of an export is quoted, so a file that ends within a row cannot pass for a whole one: the
    parser is strict, and every row must be as wide as the header.

    :param path: the export, decompressed.
    :param name: ``user_id``, ``amplitude_id`` or a user property.
    :raises MissingPropertyError: if the export has no such column.
    :raises IncompleteExportError: if the file is not a well-formed CSV file.
    """
    csv.field_size_limit(sys.maxsize)
    problem = None
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            header = next(rows, None)
            if header is None:
                raise IncompleteExportError(
                    "Amplitude's export is an empty file: not even a header.\n"
                    "A retry downloads the same export again."
                )
            column, width = itemgetter(_column(header, name)), len(header)
            done = 0
            while block := list(islice(rows, ROWS_AT_ONCE)):
                if set(map(len, block)) != {width}:
                    wrong = next(place for place, row in enumerate(block) if len(row) != width)
                    problem = f"row {done + wrong + 1:,} has {len(block[wrong])} fields, not {width}"
                    break
                done += len(block)
                yield list(map(column, block))
        except csv.Error as error:
            problem = f"line {rows.line_num}: {error}"
        except UnicodeDecodeError:
            problem = f"after line {rows.line_num} it is not UTF-8"
    if problem:
        raise IncompleteExportError(
            f"Amplitude's export is cut short or damaged ({problem}).\n"
            "A retry downloads the same export again."
        )


def _column(header: list[str], name: str) -> int:
    # Group exports have been seen with a tab in front of every value, header included.
    columns = [title.strip().removeprefix(USER_PROPERTY_PREFIX) for title in header]
    wanted = name.strip().removeprefix(USER_PROPERTY_PREFIX)
    if not {"amplitude_id", "user_id"} & set(columns):
        # Not shown: without a header, the first line holds people.
        raise IncompleteExportError(
            "Amplitude's export does not begin with the header of an export.\n"
            "A retry downloads the same export again."
        )
    if wanted not in columns:
        raise MissingPropertyError(
            f"Amplitude's export has no column {wanted!r} for user_id_property.\n"
            f"There are only {', '.join(columns)}. Check user_id_property: it is the property's name in "
            "Amplitude, and case matters."
        )
    return columns.index(wanted)
