"""What the README shows works, and what it lists is there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions.connection import Connection

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.get_provider_info import get_provider_info
from airflow_provider_cio_cohort.sync.report import SyncReport
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def blocks(language: str, containing: str = "") -> list[str]:
    found = [text for name, text in BLOCKS if name == language and containing in text]
    assert found
    return found


@pytest.mark.parametrize("text", blocks("yaml"))
def test_every_yaml_makes_sound_dags(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cohort_syncs.yaml"
    path.write_text(text, encoding="utf-8")
    dags = build_dags(path)
    assert set(dags) == {"cohort_sync__power_users"}
    assert not any("config-error" in dag.tags for dag in dags.values())


@pytest.mark.parametrize(
    ("containing", "dag_id"), [("build_dags", "cohort_sync__power_users"), ("with DAG(", "win_back")]
)
def test_every_dag_file_makes_its_dag(tmp_path: Path, containing: str, dag_id: str) -> None:
    (text,) = blocks("python", containing)
    (tmp_path / "team_syncs.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    path = tmp_path / "dags.py"
    path.write_text(text, encoding="utf-8")
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    assert dag_id in bag.dags


def test_the_connection_of_the_environment_can_be_read() -> None:
    (text,) = blocks("bash", "AIRFLOW_CONN_CUSTOMER_IO_DEFAULT")
    value = re.search(r"='(.*)'", text, re.DOTALL)
    assert value
    connection = Connection.from_json(value[1], conn_id="customer_io_default")
    assert connection.conn_type == "customer_io"
    assert set(connection.extra_dejson) == {"app_api_key", "region"}


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = set(re.findall(r"\bmake ([a-z-]+)", README)) - {"sure"}
    assert wanted
    assert wanted <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize(
    "names",
    [
        set(inspect.signature(AmplitudeCohortToCustomerIOOperator).parameters) - {"kwargs"},
        set(Sync.model_fields),
        set(SyncReport.__dataclass_fields__) - {"cohort_id", "segment_id", "segment_name", "mode", "dry_run"},
        set(get_provider_info()["config"]["cio_cohort"]["options"]),
        {field for form in get_provider_info()["connection-types"] for field in form["conn-fields"]},
    ],
    ids=["parameters", "YAML keys", "report", "settings", "connection fields"],
)
def test_everything_public_is_named(names: set[str]) -> None:
    assert {name for name in names if f"`{name}`" not in README} == set()


def test_the_shown_report_is_of_today() -> None:
    (text,) = blocks("text", "match rate")
    shown = [
        line.split("|")[1].strip().replace(" ", "_") for line in text.splitlines() if line.startswith("| ")
    ]
    assert shown == list(SyncReport.__dataclass_fields__)
