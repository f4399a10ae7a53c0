"""The service ``demo`` of ``docker-compose.yaml``: every sync of ``dags/`` against the sandbox."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import requests

from dev.airflow_api import AirflowApi
from dev.demo import say, sync_all

#: The fields of a connection's extra that say where it leads.
ADDRESSES = ("track_base_url", "app_base_url")


def main() -> int:
    """Connect Airflow to the sandbox and run the syncs; return what the shell is to be told."""
    airflow = AirflowApi(os.environ["AIRFLOW_URL"], ("admin", os.environ["ADMIN_PASSWORD"]))
    sandbox = requests.get(f"{os.environ['SANDBOX_URL']}/connections", timeout=30).json()
    airflow.wait_until(airflow.is_healthy, "every component to be healthy", 180)
    for conn_id, connection in sandbox.items():
        if not connect(airflow, conn_id, connection):
            say(f"The connection {conn_id} does not lead to the sandbox; nothing was run: docs/compose.md.")
            return 1
    return 0 if sync_all(airflow) else 1


def connect(airflow: AirflowApi, conn_id: str, connection: dict[str, Any]) -> bool:
    """
    Make a connection to the sandbox; say whether it is there now.

    One that leads anywhere else is left alone: the demo must not run syncs with the keys of a real account.
    """
    answer = airflow.request("GET", f"/api/v2/connections/{conn_id}")
    if answer.status_code == requests.codes.not_found:
        body = {"connection_id": conn_id, **connection, "extra": json.dumps(connection["extra"])}
        airflow.api("POST", "connections", body)
        return True
    answer.raise_for_status()
    return addresses(answer.json()) == addresses(connection)


def addresses(connection: dict[str, Any]) -> list[str | None]:
    """Return where a connection leads."""
    extra = connection.get("extra") or {}
    extra = json.loads(extra) if isinstance(extra, str) else extra
    return [connection.get("host") or None, *(extra.get(name) for name in ADDRESSES)]


if __name__ == "__main__":
    sys.exit(main())
