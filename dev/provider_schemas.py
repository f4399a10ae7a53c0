"""Checks the information about a provider against both of Airflow's schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import airflow
import jsonschema

#: Further keys of ``provider.yaml`` in Airflow's own repository.
ONLY_IN_YAML = {"state": "ready", "source-date-epoch": 0, "versions": ["1.0.0"]}


def schema_faults(info: Mapping[str, Any]) -> list[str]:
    """
    Return the errors in a provider's information, according to the installed Airflow.

    The schema of ``provider.yaml`` is stricter: it has every key and the structure of the connection forms.
    Airflow 3.1 lacks some of them and ignores these at run time.

    :param info: the result of ``get_provider_info()``.
    """
    strict = _read("provider.yaml.schema.json")
    faults = _faults(info, "provider_info.schema.json", _read("provider_info.schema.json"))
    if "cli" in strict["properties"]:
        faults += _faults({**info, **ONLY_IN_YAML}, "provider.yaml.schema.json", strict)
    return faults


def _read(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((Path(airflow.__file__).parent / name).read_text(encoding="utf-8"))
    return schema


def _faults(info: Mapping[str, Any], name: str, schema: dict[str, Any]) -> list[str]:
    errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(info)
    return [f"{name}: {'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
