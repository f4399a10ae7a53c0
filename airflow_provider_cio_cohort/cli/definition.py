"""
The commands of ``airflow cohort-sync``, as Airflow's command line discovers them.

Every call of ``airflow`` imports this module, so what a command does is imported when it is called. A
command is an :class:`ActionCommand` in the list below and a function behind :func:`.running.command`.
"""

from __future__ import annotations

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
  0  fine
  1  the answer is no: a file is wrong, or a run would be refused
  2  wrong usage
  3  it could not be found out: a connection is missing, a key is wrong, a vendor is away"""


def _arg(*flags: str, **settings: Any) -> Arg:
    return Arg(flags, **settings)  # type: ignore[no-untyped-call]


_OUTPUT = _arg(
    "-o",
    "--output",
    help="Output format. Allowed values: table, json, yaml (default: table)",
    metavar="(table, json, yaml)",
    choices=("table", "json", "yaml"),
    default="table",
)
_FILES = _arg("files", help="YAML files", nargs="+", metavar="FILE")
_WHAT = _arg(
    "what",
    help="A YAML file; or the name of a sync, or a DAG's id, which is looked up in the DAG bundles",
    metavar="NAME|FILE",
)
_SEARCH = _arg("--search", help="Only what has this text in its name or id; case does not count")


def _text(flag: str, help: str, **more: Any) -> Arg:  # named as argparse names it
    return _arg(flag, help=help, metavar="TEXT", **more)


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
            help="Look at, check and set up syncs from Amplitude cohorts to Customer.io segments",
            subcommands=(
                _validate(),
                _plan(),
                _status(),
                *_lists(),
                _pools(),
                _snapshot(),
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
        _OUTPUT,
        description="Check YAML files of syncs, and that a DAG can be made of each sync. It needs neither a "
        "connection nor Airflow's database: run it in every pull request.",
    )


def _plan() -> ActionCommand:
    return _action(
        "plan",
        "plan",
        "Tell what a run would do now; writes nothing",
        _WHAT,
        _arg("--sync", help="Only this sync of the file", metavar="NAME"),
        _arg(
            "--exact",
            help="Export the cohorts, and compare them with the segments; each cohort costs one of the "
            "month's exports, however many segments it goes to",
            action="store_true",
        ),
        _OUTPUT,
        description="Tell what a run would do now; writes nothing. Without --exact it compares sizes, which "
        "costs no export.",
    )


def _status() -> ActionCommand:
    return _action(
        "status",
        "status",
        "Tell how every sync is: last run, last success, size, match rate, next run",
        _arg("names", help="Only these syncs or DAGs", nargs="*", metavar="NAME"),
        _OUTPUT,
        description="Tell how every sync is, from what Airflow has stored; no vendor is asked. The exit code "
        "is 1 if a sync has failed, is overdue, waits for a pool that does not exist, or is wrong in its "
        "file.",
    )


def _pools() -> ActionCommand:
    return _action(
        "pools",
        "pools",
        "Make the Airflow pools that syncs with use_pools run in",
        _FILES,
        _arg(
            "--dry-run",
            help="Only show; with exit code 1 if a pool is missing or differs",
            action="store_true",
        ),
        _arg(
            "--for-import",
            help="Touch no database: print what airflow pools import takes, for an Airflow without a shell",
            action="store_true",
        ),
        _OUTPUT,
        description="Make the Airflow pools that syncs with use_pools: true run in, or update them: "
        "four slots for the exports of each Amplitude connection, and tasks_at_once slots for each "
        "Customer.io connection. No vendor is asked.",
    )


def _lists() -> tuple[ActionCommand, ...]:
    return (
        _action(
            "cohorts",
            "listing",
            "List the cohorts of an Amplitude project",
            _SEARCH,
            _connection("--amplitude-conn-id", "amplitude"),
            _OUTPUT,
        ),
        _action(
            "segments",
            "listing",
            "List the segments of a Customer.io workspace",
            _SEARCH,
            _connection("--customer-io-conn-id", "customer_io"),
            _arg("--count", help="Count the members, a request for each segment", action="store_true"),
            _OUTPUT,
        ),
        _action(
            "quota",
            "listing",
            "Tell how many exports of the month Amplitude projects have left",
            _connection("--amplitude-conn-id", "amplitude", nargs="+", action="extend", default=None),
            _OUTPUT,
        ),
    )


def _snapshot() -> GroupCommand:
    which = (
        _WHAT,
        _text("--sync", "Only this sync of the file"),
        _text("--target", "Only this target of the sync"),
        _OUTPUT,
    )
    people = _arg("--identifiers", help="Print the identifiers: personal data", action="store_true")
    moment = "a date (its end) or a time, in the timezone of the DAG; the newest one not younger is taken"
    return GroupCommand(
        name="snapshot",
        help="Look at what runs have kept of a segment, and put it back",
        subcommands=(
            _action("list", "snapshot.listing", "List the snapshots", *which, function="list_all"),
            _action(
                "show",
                "snapshot.showing",
                "Check a snapshot, and show what it is of",
                *which,
                _text("--at", f"Of when: {moment} (default: the newest of all)"),
                people,
            ),
            _action(
                "diff",
                "snapshot.comparing",
                "Count who has come and gone between two snapshots, or from one to now",
                *which,
                _text("--from", f"Of when: {moment} (default: the newest of all)", dest="since"),
                _text("--to", "Until when (default: the members of the segment now)", dest="until"),
                people,
            ),
            _restore(which, moment),
        ),
        epilog=_EXIT_CODES,
    )


def _restore(which: tuple[Arg, ...], moment: str) -> ActionCommand:
    flags = {
        "allow_large_removal": "Let it remove more than max_removal_percent",
        "allow_empty_cohort": "Let it empty the segment",
        "allow_low_match": "Let it write although few of the snapshot are people in Customer.io",
        "adopt_segment": "Let it remove people from a segment that no sync made for this cohort",
    }
    return _action(
        "restore",
        "snapshot.restoring",
        "Put a segment back to what it was: shows the plan, asks, and writes",
        *which,
        _text("--at", f"Of when: {moment}"),
        _arg("--dry-run", help="Show the plan; write nothing", action="store_true"),
        _arg("--yes", "-y", help="Do not ask", action="store_true"),
        *(
            _arg(f"--{flag.replace('_', '-')}", help=words, action="store_true")
            for flag, words in flags.items()
        ),
        description="Put a segment back to what it was: what a run with the source snapshot does, with the "
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
        _text("--cohort-id", "The Amplitude cohort: the last part of its address"),
        _text("--segment-name", "The Customer.io segment; one that does not exist is created"),
        _text("--user-id-property", "The Amplitude property that is the Customer.io identifier"),
        _arg("--id-type", help="Which identifier of Customer.io it is", choices=ids),
        _text("--cadence", 'Such as daily, hourly, or a cron expression such as "0 6 * * 1"'),
        _text("--timezone", "Such as Europe/Berlin"),
        _connection("--amplitude-conn-id", "amplitude", default=None),
        _connection("--customer-io-conn-id", "customer_io", default=None),
        _arg("--force", help="Overwrite the file", action="store_true"),
        _OUTPUT,
        description="Write a YAML file with a first sync, and beside it the DAG file that reads it, where "
        "there is none. Asks for what no flag gives; without a terminal, --name, --cohort-id and "
        "--segment-name are required.",
    )


def _schema() -> ActionCommand:
    return _action(
        "schema",
        "schema",
        "Explain the keys of a sync; with -o json, print the JSON Schema of the file",
        _OUTPUT,
    )
