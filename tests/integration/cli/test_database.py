"""What the commands read from Airflow's own database: a real one, in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.cli.conftest import Answer, keep_a_good_run
from tests.unit.overview.database import template

#: Stores connections, and what a task has kept with an asset that has run.
STORE = """
import json, sys
from airflow.models.asset import AssetActive, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.connection import Connection
from airflow.utils.session import create_session

uri, kept, connections = sys.argv[1:]
with create_session() as session:
    for conn_id, connection in json.loads(connections).items():
        session.add(Connection.from_json(json.dumps(connection), conn_id=conn_id))
    asset = AssetModel(name=uri, uri=uri, group="asset", extra={})
    session.add(asset)
    session.flush()
    session.add(AssetActive.for_asset(asset))
    for key, value in json.loads(kept).items():
        session.add(AssetStateStoreModel(asset_id=asset.id, key=key, value=json.dumps(value)))
"""


@pytest.fixture
def env(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow with a database of its own, and no connection in the environment."""
    (tmp_path / "home").mkdir()
    shutil.copyfile(template(tmp_path_factory), tmp_path / "home" / "airflow.db")
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_CONN_")}
    return env | {"AIRFLOW_HOME": str(tmp_path / "home"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def test_connections_and_the_last_good_sync(
    sandbox: Any, env: dict[str, str], process: Callable[..., Answer], cohort: Any, segment: Any, write: Any
) -> None:
    computed = cohort("a", "b").last_computed
    made = segment("a", "b")
    kept: dict[str, Any] = {}
    store = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    keep_a_good_run(store, made, {"segment_after": 2}, computed)
    uri = "customerio://customer_io_default/segments/name/Power%20users"
    command = [sys.executable, "-c", STORE, uri, json.dumps(kept), json.dumps(sandbox.connections())]
    subprocess.run(command, env=env, check=True, capture_output=True)
    assert process("cohorts", "-o", "json", env=env).row["size"] == 2
    answer = process("plan", write({"skip_unchanged": True}), "-o", "json", env=env)
    assert "end without an export" in answer.row["verdict"]
    assert answer.code == 0
