"""Starts processes, watches them, and stops them with their children, even if this process is killed."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

#: Seconds that a process has to end after each signal.
PATIENCE = 10


class Processes:
    """
    Processes by name, each the leader of its own session.

    A guard, which is another process, stops them if this one ends without having done so. It keeps this one's
    inheritable files open until then, such as the lock of a demo.

    :param home: the working directory; the output of ``name`` goes to ``<name>.out`` there.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard: subprocess.Popen[bytes] | None = None

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], user: str | None = None
    ) -> None:
        """
        Start a process.

        :param name: its name.
        :param command: the program and its arguments.
        :param env: its whole environment.
        :param user: the user it runs as; ``None`` for the current user.
        """
        guard = self._guard or self._start_guard()
        with (self.home / f"{name}.out").open("ab") as out:
            process = self.running[name] = subprocess.Popen(
                command,
                env=env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children can be stopped with it
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else (),
            )
        self._tell(guard, process.pid)

    def stop(self, name: str, first: signal.Signals = signal.SIGTERM) -> None:
        """
        Stop a process with its children.

        :param name: the process.
        :param first: the first signal; SIGKILL is like a crash.
        """
        process = self.running.pop(name)
        for number in (first, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(PATIENCE)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()
        if self._guard is not None:
            self._tell(self._guard, -process.pid)

    def stop_all(self) -> None:
        """Stop all processes in reverse order; signal all at once, so that their shutdown times overlap."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for name in reversed(list(self.running)):
            self.stop(name)
        if self._guard is not None:
            guard, self._guard = self._guard, None
            guard.communicate()

    def ended(self) -> list[str]:
        """Return the names of the processes that have ended unexpectedly."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def tail(self, name: str) -> str:
        """Return the end of a process's output."""
        return (self.home / f"{name}.out").read_text(errors="replace")[-4000:]

    def _start_guard(self) -> subprocess.Popen[bytes]:
        self._guard = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that what ends this process's group does not end the guard
            close_fds=False,
        )
        return self._guard

    def _tell(self, guard: subprocess.Popen[bytes], group: int) -> None:
        with suppress(BrokenPipeError):  # the guard was ended, too
            os.write(guard.stdin.fileno(), f"{group}\n".encode())  # type: ignore[union-attr]


def guard(groups: Iterable[str]) -> None:
    """
    Wait until the process that writes the lines ends, then end the process groups that it has left.

    :param groups: lines: the id of a group that was started, or minus the id of one that has ended.
    """
    left: set[int] = set()
    for line in groups:
        group = int(line)
        if group > 0:
            left.add(group)
        else:
            left.discard(-group)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE
        left = {group for group in left if _signal(group, number)}
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = {group for group in left if _signal(group, 0)}


def _signal(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    guard(sys.stdin)
