"""From a finished export to the cohort's identifiers, checked against the size that Amplitude reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_cio_cohort.engine.export_csv import read_property
from airflow_provider_cio_cohort.engine.identifiers import CohortIdentifiers, IdType, collect
from airflow_provider_cio_cohort.exceptions import IncompleteExportError
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
        Download the cohort, and again where it is smaller than announced: downloads are free.

        A file that a proxy cut off at the end of a line looks complete, but hardly any two of them end at the
        same line. So a small cohort is accepted when two downloads agree.

        :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
        :raises IncompleteExportError: if no two downloads agree.
        """
        before = None
        for _ in range(DOWNLOADS):
            cohort = self._once()
            if not _is_short(cohort.cohort_rows, announced) or cohort == before:
                return cohort
            if before is None:
                log.warning(
                    "The export has %s rows, but Amplitude reports %s members: downloading it again to "
                    "compare.",
                    f"{cohort.cohort_rows:,}",
                    f"{announced:,}",
                )
            before = cohort
        raise IncompleteExportError(
            f"{DOWNLOADS} downloads of the same Amplitude export had different numbers of rows.\n"
            f"The last one had {cohort.cohort_rows:,} of {announced or 0:,} rows; a retry downloads it "
            "again."
        )

    def _once(self) -> CohortIdentifiers:
        file = self.directory / "export.csv"
        size = self.amplitude.download_export(self.request_id, file)
        log.info("Downloaded the export: %s bytes.", f"{size:,}")
        values = read_property(file, self.property_name)
        cohort = collect(values, self.id_type, self.directory / "cohort")
        file.unlink()
        return cohort


def _is_short(rows: int, announced: int | None) -> bool:
    shortfall = (announced or 0) - rows
    return shortfall > TOLERATED_ROWS and shortfall * 100 > (announced or 0)
