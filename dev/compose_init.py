"""The service ``init`` of ``docker-compose.yaml``: database, administrator, connections, pools."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = "AIRFLOW_CONN_"
#: The variables of a default connection: those of its fields, and those of its extra.
DEFAULTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "amplitude": (
        {"login": "AMPLITUDE_API_KEY", "password": "AMPLITUDE_SECRET_KEY"},
        {"region": "AMPLITUDE_REGION"},
    ),
    "customer_io": (
        {"login": "CUSTOMER_IO_SITE_ID", "password": "CUSTOMER_IO_TRACKING_API_KEY"},
        {"app_api_key": "CUSTOMER_IO_APP_API_KEY", "region": "CUSTOMER_IO_REGION"},
    ),
}


def connections(env: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the connections in the environment, by their ids, in the format of Airflow's import.

    :param env: the environment; ``AIRFLOW_CONN_…`` takes precedence over the other variables.
    :raises ValueError: if a connection is incomplete or invalid; the message has no values.
    """
    found = {}
    for kind in DEFAULTS:
        if described := _default(kind, env):
            found[f"{kind}_default"] = described
    for name, value in env.items():
        if name.startswith(PREFIX) and value:
            found[name.removeprefix(PREFIX).lower()] = _from_variable(name, value)
    return found


def _default(kind: str, env: Mapping[str, str]) -> dict[str, Any] | None:
    fields, extra = ({key: env.get(name, "") for key, name in part.items()} for part in DEFAULTS[kind])
    keys = {
        name: env.get(name, "") for part in DEFAULTS[kind] for name in part.values() if "REGION" not in name
    }
    if not any(keys.values()):
        return None
    if empty := [name for name, value in keys.items() if not value]:
        raise ValueError(f"{', '.join(empty)} is empty, but other keys of {kind}_default are not. See .env.")
    return {"conn_type": kind, **fields, "extra": {key: value for key, value in extra.items() if value}}


def _from_variable(name: str, value: str) -> Any:
    if not value.lstrip().startswith("{"):
        return value  # a URI, which Airflow parses
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"{name} in .env starts like JSON, but is not valid JSON.") from None


def airflow(*arguments: str, words: str = "", check: bool = True) -> None:
    """
    Run an ``airflow`` command.

    :param arguments: its arguments; no secrets, because they are visible outside of the container.
    :param words: its standard input.
    :param check: whether to raise an error if it fails.
    """
    subprocess.run(["airflow", *arguments], input=words, text=True, check=check)


def main() -> int:
    """Prepare the database; return the exit code."""
    try:
        wanted = connections(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    airflow("db", "migrate")
    # Asks for the password twice; does not change an existing user.
    person = ("--firstname", "The", "--lastname", "administrator", "--email", "admin@example.invalid")
    secret = os.environ["ADMIN_PASSWORD"]
    airflow(
        "users", "create", "--username", "admin", "--role", "Admin", *person, words=f"{secret}\n{secret}\n"
    )
    if wanted:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # mode 0600
            json.dump(wanted, file)
            file.flush()
            airflow("connections", "import", "--overwrite", file.name)
    for file_of_syncs in sorted(Path(os.environ["AIRFLOW_HOME"], "dags").glob("*.yaml")):
        # The UI shows a file with mistakes; it must not stop the other files.
        airflow("cohort-sync", "pools", str(file_of_syncs), check=False)
    print(f"Ready: {len(wanted)} connections from .env are in the database.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
