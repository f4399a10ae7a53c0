from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.sync.workdir import run_directory


@pytest.fixture(autouse=True)
def tmpdir_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def files(path: Path) -> list[str]:
    return [each.name for each in path.rglob("*") if each.is_file() and each.name != "lock"]


def test_nobody_else_can_read_it_and_nothing_is_left(tmp_path: Path) -> None:
    with run_directory() as path:
        file = path / "members"
        file.write_text("x")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert files(tmp_path) == []


def failing_run() -> None:
    with run_directory() as path:
        (path / "members").write_text("x")
        raise LookupError


def test_nothing_is_left_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        failing_run()
    assert files(tmp_path) == []


def test_a_killed_runs_files_are_removed_by_the_next_but_those_of_a_living_one_are_not(
    tmp_path: Path,
) -> None:
    code = """
import sys, time
from airflow_provider_cio_cohort.sync.workdir import run_directory
with run_directory() as path:
    (path / sys.argv[1]).write_text("x")
    print("ready", flush=True)
    time.sleep(600)
"""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, name],
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        for name in ("killed", "living")
    ]
    try:
        for run in runs:
            assert run.stdout is not None
            assert run.stdout.readline() == b"ready\n"
        runs[0].send_signal(signal.SIGKILL)
        runs[0].wait()
        assert sorted(files(tmp_path)) == ["killed", "living"]
        with run_directory():
            assert files(tmp_path) == ["living"]
    finally:
        for run in runs:
            run.kill()
            run.wait()


def test_a_directory_that_others_could_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"airflow-cio-cohort-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="is not private to the worker"), run_directory():
        pass
