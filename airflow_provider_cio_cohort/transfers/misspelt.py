"""
Refuses a run whose configuration misspells a field of the trigger form.

Airflow takes any key: a run that is triggered with ``{"dry_rum": true}`` would write.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError

#: How much alike a key and a field are that are taken for the same, 0 to 1.
_ALIKE = 0.8


def check_configuration(context: Mapping[str, Any]) -> None:
    """
    Look at what the run was triggered with; keys that look like no field of the DAG are somebody else's.

    :param context: the task's context.
    :raises ConfigurationError: if a key looks like a field of the DAG and is none.
    """
    given = getattr(context.get("dag_run"), "conf", None) or {}
    fields = {_bare(name): name for name in getattr(context.get("dag"), "params", None) or {}}
    for key in given:
        alike = get_close_matches(_bare(key), fields, n=1, cutoff=_ALIKE)
        if key in fields.values() or not alike:
            continue
        raise ConfigurationError(
            f"The run was triggered with {str(key)[:100]!r}, which is no field of this DAG.\n"
            f"Did you mean {fields[alike[0]]!r}? Trigger a new run with the right name; this one keeps what "
            "it was given."
        )


def _bare(name: Any) -> str:
    return "".join(sign for sign in str(name).lower() if sign.isalnum())
