"""What the package can do in the Airflow that is installed: each test is a row in docs/versions.md."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import fill, members, run

pytestmark = pytest.mark.system

AIRFLOW = tuple(int(part) for part in version("apache-airflow-core").split(".")[:2])


@pytest.fixture(scope="module")
def vendors() -> Iterator[Sandbox]:
    with Sandbox(people=0, export_seconds=1, limits=False) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(vendors: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowInstance]:
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    for name in ("cohort_syncs.py", "cohort_syncs.yaml"):
        shutil.copy(Path(__file__).with_name(name), home / "dags")
    settings = {
        "AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS": "0.2",
        "AIRFLOW__CIO_COHORT__VERIFY_INTERVAL": "0.1",
        "AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT": "3",
    }
    with AirflowInstance(home, home / "dags", vendors.connections(), env=settings) as instance:
        names = ("waiting", "staying", "retried", "unchanged", "asking", "watched")
        wanted = {f"cohort_sync__{name}" for name in names}
        instance.wait_until(lambda: wanted <= instance.dag_ids(), "the DAGs to be found")
        yield instance


@pytest.mark.parametrize("name", ["waiting", "staying"])
def test_a_sync(airflow: AirflowInstance, vendors: Sandbox, name: str) -> None:
    fill(vendors, f"{name}1", "a", "b")
    run_id, state = run(airflow, f"cohort_sync__{name}")
    assert state == "success", airflow.log(f"cohort_sync__{name}", run_id)
    report = airflow.report(f"cohort_sync__{name}", run_id)
    assert (report["added"], report["segment_after"]) == (2, 2)
    segment = {"waiting": "Waited for in the triggerer", "staying": "Waited for in the worker"}[name]
    assert members(vendors, segment) == {"a", "b"}
    events = airflow.api("GET", "assets/events", source_dag_id=f"cohort_sync__{name}")["asset_events"]
    assert [event["extra"]["added"] for event in events if "added" in event["extra"]] == [2]


def test_a_later_run_does_not_prove_the_keys_again(airflow: AirflowInstance, vendors: Sandbox) -> None:
    """Before Airflow 3.3, an XCom of the first run tells that they are proven."""
    fill(vendors, "staying1", "a", "b", "d", "e")
    vendors.reset_requests()
    run_id, state = run(airflow, "cohort_sync__staying")
    assert state == "success", airflow.log("cohort_sync__staying", run_id)
    assert vendors.count("track", "add_customers") == 1
    assert members(vendors, "Waited for in the worker") == {"a", "b", "d", "e"}


def test_a_dry_run_of_the_form(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "staying1", "a", "b", "c")
    before = members(vendors, "Waited for in the worker")
    run_id, state = run(airflow, "cohort_sync__staying", {"dry_run": True})
    assert state == "success"
    assert airflow.report("cohort_sync__staying", run_id)["dry_run"] is True
    assert members(vendors, "Waited for in the worker") == before


def test_the_form_of_a_connection(airflow: AirflowInstance) -> None:
    found = airflow.request("GET", "/ui/connections/hook_meta").json()
    forms = {form["connection_type"]: form for form in found}
    assert {"amplitude", "customer_io"} <= set(forms)
    shown = "app_api_key" in (forms["customer_io"].get("extra_fields") or {})
    assert shown == (AIRFLOW >= (3, 2))


def test_the_page(airflow: AirflowInstance) -> None:
    answer = airflow.request("GET", "/cohort-syncs/")
    assert answer.status_code == 200
    assert "waiting" in answer.text


def test_the_command(airflow: AirflowInstance) -> None:
    """Airflow 3.1 knows no commands of providers."""
    if AIRFLOW >= (3, 2):
        assert "cohort_id" in airflow.command("cohort-sync", "schema")
    else:
        with pytest.raises(RuntimeError, match="invalid choice: 'cohort-sync'"):
            airflow.command("cohort-sync", "schema")


def test_a_retry_continues_the_export_where_there_is_a_state_store(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    fill(vendors, "retried1", "a", "b")
    # The writes of the first try get lost, also those of the people who are sent once more.
    lost = vendors.faults.add("drop", path="add_customers", times=2)
    run_id, state = run(airflow, "cohort_sync__retried")
    assert state == "success"
    assert lost.met == 2
    assert airflow.task("cohort_sync__retried", run_id)["try_number"] == 2
    exports = vendors.count(api="amplitude", path_regex=r"/request/retried1$")
    assert exports == (1 if AIRFLOW >= (3, 3) else 2)


def test_an_unchanged_cohort_costs_no_export_where_there_is_a_state_store(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    fill(vendors, "unchang1", "a", "b")
    for _ in range(2):
        assert run(airflow, "cohort_sync__unchanged")[1] == "success"
    exports = vendors.count(api="amplitude", path_regex=r"/request/unchang1$")
    assert exports == (1 if AIRFLOW >= (3, 3) else 2)


def test_what_needs_a_state_store_is_refused_where_there_is_none(airflow: AirflowInstance) -> None:
    for name in ("asking", "watched"):
        tags = {tag["name"] for tag in airflow.api("GET", f"dags/cohort_sync__{name}")["tags"]}
        assert ("config-error" in tags) == (AIRFLOW < (3, 3))
