"""The group as a whole: help, exit codes, what every command has in common."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.cli import cli_parser
from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_cio_cohort.cli.commands import get_cli_commands
from airflow_provider_cio_cohort.engine.identifiers import ID_TYPES
from airflow_provider_cio_cohort.get_provider_info import get_provider_info
from tests.integration.cli.conftest import PERSON, Answer

(GROUP,) = get_cli_commands()
assert isinstance(GROUP, GroupCommand)
COMMANDS = {
    f"{above}{command.name}": command
    for above, group in (("", GROUP), *((f"{each.name} ", each) for each in GROUP.subcommands))
    for command in getattr(group, "subcommands", ())
    if isinstance(command, ActionCommand)
}
DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
Run = Callable[..., Answer]


def test_airflow_discovers_the_group(process: Run) -> None:
    answer = process("--help")
    assert answer.code == 0
    assert all(name.split()[0] in answer.out for name in COMMANDS)
    assert "Exit codes:" in answer.out
    assert "Traceback" not in answer.err


def test_airflow_finds_the_function_by_its_path() -> None:
    (path,) = get_provider_info()["cli"]
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name) is get_cli_commands


def test_the_definition_imports_nothing_of_ours() -> None:
    code = (
        "import sys, airflow_provider_cio_cohort.cli.commands as d; d.get_cli_commands(); "
        "print(*sorted(m for m in sys.modules if m.startswith('airflow_provider_cio_cohort')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    package = "airflow_provider_cio_cohort"
    light = {package, f"{package}.cli", f"{package}.cli.commands", f"{package}.get_provider_info"}
    assert set(done.stdout.split()) <= light


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(airflow: Run, name: str) -> None:
    answer = airflow(*name.split(), "--help")
    assert answer.code == 0
    assert "Exit codes:" in answer.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_docs(name: str) -> None:
    assert f"airflow cohort-sync {name}" in DOCS
    for arg in COMMANDS[name].args:
        flag = arg.flags[-1]
        assert not flag.startswith("--") or f"`{flag}" in DOCS or f" {flag}" in DOCS


def test_wrong_usage_is_2(airflow: Run) -> None:
    assert airflow("nonsense").code == 2
    assert airflow("validate").code == 2
    assert airflow("schema", "-o", "plain").code == 2


def test_the_choices_are_those_of_a_sync() -> None:
    (choices,) = (arg.kwargs["choices"] for arg in COMMANDS["init"].args if arg.flags == ("--id-type",))
    assert choices == ID_TYPES


CALLS = [
    ("cohorts",),
    ("segments", "--count"),
    ("quota",),
    ("plan", "FILE"),
    ("plan", "FILE", "--exact"),
    ("validate", "FILE"),
]


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_no_command_prints_a_key_or_a_person(
    sandbox: Any, airflow: Run, write: Any, cohort: Any, segment: Any, call: tuple[str, ...], output: str
) -> None:
    cohort(PERSON, f"x{PERSON}")
    segment(f"{PERSON}-2")
    path = write({"user_id_property": "email", "id_type": "email"}, {"name": "by_id", "segment_name": "B"})
    answer = airflow(*(path if part == "FILE" else part for part in call), "-o", output, "-v")
    assert answer.out
    project, workspace = sandbox.project, sandbox.workspace
    people = (PERSON, *(person.cio_id for person in workspace.people.values()))
    keys = (project.api_key, project.secret_key, workspace.site_id, workspace.tracking_key, workspace.app_key)
    assert [secret for secret in (*people, *keys) if secret in answer.out + answer.err] == []


@pytest.mark.parametrize(
    "call",
    [
        ("cohorts", "--amplitude-conn-id", "nowhere"),
        ("segments", "--customer-io-conn-id", "nowhere"),
        ("quota", "--amplitude-conn-id", "nowhere"),
    ],
    ids=lambda call: call[0],
)
def test_a_missing_connection_is_3(sandbox: Any, airflow: Run, call: tuple[str, ...]) -> None:
    answer = airflow(*call)
    assert answer.code == 3
    assert answer.out == ""
    assert "no connection 'nowhere'" in answer.err
    assert "airflow connections add nowhere --conn-type" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("like", "fields", "call"),
    [
        ("amplitude_default", {"password": "wrong-secret"}, ("cohorts", "--amplitude-conn-id")),
        ("amplitude_default", {"password": "wrong-secret"}, ("quota", "--amplitude-conn-id")),
        ("customer_io_default", {"extra": {"app_api_key": "wrong-x"}}, ("segments", "--customer-io-conn-id")),
        ("amplitude_default", {"host": "http://127.0.0.1:9"}, ("cohorts", "--amplitude-conn-id")),
    ],
    ids=["secret key", "quota", "App key", "away"],
)
def test_what_a_vendor_does_not_tell_is_3(
    connect: Any, airflow: Run, impatient: None, like: str, fields: dict[str, Any], call: tuple[str, ...]
) -> None:
    answer = airflow(*call, connect(like, **fields))
    assert answer.code == 3
    assert "'other'" in answer.err or "could not be reached" in answer.err
    assert "wrong-" not in answer.err
    assert "Traceback" not in answer.err


def test_logs_do_not_disturb_what_a_script_reads(process: Run, sandbox: Any, write: Any, cohort: Any) -> None:
    cohort("a", "b")
    answer = process("plan", write(), "--exact", "-o", "json", "-v")
    assert answer.row["to_add"] == 2
    assert "Downloaded the export" in answer.err
    assert "Downloaded the export" not in process("plan", write(), "--exact", "-o", "json").err


def test_the_reader_may_go_away(sandbox: Any, cohort: Any) -> None:
    for number in range(300):
        cohort(id=f"c{number:06}", name="A long name, so that the pipe is full" * 20)
    command = f"{sys.executable} -m airflow cohort-sync cohorts -o json | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == "[\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("line", re.findall(r"^(?:\$ )?airflow cohort-sync (.*)$", DOCS, re.MULTILINE))
def test_every_example_of_the_docs_can_be_called(line: str) -> None:
    words = shlex.split(line.removesuffix("\\"))
    words = words[: next((place for place, word in enumerate(words) if word in (">", "<", "|")), None)]
    cli_parser.get_parser().parse_args(["cohort-sync", *words])


@pytest.mark.parametrize(
    ("call", "start"),
    [(("validate", "FILE"), '{\n  "file"'), (("plan", "FILE", "--exact"), '  {\n    "sync"')],
    ids=["validate", "plan"],
)
def test_the_docs_show_the_keys_of_a_row(
    airflow: Run, write: Any, cohort: Any, call: tuple[str, ...], start: str
) -> None:
    cohort("a")
    row = airflow(*(write() if part == "FILE" else part for part in call), "-o", "json").row
    shown, _ = json.JSONDecoder().raw_decode(DOCS[DOCS.index(start) :].lstrip())
    assert list(shown) == list(row)
    assert [type(shown[key]) for key in shown if None not in (shown[key], row[key])] == [
        type(row[key]) for key in shown if None not in (shown[key], row[key])
    ]
