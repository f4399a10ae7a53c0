"""Describes the types and defaults of the keys, from the JSON Schema of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}


def type_in_words(key: str, facts: Mapping[str, Any]) -> str:
    """
    Describe the type of a key's value.

    :param facts: its JSON Schema.
    """
    if key == "cadence":
        return "text"
    if key.endswith("_date"):
        return "date or time"
    if "anyOf" in facts:
        kinds = [type_in_words("", kind) for kind in facts["anyOf"]]
        # Null is shown only where it is useful: it turns off a guard.
        return " or ".join(kind for kind in kinds if kind != "null" or "number 0" in kinds[0])
    if "enum" in facts:
        return ", ".join(each for each in facts["enum"] if each is not None)
    kind, *others = facts["type"] if isinstance(facts["type"], list) else [facts["type"]]
    if kind == "array":
        return _list(facts["items"])
    # The same for a type that may be null.
    null = " or null" if others and kind == "number" and facts.get("minimum") == 0 else ""
    return _WORDS[kind] + _bounds(facts) + null


def default_in_words(key: str, facts: Mapping[str, Any]) -> str:
    """
    Describe the default of a key.

    :param facts: its JSON Schema.
    """
    if key in SEGMENT_KEYS:
        return "one of the two"
    if "default" not in facts:
        return "none" if key == "targets" else "required"
    value = facts["default"]
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value).removesuffix("T00:00:00")  # a date alone means midnight


def _list(items: Mapping[str, Any]) -> str:
    if "enum" in items:
        return f"list of {', '.join(items['enum'])}"
    return "list of text" if items.get("type") == "string" else "list"


def _bounds(facts: Mapping[str, Any]) -> str:
    low, high = facts.get("minimum"), facts.get("maximum")
    if low is None or high is None or high > 1000:
        return ""
    return f" {low:g} to {high:g}"
