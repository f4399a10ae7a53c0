"""Starts PostgreSQL and Redis of Debian on free loopback ports."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path

import psycopg2
import redis

from dev.airflow_instance import free_ports
from dev.processes import Processes

#: Debian does not have the server's programs in the PATH.
POSTGRES_PLACES = "/usr/lib/postgresql/*/bin"
PROGRAMS = ("initdb", "postgres", "redis-server")


def program(name: str) -> str | None:
    """Return the path of a program; ``None`` if it is not installed."""
    places = [os.environ.get("PATH", os.defpath), *sorted(glob(POSTGRES_PLACES), reverse=True)]
    found = shutil.which(name, path=os.pathsep.join(places))
    # Resolve links: PostgreSQL finds its other files relative to its program.
    return str(Path(found).resolve()) if found and name != "redis-server" else found


def missing() -> list[str]:
    """Return which of the programs are not installed."""
    return [name for name in PROGRAMS if program(name) is None]


class Postgres:
    """
    A PostgreSQL cluster in a temporary directory.

    :param processes: manages its process.
    """

    NAME = "postgres"

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.port = free_ports(1)[0]
        self._password = secrets.token_urlsafe(24)
        self._directory: Path | None = None
        self._user = _unprivileged()

    @property
    def address(self) -> str:
        """User, password, host, port and database, as in a URL after the scheme."""
        return f"airflow:{self._password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, the first time with an empty database, and wait until it accepts connections."""
        if self._directory is None:
            self._create()
        command = [
            str(program("postgres")),
            *("-D", str(self._directory)),
            *("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}"),
            *("-c", "unix_socket_directories=", "-c", "max_connections=300"),
            *("-c", "fsync=off"),  # the data need not survive a crash
        ]
        self.processes.start(self.NAME, command, dict(os.environ), user=self._user)
        _wait(self._is_up, self.NAME)

    def stop(self) -> None:
        """Close all connections and stop it; its data is kept."""
        self.processes.stop(self.NAME, signal.SIGINT)

    def remove(self) -> None:
        """Stop it and delete its data."""
        if self.NAME in self.processes.running:
            self.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory)
            self._directory = None

    def _create(self) -> None:
        # Not in the home directory: PostgreSQL does not run as root, and cannot access root's directories.
        self._directory = Path(tempfile.mkdtemp(prefix="postgres-"))
        with tempfile.NamedTemporaryFile("w", dir=self._directory.parent) as password:
            password.write(self._password)
            password.flush()
            if self._user is not None:
                account = pwd.getpwnam(self._user)
                for path in (self._directory, password.name):
                    os.chown(path, account.pw_uid, account.pw_gid)
            subprocess.run(
                [
                    str(program("initdb")),
                    *("-D", str(self._directory), "--username=airflow", f"--pwfile={password.name}"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
                ],
                user=self._user,
                cwd=self._directory,
                check=True,
                capture_output=True,
            )

    def _is_up(self) -> bool:
        try:
            psycopg2.connect(f"postgresql://{self.address}", connect_timeout=2).close()
        except psycopg2.OperationalError:
            return False
        return True


class Redis:
    """
    A Redis that keeps its queues while it is stopped.

    :param processes: manages its process.
    """

    NAME = "redis"

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self.port = free_ports(1)[0]
        self._password = secrets.token_urlsafe(24)

    @property
    def url(self) -> str:
        """Its URL for Celery."""
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it with its stored queues, and wait until it responds."""
        directory = self.processes.home / self.NAME
        directory.mkdir(exist_ok=True)
        settings = directory / "redis.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self._password}\ndir {directory}\n"
            'appendonly yes\nsave ""\n'
        )
        self.processes.start(self.NAME, [str(program("redis-server")), str(settings)], dict(os.environ))
        _wait(self._is_up, self.NAME)

    def stop(self) -> None:
        """Stop it; its data stays on disk."""
        self.processes.stop(self.NAME)

    def _is_up(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def _unprivileged() -> str | None:
    """Return the user to run PostgreSQL as if we are root; Debian's package creates one."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _wait(is_up: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + 30
    while not is_up():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} did not start within 30 s")
        time.sleep(0.1)
