"""Another door to the running Airflow: an API server where people must log in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from dev.airflow_instance import AirflowInstance, free_ports


@dataclass(frozen=True)
class Door:
    """
    Where to log in, and as whom: a viewer, who may read everything and change nothing.

    :param url: the API server.
    :param user: the name.
    :param password: the password.
    """

    url: str
    user: str = "reader"
    password: str = "only-on-loopback"


@contextmanager
def guarded(airflow: AirflowInstance, directory: Path) -> Iterator[Door]:
    """Start an API server on the same database, in which not everybody is an admin."""
    port = free_ports(1)[0]
    door = Door(f"http://127.0.0.1:{port}")
    passwords = directory / "passwords.json"
    passwords.write_text(json.dumps({door.user: door.password}))
    env = {
        **airflow.env,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{door.user}:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": door.url,
    }
    with (directory / "api-server.out").open("wb") as out:
        command = [sys.executable, "-m", "airflow", "api-server"]
        process = subprocess.Popen(command, env=env, cwd=airflow.home, stdout=out, stderr=subprocess.STDOUT)
        try:
            airflow.wait_until(lambda: _answers(door), "the API server with a login")
            yield door
        finally:
            process.terminate()
            process.wait(30)


def _answers(door: Door) -> bool:
    try:
        return requests.get(f"{door.url}/api/v2/version", timeout=5).ok
    except requests.RequestException:
        return False
