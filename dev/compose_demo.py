"""The service ``demo`` of ``docker-compose.yaml``: every sync of ``dags/`` against the sandbox."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import requests

from dev.airflow_api import AirflowApi
from dev.demo import say, sync_all

#: The fields of a connection's extra with its addresses.
ADDRESSES = ("track_base_url", "app_base_url")


def main() -> int:
    """Connect Airflow to the sandbox and run the syncs; return the exit code."""
    airflow = AirflowApi(os.environ["AIRFLOW_URL"], ("admin", os.environ["ADMIN_PASSWORD"]))
    sandbox = requests.get(f"{os.environ['SANDBOX_URL']}/connections", timeout=30).json()
    airflow.wait_until(airflow.is_healthy, "every component to be healthy", 180)
    for conn_id, connection in sandbox.items():
        if not connect(airflow, conn_id, connection):
            say(f"The connection {conn_id} does not lead to the sandbox; nothing was run (docs/compose.md).")
            return 1
    return 0 if sync_all(airflow) else 1


def connect(airflow: AirflowApi, conn_id: str, connection: dict[str, Any]) -> bool:
    """
    Create a connection to the sandbox; return whether it exists now.

    A connection to anything else is left unchanged: the demo must not use the keys of a real account.
    """
    answer = airflow.request("GET", f"/api/v2/connections/{conn_id}")
    if answer.status_code == requests.codes.not_found:
        body = {"connection_id": conn_id, **connection, "extra": json.dumps(connection["extra"])}
        airflow.api("POST", "connections", body)
        return True
    answer.raise_for_status()
    return addresses(answer.json()) == addresses(connection)


def addresses(connection: dict[str, Any]) -> list[str | None]:
    """Return the addresses of a connection."""
    extra = connection.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    return [connection.get("host") or None, *(extra.get(name) for name in ADDRESSES)]


if __name__ == "__main__":
    sys.exit(main())
