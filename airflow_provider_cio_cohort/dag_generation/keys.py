"""The types of a sync's keys, which say what a value must be like."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from airflow_provider_cio_cohort.dag_generation.cadence import (
    NAMED_CADENCES,
    check_cadence,
    check_timezone,
    read_moment,
)
from airflow_provider_cio_cohort.dag_generation.errors import show
from airflow_provider_cio_cohort.snapshots.storage import check_path

#: What the id of a sync's DAG has in front of the sync's name.
DAG_PREFIX = "cohort_sync__"

_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    # A control character can be stored by no database; it comes from a paste or an escape by mistake.
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"]
    if bad:
        raise ValueError(f"it holds the control character {bad[0]!r}. Take it out.")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("it holds a line break or a tab. Write it on one line.")
    return text


def age(text: str) -> timedelta:
    """
    Return how long an age is.

    :param text: a number and a unit, such as ``90m``, ``26h`` or ``2d``.
    :raises ValueError: if it is none.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{show(text)} is no age. Write a number with m, h or d behind it: 90m, 26h or 2d.")
    found = float(match[1]) * _UNITS[match[2]]
    if not timedelta(0) < found <= timedelta(days=366):
        raise ValueError(f"{show(text)} is not allowed; it must be more than nothing and at most 366 days.")
    return found


def _age(text: str) -> str:
    age(text)
    return text.replace(" ", "")


Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_printable)]
Text = Annotated[Paragraph, AfterValidator(_one_line)]
Id = Annotated[Text, StringConstraints(max_length=250)]
# A DAG id has at most 250 characters, the prefix included, and no two dots in a row.
Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=250 - len(DAG_PREFIX),
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
    ),
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
Age = Annotated[
    Text, AfterValidator(_age), WithJsonSchema({"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[mhd]\s*$"})
]
Seconds = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
SnapshotPath = Annotated[
    Text,
    StringConstraints(max_length=2000),
    AfterValidator(check_path),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[A-Za-z][A-Za-z0-9+.-]*://"}),
]
Tag = Annotated[Text, StringConstraints(max_length=100)]
