"""Plans of what Airflow's DAG bundles hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import Answer

Run = Callable[..., Answer]
HEAD = """
from airflow.sdk import DAG, Param
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
print("a DAG file may print")
"""


@pytest.fixture
def dag_file(bundle: Path) -> Callable[[str], None]:
    """Put a DAG file into the only bundle."""
    return lambda body: (bundle / "mine.py").write_text(HEAD + body, encoding="utf-8")


@pytest.fixture
def generated(bundle: Path, write: Any) -> None:
    """Put a YAML file and its DAG file into the only bundle."""
    write({"name": "power_users"}, {"name": "other", "segment_name": "Other"}, name="dags/syncs.yaml")
    (bundle / "syncs.py").write_text(
        "from pathlib import Path\n"
        "from airflow_provider_cio_cohort.dag_generation import build_dags\n"
        'globals().update(build_dags(Path(__file__).with_name("syncs.yaml")))\n',
        encoding="utf-8",
    )


@pytest.mark.parametrize("name", ["power_users", "cohort_sync__power_users"])
def test_a_sync_is_found_by_its_name_and_by_its_dag(
    generated: None, airflow: Run, cohort: Any, name: str
) -> None:
    cohort("a")
    row = airflow("plan", name, "-o", "json").row
    assert (row["sync"], row["dag_id"]) == ("power_users", "cohort_sync__power_users")


def test_a_name_that_is_none_is_wrong_usage(generated: None, airflow: Run, bundle: Path) -> None:
    (bundle / "broken.py").write_text("import airflow, nothing_of_the_sort  # dag", encoding="utf-8")
    answer = airflow("plan", "power_user")
    assert answer.code == 2
    assert "neither the DAG cohort_sync__power_user nor power_user. Did you mean power_users?" in answer.err
    assert "cannot be read: broken.py" in answer.err
    assert airflow("plan", "power_users", "--sync", "other").code == 2


def test_a_sync_of_a_file_that_cannot_be_read(generated: None, airflow: Run, bundle: Path) -> None:
    (bundle / "syncs.yaml").write_text("syncs:\n\t- name: power_users\n", encoding="utf-8")
    answer = airflow("plan", "power_users")
    assert answer.code == 2
    assert "These files cannot be read: syncs.yaml." in answer.err


def test_a_dag_of_ones_own(dag_file: Any, airflow: Run, sandbox: Any, cohort: Any) -> None:
    cohort("a")
    dag_file("""
with DAG("win_back", params={"segment": "Win back", "adopt": Param(True, type="boolean")}):
    common = dict(cohort_id="a1b2c3d", adopt_segment="{{ params.adopt }}", poll_interval=0.05)
    AmplitudeCohortToCustomerIOOperator(task_id="one", segment_name="{{ params.segment }}", **common)
    AmplitudeCohortToCustomerIOOperator(task_id="two", segment_name="{{ dag.dag_id }} 2", **common)
    AmplitudeCohortToCustomerIOOperator(
        task_id="three", segment_name="{{ ds }}", **common
    )
""")
    answer = airflow("plan", "win_back", "--exact", "-o", "json")
    one, two, three = answer.rows
    assert (one["sync"], one["target"], one["segment_name"], one["to_add"]) == (
        "win_back",
        "one",
        "Win back",
        1,
    )
    assert two["segment_name"] == "win_back 2"
    assert three["status"] == "unknown"
    assert 'segment_name of the task three of DAG win_back is the template "{{ ds }}"' in three["verdict"]
    assert answer.code == 3
    assert "a DAG file may print" in answer.err
    assert sandbox.project.used == 1


def test_a_dry_run_before_a_sync_is_no_row_of_its_own(dag_file: Any, airflow: Run, cohort: Any) -> None:
    cohort("a")
    dag_file("""
with DAG("mine"):
    common = dict(cohort_id="a1b2c3d", segment_name="S")
    AmplitudeCohortToCustomerIOOperator(task_id="plan", dry_run=True, **common)
    AmplitudeCohortToCustomerIOOperator(task_id="sync", **common)
with DAG("looks_only"):
    AmplitudeCohortToCustomerIOOperator(task_id="plan", dry_run=True, **common)
""")
    assert airflow("plan", "mine", "-o", "json").row["task_id"] == "sync"
    row = airflow("plan", "looks_only", "-o", "json").row
    assert row["task_id"] == "plan"
    assert row["verdict"].startswith("Its runs write nothing: dry_run is set.")


def test_a_parameter_that_a_run_would_refuse(dag_file: Any, airflow: Run, sandbox: Any) -> None:
    dag_file("""
with DAG("mine", params={"id": "seven", "none": Param(type="string")}):
    AmplitudeCohortToCustomerIOOperator(task_id="sync", cohort_id="a", segment_id="{{ params.id }}")
with DAG("asks", params={"id": Param(type="string")}):
    AmplitudeCohortToCustomerIOOperator(task_id="sync", cohort_id="a", segment_name="{{ params.id }}")
""")
    answer = airflow("plan", "mine", "-o", "json")
    assert answer.code == 1
    assert "segment_id is 'seven'" in answer.row["verdict"]
    assert airflow("plan", "asks", "-o", "json").code == 3


def test_a_task_that_is_expanded_in_a_run(dag_file: Any, airflow: Run) -> None:
    dag_file("""
with DAG("mine"):
    AmplitudeCohortToCustomerIOOperator.partial(task_id="sync", cohort_id="a").expand(segment_name=["A", "B"])
""")
    answer = airflow("plan", "mine", "-o", "json")
    assert "is mapped" in answer.row["verdict"]
    assert answer.code == 3


def test_a_dag_that_syncs_nothing(bundle: Path, airflow: Run) -> None:
    (bundle / "other.py").write_text('from airflow.sdk import DAG\n\ndag = DAG("other")\n', encoding="utf-8")
    answer = airflow("plan", "other")
    assert answer.code == 2
    assert "nothing to plan" in answer.err
