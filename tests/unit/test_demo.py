"""The demo of a checkout: one at a time, on ports that are free."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from dev import demo
from dev.airflow_instance import free_ports

ROOT = Path(__file__).parents[2]


def test_a_second_demo_is_refused_and_told_where_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "running"
    with demo.only_one(path) as lock:
        for where in ("http://127.0.0.1:8080", "http://127.0.0.1:80"):
            demo.note(lock, where)
            with (
                pytest.raises(demo.DemoError, match=rf"already runs \({where}, process \d+\)"),
                demo.only_one(path),
            ):
                pass
    with demo.only_one(path):  # the first has ended
        pass


def test_what_is_refused_deletes_nothing(tmp_path: Path, monkeypatch, capsys) -> None:
    home, lock = tmp_path / "airflow", tmp_path / "running"
    home.mkdir()
    monkeypatch.setattr(demo, "HOME", home)
    monkeypatch.setattr(demo, "LOCK", lock)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with demo.only_one(lock):
        monkeypatch.setattr("sys.argv", ["demo", "--stay"])
        assert demo.main() == 2
    assert "already runs" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("sys.argv", ["demo", "--port", str(taken.getsockname()[1])])
        assert demo.main() == 2
    assert "leave out PORT to have a free one found" in capsys.readouterr().err
    assert home.is_dir()


def test_where_the_usual_port_is_taken_a_free_one_is_found_and_named(capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]
        found = demo.choose_port("PORT", None, usual)
    assert found > usual
    assert capsys.readouterr().out == f"Port {usual} is taken, so this uses {found}; PORT= sets another.\n"


def test_ports_in_a_row_leave_out_what_the_demo_itself_will_use(capsys) -> None:
    usual = free_ports(1)[0]
    first = demo.choose_port("SANDBOX_PORT", None, usual, 4, {usual + 3})
    assert first >= usual + 4
    assert str(first) in capsys.readouterr().out
    with pytest.raises(demo.DemoError, match=f"a port of {usual} to {usual + 3}"):
        demo.choose_port("SANDBOX_PORT", usual, 9700, 4, {usual + 3})


def test_a_free_port_is_used_as_it_was_asked_for(capsys) -> None:
    free = free_ports(1)[0]
    assert demo.choose_port("PORT", free, 8080) == free
    assert demo.choose_port("PORT", None, 0) == 0  # any, which the server chooses
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(demo.DemoError, match=f"PORT={port}: it must be a number from 1 to 65535"):
        demo.choose_port("PORT", port, 8080)


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ((), "dev.demo --stay"),
        (("PORT=8081",), "dev.demo --stay --port 8081"),
        (("PORT=8081", "SANDBOX_PORT=9800"), "dev.demo --stay --port 8081 --sandbox-port 9800"),
    ],
)
def test_make_passes_the_ports(given: tuple[str, ...], passed: str) -> None:
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "--dry-run", "up", "PORT=", "SANDBOX_PORT=", *given],
        cwd=ROOT,
        env=outer,
        capture_output=True,
        text=True,
        check=True,
    )
    assert " ".join(shown.stdout.splitlines()[-1].split()).endswith(f"python -m {passed}")
