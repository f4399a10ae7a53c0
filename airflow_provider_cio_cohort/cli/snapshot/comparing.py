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
from airflow_provider_cio_cohort.sync.diff import pair_up
from airflow_provider_cio_cohort.sync.lines import read_lines, unescape
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
        counts = Counter(what for what, _ in _changes(before, after))
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
    members.collect(customer_io.stream_members(segment.id), kept.task.id_type, path)


def _changes(before: Path, after: Path) -> Iterator[tuple[str, str]]:
    """Yield what has become of each person, and the identifier, or another one where a member has none."""
    for identifier, member in pair_up(read_lines(before), read_lines(after)):
        if member is None:
            yield "went", unescape(str(identifier))
        elif identifier is not None:
            yield "same", unescape(identifier)
        else:
            key = unescape(members.key_of(member))
            yield "came", key or next((value for _, value in members.handles(member)), "")


def _print_people(before: Path, after: Path, output: str) -> None:
    changed = ((what, who) for what, who in _changes(before, after) if what != "same")
    if output == "table":
        print_people((f"{_SIGNS[what]} {who}" for what, who in changed), output)
    else:
        dump([{"change": what, "identifier": who} for what, who in changed], output)
