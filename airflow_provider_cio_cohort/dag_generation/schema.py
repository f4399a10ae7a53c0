"""The JSON Schema of the YAML file, from the models: for editors, and in words for tables of its keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_cio_cohort.dag_generation.reader import OWN_KEYS
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, TARGET_KEYS, Sync

_BOTH_SEGMENTS = {
    "required": ["segment_name", "segment_id"],
    "properties": {"segment_name": {"type": "string"}, "segment_id": {"type": "integer"}},
}
_EXPORTS = {"type": "integer", "minimum": 0}
#: The types of JSON in words.
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}
_NAME_OF_A_TARGET = "Unique in the sync; the task is sync__<name>. Letters, digits, _, - and dots."


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a file with ``defaults`` and ``syncs``."""
    sync = Sync.model_json_schema()
    properties: dict[str, Any] = sync["properties"]
    parts = sync["$defs"].values()
    of_parts = (value for part in parts for value in part["properties"].values())
    for value in (*properties.values(), *of_parts, *parts):
        value.pop("title", None)
        _flatten(value)
    target = {key: properties[key] for key in TARGET_KEYS}
    target["name"] = {**target["name"], "description": _NAME_OF_A_TARGET}
    defaults = {key: value for key, value in properties.items() if key != "name"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # the newest draft that every editor supports
        "title": "Cohort syncs",
        "description": "Which Amplitude cohort goes to which Customer.io segment, and when.",
        "type": "object",
        "additionalProperties": False,
        "required": ["syncs"],
        "patternProperties": {f"^{OWN_KEYS}": {}},
        "properties": {
            "defaults": {
                "description": "Any key of a sync except its name; a sync's own value takes precedence.",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": defaults,
            },
            "syncs": {
                "description": "The list of syncs; each becomes a DAG.",
                "type": ["array", "null"],
                "items": {
                    "description": "A sync: one cohort, one segment.",
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {**properties, "targets": _targets(target)},
                    "not": _BOTH_SEGMENTS,
                },
            },
            "max_exports_per_month": {
                "description": "The most exports a month that the syncs of an Amplitude connection may "
                "cost: one number for every connection, or a number for each connection id. Syncs that fit, "
                "from the top of the file, keep running; the others become config-error DAGs.",
                "anyOf": [_EXPORTS, {"type": "object", "additionalProperties": _EXPORTS}],
            },
        },
        "$defs": sync["$defs"],
        "allOf": [_unless_default("cohort_id"), _unless_default("segment_name", "segment_id", "targets")],
    }


def _flatten(value: dict[str, Any]) -> None:
    """Write "this or null" as one type, because editors show no help for a choice between two schemas."""
    options = value.get("anyOf", [])
    if len(options) != 2 or options[1] != {"type": "null"} or not isinstance(options[0].get("type"), str):
        return
    del value["anyOf"]
    value.update({**options[0], "type": [options[0]["type"], "null"]})
    if "enum" in value:
        value["enum"] = [*value["enum"], None]


def _targets(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": "Several segments that share one export, instead of segment_name or segment_id. "
        "A target takes every key that it does not set from the sync.",
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": properties,
            "anyOf": [{"required": ["segment_name"]}, {"required": ["segment_id"]}],
            "not": _BOTH_SEGMENTS,
        },
    }


def _unless_default(*keys: str) -> dict[str, Any]:
    """Require one of the keys in each sync, unless the defaults have one of them."""
    one_of_them = {"anyOf": [{"required": [key]} for key in keys]}
    in_defaults = {"required": ["defaults"], "properties": {"defaults": {"type": "object", **one_of_them}}}
    in_each_sync = {"properties": {"syncs": {"items": one_of_them}}}
    return {"if": {"not": in_defaults}, "then": in_each_sync}


def as_text() -> str:
    """Return the JSON Schema as the text of the file."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


# ---- in words


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
