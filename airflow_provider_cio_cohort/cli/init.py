"""``init``: writes a file with a first sync, the DAG file that reads it, and the schema for editors."""

from __future__ import annotations

import re
import shlex
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from airflow_provider_cio_cohort.cli.output import printable, show
from airflow_provider_cio_cohort.cli.prompts import answers
from airflow_provider_cio_cohort.cli.runtime import FINE, WRONG_USAGE, CommandError, command, say
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.schema import as_text as schema_text
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


@command
def init(args: Namespace) -> int:
    """Write a file with a first sync."""
    path = Path(args.path)
    _check_path(path, force=args.force)
    answered = answers(vars(args))  # ask for everything before writing anything
    name = answered.values["name"]
    _write(path, yaml_file(answered.values, answered.names), force=args.force)
    beside = path.with_suffix(".py")
    makes_dag_file = _write_unless_there(beside, dag_file(path))
    _write_unless_there(path.with_name(SCHEMA_NAME), schema_text())
    shown = shlex.quote(str(path))
    say(
        f"Next: airflow cohort-sync validate {shown}, then airflow cohort-sync plan {shown}. Airflow creates "
        f"the DAG {DAG_PREFIX}{name} once the files are in its DAG folder."
    )
    if args.output != "table":  # the sentences above replace the table
        row = {
            "sync": name,
            "file": str(path),
            "dag_file": str(beside),
            "dag_file_made": makes_dag_file,
        }
        show([row], args.output)
    return FINE


def _check_path(path: Path, *, force: bool) -> None:
    if path.suffix not in (".yaml", ".yml"):
        raise CommandError(f"{path}: the file's name must end with .yaml or .yml.", WRONG_USAGE)
    place = next(each for each in path.parents if each.exists())
    if not place.is_dir():
        raise CommandError(f"{path}: {place} is a file, not a folder. Choose another path.", WRONG_USAGE)
    if path.exists() and not force:
        raise CommandError(
            f"{path} already exists, so nothing was written: choose another path, or pass --force to "
            "overwrite it.",
            WRONG_USAGE,
        )


def _write_unless_there(path: Path, text: str) -> bool:
    """Write a file, unless there is one; return whether it was written."""
    if path.exists():
        say(f"{path} already exists and was left unchanged.")
        return False
    _write(path, text, force=False)
    return True


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.", WRONG_USAGE) from None
    say(f"Wrote {path}.")


# ---- the files


def yaml_file(values: Mapping[str, str | int], names: Mapping[str, str]) -> str:
    """
    Return the text of a YAML file with one sync.

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
