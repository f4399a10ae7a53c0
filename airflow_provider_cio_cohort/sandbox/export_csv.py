"""Writes the file of an export as Amplitude does."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from operator import attrgetter

from airflow_provider_cio_cohort.sandbox.amplitude import CsvRows, Job
from airflow_provider_cio_cohort.sandbox.settings import Settings

ROWS_AT_ONCE = 20_000
#: The settings that change the content of a file.
_looks = attrgetter(
    *("compressed", "crlf", "property_prefix", "duplicate_column", "leading_tab", "missing_columns"),
    "empty_export",
)


def export_file(job: Job, settings: Settings) -> bytes:
    """
    Return the file of an export, compressed if the settings say so.

    :param job: the export.
    :param settings: how the sandbox behaves.
    """
    if not isinstance(job.rows, CsvRows):
        return _written(job, settings)
    held = (*job.properties, *_looks(settings))
    if held not in job.rows.files:
        job.rows.files[held] = _written(job, settings)
    return job.rows.files[held]


def _written(job: Job, settings: Settings) -> bytes:
    buffer = io.BytesIO()
    if settings.compressed:
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
            for part in _parts(job, settings):
                file.write(part)
    else:
        for part in _parts(job, settings):
            buffer.write(part)
    return buffer.getvalue()


def _parts(job: Job, settings: Settings) -> Iterator[bytes]:
    end = "\r\n" if settings.crlf else "\n"
    tab = "\t" if settings.leading_tab else ""
    if not len(job.rows) and settings.empty_export != "header":
        yield end.encode() if settings.empty_export == "newline" else b""
        return
    properties = [] if settings.missing_columns else job.properties
    columns = [
        "amplitude_id",
        *(["amplitude_id"] if settings.duplicate_column else []),
        "user_id",
        *properties,
    ]
    titles = [f"{settings.property_prefix}{c}" if c in properties else c for c in columns]
    yield _line(titles, tab, end).encode()
    if isinstance(job.rows, CsvRows):
        for lines in job.rows.lines(columns, tab, end, ROWS_AT_ONCE):
            yield lines.encode()
        return
    for start in range(0, len(job.rows), ROWS_AT_ONCE):
        rows = job.rows[start : start + ROWS_AT_ONCE]
        yield "".join(_line([row.get(c, "") for c in columns], tab, end) for row in rows).encode()


def _line(values: list[str], tab: str, end: str) -> str:
    fields = (
        f'"{tab}{value}"' if '"' not in value else f'"{tab}{value.replace(chr(34), chr(34) * 2)}"'
        for value in values
    )
    return ",".join(fields) + end
