"""``schema``: what may stand in a file of syncs."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_provider_cio_cohort.cli.output import dump, show
from airflow_provider_cio_cohort.cli.running import FINE, command
from airflow_provider_cio_cohort.dag_generation.schema import json_schema
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}


@command
def schema(args: Namespace) -> int:
    """
    Explain the keys of a sync, or print the JSON Schema of a file.

    :param args: the arguments.
    """
    whole = json_schema()
    if args.output == "table":
        keys: dict[str, Any] = whole["properties"]["syncs"]["items"]["properties"]
        keys = {"name": keys["name"], **keys}  # it comes first wherever a sync is written
        show([_row(key, facts) for key, facts in keys.items()], "table")
    else:
        dump(whole, args.output)
    return FINE


def _row(key: str, facts: dict[str, Any]) -> dict[str, str]:
    return {
        "key": key,
        "type": _type(key, facts),
        "default": _default(key, facts),
        "meaning": str(facts.get("description", "")),
    }


def _default(key: str, facts: dict[str, Any]) -> str:
    if key in SEGMENT_KEYS:
        return "one of the two"
    if "default" not in facts:
        return "none" if key == "targets" else "required"
    value = facts["default"]
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _type(key: str, facts: dict[str, Any]) -> str:
    if key == "cadence":
        return "text"
    if key.endswith("_date"):
        return "date or time"
    if "anyOf" in facts:
        kinds = [_type("", kind) for kind in facts["anyOf"]]
        # A segment is given or not, and so is a description; null is of use where it turns a guard off.
        return " or ".join(kind for kind in kinds if kind != "null" or "number 0" in kinds[0])
    if "enum" in facts:
        return ", ".join(each for each in facts["enum"] if each is not None)
    if facts.get("type") == "array":
        items = facts["items"]
        return "list of text" if items.get("type") == "string" else "list"
    kind, *others = facts["type"] if isinstance(facts["type"], list) else [facts["type"]]
    # A segment is given or not, and so is a description; null is of use where it turns a guard off.
    null = " or null" if others and kind == "number" and facts.get("minimum") == 0 else ""
    return _WORDS[kind] + _bounds(facts) + null


def _bounds(facts: dict[str, Any]) -> str:
    low, high = facts.get("minimum"), facts.get("maximum")
    if low is None or high is None or high > 1000:
        return ""
    return f" {low:g} to {high:g}"
