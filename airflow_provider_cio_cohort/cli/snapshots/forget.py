"""``forget``: removes people from everything that syncs keep, after a request for deletion."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime

from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.runtime import (
    FINE,
    INTERRUPTED,
    NO,
    WRONG_USAGE,
    CommandError,
    agrees,
    check_can_ask,
    command,
    say,
)
from airflow_provider_cio_cohort.cli.select import Found, everywhere, files_in, in_file, render
from airflow_provider_cio_cohort.engine.identifiers import ID_TYPES, normaliser
from airflow_provider_cio_cohort.engine.sorted_file import escape
from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.snapshots.forget import Forgetting, Forgotten
from airflow_provider_cio_cohort.snapshots.storage import Storage, check_path
from airflow_provider_cio_cohort.sync.workdir import run_directory


@command
def forget(args: Namespace) -> int:
    """
    Remove people from the snapshots and the files of unmatched identifiers.

    :param args: the arguments.
    """
    if not args.dry_run:
        check_can_ask(args)
        if "-" in args.identifiers and not args.yes:
            raise CommandError(
                "The identifiers come from stdin, so it cannot confirm: pass --yes.", WRONG_USAGE
            )
    identifiers = _identifiers(args.identifiers)
    paths, unseen = _paths(args.file, args.path)
    if not paths:
        raise CommandError(" ".join(["None of these syncs keeps anything.", *unseen]), NO)
    found = _forget(paths, identifiers, dry_run=True)
    say(
        f"{sum(each.removed for _, each in found):,} lines with {len(identifiers):,} identifiers, in "
        f"{sum(bool(each.removed) for _, each in found):,} files of {len(paths):,} storages."
    )
    if not args.dry_run:
        # Also where nobody was found: files that killed runs have left are deleted.
        if not args.yes and any(each.removed for _, each in found) and not agrees("Remove them?"):
            return NO
        try:
            found = _forget(paths, identifiers, dry_run=False)
        except KeyboardInterrupt:
            raise CommandError(
                "\nInterrupted. People may have been removed from some files; run the same command again to "
                "complete it.",
                INTERRUPTED,
            ) from None
    rows = [{"storage": path, **each._asdict()} for path, each in found]
    table = [{key: row[key] for key in ("moment", "removed", "folder")} for row in rows]
    problems = [f"{each.folder}: {each.problem}" for _, each in found if each.problem]
    show(rows, args.output, table, problems)
    for sentence in unseen:
        say(sentence)
    return NO if problems or unseen else FINE


def _identifiers(given: Sequence[str]) -> set[str]:
    found = {each for each in given if each != "-"}
    if "-" in given:
        found.update(filter(None, (line.rstrip("\r\n") for line in sys.stdin)))
    if not found or "" in found:
        raise CommandError("No identifier was given, or an empty one.", WRONG_USAGE)
    return found


def _paths(files: Sequence[str] | None, more: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the addresses of all storages, and sentences about syncs whose storages are not known."""
    tasks, broken = _tasks(files) if files or not more else ([], [])
    paths, unseen = dict.fromkeys(map(_checked, more or ())), []
    if broken:
        unseen.append(
            f"These files cannot be read, so what their syncs keep is unknown: {', '.join(broken)}."
        )
    for found in tasks:
        kept = _kept(found)
        if kept is None:
            name = ", ".join(part for part in (found.sync, found.target) if part)
            unseen.append(
                f"What {name} keeps is unknown ({found.status}): if it has another storage, pass --path."
            )
        else:
            paths.update(dict.fromkeys(kept))
    return list(paths), unseen


def _kept(found: Found) -> list[str] | None:
    if found.task is None:
        return None
    try:
        render(found, found.task)
        parameters = found.task.parameters
    except ConfigurationError:  # a template that needs a run
        return None
    return [path for path in (parameters.snapshot_path, parameters.unmatched_path) if path is not None]


def _tasks(files: Sequence[str] | None) -> tuple[list[Found], list[str]]:
    if not files:
        return everywhere()
    return [found for file in files_in(files) for found in in_file(file, None)], []


def _checked(path: str) -> str:
    try:
        return check_path(path)
    except ValueError as error:
        raise CommandError(f"--path: {error}", WRONG_USAGE) from None


def _forget(paths: Sequence[str], identifiers: set[str], *, dry_run: bool) -> list[tuple[str, Forgotten]]:
    people: dict[str, set[bytes]] = {
        id_type: {escape(normalise(each)).encode("utf-8", "surrogatepass") for each in identifiers}
        for id_type in ID_TYPES
        for normalise in [normaliser(id_type)]
    }
    with run_directory() as directory:
        return [
            (path, each)
            for path in paths
            for each in Forgetting(Storage(path), people, directory, datetime.now(UTC), dry_run).run()
        ]
