"""The answers that ``docs/cli.md`` shows have the columns and the keys of today's."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_provider_cio_cohort.sandbox import Sandbox
from tests.docs.pages import DOCS, blocks_of

FILE = "syncs:\n- {name: power_users, cohort_id: vip1a2b, segment_name: Power users}\n"
ARGUMENTS = {
    "validate": ["FILE"],
    "plan": ["FILE"],
    "cohorts": [],
    "segments": ["--count"],
    "quota": [],
    "schema": [],
}
CONSOLE = "".join(block.text for block in blocks_of(DOCS / "cli.md") if block.language == "console")


def answer(capsys: pytest.CaptureFixture[str], folder: Path, command: str, *more: str) -> str:
    path = folder / "cohort_syncs.yaml"
    path.write_text(FILE, encoding="utf-8")
    words = [str(path) if word == "FILE" else word for word in ARGUMENTS[command]]
    capsys.readouterr()
    args = get_parser().parse_args(["cohort-sync", command, *words, *more])
    with contextlib.suppress(SystemExit):  # the exit code is another test's
        args.func(args)
    return capsys.readouterr().out


@pytest.fixture
def filled(sandbox: Sandbox) -> Sandbox:
    """Both vendors with one of each."""
    sandbox.project.add_cohort(id="vip1a2b", name="VIP", rows=[{"amplitude_id": "1", "user_id": "ada"}])
    sandbox.workspace.add_segment("Power users")
    return sandbox


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.split(" |")]


@pytest.mark.parametrize("command", ARGUMENTS)
def test_the_columns_are_those_of_today(
    command: str, filled: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = re.findall(rf"^\$ airflow cohort-sync {command}\b.*\n(.+ \| .+)$", CONSOLE, re.MULTILINE)
    assert shown
    today = columns(answer(capsys, tmp_path, command).splitlines()[0])
    assert all(columns(line) == today for line in shown)


def test_a_row_of_validate_has_the_keys_of_today(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (shown,) = (json.loads(block.text) for block in blocks_of(DOCS / "cli.md") if block.language == "json")
    assert list(shown) == list(json.loads(answer(capsys, tmp_path, "validate", "-o", "json"))[0])


def test_a_row_of_a_plan_has_the_keys_of_today(
    filled: Sandbox, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (shown,) = re.findall(r"--exact -o json\n(?:[A-Z].*\n)+(\[\n.*?^\])", CONSOLE, re.MULTILINE | re.DOTALL)
    today = json.loads(answer(capsys, tmp_path, "plan", "--exact", "-o", "json"))
    assert list(json.loads(shown)[0]) == list(today[0])
