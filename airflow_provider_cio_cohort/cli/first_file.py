"""The text of a first YAML file, and of the DAG file beside it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from airflow_provider_cio_cohort.cli.output import printable
from airflow_provider_cio_cohort.dag_generation.spec import Sync

#: The JSON Schema that the first line of a YAML file names, beside it: a path that is right for everybody.
SCHEMA_NAME = "cohort_syncs.schema.json"
_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_ ./-]*[A-Za-z0-9]")
#: Keys that a first file shows as comments, with their meaning.
_MORE = (
    ("description", "Weekly actives on a paid plan"),
    ("owner", "growth"),
    ("max_removal_percent", "50"),
    ("min_match_rate", "0.5"),
    ("on_guard", "approve"),
)


def yaml_file(values: Mapping[str, str | int], names: Mapping[str, str]) -> str:
    """
    Return the text of a YAML file with one sync.

    :param values: the sync's keys.
    :param names: what the vendors call that which is given by an id, by key; written as comments.
    """
    lines = [
        f"# yaml-language-server: $schema={SCHEMA_NAME}",
        "#",
        "# Which Amplitude cohort goes to which Customer.io segment, and when. Each sync becomes a DAG,",
        "# cohort_sync__<name>. After a change, `airflow cohort-sync validate` checks this file, and",
        "# `airflow cohort-sync plan` shows what a run would do. `airflow cohort-sync schema` lists all the",
        "# keys.",
        "",
        "syncs:",
    ]
    for key, value in values.items():
        lines += _comment(key)
        start = "  - " if key == "name" else "    "
        name = f"  # {printable(names[key])}" if names.get(key) else ""
        lines.append(f"{start}{key}: {value if isinstance(value, int) else scalar(value)}{name}")
    lines += ["", "    # More keys, commented out:"]
    for key, value in _MORE:
        lines += _comment(key)
        lines.append(f"    # {key}: {value}")
    return "\n".join(lines) + "\n"


def dag_file(path: Path) -> str:
    """Return the text of the DAG file that builds DAGs from a YAML file."""
    name = '"' + path.name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return (
        '"""Builds an Airflow DAG for each sync in the YAML file beside this one."""\n\n'
        "from pathlib import Path\n\n"
        "from airflow_provider_cio_cohort.dag_generation import build_dags\n\n"
        f"globals().update(build_dags(Path(__file__).with_name({name})))\n"
    )


def scalar(value: str) -> str:
    """Return a text as YAML, quoted unless every YAML parser reads it as text without quotes."""
    if _PLAIN.fullmatch(value) and isinstance(yaml.safe_load(value), str):
        return value
    return str(yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10**6)).rstrip("\n")


def _comment(key: str) -> Iterator[str]:
    meaning = Sync.model_fields[key].description or ""
    return (f"    # {line}" for line in textwrap.wrap(meaning, _WIDTH - 6))
