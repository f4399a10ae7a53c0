"""The types of a sync's keys, which say what a value must be like."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from airflow_provider_cio_cohort.dag_generation.cadence import (
    NAMED_CADENCES,
    check_cadence,
    check_timezone,
    read_moment,
)
from airflow_provider_cio_cohort.snapshots.storage import check_path


def _printable(text: str) -> str:
    # A control character can be stored by no database; it comes from a paste or an escape by mistake.
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    if bad:
        raise ValueError(f"it holds the control character {bad[0]!r}. Take it out.")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("it holds a line break or a tab. Write it on one line.")
    return text


Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_printable)]
Text = Annotated[Paragraph, AfterValidator(_one_line)]
Id = Annotated[Text, StringConstraints(max_length=250)]
# A DAG id has at most 250 characters, cohort_sync__ included, and no two dots in a row.
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=237, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$"),
]
Cadence = Annotated[
    Text,
    AfterValidator(check_cadence),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(NAMED_CADENCES)},
                {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$"},
            ]
        }
    ),
]
Timezone = Annotated[Text, AfterValidator(check_timezone)]
Moment = Annotated[
    datetime,
    BeforeValidator(read_moment),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}"}),
]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
SnapshotPath = Annotated[
    Text,
    StringConstraints(max_length=2000),
    AfterValidator(check_path),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[A-Za-z][A-Za-z0-9+.-]*://"}),
]
Tag = Annotated[Text, StringConstraints(max_length=100)]
