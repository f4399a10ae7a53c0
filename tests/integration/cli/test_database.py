"""What the commands read from Airflow's own database: a real one, in a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.cli.conftest import Answer, keep_a_good_run

#: Keeps a value with an asset as a task does that has run.
KEEP = """
import json, sys
from airflow.models.asset import AssetActive, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.utils.session import create_session

uri, kept = sys.argv[1:]
with create_session() as session:
    asset = AssetModel(name=uri, uri=uri, group="asset", extra={})
    session.add(asset)
    session.flush()
    session.add(AssetActive.for_asset(asset))
    for key, value in json.loads(kept).items():
        session.add(AssetStateStoreModel(asset_id=asset.id, key=key, value=json.dumps(value)))
"""


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow with a database, and no connection in the environment."""
    home: Path = tmp_path_factory.mktemp("home")
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_CONN_")}
    env |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True
    )
    return env


@pytest.fixture
def in_database(env: dict[str, str], sandbox: Any) -> dict[str, str]:
    """Connections to the sandbox, in the database alone."""
    for conn_id, connection in sandbox.connections().items():
        command = [sys.executable, "-m", "airflow", "connections", "add", conn_id, "--conn-json"]
        subprocess.run([*command, json.dumps(connection)], env=env, check=True, capture_output=True)
    return env


def test_connections_and_the_last_good_sync(
    in_database: dict[str, str], process: Callable[..., Answer], cohort: Any, segment: Any, write: Any
) -> None:
    computed = cohort("a", "b").last_computed
    made = segment("a", "b")
    assert process("cohorts", "-o", "json", env=in_database).row["size"] == 2
    kept: dict[str, Any] = {}
    store = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    keep_a_good_run(store, made, {"segment_after": 2}, computed)
    arguments = ["customerio://customer_io_default/segments/name/Power%20users"]
    subprocess.run(
        [sys.executable, "-c", KEEP, *arguments, json.dumps(kept)],
        env=in_database,
        check=True,
        capture_output=True,
    )
    answer = process("plan", write({"skip_unchanged": True}), "-o", "json", env=in_database)
    assert "end without an export" in answer.row["verdict"]
    assert answer.code == 0
