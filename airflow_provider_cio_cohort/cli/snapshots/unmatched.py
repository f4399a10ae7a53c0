"""``unmatched list``, ``show`` and ``diff``: whom runs have not matched, and why."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.cli.output import dump, printable, show
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, answering, command
from airflow_provider_cio_cohort.cli.snapshots.diff import count_changes, print_changes
from airflow_provider_cio_cohort.cli.snapshots.select import Kept, find_all, find_one, refusing
from airflow_provider_cio_cohort.engine.members import keys_of
from airflow_provider_cio_cohort.engine.sorted_file import read_blocks, read_lines, sort_distinct, unescape
from airflow_provider_cio_cohort.exceptions import SnapshotMissingError
from airflow_provider_cio_cohort.snapshots.layout import UNMATCHED, Manifest, as_text
from airflow_provider_cio_cohort.sync.workdir import run_directory

#: Reasons of identifiers, and of rows that have none: these are only counted.
REASONS = ("unknown", "too_long", "mistyped", "rejected", "not_removable", "conflicting")
ROWS = ("no_identifier", "unreadable")


@command
def list_all(args: Namespace) -> int:
    """
    List how many people each run has not matched, newest first.

    :param args: the arguments.
    """
    rows = [row for kept in find_all(args, UNMATCHED) for row in _rows(kept)]
    hidden = {"problem", *(() if any(row["target"] for row in rows) else ("target",))}
    table = [{key: cell for key, cell in row.items() if key not in hidden} for row in rows]
    problems = [row["problem"] for row in rows if row["problem"]]
    show(rows, args.output, table, problems)
    return NO if problems else FINE


@command
def show_one(args: Namespace) -> int:
    """
    Count whom a run has not matched, by the reason, or print the identifiers.

    :param args: the arguments.
    """
    kept = find_one(args, UNMATCHED)
    with refusing(), run_directory() as directory:
        entry, manifest = kept.choose(args.at)
        path = directory / "unmatched"
        kept.snapshots.store.fetch(entry, manifest, path)
        if args.identifiers:
            _print_people(path, args.output)
            return FINE
    row = {**kept.names, "moment": manifest.moment, **_counts(manifest)}
    table = [{"": key.replace("_", " "), "unmatched": cell} for key, cell in row.items() if cell is not None]
    show([row], args.output, table)
    return FINE


@command
def diff(args: Namespace) -> int:
    """
    Compare whom two runs have not matched.

    :param args: the arguments.
    """
    kept = find_one(args, UNMATCHED)
    with refusing(), run_directory() as directory:
        before, after = directory / "before", directory / "after"
        since = _fetch(kept, args.since or _before_the_newest(kept), before)
        until = _fetch(kept, args.until, after)
        if args.identifiers:
            print_changes(before, after, args.output)
            return FINE
        counts = count_changes(before, after)
    names = {key: cell for key, cell in kept.names.items() if cell is not None}
    row = {"from": since, "to": until, **{what: counts[what] for what in ("joined", "left", "same")}}
    show([{**kept.names, **row}], args.output, [{**names, **row}])
    return FINE


def _rows(kept: Kept) -> Iterator[dict[str, Any]]:
    entries = kept.own()[::-1]
    for entry, manifest in zip(entries, kept.snapshots.store.manifests(entries), strict=True):
        row = {**kept.names, "moment": as_text(entry.moment)}
        if isinstance(manifest, Manifest):
            facts = {"run_id": manifest.origin.get("run_id"), "problem": None}
            yield {**row, **_counts(manifest), **facts}
        else:
            yield {**row, **dict.fromkeys((*REASONS, *ROWS, "run_id")), "problem": manifest.headline}


def _counts(manifest: Manifest) -> dict[str, int]:
    return {reason: manifest.reasons.get(reason, 0) for reason in (*REASONS, *ROWS)}


def _before_the_newest(kept: Kept) -> str:
    own = kept.own()
    if len(own) < 2:
        raise SnapshotMissingError(
            f"{kept.label} has only {len(own):,} files of unmatched identifiers.\nTwo are needed: each "
            "successful run keeps one."
        )
    return as_text(own[-2].moment)


def _fetch(kept: Kept, moment: str | None, path: Path) -> str:
    """Write the identifiers alone, without their reasons."""
    entry, manifest = kept.choose(moment)
    with_reasons = path.with_name("with_reasons")
    kept.snapshots.store.fetch(entry, manifest, with_reasons)
    sort_distinct(map(keys_of, read_blocks(with_reasons)), path)
    return manifest.moment


def _print_people(path: Path, output: str) -> None:
    fields = (line.split("\t") for line in read_lines(path))
    people = ((unescape(identifier), reason, id_type) for identifier, reason, id_type in fields)
    if output != "table":
        dump([dict(zip(("identifier", "reason", "id_type"), each, strict=True)) for each in people], output)
        return
    with answering():
        sys.stdout.writelines("\t".join((printable(who), *why)) + "\n" for who, *why in people)
        sys.stdout.flush()
