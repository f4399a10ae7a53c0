"""What the file of an export looks like: its columns, lines and encoding, without any of its values."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cio_cohort.engine.export_csv import BUILT_IN, USER_PROPERTY_PREFIX, read_property

#: Bytes of the longest header that is read.
MOST_HEADER = 64 * 2**10
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class FileForm:
    """
    The form of an export's file.

    :param columns: how many it has.
    :param lacks: the built-in columns that it lacks.
    :param repeats: the built-in columns that come more than once.
    :param property_column: the form of the requested property's column: ``bare``, ``gp:`` or ``missing``;
        ``None`` if none was requested.
    :param has_tabs: whether titles begin with a tab.
    :param is_quoted: whether titles are in quotes.
    :param has_mark: whether the file begins with UTF-8's byte order mark.
    :param line_end: ``LF``, ``CRLF`` or ``none``.
    :param blank_last_line: whether it ends with a blank line.
    """

    columns: int
    lacks: tuple[str, ...]
    repeats: tuple[str, ...]
    property_column: str | None
    has_tabs: bool
    is_quoted: bool
    has_mark: bool
    line_end: str
    blank_last_line: bool


@dataclass(frozen=True)
class FileRows:
    """
    How many rows an export's file has.

    :param rows: how many.
    :param without_user_id: rows with an empty ``user_id``.
    :param longest: characters of the longest ``user_id``.
    """

    rows: int
    without_user_id: int
    longest: int


def form_of(path: Path, user_property: str | None) -> FileForm:
    """
    Read the form of an export's file.

    :param path: the file, decompressed.
    :param user_property: the property that was requested, with or without ``gp:``; ``None`` for none.
    """
    with path.open("rb") as file:
        line = file.readline(MOST_HEADER)
        file.seek(-min(4, path.stat().st_size), 2)
        end = file.read()
    text = line.decode("utf-8-sig", "replace")
    raw = next(csv.reader([text]), [])
    titles = [title.lstrip("\t") for title in raw]
    return FileForm(
        columns=len(titles),
        lacks=tuple(name for name in BUILT_IN if name not in titles),
        repeats=tuple(name for name in BUILT_IN if titles.count(name) > 1),
        property_column=None if user_property is None else _column(titles, user_property),
        has_tabs=titles != raw,
        is_quoted=text.startswith('"'),
        has_mark=line.startswith(_MARK),
        line_end="CRLF" if line.endswith(b"\r\n") else "LF" if line.endswith(b"\n") else "none",
        blank_last_line=end.endswith((b"\n\n", b"\r\n\r\n")),
    )


def rows_of(path: Path) -> FileRows:
    """
    Count the rows as syncs read them.

    :param path: the file, decompressed.
    """
    rows = missing = longest = 0
    for block in read_property(path, "user_id"):
        rows += len(block)
        missing += sum(not value.lstrip("\t") for value in block)
        longest = max(longest, max(map(len, block), default=0))
    return FileRows(rows, missing, longest)


def _column(titles: list[str], user_property: str) -> str:
    bare = user_property.removeprefix(USER_PROPERTY_PREFIX)
    if f"{USER_PROPERTY_PREFIX}{bare}" in titles:
        return USER_PROPERTY_PREFIX
    return "bare" if bare in titles else "missing"
