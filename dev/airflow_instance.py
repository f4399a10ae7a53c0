"""A real Airflow on SQLite, in a directory of its own: for the demo and the system tests."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import requests

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
FINAL_STATES = ("success", "failed")
Result = TypeVar("Result")
_BUSY = re.compile(r"Database|^Internal Server Error$")


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class AirflowInstance:
    """
    Scheduler, dag processor, triggerer and API server, each a process of its own.

    :param home: the directory that holds everything; made if it is not there.
    :param dags: the directory with the DAG files.
    :param connections: Airflow connections as dicts, by id; they reach every process by its environment.
    :param env: further environment variables.
    :param port: of the API server and the UI; 0 for any free one.
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
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
            **self._settings(dags, log_ports=free[1:]),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
            **(env or {}),
        }
        self._token = ""

    def _settings(self, dags: Path, log_ports: list[int]) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
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
        """Make the database, start all components, and wait until they say that they are healthy."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.command("db", "migrate")
        try:
            for component in COMPONENTS:
                self.start_component(component)
            self.wait_until(self.is_healthy, "every component to be healthy", 120)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every component and what it started."""
        for process in self.processes.values():  # all at once, so that their patience does not add up
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for component in list(self.processes):
            self.stop_component(component)

    def start_component(self, component: str) -> None:
        """Start one component; what it prints goes to a file in the home."""
        with (self.home / f"{component}.out").open("ab") as out:
            self.processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", component],
                env=self.env,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that its children can be ended with it
            )

    def stop_component(self, component: str, kill: bool = False) -> None:
        """
        End a component and its children.

        :param component: which.
        :param kill: with SIGKILL, as a crash would, instead of asking first.
        """
        process = self.processes.pop(component)
        first = signal.SIGKILL if kill else signal.SIGTERM
        for number, patience in ((first, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(patience)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        process.wait()

    def command(self, *arguments: str) -> str:
        """Run an ``airflow`` command and return what it printed."""
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

    def is_healthy(self) -> bool:
        """Say whether all four components are well."""
        try:
            health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
        return all(health.get(part, {}).get("status") == "healthy" for part in parts)

    # ---- its REST API

    def api(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """
        Call the REST API and return the answer's JSON.

        :param method: the HTTP method.
        :param path: below ``/api/v2/``.
        :param body: the JSON body.
        :param params: the query.
        """
        for _ in range(20):
            answer = self.request(method, f"/api/v2/{path}", body, **params)
            # SQLite has one writer: who meets another one is told to come again, and nothing was changed.
            # (Airflow 3.2 says no more than that there was an error.)
            if answer.status_code not in (500, 503) or not _BUSY.search(answer.text):
                break
            time.sleep(0.5)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return answer.json() if answer.content else None

    def request(self, method: str, path: str, body: Any = None, **params: Any) -> requests.Response:
        """Call any path of the API server and return the answer as it is."""
        if not self._token:
            self._token = requests.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return requests.request(
            method, f"{self.url}{path}", json=body, params=params, headers=headers, timeout=30
        )

    def wait_until(self, condition: Callable[[], Result], what: str, seconds: float = 90) -> Result:
        """
        Wait until ``condition`` returns something true, and return it.

        :param condition: asked twice a second.
        :param what: what is waited for, for the message.
        :param seconds: the patience.
        """
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead:
                tail = (self.home / f"{dead[0]}.out").read_text()[-4000:]
                raise RuntimeError(f"{dead[0]} ended while waiting for {what}:\n{tail}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
            time.sleep(0.5)
        return result

    def dag_ids(self) -> set[str]:
        """Return the ids of the DAGs that Airflow has found."""
        return {dag["dag_id"] for dag in self.api("GET", "dags", limit=500)["dags"]}

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run."""
        self.api("PATCH", f"dags/{dag_id}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run by hand, as the trigger form does, and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        run_id: str = self.api("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, oldest first."""
        answer = self.api("GET", f"dags/{dag_id}/dagRuns", order_by="run_after", limit=100)
        runs: list[dict[str, Any]] = answer["dag_runs"]
        return runs

    def wait_for_run(self, dag_id: str, run_id: str, seconds: float = 180) -> str:
        """Wait until a run has ended and return its state."""

        def state() -> str | None:
            found: str = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]
            return found if found in FINAL_STATES else None

        return self.wait_until(state, f"run {run_id} of {dag_id} to end", seconds) or ""

    def task(self, dag_id: str, run_id: str, task_id: str = "sync") -> dict[str, Any]:
        """Return a task instance."""
        found: dict[str, Any] = self.api("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return found

    def report(self, dag_id: str, run_id: str, task_id: str = "sync") -> dict[str, Any]:
        """Return the report of a sync: its XCom."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        value = self.api("GET", path, deserialize=True)["value"]
        report: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
        return report

    def log(self, dag_id: str, run_id: str, task_id: str = "sync", try_number: int = 1) -> str:
        """Return the log of a try, a line an event."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        events = self.api("GET", path, full_content=True)["content"]
        return "\n".join(json.dumps(event) if isinstance(event, dict) else str(event) for event in events)
