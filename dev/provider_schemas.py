"""Holds what Airflow discovers of a provider against both of Airflow's schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import airflow
import jsonschema

#: What ``provider.yaml`` of a provider in Airflow's own repository has besides.
ONLY_IN_YAML = {"state": "ready", "source-date-epoch": 0, "versions": ["1.0.0"]}


def schema_faults(info: Mapping[str, Any]) -> list[str]:
    """
    Say what in a provider's information is not as the installed Airflow wants it.

    The schema of ``provider.yaml`` is the stricter one: it knows every key and the shape of the connection
    forms. Airflow 3.1 does not know them all yet, and reads past them at run time.

    :param info: what ``get_provider_info()`` returns.
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
