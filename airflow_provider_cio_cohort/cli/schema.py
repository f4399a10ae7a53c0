"""``schema``: explains the keys of a file of syncs."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_provider_cio_cohort.cli.output import dump, show
from airflow_provider_cio_cohort.cli.runtime import FINE, command
from airflow_provider_cio_cohort.dag_generation.schema import default_in_words, json_schema, type_in_words


@command
def schema(args: Namespace) -> int:
    """Explain the keys of a sync, or print the JSON Schema of a file."""
    whole = json_schema()
    if args.output == "table":
        keys: dict[str, Any] = whole["properties"]["syncs"]["items"]["properties"]
        keys = {"name": keys["name"], **keys}  # the name comes first, as in the files
        show([_row(key, facts) for key, facts in keys.items()], "table")
    else:
        dump(whole, args.output)
    return FINE


def _row(key: str, facts: dict[str, Any]) -> dict[str, str]:
    return {
        "key": key,
        "type": type_in_words(key, facts),
        "default": default_in_words(key, facts),
        "meaning": str(facts.get("description", "")),
    }
