"""One export for several segments, an approval between plan and write, and a run that needs none."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import answer, fill, members, run

pytestmark = pytest.mark.system


def test_targets_share_an_export_and_one_that_fails_does_not_stop_the_others(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    fill(vendors, "sharedaa", "s-1", "s-2")
    vendors.workspace.add_segment(name="Shared first", type="dynamic")
    before = vendors.count(api="amplitude", path_regex=r"/request/sharedaa$")
    run_id, state = run(airflow, "cohort_sync__shared")
    assert state == "failed"
    states = {
        task_id: airflow.task("cohort_sync__shared", run_id, task_id)["state"]
        for task_id in ("export", "sync__first", "sync__second")
    }
    assert states == {"export": "success", "sync__first": "failed", "sync__second": "success"}
    assert members(vendors, "Shared second") == {"s-1", "s-2"}
    assert airflow.report("cohort_sync__shared", run_id, "sync__second")["added"] == 2
    segment = vendors.workspace.find_segment("Shared first")
    assert segment is not None
    del vendors.workspace.segments[segment.id]
    body = {"dag_run_id": run_id, "only_failed": True, "dry_run": False}
    airflow.api("POST", "dags/cohort_sync__shared/clearTaskInstances", body)
    assert airflow.wait_for_run("cohort_sync__shared", run_id) == "success"
    assert members(vendors, "Shared first") == {"s-1", "s-2"}
    assert vendors.count(api="amplitude", path_regex=r"/request/sharedaa$") == before + 1


def decide(airflow: AirflowInstance, run_id: str, choice: str) -> str:
    """Answer the question of a run and return how the run ended."""
    question = answer(airflow, "cohort_sync__asking", run_id, choice)
    assert "the segment Asking" in question["subject"]
    assert "| removed | 39 |" in question["body"]
    assert "39 of 40 members (97.5 %) would be removed" in question["body"]
    return airflow.wait_for_run("cohort_sync__asking", run_id)


def test_an_approval_lets_the_change_through_that_was_shown(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    fill(vendors, "askinga", *(f"a-{n}" for n in range(40)))
    run_id, state = run(airflow, "cohort_sync__asking")  # no guard trips, so nobody is asked
    assert state == "success"
    assert len(members(vendors, "Asking")) == 40
    fill(vendors, "askinga", "a-1")
    run_id = airflow.trigger("cohort_sync__asking")
    assert decide(airflow, run_id, "Reject") == "failed"
    assert len(members(vendors, "Asking")) == 40
    assert "Somebody rejected the change" in airflow.log("cohort_sync__asking", run_id, "approve")
    before = vendors.count(api="amplitude", path_regex=r"/request/askinga$")
    run_id = airflow.trigger("cohort_sync__asking")
    assert decide(airflow, run_id, "Approve") == "success"
    assert members(vendors, "Asking") == {"a-1"}
    assert vendors.count(api="amplitude", path_regex=r"/request/askinga$") == before + 1
    run_id, state = run(airflow, "cohort_sync__asking", {"dry_run": True})
    assert (state, airflow.report("cohort_sync__asking", run_id)["dry_run"]) == ("success", True)


def test_an_unchanged_cohort_costs_no_export(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "sk1ppin", "k-1", "k-2")
    assert run(airflow, "cohort_sync__skipping")[1] == "success"
    before = vendors.count(api="amplitude", path_regex=r"/request/sk1ppin$")
    run_id, state = run(airflow, "cohort_sync__skipping")
    assert state == "success"
    report = airflow.report("cohort_sync__skipping", run_id)
    assert (report["unchanged"], report["added"], report["segment_after"]) == (True, 0, 2)
    assert vendors.count(api="amplitude", path_regex=r"/request/sk1ppin$") == before
    assert "Unchanged: " in airflow.log("cohort_sync__skipping", run_id)
