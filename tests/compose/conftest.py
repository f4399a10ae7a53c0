"""The stack, once for all tests here; where there can be none, they are skipped and say why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.daemon import Docker, NotPossibleError, compose_command, daemon
from tests.compose.file import BASES
from tests.compose.stack import Stack
from tests.compose.standins import provide
from tests.compose.syncs import write_dags


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """A Docker daemon that has the base images."""
    try:
        with daemon() as docker:
            compose_command(docker.env)
            for image in BASES:
                provide(docker, image)
            yield docker
    except NotPossibleError as error:
        pytest.skip(f"no stack of containers: {error}")


@pytest.fixture(scope="session")
def stack(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with the sandbox, after the demo has ended."""
    stack = Stack(docker, Path(tmp_path_factory.mktemp("stack")))
    stack.prepare()
    stack.compose("down", "--volumes", "--timeout", "5")  # what a run left behind that was killed
    stack.compose("build", seconds=3600)
    try:
        stack.compose("up", "--detach", seconds=1800)
        stack.airflow.wait_until(lambda: _ended(stack, "demo"), "the demo to end", 900)
        stack.wait_until_well(600)
        stack.sandbox("PUT", "/settings", {"limits": False, "app_per_second": 0})
        write_dags(stack)
        yield stack
    finally:
        (stack.folder / "logs.txt").write_text(stack.compose("logs", "--no-color"), encoding="utf-8")
        stack.compose("down", "--volumes", "--timeout", "5")


def _ended(stack: Stack, service: str) -> bool:
    return all(each["State"]["Status"] == "exited" for each in stack.containers(service).values())
