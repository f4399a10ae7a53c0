"""
The commands of ``airflow cohort-sync``, as Airflow's command line discovers them.

Every call of ``airflow`` imports this module, so a command's implementation is imported when it runs. A
command is an :class:`ActionCommand` in the list below and a function behind :func:`.running.command`.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from airflow.cli.cli_config import (
    ARG_VERBOSE,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
)

_HERE = "airflow_provider_cio_cohort.cli"
_EXIT_CODES = """Exit codes:
  0  success
  1  the answer is no: a file is wrong, or a run would be refused
  2  wrong usage
  3  unknown: a connection is missing, a key is wrong, a vendor is down"""


def _arg(*flags: str, **settings: Any) -> Arg:
    return Arg(flags, **settings)  # type: ignore[no-untyped-call]


#: The highest limit of a run, as of the parameter: importing that would slow every call of airflow down.
_MOST_LIMITED = 100_000


def _output(*choices: str, note: str = "") -> Arg:
    listed = ", ".join(choices)
    return _arg(
        "-o",
        "--output",
        help=f"Output format. Allowed values: {listed}{note} (default: table)",
        metavar=f"({listed})",
        choices=choices,
        default="table",
    )


_OUTPUT = _output("table", "json", "yaml")
_OUTPUT_OF_VALIDATE = _output("table", "json", "yaml", "github", note=" (annotations of GitHub Actions)")
_YES = _arg("--yes", "-y", help="Do not ask for confirmation", action="store_true")
_FILES = _arg("files", help="YAML files, or folders of them", nargs="+", metavar="FILE")
_WHAT = _arg(
    "what",
    help="A YAML file, or the name of a sync or a DAG id, which is looked up in the DAG bundles",
    metavar="NAME|FILE",
)
_SEARCH = _arg("--search", help="List only what has this text in its name or id (case-insensitive)")


def _text(flag: str, help: str, **more: Any) -> Arg:  # the name that argparse uses
    return _arg(flag, help=help, metavar="TEXT", **more)


def _people(text: str) -> int:  # argparse names it in its message
    """Return a number of people, 1 or more."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_LIMITED):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST_LIMITED:,}")
    return int(text)


def _connection(flag: str, vendor: str, **more: Any) -> Arg:
    default = f"{vendor}_default"
    words = f"The Airflow connection (default: {default})"
    return _arg(flag, help=words, metavar="ID", **{"default": default, **more})


def _action(
    name: str,
    module: str,
    help: str,
    *args: Arg,
    description: str | None = None,
    function: str | None = None,
) -> ActionCommand:
    path = f"{_HERE}.{module}.{function or name}"
    return ActionCommand(
        name=name,
        help=help,
        description=description,
        func=lazy_load_command(path),
        args=(*args, ARG_VERBOSE),
        epilog=_EXIT_CODES,
    )


def get_cli_commands() -> list[CLICommand]:
    """Return the group ``cohort-sync`` with its commands."""
    return [
        GroupCommand(
            name="cohort-sync",
            help="Inspect, check and set up syncs from Amplitude cohorts to Customer.io segments",
            subcommands=(
                _validate(),
                _plan(),
                _doctor(),
                _status(),
                *_lists(),
                _pools(),
                _snapshot(),
                _unmatched(),
                _forget(),
                _init(),
                _schema(),
            ),
            epilog=_EXIT_CODES,
        )
    ]


def _validate() -> ActionCommand:
    return _action(
        "validate",
        "validate",
        "Check YAML files of syncs",
        _FILES,
        _OUTPUT_OF_VALIDATE,
        description="Check YAML files of syncs, and that a DAG can be built from each sync. It needs neither "
        "a connection nor Airflow's database: run it in every pull request.",
    )


def _plan() -> ActionCommand:
    return _action(
        "plan",
        "plan",
        "Show what a run would do now; writes nothing",
        _WHAT,
        _arg("--sync", help="Only this sync of the file", metavar="NAME"),
        _arg(
            "--exact",
            help="Export the cohorts and compare them with the segments; each cohort costs one of the "
            "month's exports, however many segments it is synced to",
            action="store_true",
        ),
        _arg(
            "--limit",
            help="Plan a run that adds no more people than this and removes nobody",
            type=_people,
            metavar="N",
        ),
        _OUTPUT,
        description="Show what a run would do now; writes nothing. Without --exact it only compares sizes, "
        "which costs no export.",
    )


def _doctor() -> ActionCommand:
    return _action(
        "doctor",
        "doctor",
        "Ask both vendors and this Airflow what syncs rely on",
        _arg(
            "file",
            help="A YAML file: its connections, names of segments, pools and storages are checked",
            nargs="?",
            metavar="FILE",
        ),
        _connection("--amplitude-conn-id", "amplitude", default=None),
        _connection("--customer-io-conn-id", "customer_io", default=None),
        _arg(
            "--save",
            help="Keep the facts about the Customer.io workspace in Airflow, for its syncs",
            action="store_true",
        ),
        _arg(
            "--probe",
            help="Also add --person to new segments, remove the person again, and delete the segments",
            action="store_true",
        ),
        _arg(
            "--person", help="The identifier of the only person that --probe adds and removes", metavar="ID"
        ),
        _arg(
            "--id-type",
            help="Which of Customer.io's identifiers --person is (default: id)",
            choices=("id", "email", "cio_id"),
            default="id",
        ),
        _arg(
            "--rounds",
            help="How often --probe measures how long a write takes to show (default: 5)",
            type=int,
            default=5,
            metavar="N",
        ),
        _arg(
            "--dynamic-segment",
            help="A data-driven segment to which --probe tries to add the person",
            type=int,
            metavar="ID",
        ),
        _arg("--export", help="Also export this cohort: costs one of the month's exports", metavar="COHORT"),
        _arg(
            "--property",
            help="A user property that the file of --export is to have as well",
            metavar="NAME",
        ),
        _arg(
            "--record",
            help="Write what is sent and answered into this file, with placeholders for all that is private",
            metavar="PATH",
        ),
        _arg("--force", help="Overwrite the file of --record", action="store_true"),
        _YES,
        _OUTPUT,
        description="Ask both vendors and this Airflow what syncs rely on: a line for each question, with "
        "what was seen, what it means for syncs and what to do; then the facts about the vendors that their "
        "documentation leaves open. Without --probe and --export it reads only, and costs no export. The "
        "exit code is 1 if a line is wrong, 3 if none is wrong and one is unknown.",
    )


def _status() -> ActionCommand:
    return _action(
        "status",
        "status",
        "Show the status of every sync: last run, last success, size, match rate, next run",
        _arg("names", help="Only these syncs or DAGs", nargs="*", metavar="NAME"),
        _OUTPUT,
        description="Show the status of every sync, from what Airflow has stored; calls no vendor API. The "
        "exit code is 1 if a sync has failed, is overdue, waits for a pool that does not exist, or has a "
        "mistake in its file.",
    )


def _pools() -> ActionCommand:
    return _action(
        "pools",
        "pools",
        "Create the Airflow pools that syncs with use_pools run in",
        _FILES,
        _arg(
            "--dry-run",
            help="Only show the changes; the exit code is 1 if a pool is missing or differs",
            action="store_true",
        ),
        _arg(
            "--for-import",
            help="Print JSON for airflow pools import, without the database: for an Airflow without a shell",
            action="store_true",
        ),
        _OUTPUT,
        description="Create or update the Airflow pools that syncs with use_pools: true run in: "
        "four slots for the exports of each Amplitude connection, and max_concurrent_tasks slots for each "
        "Customer.io connection. Calls no vendor API.",
    )


def _lists() -> tuple[ActionCommand, ...]:
    return (
        _action(
            "cohorts",
            "resources",
            "List the cohorts of an Amplitude project",
            _SEARCH,
            _connection("--amplitude-conn-id", "amplitude"),
            _OUTPUT,
        ),
        _action(
            "segments",
            "resources",
            "List the segments of a Customer.io workspace",
            _SEARCH,
            _connection("--customer-io-conn-id", "customer_io"),
            _arg(
                "--count", help="Count the members; takes one request for each segment", action="store_true"
            ),
            _OUTPUT,
        ),
        _action(
            "quota",
            "resources",
            "Show how many exports Amplitude projects have left this month",
            _connection("--amplitude-conn-id", "amplitude", nargs="+", action="extend", default=None),
            _OUTPUT,
        ),
    )


#: What picks the kept files of a sync, and one of them.
_WHICH = (
    _WHAT,
    _text("--sync", "Only this sync of the file"),
    _text("--target", "Only this target of the sync"),
    _OUTPUT,
)
_MOMENT = "the newest at or before this date (its end) or time, in the timezone of the sync"
_PEOPLE = _arg("--identifiers", help="Print the identifiers: personal data", action="store_true")


def _snapshot() -> GroupCommand:
    return GroupCommand(
        name="snapshot",
        help="Inspect the snapshots of a segment, and restore one of them",
        subcommands=(
            _action("list", "snapshots.list", "List the snapshots", *_WHICH, function="list_all"),
            _action(
                "show",
                "snapshots.show",
                "Check a snapshot and show its details",
                *_WHICH,
                _text("--at", f"Which snapshot: {_MOMENT} (default: the newest of all)"),
                _PEOPLE,
            ),
            _action(
                "diff",
                "snapshots.diff",
                "Count who joined and left between two snapshots, or between one and now",
                *_WHICH,
                _text("--from", f"Which snapshot: {_MOMENT} (default: the newest of all)", dest="since"),
                _text("--to", "The later snapshot (default: the members of the segment now)", dest="until"),
                _PEOPLE,
            ),
            _restore(),
        ),
        epilog=_EXIT_CODES,
    )


def _unmatched() -> GroupCommand:
    return GroupCommand(
        name="unmatched",
        help="Show whom runs did not match to a person, and why",
        subcommands=(
            _action(
                "list",
                "snapshots.unmatched",
                "Count whom each run did not match, by the reason",
                *_WHICH,
                function="list_all",
            ),
            _action(
                "show",
                "snapshots.unmatched",
                "Count whom one run did not match, by the reason",
                *_WHICH,
                _text("--at", f"Which run: {_MOMENT} (default: the newest of all)"),
                _PEOPLE,
                function="show_one",
            ),
            _action(
                "diff",
                "snapshots.unmatched",
                "Count who has come and gone among the unmatched of two runs",
                *_WHICH,
                _text("--from", f"Which run: {_MOMENT} (default: the newest but one)", dest="since"),
                _text("--to", "The later run (default: the newest of all)", dest="until"),
                _PEOPLE,
            ),
        ),
        epilog=_EXIT_CODES,
    )


def _forget() -> ActionCommand:
    return _action(
        "forget",
        "snapshots.forget",
        "Remove people from the snapshots and the files of unmatched identifiers",
        _arg(
            "identifiers",
            help="The identifiers, as syncs send them; - reads them from stdin, one a line",
            nargs="+",
            metavar="IDENTIFIER",
        ),
        _arg(
            "--file",
            help="YAML files, or folders of them: only the storages of their syncs (default: of all syncs in "
            "the DAG bundles)",
            nargs="+",
            metavar="FILE",
        ),
        _arg(
            "--path",
            help="Further storages, such as former ones; without --file, only these",
            nargs="+",
            metavar="ADDRESS",
        ),
        _arg("--dry-run", help="Show what would be removed; write nothing", action="store_true"),
        _YES,
        _OUTPUT,
        description="Remove people from everything that is kept below the snapshot_path and the "
        "unmatched_path of syncs, also of former segments and other workspaces. How long the rest is kept "
        "does not change. First delete the people in Amplitude and Customer.io: otherwise the next run "
        "stores them again.",
    )


def _restore() -> ActionCommand:
    flags = {
        "allow_large_removal": "Allow it to remove more than max_removal_percent or max_removals",
        "allow_large_addition": "Allow it to add more than max_growth_percent or max_additions",
        "allow_empty_cohort": "Allow it to empty the segment",
        "allow_low_match": "Allow it to write although few identifiers of the snapshot match people",
        "allow_lost_tracking": "Allow it to begin anew although it is unknown whom the sync has added",
        "allow_no_match": "Allow it to continue although no identifier of the snapshot matches a person in "
        "Customer.io",
        "adopt_segment": "Allow it to remove people from a segment that no sync created for this cohort",
    }
    return _action(
        "restore",
        "snapshots.restore",
        "Restore a segment from a snapshot: shows the plan, asks, and writes",
        *_WHICH,
        _text("--at", f"Which snapshot: {_MOMENT}"),
        _arg("--dry-run", help="Show the plan; write nothing", action="store_true"),
        _YES,
        *(
            _arg(f"--{flag.replace('_', '-')}", help=words, action="store_true")
            for flag, words in flags.items()
        ),
        description="Restore a segment from a snapshot, as a run with the source snapshot does and with the "
        "same guards, but in this process. It needs no scheduler, and works while the DAG is paused.",
    )


def _init() -> ActionCommand:
    ids = ("id", "email", "cio_id")
    return _action(
        "init",
        "init",
        "Write a YAML file with a first sync",
        _arg(
            "path",
            help="The YAML file to write (default: cohort_syncs.yaml)",
            nargs="?",
            default="cohort_syncs.yaml",
            metavar="PATH",
        ),
        _text("--name", "Name of the sync: the DAG is cohort_sync__<name>"),
        _text("--cohort", "The Amplitude cohort: its name or id, which is looked up in Amplitude's list"),
        _text("--cohort-id", "The Amplitude cohort, which is not looked up: the last part of its address"),
        _text("--segment", "An existing Customer.io segment: its name or number, which is looked up"),
        _text("--segment-name", "The Customer.io segment, not looked up; one that does not exist is created"),
        _text("--user-id-property", "The Amplitude property that is the Customer.io identifier"),
        _arg("--id-type", help="Which of Customer.io's identifiers the property holds", choices=ids),
        _text("--cadence", 'Such as daily, hourly, or a cron expression such as "0 6 * * 1"'),
        _text("--timezone", "Such as Europe/Berlin"),
        _connection("--amplitude-conn-id", "amplitude", default=None),
        _connection("--customer-io-conn-id", "customer_io", default=None),
        _arg("--force", help="Overwrite the file", action="store_true"),
        _OUTPUT,
        description="Write a YAML file with a first sync, and beside it the DAG file that reads it and the "
        "JSON Schema for editors, unless they exist. Makes the folder. Asks for every value that no option "
        "gives, and lists the cohorts and segments to choose from. Without a terminal, --name, --cohort or "
        "--cohort-id, and --segment or --segment-name are required.",
    )


def _schema() -> ActionCommand:
    return _action(
        "schema",
        "schema",
        "Explain the keys of a sync; with -o json, print the JSON Schema of the file",
        _OUTPUT,
    )
