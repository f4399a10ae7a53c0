"""``doctor``: asks both vendors and this Airflow what syncs rely on, and says what to do."""

from __future__ import annotations

import shutil
import sys
import textwrap
from argparse import Namespace
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError, ProgrammingError

from airflow_provider_cio_cohort.assets import workspace_asset
from airflow_provider_cio_cohort.cli import vendors
from airflow_provider_cio_cohort.cli.asset_stores import AssetStores
from airflow_provider_cio_cohort.cli.output import dump, printable, show
from airflow_provider_cio_cohort.cli.runtime import (
    FINE,
    INTERRUPTED,
    NO,
    NOT_FOUND_OUT,
    WRONG_USAGE,
    CommandError,
    agrees,
    answering,
    check_can_ask,
    command,
    say,
)
from airflow_provider_cio_cohort.cli.select import check_is_there
from airflow_provider_cio_cohort.compatibility import HAS_STATE_STORES
from airflow_provider_cio_cohort.dag_generation.loader import by_label, load
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.doctor.checks_airflow import check_airflow
from airflow_provider_cio_cohort.doctor.checks_amplitude import check_amplitude
from airflow_provider_cio_cohort.doctor.checks_customer_io import check_customer_io
from airflow_provider_cio_cohort.doctor.export import probe_export
from airflow_provider_cio_cohort.doctor.facts import as_table
from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.doctor.probe import probe
from airflow_provider_cio_cohort.doctor.probe_writes import NOBODY
from airflow_provider_cio_cohort.doctor.throwaway import DESCRIPTION, MARK
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.recording import Recorder, recording_to
from airflow_provider_cio_cohort.state import VENDOR_FACTS
from airflow_provider_cio_cohort.sync.memory import merged_facts

_PACKAGE = "airflow-provider-cio-cohort"
_OF_CUSTOMER_IO = "customer_io."
_STATUS_WIDTH = max(len(status) for status in Status)
_NAME_WIDTH = 25
_INTERRUPTED = (
    "\nInterrupted. The probe has deleted its segments as far as Customer.io answered; the next --probe "
    "deletes what is left."
)


@dataclass(frozen=True)
class _Subject:
    """The project and the workspace that are asked, and the syncs between them."""

    amplitude_conn_id: str
    customer_io_conn_id: str
    syncs: list[Sync]


@command
def doctor(args: Namespace) -> int:
    """Print a line for each question, then the facts about the vendors."""
    if args.save and not HAS_STATE_STORES:
        raise CommandError("--save needs Airflow 3.3 or newer, whose assets have state stores.", WRONG_USAGE)
    _check_usage(args)
    subject = _subject(args)
    if _effects(args, subject) and not args.yes and not _agrees(_effects(args, subject)):
        raise CommandError("Nothing was asked.", NO)
    asked_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    findings = []
    if args.output == "table":
        _print_head()
    try:
        # Closed at once after an error or Ctrl-C, so that a probe deletes its segments.
        with _recorder(args) as recorder, closing(_findings(args, subject, recorder)) as found:
            for finding in found:
                findings.append(finding)
                if args.output == "table":
                    _print(finding)
    except KeyboardInterrupt:
        raise CommandError(_INTERRUPTED if args.probe else "\nInterrupted.", INTERRUPTED) from None
    seen = {key: value for finding in findings for key, value in finding.facts.items()}
    if args.output == "table":
        _print_facts(args, seen)
    else:
        report = {
            "package_version": version(_PACKAGE),
            "asked_at": asked_at,
            "lines": [finding.row() for finding in findings],
            "facts": as_table(seen),
        }
        dump(report, args.output)
    is_saved = not args.save or _save(subject.customer_io_conn_id, seen, asked_at)
    return _exit_code(findings, is_saved=is_saved)


def _findings(args: Namespace, subject: _Subject, recorder: Recorder | None) -> Generator[Finding]:
    def amplitude_hook() -> AmplitudeHook:
        hook = AmplitudeHook(subject.amplitude_conn_id)
        hook.transport.recorder = recorder
        return hook

    def customer_io_hook() -> CustomerIOHook:
        hook = CustomerIOHook(subject.customer_io_conn_id)
        hook.transport.recorder = recorder
        return hook

    amplitude, customer_io = vendors.hurried(amplitude_hook()), vendors.hurried(customer_io_hook())
    yield from check_amplitude(amplitude)
    yield from check_customer_io(customer_io, subject.syncs)
    use_pools = any(sync.use_pools for sync in subject.syncs)
    yield from check_airflow(amplitude, customer_io, subject.syncs, use_pools=use_pools)
    if args.probe:
        yield from probe(
            customer_io_hook(),
            args.person,
            id_type=args.id_type,
            rounds=args.rounds,
            dynamic_segment=args.dynamic_segment,
        )
    if args.export is not None:
        yield from probe_export(amplitude_hook(), args.export, user_property=args.property)


@contextmanager
def _recorder(args: Namespace) -> Iterator[Recorder | None]:
    """Record into the file of ``--record``, which must not exist yet."""
    if args.record is None:
        yield None
        return
    with ExitStack() as stack:
        path, own = Path(args.record), (MARK, DESCRIPTION, NOBODY)
        try:
            recorder = stack.enter_context(recording_to(path, own, overwrite=args.force))
        except FileExistsError:
            raise CommandError(
                f"{path} already exists, so nothing was asked: choose another path for --record, or pass "
                "--force to overwrite it.",
                WRONG_USAGE,
            ) from None
        except OSError as error:
            raise CommandError(
                f"{path} cannot be written, so nothing was asked ({error.strerror}): choose another path for "
                "--record.",
                WRONG_USAGE,
            ) from None
        recorder.add_arguments(
            person=args.person,
            dynamic_segment=args.dynamic_segment,
            export=args.export,
            property=args.property,
        )
        yield recorder
    say(f"Recorded what was sent and answered in {path}: read it before you attach it to an issue.")


def _exit_code(findings: list[Finding], *, is_saved: bool) -> int:
    """Return 1 if a line is wrong, else 3 if one is unknown or the facts could not be saved."""
    statuses = {finding.status for finding in findings}
    if Status.WRONG in statuses:
        return NO
    return NOT_FOUND_OUT if Status.UNKNOWN in statuses or not is_saved else FINE


# ---- what writes, or costs something


def _check_usage(args: Namespace) -> None:
    if args.probe and not (args.person or "").strip():
        raise CommandError(
            "--probe needs --person: the identifier of a test person, the only one that it adds and removes.",
            WRONG_USAGE,
        )
    if args.export is not None and not args.export.strip():
        raise CommandError("--export needs the id of a cohort.", WRONG_USAGE)
    for option, needed in (
        ("--person", "probe"),
        ("--dynamic-segment", "probe"),
        ("--property", "export"),
    ):
        value = getattr(args, option[2:].replace("-", "_"))
        if value is not None and not getattr(args, needed):
            raise CommandError(f"{option} has no effect without --{needed}.", WRONG_USAGE)
    if args.force and args.record is None:
        raise CommandError("--force has no effect without --record.", WRONG_USAGE)
    if args.rounds < 1:
        raise CommandError("--rounds must be at least 1.", WRONG_USAGE)
    if args.probe or args.export:
        check_can_ask(args)


def _effects(args: Namespace, subject: _Subject) -> list[str]:
    """Return what the command does besides reading."""
    effects = []
    if args.probe:
        effects.append(
            f"--probe creates segments in the workspace of {subject.customer_io_conn_id!r}, adds the one "
            "person of --person, removes the person again, and deletes the segments. It takes some minutes."
        )
        if args.dynamic_segment is not None:
            effects.append(
                f"It also tries to add the person to segment {args.dynamic_segment}, and removes the person "
                "if that works: campaigns that the segment triggers may start for the person."
            )
    if args.export:
        effects.append(
            f"--export costs one of the month's exports of the project of {subject.amplitude_conn_id!r}."
        )
    return effects


def _agrees(effects: list[str]) -> bool:
    for effect in effects:
        say(effect)
    return agrees("Continue?")


# ---- who is asked


def _subject(args: Namespace) -> _Subject:
    syncs = _syncs(args.file) if args.file else []
    given = {
        "amplitude_conn_id": args.amplitude_conn_id,
        "customer_io_conn_id": args.customer_io_conn_id,
    }
    chosen = {key: value or _only(key, syncs, args.file) for key, value in given.items()}
    return _Subject(
        **chosen,
        syncs=[sync for sync in syncs if all(getattr(sync, key) == value for key, value in chosen.items())],
    )


def _syncs(file: str) -> list[Sync]:
    check_is_there(file)
    loaded = load(Path(file))
    if wrong := sum(one.spec is None for one in loaded):
        say(f"Skipped {wrong} of {len(loaded)} syncs, which have mistakes: see airflow cohort-sync validate.")
    return [sync for sync in by_label(loaded).values() if sync.enabled]


def _only(key: str, syncs: list[Sync], file: str | None) -> str:
    """Return the connection of all syncs; the default one if there is no sync."""
    found = sorted({getattr(sync, key) for sync in syncs})
    if len(found) > 1:
        flag = f"--{key.replace('_', '-')}"
        raise CommandError(
            f"The syncs of {file} use several connections: {', '.join(found)}. Choose one by {flag}.",
            WRONG_USAGE,
        )
    return found[0] if found else str(Sync.model_fields[key].default)


# ---- what is printed


def _print_head() -> None:
    widths = (_STATUS_WIDTH, _NAME_WIDTH)
    title = "seen, what it means for syncs, what to do"
    _write(
        [
            f"{'status':{widths[0]}} | {'line':{widths[1]}} | {title}",
            f"{'=' * widths[0]}=+={'=' * widths[1]}=+={'=' * len(title)}",
        ]
    )


def _print(finding: Finding) -> None:
    width = max(shutil.get_terminal_size((120, 24)).columns - _STATUS_WIDTH - _NAME_WIDTH - 6, 40)
    texts = [finding.seen, finding.meaning, f"→ {finding.advice}" if finding.advice else ""]
    lines = [line for text in texts if text for line in textwrap.wrap(printable(text, "\n"), width)]
    first = f"{finding.status:{_STATUS_WIDTH}} | {finding.name:{_NAME_WIDTH}} | "
    rest = f"{'':{_STATUS_WIDTH}} | {'':{_NAME_WIDTH}} | "
    _write([f"{rest if number else first}{line}" for number, line in enumerate(lines)])


def _print_facts(args: Namespace, seen: dict[str, Any]) -> None:
    """Print the facts that were asked for, in few columns."""
    asked = {"doctor", *(f"--{option}" for option in ("probe", "export") if getattr(args, option))}
    facts = as_table(seen)
    rows = [
        {
            "fact": fact["fact"],
            "question": fact["question"],
            "syncs assume": fact["assumed"],
            "seen": ", ".join(map(str, fact["seen"])) if isinstance(fact["seen"], list) else fact["seen"],
        }
        for fact in facts
        if fact["asked_with"] in asked
    ]
    _write([""])
    show(rows, "table")
    left = [
        f"{option} asks for {count} more" for option, count in _counts(facts).items() if option not in asked
    ]
    if left:
        say(f"{'; '.join(left)}.")


def _counts(facts: list[dict[str, Any]]) -> dict[str, int]:
    return dict(Counter(fact["asked_with"] for fact in facts))


def _write(lines: list[str]) -> None:
    with answering():
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()


# ---- what is kept


def _save(conn_id: str, seen: dict[str, Any], asked_at: str) -> bool:
    """Keep the facts about the workspace for its syncs, and return whether that was possible."""
    facts = {key: value for key, value in seen.items() if key.startswith(_OF_CUSTOMER_IO)}
    asset = workspace_asset(conn_id)
    if asset is None:
        say(f"Nothing was saved: {conn_id!r} is a template or not text.")
        return False
    if not facts:
        say("Nothing was saved: nothing was seen of the workspace.")
        return False
    keys, store = CustomerIOHook(conn_id).keys_fingerprint, AssetStores(writes=True)[asset]
    try:
        if not store.exists:
            say(
                f"Nothing was saved: Airflow has no asset {asset.uri} yet. It has the asset once it has "
                f"parsed a DAG with a sync of the connection {conn_id!r}."
            )
            return False
        before = store.get(VENDOR_FACTS)
        store.set(VENDOR_FACTS, merged_facts(before, facts, asked_at, version(_PACKAGE), keys))
    except (OperationalError, ProgrammingError) as error:
        say(f"Nothing was saved: Airflow's database cannot be written ({type(error.orig).__name__}).")
        return False
    say(f"Saved {len(facts):,} facts about the workspace of {conn_id!r}: its syncs use them from now on.")
    return True
