"""From a finished export to the cohort's identifiers, checked against the size that Amplitude reports."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cio_cohort.cohorts import most_rows
from airflow_provider_cio_cohort.engine.export_csv import read_property
from airflow_provider_cio_cohort.engine.identifiers import CohortIdentifiers, IdType, collect
from airflow_provider_cio_cohort.engine.sorted_file import Block
from airflow_provider_cio_cohort.exceptions import ExportEncodingError, IncompleteExportError
from airflow_provider_cio_cohort.sync.ports import Amplitude

log = logging.getLogger(__name__)

#: An export may differ a little from the list: by this many rows, or by one in a hundred.
TOLERATED_ROWS = 20
DOWNLOADS = 3


@dataclass(frozen=True)
class CohortDownload:
    """
    How a cohort is fetched.

    :param amplitude: the project.
    :param request_id: the finished export.
    :param property_name: the mapped property.
    :param id_type: which of Customer.io's identifiers it is.
    :param directory: where the file is written, and the identifiers after it.
    """

    amplitude: Amplitude
    request_id: str
    property_name: str
    id_type: IdType
    directory: Path

    def run(self, announced: int | None) -> CohortIdentifiers:
        """
        Download the cohort, and again where something of it may be missing: downloads are free.

        A file that a proxy cut off at the end of a line looks complete, but hardly any two of them end at the
        same line; and a byte that was damaged on the way is seldom damaged twice. So a small cohort, or one
        of which something cannot be read, is accepted when two downloads agree.

        :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
        :raises IncompleteExportError: if no two downloads agree.
        :raises ExportEncodingError: if too many identifiers cannot be read.
        """
        before: CohortIdentifiers | str | None = None
        for _ in range(DOWNLOADS):
            try:
                found: CohortIdentifiers | ExportEncodingError = self._once(announced)
            except ExportEncodingError as error:
                found = error
            now = str(found) if isinstance(found, ExportEncodingError) else found
            doubt = _doubt(found, announced)
            if not doubt or now == before:
                if isinstance(found, ExportEncodingError):
                    raise found
                return found
            if before is None:
                log.warning("%s: downloading the export again to compare.", doubt)
            before = now
        raise IncompleteExportError(
            f"No two of {DOWNLOADS} downloads of the same Amplitude export were equal.\n"
            f"The last one was not believed: {doubt}. A retry downloads it again."
        )

    def _once(self, announced: int | None) -> CohortIdentifiers:
        file = self.directory / "export.csv"
        size = self.amplitude.download_export(self.request_id, file, announced=announced)
        log.info("Downloaded the export: %s bytes.", f"{size:,}")
        values: Iterable[Block] = ()
        if size:  # otherwise, it is that of an empty cohort
            values = read_property(file, self.property_name, most_rows(announced))
        cohort = collect(values, self.id_type, self.directory / "cohort")
        file.unlink()
        return cohort


def _doubt(found: CohortIdentifiers | ExportEncodingError, announced: int | None) -> str:
    """Return why something of a download may be missing; empty if nothing says so."""
    if isinstance(found, ExportEncodingError):
        return found.headline.rstrip(".")
    if found.unreadable:
        return f"{len(found.unreadable):,} rows of the export cannot be read"
    if _is_short(found.cohort_rows, announced):
        return f"The export has {found.cohort_rows:,} rows, but Amplitude reports {announced:,} members"
    return ""


def _is_short(rows: int, announced: int | None) -> bool:
    shortfall = (announced or 0) - rows
    return shortfall > TOLERATED_ROWS and shortfall * 100 > (announced or 0)
