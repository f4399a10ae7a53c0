from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import DagBag
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.cli.init import scalar
from airflow_provider_cio_cohort.dag_generation.loader import load
from airflow_provider_cio_cohort.dag_generation.schema import json_schema
from tests.integration.cli.conftest import Answer

Run = Callable[..., Answer]
REPOSITORY = Path(__file__).parents[3]
REQUIRED = ("--name", "power_users", "--cohort-id", "a1b2c3d", "--segment-name", "Power users")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))  # noqa: SIM115


def test_the_files_validate_and_make_a_dag(airflow: Run, tmp_path: Path) -> None:
    answer = airflow("init", *REQUIRED)
    assert answer.code == 0
    assert answer.out == ""
    text = (tmp_path / "cohort_syncs.yaml").read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=cohort_syncs.schema.json"
    schema = (tmp_path / "cohort_syncs.schema.json").read_text(encoding="utf-8")
    assert json.loads(schema) == json_schema()
    assert airflow("validate", "cohort_syncs.yaml").code == 0
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    assert list(bag.dags) == ["cohort_sync__power_users"]
    commented = text.replace("    # max_removal", "    max_removal").replace("    # on_guard", "    on_guard")
    (tmp_path / "more.yaml").write_text(commented, encoding="utf-8")
    (more,) = load(tmp_path / "more.yaml")
    assert more.spec is not None
    assert more.spec.on_guard == "approve"


@pytest.mark.parametrize("is_absolute", [True, False])
def test_the_folder_is_made_and_no_file_says_where_it_is(
    airflow: Run, tmp_path: Path, is_absolute: bool
) -> None:
    folder = (tmp_path if is_absolute else Path()) / "new" / "dags"
    assert airflow("init", str(folder / "growth.yaml"), *REQUIRED).code == 0
    names = ["cohort_syncs.schema.json", "growth.py", "growth.yaml"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [place for place in (tmp_path, REPOSITORY, Path.home()) if str(place) in text]
        assert "file:" not in text.partition("\n")[0]


def test_a_folder_that_cannot_be_made_is_named(airflow: Run, tmp_path: Path) -> None:
    (tmp_path / "dags").write_text("no folder", encoding="utf-8")
    answer = airflow("init", "dags/x.yaml", *REQUIRED)
    assert answer.code == 2
    assert "dags/x.yaml: dags is a file, not a folder" in answer.err


def test_every_flag_is_written(airflow: Run, tmp_path: Path) -> None:
    flags = {
        "name": "b.2",
        "cohort_id": "0123456",
        "segment_name": "Über \"x\": '#1' [vip] {{ ds }} … 漢字",
        "user_id_property": "customer id",
        "id_type": "email",
        "cadence": "0 6 * * 1-5",
        "timezone": "Europe/Berlin",
        "amplitude_conn_id": "on",
        "customer_io_conn_id": "1e3",
    }
    given_flags = [part for key, value in flags.items() for part in (f"--{key.replace('_', '-')}", value)]
    assert airflow("init", "team.yml", *given_flags).code == 0
    (loaded,) = load(tmp_path / "team.yml")
    assert loaded.problems == ()
    assert loaded.spec is not None
    assert {key: getattr(loaded.spec, key) for key in flags} == flags
    assert 'with_name("team.yml")' in (tmp_path / "team.py").read_text(encoding="utf-8")


def test_nothing_is_overwritten_unless_asked_for(airflow: Run, tmp_path: Path) -> None:
    path, beside = tmp_path / "cohort_syncs.yaml", tmp_path / "cohort_syncs.py"
    path.write_text("mine", encoding="utf-8")
    beside.write_text("mine, too", encoding="utf-8")
    answer = airflow("init", *REQUIRED)
    assert answer.code == 2
    assert "--force" in answer.err
    assert path.read_text(encoding="utf-8") == "mine"
    assert airflow("init", "--force", *REQUIRED).code == 0
    assert "power_users" in path.read_text(encoding="utf-8")
    assert beside.read_text(encoding="utf-8") == "mine, too"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "pass --name, --cohort or --cohort-id, --segment or --segment-name."),
        (REQUIRED[:4], "pass --segment or --segment-name."),
        ((*REQUIRED, "--cadence", "dayly"), "--cadence: "),
        ((*REQUIRED, "--timezone", "Mars"), "--timezone: "),
        ((*REQUIRED, "--name", "with space"), "--name: "),
        ((*REQUIRED, "--cohort-id", " "), "--cohort-id: "),
        (("x.py", *REQUIRED), "must end with .yaml"),
        ((*REQUIRED, "--id-type", "phone"), "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_missing_or_wrong_is_2_and_named(
    airflow: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    answer = airflow("init", *arguments)
    assert answer.code == 2
    assert words in answer.err
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_every_text_survives_being_written(text: str) -> None:
    if any("\ud800" <= c <= "\udfff" for c in text):
        return  # no file can hold it
    assert yaml.safe_load(f"key: {scalar(text)}\n") == {"key": text}


def test_only_what_no_reader_mistakes_goes_without_quotes() -> None:
    assert scalar("Europe/Berlin") == "Europe/Berlin"
    for text in ("on", "Yes", "null", "007", "1e3", "0x1f", "2026-01-01", "a: b", "a #b", "- a", "~", ""):
        assert scalar(text).startswith('"'), text


def _own_the_terminal() -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches it


def on_terminal(tmp_path: Path, answers: list[str], *arguments: str) -> tuple[int, str]:
    """Type answers at the prompts of a real process on a pseudo-terminal; return its code and the screen."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "airflow", "cohort-sync", "init", *arguments]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=tmp_path, preexec_fn=_own_the_terminal
    )
    os.close(slave)
    screen, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([master], [], [], 0.2)[0]:
            if process.poll() is not None:
                break
            continue
        try:
            screen += os.read(master, 4096).decode()
        except OSError:  # the other end is closed
            break
        if answers and screen.endswith(": "):
            screen += "|"
            os.write(master, answers.pop(0).encode())
    os.close(master)
    return process.wait(timeout=30), screen


def test_a_terminal_is_asked_for_what_no_flag_gives(tmp_path: Path) -> None:
    connections, rest = ["\n", "7654321\n", "\n", "Ünder: #1\n"], ["\n", "e-mail\n", "email\n", "\n"]
    typed = [*connections, "two words\n", "my_sync\n", *rest]
    code, screen = on_terminal(tmp_path, typed, "--timezone", "Europe/Berlin")
    assert code == 0, screen
    assert screen.count("cannot be listed") == 2
    assert "use letters, digits" in screen
    assert "must be id, email or cio_id" in screen.replace("'", "")
    assert "[daily]" in screen
    assert "Timezone" not in screen
    (loaded,) = load(tmp_path / "cohort_syncs.yaml")
    spec = loaded.spec
    assert spec is not None
    assert (spec.name, spec.cohort_id, spec.segment_name) == ("my_sync", "7654321", "Ünder: #1")
    assert (spec.id_type, spec.cadence, spec.timezone) == ("email", "daily", "Europe/Berlin")
    assert spec.customer_io_conn_id == "customer_io_default"


@pytest.mark.parametrize(("typed", "code"), [("\x04", 2), ("\x03", 130)], ids=["Ctrl-D", "Ctrl-C"])
def test_who_changes_their_mind_leaves_no_file(tmp_path: Path, typed: str, code: int) -> None:
    ended, screen = on_terminal(tmp_path, [typed])
    assert ended == code
    assert "nothing was written" in screen
    assert "Traceback" not in screen
    assert list(tmp_path.iterdir()) == []


def test_the_questions_are_those_of_the_flags(airflow: Run) -> None:
    from airflow_provider_cio_cohort.cli import prompts

    assert set(prompts._QUESTIONS) == set(prompts.KEYS)
    shown: Any = airflow("init", "--help").out
    assert all(f"--{key.replace('_', '-')}" in shown for key in prompts.KEYS)


def test_what_was_written_is_told_to_a_program(airflow: Any, tmp_path: Path) -> None:
    path = tmp_path / "syncs.yaml"
    flags = ("--name", "a", "--cohort-id", "x", "--segment-name", "S", "-o", "json")
    wanted = {"sync": "a", "file": str(path), "dag_file": str(path.with_suffix(".py")), "dag_file_made": True}
    assert airflow("init", path, *flags).row == wanted
    assert airflow("init", path, "--force", *flags).row == {**wanted, "dag_file_made": False}
