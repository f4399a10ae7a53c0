"""
Writes the file of an export as Amplitude does.

A value may contain bytes that are not UTF-8, as lone surrogates: see Python's ``surrogateescape``.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from operator import attrgetter

from airflow_provider_cio_cohort.sandbox.amplitude import CsvRows, Job, Row
from airflow_provider_cio_cohort.sandbox.settings import Settings

ROWS_AT_ONCE = 20_000
_BUILT_IN = ("user_id", "amplitude_id")
#: The settings that change the content of a file.
_looks = attrgetter(
    *("compressed", "crlf", "property_prefix", "duplicate_column", "leading_tab", "missing_columns"),
    *("compressed_twice", "blank_last_line", "last_line_end", "surplus_rows", "long_value"),
    "empty_export",
)
_CONTENT_OF_NOTHING = {"newline": "\n", "list": "[]"}


def export_file(job: Job, settings: Settings) -> bytes:
    """Return the file of an export, compressed if the settings say so."""
    if not isinstance(job.rows, CsvRows):
        return _written(job, settings)
    held = (*job.properties, *_looks(settings))
    if held not in job.rows.files:
        job.rows.files[held] = _written(job, settings)
    return job.rows.files[held]


def _written(job: Job, settings: Settings) -> bytes:
    parts = (text.encode("utf-8", "surrogateescape") for text in _ended(_parts(job, settings), settings))
    if not settings.compressed:
        return b"".join(parts)
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        for part in parts:
            file.write(part)
    packed = buffer.getvalue()
    return gzip.compress(packed, mtime=0) if settings.compressed_twice else packed


def _ended(parts: Iterator[str], settings: Settings) -> Iterator[str]:
    last = ""
    for part in parts:
        yield last
        last = part
    yield last if settings.last_line_end else last.rstrip("\r\n")


def _parts(job: Job, settings: Settings) -> Iterator[str]:
    end = "\r\n" if settings.crlf else "\n"
    tab = "\t" if settings.leading_tab else ""
    if not len(job.rows) and settings.empty_export != "header":
        yield _CONTENT_OF_NOTHING.get(settings.empty_export, "").replace("\n", end)
        return
    properties = [] if settings.missing_columns else job.properties
    columns = [
        "amplitude_id",
        *(["amplitude_id"] if settings.duplicate_column else []),
        "user_id",
        *properties,
    ]
    bare = {name: name.removeprefix("gp:") for name in properties}
    titles = [f"{settings.property_prefix}{bare[c]}" if c in properties else c for c in columns]
    yield _line(titles, tab, end)
    if isinstance(job.rows, CsvRows):
        yield from job.rows.lines(columns, tab, end, ROWS_AT_ONCE)
    else:
        for start in range(0, len(job.rows), ROWS_AT_ONCE):
            rows = job.rows[start : start + ROWS_AT_ONCE]
            yield "".join(_line([_value(row, c) for c in columns], tab, end) for row in rows)
    yield from _surplus(columns, tab, end, settings)


def _surplus(columns: list[str], tab: str, end: str, settings: Settings) -> Iterator[str]:
    line = _line(["0"] * len(columns), tab, end)
    for start in range(0, settings.surplus_rows, ROWS_AT_ONCE):
        yield line * min(ROWS_AT_ONCE, settings.surplus_rows - start)
    if settings.long_value:
        yield _line(["x" * settings.long_value if c == "user_id" else "0" for c in columns], tab, end)
    if settings.blank_last_line:
        yield end


def _value(row: Row, column: str) -> str:
    """Return a value of a row; a user property that is named like a built-in id has its prefix in the row."""
    bare = column.removeprefix("gp:")
    return row.get(column, row.get(column if bare in _BUILT_IN else bare, ""))


def _line(values: list[str], tab: str, end: str) -> str:
    fields = (
        f'"{tab}{value}"' if '"' not in value else f'"{tab}{value.replace(chr(34), chr(34) * 2)}"'
        for value in values
    )
    return ",".join(fields) + end
