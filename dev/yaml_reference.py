"""
Writes ``docs/yaml.md`` (tables of the keys from the models, in the text of ``dev/yaml_reference.md``), and
the JSON Schema beside the example.

``python -m dev.yaml_reference``, or ``make docs``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.dag_generation.schema import (
    as_text,
    default_in_words,
    json_schema,
    type_in_words,
)
from airflow_provider_cio_cohort.dag_generation.spec import TARGET_KEYS

TEMPLATE = Path(__file__).with_suffix(".md")
PAGE = Path(__file__).parents[1] / "docs" / "yaml.md"
SCHEMA = Path(__file__).parents[1] / "dags" / "cohort_syncs.schema.json"
#: The keys of a sync in each table of the page, in their order.
TOPICS = {
    "what goes where": (
        "name",
        "cohort_id",
        "segment_name",
        "segment_id",
        "targets",
        "mode",
        "user_id_property",
        "id_type",
        "identifiers",
        "people_segment_id",
        "amplitude_conn_id",
        "customer_io_conn_id",
    ),
    "when": ("cadence", "timezone", "spread", "start_date", "end_date", "enabled"),
    "guards": (
        "max_removal_percent",
        "max_removals",
        "max_growth_percent",
        "max_additions",
        "max_shortfall_percent",
        "min_match_rate",
        "adopt_segment",
        "on_not_removable",
        "on_guard",
        "approval_timeout_hours",
        "allow_large_removal",
        "allow_large_addition",
        "allow_empty_cohort",
        "allow_short_cohort",
        "allow_low_match",
        "allow_lost_tracking",
        "allow_no_match",
        "dry_run",
    ),
    "exports": ("export_reserve", "skip_unchanged", "poll_interval", "export_timeout", "deferrable"),
    "snapshots": ("snapshot_path", "unmatched_path", "snapshot_keep_days", "snapshot_keep_last"),
    "alerts": ("alerts", "max_age"),
    "pools": ("use_pools", "pool"),
    "the DAG": ("description", "owner", "tags", "retries", "retry_delay_minutes"),
}
_PLACE = re.compile(r"^<!-- (.+) -->$", re.MULTILINE)
_NOTICE = "<!-- Written by `make docs` from the models and dev/yaml_reference.md; change those. -->\n"


def tables() -> dict[str, str]:
    """Return every table of the page, by its place in the template."""
    schema = json_schema()
    keys: dict[str, Any] = schema["properties"]["syncs"]["items"]["properties"]
    top = schema["properties"]
    of_the_file = {key: top[key] for key in ("syncs", "defaults", "max_exports_per_month")}
    found = {
        "keys: the file": _table(of_the_file, required=schema["required"]),
        "keys: an alert": _table(schema["$defs"]["AlertKeys"]["properties"]),
        "keys: a target": ", ".join(f"`{key}`" for key in TARGET_KEYS if key != "name"),
    }
    for topic, names in TOPICS.items():
        found[f"keys: {topic}"] = _table({name: keys[name] for name in names}, targets=TARGET_KEYS)
    return found


def render() -> str:
    """Return the page."""
    found = tables()
    text = _PLACE.sub(lambda place: found[place[1]], TEMPLATE.read_text(encoding="utf-8"))
    return _NOTICE + text


def _table(
    keys: Mapping[str, Any], required: Iterable[str] | None = None, targets: Iterable[str] = ()
) -> str:
    target_column = "a target, too | " if targets else ""
    lines = [
        f"| key | type | default | {target_column}meaning |",
        f"|---|---|---|{'---|' if targets else ''}---|",
    ]
    for key, facts in keys.items():
        default = _default(key, facts) if required is None or key in required else "none"
        also = ("yes | " if key in targets else " | ") if targets else ""
        examples = facts.get("examples", [])
        meaning = _marked(facts["description"], _choices(facts), examples)
        if others := [f"`{each}`" for each in examples if each not in facts["description"]]:
            meaning += f" Such as {', '.join(others)}."
        lines.append(f"| `{key}` | {_type(key, facts)} | {default} | {also}{meaning} |")
    return "\n".join(lines)


def _type(key: str, facts: Mapping[str, Any]) -> str:
    words = type_in_words(key, facts)
    if "anyOf" not in facts:
        words = _marked(words, (), _choices(facts))
    limits = _limits(facts) if " to " not in words else ""
    return f"{words}; {limits}" if limits else words


def _limits(facts: Mapping[str, Any]) -> str:
    parts = []
    if "exclusiveMinimum" in facts:
        parts.append(f"above {facts['exclusiveMinimum']:g}")
    elif facts.get("minimum") is not None:
        parts.append(f"{facts['minimum']:g} or more")
    if facts.get("maximum", 10**9) < 10**9:  # a larger maximum is only a technical limit
        parts.append(f"at most {facts['maximum']:,}")
    if "maxLength" in facts:
        parts.append(f"at most {facts['maxLength']} characters")
    if facts.get("minItems"):
        parts.append("at least one")
    if "maxItems" in facts:
        parts.append(f"at most {facts['maxItems']}")
    return ", ".join(parts)


def _default(key: str, facts: Mapping[str, Any]) -> str:
    words = default_in_words(key, facts)
    return words if words in ("none", "required", "one of the two") else f"`{words}`"


def _choices(facts: Mapping[str, Any]) -> list[str]:
    """Return the allowed values, if the schema lists them."""
    choices = [*facts.get("enum", []), *facts.get("items", {}).get("enum", [])]
    choices += [choice for kind in facts.get("anyOf", []) for choice in kind.get("enum", [])]
    return [choice for choice in choices if choice is not None]


def _marked(text: str, choices: Iterable[str], examples: Iterable[str]) -> str:
    """
    Put values and keys into backticks; the models have none, because editors and terminals would show them.

    :param text: the text.
    :param choices: values of the key, which are marked only before a colon, a comma or a bracket, because the
        same word may be part of a sentence.
    :param examples: values that are marked everywhere.
    """
    code = re.compile(
        r"`[^`]+`"  # has backticks already
        r"|[a-z0-9]+://[^\s,]+[^\s,.]"
        r"|(?:gp:)?\w*_\w+(?:<\w+>)?(?:: (?:true|false|approve|add_only))?"
        r"|alert\.\w+"
        rf"|(?<![\w./]){_one_of(examples)}(?!\w)"
        rf"|(?<![\w./]){_one_of(choices)}(?=[:,]| \()"
        r"|(?<!\w)(?:null|true|false)(?!\w)"
    )
    return code.sub(lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", text)


def _one_of(words: Iterable[str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return f"(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    SCHEMA.write_text(as_text(), encoding="utf-8")
