"""The health checks, against what answers and what does not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dev import compose_health
from dev.airflow_instance import free_ports


@pytest.mark.parametrize("path", ["/state", "/"])
def test_what_answers_is_well(sandbox, path: str) -> None:
    command = [sys.executable, "-m", "dev.compose_health", f"{sandbox.urls['control']}{path}"]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_what_does_not_answer_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert compose_health.main(f"http://127.0.0.1:{port}/") == 1
    assert "refused" in capsys.readouterr().out


def test_an_error_is_not(sandbox) -> None:
    assert compose_health.main(f"{sandbox.urls['control']}/no-such-page") == 1
