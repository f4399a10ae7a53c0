"""``snapshot diff``: shows who joined and left between two snapshots, or between one and now."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_cio_cohort.cli.output import dump, show
from airflow_provider_cio_cohort.cli.runtime import FINE, CommandError, command
from airflow_provider_cio_cohort.cli.snapshots.select import Kept, find_one, refusing
from airflow_provider_cio_cohort.cli.snapshots.show import print_people
from airflow_provider_cio_cohort.engine import members
from airflow_provider_cio_cohort.engine.diff import differences
from airflow_provider_cio_cohort.engine.sorted_file import unescape
from airflow_provider_cio_cohort.sync.target import find_segment
from airflow_provider_cio_cohort.sync.workdir import run_directory

_SIGNS = {"joined": "+", "left": "-"}


@command
def diff(args: Namespace) -> int:
    """
    Compare two snapshots, or a snapshot with the segment.

    :param args: the arguments.
    """
    kept = find_one(args)
    with refusing(), run_directory() as directory:
        before, after = directory / "before", directory / "after"
        since = _fetch(kept, args.since, before)
        until = "now" if args.until is None else _fetch(kept, args.until, after)
        if args.until is None:
            _fetch_members(kept, after)
        if args.identifiers:
            print_changes(before, after, args.output)
            return FINE
        counts = count_changes(before, after)
    row = {**kept.names, "from": since, "to": until}
    row |= {what: counts[what] for what in ("joined", "left", "same")}
    below = []
    if until == "now" and counts["left"]:
        below = ["Those who left are not in the segment now: perhaps they do not exist in Customer.io."]
    shown = {key: cell for key, cell in row.items() if cell is not None}
    show([row], args.output, [shown], below)
    return FINE


def _fetch(kept: Kept, moment: str | None, path: Path) -> str:
    entry, manifest = kept.choose(moment)
    kept.snapshots.store.fetch(entry, manifest, path)
    return manifest.moment


def _fetch_members(kept: Kept, path: Path) -> None:
    parameters = kept.parameters
    customer_io = kept.vendors.customer_io(parameters.customer_io_conn_id)
    segment = find_segment(customer_io, parameters)
    if segment is None:
        raise CommandError(
            f"Customer.io has no segment {parameters.segment_name!r}: it was deleted, or renamed."
        )
    members.collect(customer_io.stream_member_pages(segment.id), parameters.compared_by, path)


def count_changes(before: Path, after: Path) -> Counter[str]:
    """
    Count the people who joined, left and stayed.

    :param before: sorted identifiers.
    :param after: sorted identifiers, or members.
    """
    counts: Counter[str] = Counter()
    for missing, others, same in differences(before, after):
        counts.update(left=len(missing), joined=len(others), same=same)
    return counts


def _changes(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Yield the change of each person and an identifier: any other one if a member lacks that of the sync."""
    for missing, others, _ in differences(before, after):
        changes = [(identifier, "left", unescape(identifier)) for identifier in missing]
        for line in others:
            key = members.key_of(line)
            who = unescape(key) or next((value for _, value in members.handles(line)), "")
            changes.append((key, "joined", who))
        for _, what, who in sorted(changes):
            yield what, who


def print_changes(before: Path, after: Path, output: str) -> None:
    """
    Print who joined and left.

    :param before: sorted identifiers.
    :param after: sorted identifiers, or members.
    :param output: ``table``, ``json`` or ``yaml``.
    """
    changed = _changes(before, after)
    if output == "table":
        print_people((f"{_SIGNS[what]} {who}" for what, who in changed), output)
    else:
        dump([{"change": what, "identifier": who} for what, who in changed], output)
