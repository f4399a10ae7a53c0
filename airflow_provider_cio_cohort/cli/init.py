"""``init``: writes a file with a first sync, the DAG file that reads it, and the schema for editors."""

from __future__ import annotations

import shlex
from argparse import Namespace
from pathlib import Path

from airflow_provider_cio_cohort.cli.first_file import SCHEMA_NAME, dag_file, yaml_file
from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.prompts import answers
from airflow_provider_cio_cohort.cli.runtime import FINE, WRONG_USAGE, CommandError, command, say
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.schema import as_text as schema_text


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
