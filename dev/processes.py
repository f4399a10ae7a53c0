"""Processes that are started together, watched, and ended with their children."""

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
    Processes by name, each the leader of a session of its own.

    :param home: the directory that they work in; what ``name`` prints goes to ``<name>.out`` there.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], user: str | None = None
    ) -> None:
        """
        Start a process.

        :param name: what it is called from now on.
        :param command: the program and its arguments.
        :param env: its whole environment.
        :param user: whom it runs as; ``None`` for ourselves.
        """
        with (self.home / f"{name}.out").open("ab") as out:
            self.running[name] = subprocess.Popen(
                command,
                env=env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children can be ended with it
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else (),
            )

    def stop(self, name: str, first: signal.Signals = signal.SIGTERM) -> None:
        """
        End a process and its children.

        :param name: which.
        :param first: the signal that is tried first; SIGKILL is what a crash would do.
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
        """End them all, the last first; asked at once, so that their patience does not add up."""
        for process in self.running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for name in reversed(list(self.running)):
            self.stop(name)

    def ended(self) -> list[str]:
        """Return the names of those that ended by themselves."""
        return [name for name, process in self.running.items() if process.poll() is not None]

    def tail(self, name: str) -> str:
        """Return the end of what a process has printed."""
        return (self.home / f"{name}.out").read_text(errors="replace")[-4000:]
