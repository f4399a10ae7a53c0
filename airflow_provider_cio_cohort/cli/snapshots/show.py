"""``snapshot show``: shows a snapshot's manifest; its people only with ``--identifiers``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable

from airflow_provider_cio_cohort.cli.output import dump, printable
from airflow_provider_cio_cohort.cli.output import show as show_rows
from airflow_provider_cio_cohort.cli.runtime import FINE, answering, command
from airflow_provider_cio_cohort.cli.snapshots.select import find_one, refusing
from airflow_provider_cio_cohort.engine.sorted_file import read_values
from airflow_provider_cio_cohort.sync.workdir import run_directory

_FACTS = (
    "moment",
    "taken_at",
    "identifiers",
    "size",
    "cohort_id",
    "segment_id",
    "segment_name",
    "workspace_id",
    "id_type",
    "user_id_property",
    "mode",
    "sha256",
)


@command
def show(args: Namespace) -> int:
    """
    Read a snapshot as a run would, and show its manifest, or the people in it.

    :param args: the arguments.
    """
    kept = find_one(args)
    store = kept.snapshots.store
    with refusing(), run_directory() as directory:
        entry, manifest = kept.choose(args.at)
        path = directory / "snapshot"
        store.fetch(entry, manifest, path)
        if args.identifiers:
            print_people(read_values(path), args.output)
            return FINE
    row = {**kept.names, **{fact: getattr(manifest, fact) for fact in _FACTS}}
    row |= {key: manifest.origin.get(key) for key in ("dag_id", "task_id", "run_id", "logical_date")}
    table = [
        {"": key.replace("_", " "), "snapshot": value} for key, value in row.items() if value is not None
    ]
    show_rows([row], args.output, table)
    return FINE


def print_people(identifiers: Iterable[str], output: str) -> None:
    """
    Print identifiers: one per line, or as a JSON or YAML list.

    :param identifiers: the identifiers.
    :param output: ``table``, ``json`` or ``yaml``.
    """
    if output != "table":
        dump(list(identifiers), output)
        return
    with answering():
        sys.stdout.writelines(f"{printable(identifier)}\n" for identifier in identifiers)
        sys.stdout.flush()
