"""Starts processes, watches them, and stops them with their children."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Processes:
    """
    Processes by name, each the leader of its own session.

    :param home: the working directory; the output of ``name`` goes to ``<name>.out`` there.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: dict[str, subprocess.Popen[bytes]] = {}

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
        with (self.home / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
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

    def stop(self, name: str, first: signal.Signals = signal.SIGTERM) -> None:
        """
        Stop a process with its children.

        :param name: the process.
        :param first: the first signal; SIGKILL is like a crash.
        """
        process = self.running.pop(name)
        for number, patience in ((first, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()

    def stop_all(self) -> None:
        """Stop all processes in reverse order; signal all at once, so that their shutdown times overlap."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for name in reversed(list(self.running)):
            self.stop(name)

    def ended(self) -> list[str]:
        """Return the names of the processes that have ended unexpectedly."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def tail(self, name: str) -> str:
        """Return the end of a process's output."""
        return (self.home / f"{name}.out").read_text(errors="replace")[-4000:]
