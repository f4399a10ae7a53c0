"""A real Airflow on SQLite in its own directory, for the demo and the system tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from dev.airflow_api import AirflowApi
from dev.processes import Processes

#: What a component says that gives up on SQLite, which has one writer, on a busy machine.
_LOCKED = "database is locked"
#: Starts ``airflow``. What parses a DAG file or runs a task is a fork of a component, and with any asset, it
#: loads the Amazon provider and boto3, if they are installed: here, the component has already done so.
_START = """
import contextlib, runpy
with contextlib.suppress(ImportError):
    import aiohttp, requests_toolbelt
    import airflow.providers.amazon.aws.assets.s3
runpy.run_module("airflow", run_name="__main__", alter_sys=True)
"""
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class AirflowInstance(AirflowApi):
    """
    Scheduler, DAG processor, triggerer and API server, each in its own process.

    :param home: the directory for all files, created if necessary.
    :param dags: the directory with the DAG files.
    :param connections: Airflow connections as dicts, by id; passed to every process by its environment.
    :param env: further environment variables.
    :param port: the port of the API server and the UI; 0 for any free one.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        connections: Mapping[str, Mapping[str, Any]],
        env: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.home = home
        free = free_ports(3)
        self.port = port or free[0]
        super().__init__(f"http://127.0.0.1:{self.port}")
        self.components: Sequence[str] = COMPONENTS
        self.processes = Processes(home)
        self._started_again: set[str] = set()
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            **self._settings(dags, log_ports=free[1:]),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
            **(env or {}),
        }

    def _settings(self, dags: Path, log_ports: list[int]) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            # The delay in seconds until an ended task frees its slot, and a deferred one resumes.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "only-on-loopback-" + "x" * 48,
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    # ---- life

    def __enter__(self) -> AirflowInstance:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Create the database, start all components, and wait until they are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.command("db", "migrate")
        try:
            for component in self.components:
                self.start_component(component)
            self.wait_until(self.is_healthy, "every component to be healthy", 120)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every component with its children."""
        self.processes.stop_all()

    def command_of(self, component: str) -> Sequence[str]:
        """Return the arguments of ``airflow`` that start a component."""
        return (component,)

    def env_of(self, component: str) -> Mapping[str, str]:
        """Return a component's environment."""
        return self.env

    def start_component(self, component: str) -> None:
        """Start one component; its output goes to a file in the home directory."""
        command = [sys.executable, "-c", _START, *self.command_of(component)]
        self.processes.start(component, command, self.env_of(component))

    def stop_component(self, component: str, kill: bool = False) -> None:
        """
        Stop a component with its children.

        :param component: the component.
        :param kill: use SIGKILL, like a crash, instead of SIGTERM.
        """
        self.processes.stop(component, signal.SIGKILL if kill else signal.SIGTERM)

    def look_after(self, waiting_for: str) -> None:
        """
        Check that all components are still running; start one again, once, that SQLite's lock has ended.

        :param waiting_for: what the caller waits for, for the message.
        :raises RuntimeError: if a component has ended.
        """
        for component in self.processes.ended():
            tail = self.processes.tail(component)
            if _LOCKED in tail and component not in self._started_again:
                self._started_again.add(component)
                self.start_component(component)
                continue
            raise RuntimeError(f"{component} ended while waiting for {waiting_for}:\n{tail}")

    def command(self, *arguments: str) -> str:
        """Run an ``airflow`` command and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self.env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout
