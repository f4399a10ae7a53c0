"""``snapshot diff``: who has come and gone between two snapshots, or between one and now."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_cio_cohort.cli.output import dump, show
from airflow_provider_cio_cohort.cli.running import FINE, CommandError, command
from airflow_provider_cio_cohort.cli.snapshot.finding import Kept, find_one, refusing
from airflow_provider_cio_cohort.cli.snapshot.showing import print_people
from airflow_provider_cio_cohort.cli.vendors import Vendors
from airflow_provider_cio_cohort.sync import members
from airflow_provider_cio_cohort.sync.diff import differences
from airflow_provider_cio_cohort.sync.lines import unescape
from airflow_provider_cio_cohort.transfers.run_directory import run_directory

_SIGNS = {"came": "+", "went": "-"}


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
            _print_people(before, after, args.output)
            return FINE
        counts = _count(before, after)
    row = {**kept.names, "from": since, "to": until}
    row |= {what: counts[what] for what in ("came", "went", "same")}
    below = []
    if until == "now" and counts["went"]:
        below = ["Who went has left the segment since, or was in the cohort but is nobody in Customer.io."]
    shown = {key: cell for key, cell in row.items() if cell is not None}
    show([row], args.output, [shown], below)
    return FINE


def _fetch(kept: Kept, moment: str | None, path: Path) -> str:
    entry, manifest = kept.choose(moment)
    kept.snapshots.store.fetch(entry, manifest, path)
    return manifest.moment


def _fetch_members(kept: Kept, path: Path) -> None:
    customer_io = Vendors().customer_io(kept.task.customer_io_conn_id)
    segment = kept.run.segment.find(customer_io)
    if segment is None:
        raise CommandError(
            f"Customer.io has no segment {kept.run.segment.name!r}: it was deleted, or renamed."
        )
    members.collect(customer_io.stream_member_pages(segment.id), kept.task.id_type, path)


def _count(before: Path, after: Path) -> Counter[str]:
    """Count who came, went and is the same."""
    counts: Counter[str] = Counter()
    for absent, others, same in differences(before, after):
        counts.update(went=len(absent), came=len(others), same=same)
    return counts


def _changes(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Yield what has become of each person, and the identifier, or another one where a member has none."""
    for absent, others, _ in differences(before, after):
        changes = [(identifier, "went", unescape(identifier)) for identifier in absent]
        for line in others:
            key = members.key_of(line)
            who = unescape(key) or next((value for _, value in members.handles(line)), "")
            changes.append((key, "came", who))
        for _, what, who in sorted(changes):
            yield what, who


def _print_people(before: Path, after: Path, output: str) -> None:
    changed = _changes(before, after)
    if output == "table":
        print_people((f"{_SIGNS[what]} {who}" for what, who in changed), output)
    else:
        dump([{"change": what, "identifier": who} for what, who in changed], output)
