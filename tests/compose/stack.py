"""The stack of ``docker-compose.yaml``, in a copy of what it is made of."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import requests
import yaml

from dev import compose_env
from dev.airflow_api import AirflowApi
from dev.airflow_instance import free_ports
from tests.compose.daemon import Docker, compose_command, run
from tests.compose.file import OURS, ROOT

PARTS = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "airflow_provider_cio_cohort",
    "dags",
    "dev",
    "docker-compose.yaml",
    "pyproject.toml",
    "requirements",
)
#: So that the tests need not wait for minutes until a killed worker is missed, or a new DAG file is found.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
}


@dataclass
class Stack:
    """
    The running stack.

    :param docker: the daemon.
    :param folder: the copy.
    """

    docker: Docker
    folder: Path
    values: dict[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Copy what it is made of, and write its ``.env`` as a user does, on ports that are free."""
        for part in PARTS:
            source = ROOT / part
            copy: Callable[..., Any] = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.folder / part)
        compose_env.write(self.folder / ".env")
        ui, page = free_ports(2)
        text = (self.folder / ".env").read_text(encoding="utf-8")
        text = re.sub(r"^AIRFLOW_PORT=.*$", f"AIRFLOW_PORT={ui}", text, flags=re.MULTILINE)
        text = re.sub(r"^SANDBOX_PORT=.*$", f"SANDBOX_PORT={page}", text, flags=re.MULTILINE)
        (self.folder / ".env").write_text(text, encoding="utf-8")
        self.values = dict(re.findall(r"^(\w+)=(.+)$", text, re.MULTILINE))
        build = {"build": {"context": ".", "network": "host"}} if self.docker.own else {}
        services = {name: {"environment": IMPATIENT, **build} for name in OURS}
        (self.folder / "impatient.yaml").write_text(yaml.safe_dump({"services": services}), encoding="utf-8")

    def compose(self, *arguments: str, seconds: float = 900) -> str:
        """Run compose, with the sandbox's profile."""
        files = ("--file", "docker-compose.yaml", "--file", "impatient.yaml")
        command = [*self._compose, "--project-name", "stack", *files, "--profile", "sandbox"]
        return run([*command, *arguments], self.docker.env, cwd=self.folder, seconds=seconds)

    @cached_property
    def _compose(self) -> list[str]:
        return compose_command(self.docker.env)

    @cached_property
    def airflow(self) -> AirflowApi:
        """Airflow's REST API, by the administrator whose password is in ``.env``."""
        url = f"http://127.0.0.1:{self.values['AIRFLOW_PORT']}"
        return AirflowApi(url, ("admin", self.values["ADMIN_PASSWORD"]))

    def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        """Call the sandbox's own API."""
        url = f"http://127.0.0.1:{self.values['SANDBOX_PORT']}{path}"
        answer = requests.request(method, url, json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def containers(self, service: str = "") -> dict[str, dict[str, Any]]:
        """Return what Docker knows of the containers of a service, or of all, by their short ids."""
        ids = self.compose("ps", "--quiet", *([service] if service else [])).split()
        found = json.loads(self.docker("inspect", *ids)) if ids else []
        return {each["Id"][:12]: each for each in found}

    def states(self) -> dict[str, str]:
        """Return ``healthy``, ``exited 0`` or the like of every container, by its name."""
        return {each["Name"].strip("/"): _state(each["State"]) for each in self.containers().values()}

    def unwell(self) -> dict[str, str]:
        """Return the containers that are neither healthy nor have ended as they should, with their states."""
        states = self.states()
        return {name: state for name, state in states.items() if state not in ("healthy", "exited 0")}

    def wait_until_well(self, seconds: float = 300) -> None:
        """
        Wait until every container is healthy, or has ended as it should, and Airflow agrees.

        :param seconds: the patience.
        """
        try:
            self.airflow.wait_until(
                lambda: not self.unwell() and self.airflow.is_healthy(), "health", seconds
            )
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {self.unwell()}") from error


def _state(state: dict[str, Any]) -> str:
    if state["Status"] != "running":
        return f"{state['Status']} {state['ExitCode']}"
    return str(state["Health"]["Status"]) if "Health" in state else "running"
