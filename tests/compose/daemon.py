"""A Docker daemon for the tests: the machine's own, or one that is started by hand in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Kept between runs, for building an image takes minutes; `make clean` removes it.
DATA = Path(__file__).parents[2] / ".demo" / "docker"


class NotPossibleError(Exception):
    """There can be no stack of containers here; the message says why."""


@dataclass(frozen=True)
class Docker:
    """
    A daemon that answers.

    :param env: what the clients find it by.
    :param own: whether the tests have started it: then its images may be stand-ins, and its containers reach
        each other and nothing else, so that a build takes the network of this machine.
    """

    env: Mapping[str, str]
    own: bool

    def __call__(self, *arguments: str, check: bool = True, seconds: float = 900) -> str:
        """Run ``docker`` and return what it printed."""
        return run(["docker", *arguments], self.env, check=check, seconds=seconds)

    def has_image(self, image: str) -> bool:
        """Say whether an image is there."""
        command = ["docker", "image", "inspect", image]
        return not subprocess.run(command, env=self.env, capture_output=True, check=False).returncode


def run(
    command: list[str],
    env: Mapping[str, str],
    cwd: Path | None = None,
    check: bool = True,
    seconds: float = 900,
) -> str:
    """Run a command; return what it printed, or show it where the command failed."""
    done = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=seconds
    )
    if check and done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: {done.returncode}\n{done.stdout[-8000:]}\n{done.stderr[-8000:]}"
        )
    return done.stdout


def compose_command(env: Mapping[str, str]) -> list[str]:
    """Return the compose that is installed: the newer one, or Debian's."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and _answers([*command, "version"], env):
            return command
    raise NotPossibleError("there is neither `docker compose` nor `docker-compose`")


@contextmanager
def daemon() -> Iterator[Docker]:
    """
    A daemon, for as long as the block runs.

    :raises NotPossibleError: if none answers, and none can be started.
    """
    if not shutil.which("docker"):
        raise NotPossibleError("docker is not installed")
    builder = {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}  # takes images that no registry has
    if _answers(["docker", "info"], os.environ):
        yield Docker({**os.environ}, own=False)
        return
    if os.geteuid() != 0:
        raise NotPossibleError("no Docker daemon answers, and only root can start one")
    if not shutil.which("dockerd"):
        raise NotPossibleError("no Docker daemon answers, and dockerd is not installed")
    with tempfile.TemporaryDirectory(prefix="stack-", dir="/run") as place:  # paths of sockets must be short
        env = {**os.environ, **builder, "DOCKER_HOST": f"unix://{place}/docker.sock"}
        try:
            with _started(Path(place), env):
                yield Docker(env, own=True)
        finally:
            _unmount(Path(place))


@contextmanager
def _started(place: Path, env: Mapping[str, str]) -> Iterator[None]:
    DATA.mkdir(parents=True, exist_ok=True)
    command = [
        "dockerd",
        f"--host=unix://{place}/docker.sock",
        f"--data-root={DATA}",
        f"--exec-root={place}/exec",
        f"--pidfile={place}/pid",
        # The containers need no way out, and this machine's firewall is none of the tests' business.
        *("--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"),
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not _answers(["docker", "info"], env):
            if process.poll() is not None or time.monotonic() > deadline:
                words = (place / "log").read_text(errors="replace").strip().splitlines()
                raise NotPossibleError(f"dockerd does not start: {words[-1] if words else 'it says nothing'}")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _unmount(place: Path) -> None:
    """Give back what dockerd leaves mounted."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        if (mounted := line.split()[1]).startswith(f"{place}/"):
            subprocess.run(["umount", mounted], check=True)


def _answers(command: list[str], env: Mapping[str, str]) -> bool:
    return not subprocess.run(command, env=env, capture_output=True, check=False, timeout=60).returncode
