"""The demo of a checkout: one at a time, on ports that are free."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dev import demo, processes
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


#: Ends a second after SIGTERM; so does its child.
SLOW = """
import os, signal, sys, time
if os.fork():
    open(sys.argv[1], "w").write(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), os._exit(0)))
while True:
    time.sleep(1)
"""
#: A demo that has started a process and does nothing more.
DEMO = """
import os, sys, time
from pathlib import Path
from dev import demo
from dev.processes import Processes

home = Path(sys.argv[1])
with demo.only_one(home / "running") as lock:
    demo.note(lock, "http://127.0.0.1:8080")
    Processes(home).start("slow", [sys.executable, "-c", sys.argv[2], str(home / "pid")], dict(os.environ))
    time.sleep(600)
"""


def members_of(group: int) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and _group_of(process.pid) == group
    ]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_a_demo_that_is_killed_takes_its_processes_along_and_the_next_waits_for_that(
    tmp_path: Path, capsys
) -> None:
    command = [sys.executable, "-c", DEMO, str(tmp_path), SLOW]
    killed = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) or len(members_of(int(pid.read_text()))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    group = int(pid.read_text())
    killed.kill()
    killed.wait()
    with demo.only_one(tmp_path / "running"):
        assert members_of(group) == []
    assert capsys.readouterr().out == "The last demo was killed: waiting for its processes to end …\n"


def test_a_process_that_ignores_the_end_is_killed(monkeypatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.3)
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        processes.guard([f"{process.pid}\n"])
        assert process.wait(30) == -signal.SIGKILL


def test_what_has_ended_before_is_left_alone(monkeypatch) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        processes.guard([f"{process.pid}\n", f"-{process.pid}\n"])
        assert process.poll() is None
        process.kill()


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
