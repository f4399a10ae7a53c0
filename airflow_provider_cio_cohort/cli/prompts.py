"""Asks on the terminal for values that no option gives."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from airflow_provider_cio_cohort.cli.runtime import WRONG_USAGE, CommandError
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.dag_generation.validation_messages import explain

#: The keys of a first sync, in the order of the questions and of the file.
KEYS = (
    "name",
    "cohort_id",
    "segment_name",
    "user_id_property",
    "id_type",
    "cadence",
    "timezone",
    "amplitude_conn_id",
    "customer_io_conn_id",
)
_QUESTIONS = {
    "name": "Name of the sync; its DAG will be cohort_sync__<name>",
    "cohort_id": "Amplitude cohort, the last part of its address",
    "segment_name": "Customer.io segment; one that does not exist is created",
    "user_id_property": "Amplitude property that is the Customer.io identifier",
    "id_type": "Which of Customer.io's identifiers the property holds: id, email or cio_id",
    "cadence": "When: manual, once, realtime, hourly, daily, weekly, monthly, or a cron expression",
    "timezone": "Timezone, such as Europe/Berlin",
    "amplitude_conn_id": "Airflow connection to the Amplitude project",
    "customer_io_conn_id": "Airflow connection to the Customer.io workspace",
}
#: Valid values for all required keys, so that each answer can be checked on its own.
_SOUND = {"name": "sync", "cohort_id": "a1b2c3d", "segment_name": "Segment"}


def answers(given: Mapping[str, Any]) -> dict[str, str]:
    """
    Return a value for each of a first sync's keys.

    :param given: the values of the options; ``None`` for a missing one.
    :raises CommandError: if a value is wrong, or a required one is missing without a terminal.
    """
    values: dict[str, str] = {}
    for key in KEYS:
        if given[key] is not None:
            value, problem = _checked(key, given[key])
            if problem:
                raise CommandError(f"{_flag(key)}: {problem}", WRONG_USAGE)
            values[key] = value
    is_terminal = sys.stdin.isatty()
    for key in KEYS:
        default = _default(key)
        if key in values:
            continue
        if is_terminal:
            values[key] = _ask(key, default)
        elif default is None:
            missing = ", ".join(_flag(each) for each in KEYS if _default(each) is None and each not in values)
            raise CommandError(f"stdin is not a terminal: pass {missing}.", WRONG_USAGE)
        else:
            values[key] = default
    return {key: values[key] for key in KEYS}


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _default(key: str) -> str | None:
    field = Sync.model_fields[key]
    return None if key in _SOUND else str(field.default)


def _ask(key: str, default: str | None) -> str:
    suggestion = f" [{default}]" if default is not None else ""
    while True:
        sys.stderr.write(f"{_QUESTIONS[key]}{suggestion}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise CommandError(
                f"The input ended before {_flag(key)} was given; nothing was written.", WRONG_USAGE
            )
        value, problem = _checked(key, line.strip() or default or "")
        if not problem:
            return value
        sys.stderr.write(f"{problem}\n")


def _checked(key: str, value: str) -> tuple[str, str]:
    """Return a value as it is written to the file, and the problem with it, if any."""
    try:
        sync = Sync(**{**_SOUND, key: value})  # type: ignore[arg-type]
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        return value, explain(details, value)[1]
    return str(getattr(sync, key)), ""
