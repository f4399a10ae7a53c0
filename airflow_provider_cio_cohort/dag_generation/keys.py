"""The types of a sync's keys, with their constraints."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema

from airflow_provider_cio_cohort.dag_generation.messages import show
from airflow_provider_cio_cohort.dag_generation.schedule import (
    NAMED_CADENCES,
    check_cadence,
    check_timezone,
    read_moment,
)
from airflow_provider_cio_cohort.operators.freshness import LONGEST_AGE
from airflow_provider_cio_cohort.sync.values import Text

#: The prefix of a sync's name in the id of its DAG.
DAG_PREFIX = "cohort_sync__"

_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def age(text: str) -> timedelta:
    """
    Return an age as a duration.

    :param text: a number and a unit, such as ``90m``, ``26h`` or ``2d``.
    :raises ValueError: if the text is not an age.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{show(text)} is not an age. Write a number followed by m, h or d: 90m, 26h or 2d.")
    found = float(match[1]) * _UNITS[match[2]]
    if not timedelta(0) < found <= LONGEST_AGE:
        raise ValueError(f"{show(text)} is not allowed; it must be more than 0 and at most 366 days.")
    return found


def _age(text: str) -> str:
    age(text)
    return text.replace(" ", "")


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
Tag = Annotated[Text, StringConstraints(max_length=100)]
