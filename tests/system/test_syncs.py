"""The whole job in real Airflow: schedules, forms, backfills, deferral, bad syncs, several at once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import fill, finish_exports, members, run

pytestmark = pytest.mark.system


def test_a_scheduled_run(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "hour1ya", "h-1", "h-2")
    airflow.unpause("cohort_sync__hourly")
    first = airflow.wait_until(lambda: airflow.runs("cohort_sync__hourly"), "a scheduled run")[0]
    assert first["run_type"] == "scheduled"
    assert airflow.wait_for_run("cohort_sync__hourly", first["dag_run_id"]) == "success"
    assert members(vendors, "Hourly") == {"h-1", "h-2"}
    report = airflow.report("cohort_sync__hourly", first["dag_run_id"])
    assert (report["added"], report["segment_after"], report["match_rate"]) == (2, 2, 1.0)
    assert "| match rate" in airflow.log("cohort_sync__hourly", first["dag_run_id"])


def test_a_run_with_a_value_of_the_form(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "byhand1", "b-1")
    run_id, state = run(airflow, "cohort_sync__by_hand", {"dry_run": True})
    assert state == "success"
    assert airflow.report("cohort_sync__by_hand", run_id)["dry_run"] is True
    assert vendors.workspace.find_segment("By hand") is None
    run_id, state = run(airflow, "cohort_sync__by_hand")
    assert state == "success"
    assert airflow.report("cohort_sync__by_hand", run_id)["dry_run"] is False
    assert members(vendors, "By hand") == {"b-1"}


def test_a_wrong_value_is_refused_by_the_form(airflow: AirflowInstance) -> None:
    with pytest.raises(RuntimeError, match=r"400 .*dry_run"):
        airflow.trigger("cohort_sync__by_hand", {"dry_run": "maybe"})


def test_a_backfill_of_three_days_runs_one_at_a_time(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "da1lyaa", "d-1", "d-2")
    vendors.configure(export_seconds=2)
    airflow.unpause("cohort_sync__daily")
    # The scheduler first catches up with the slot that it has just missed.
    scheduled = airflow.wait_until(lambda: airflow.runs("cohort_sync__daily"), "a scheduled run")
    airflow.wait_for_run("cohort_sync__daily", scheduled[0]["dag_run_id"])
    start = datetime(2026, 2, 1, tzinfo=UTC)
    body = {
        "dag_id": "cohort_sync__daily",
        "from_date": start.isoformat(),
        "to_date": (start + timedelta(days=3)).isoformat(),
        "run_backwards": False,
        "dag_run_conf": {"source": "cohort"},
    }
    airflow.api("POST", "backfills", body)

    def backfilled() -> list[dict]:
        runs = [r for r in airflow.runs("cohort_sync__daily") if r["run_type"] == "backfill"]
        return runs if len(runs) == 3 else []

    runs = airflow.wait_until(backfilled, "three runs of the backfill")
    for each in runs:
        assert airflow.wait_for_run("cohort_sync__daily", each["dag_run_id"], 300) == "success"
    vendors.configure(export_seconds=0.5)
    spans = sorted(
        (task["start_date"], task["end_date"])
        for task in (airflow.task("cohort_sync__daily", each["dag_run_id"]) for each in runs)
    )
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    reports = [airflow.report("cohort_sync__daily", each["dag_run_id"]) for each in runs]
    assert [(r["to_add"], r["to_remove"], r["segment_after"]) for r in reports] == [(0, 0, 2)] * 3
    assert members(vendors, "Daily") == {"d-1", "d-2"}


def test_a_deferred_run_holds_no_worker(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "s1owaaa", "s-1")
    vendors.configure(export_seconds=600)
    airflow.unpause("cohort_sync__slow")
    run_id = airflow.trigger("cohort_sync__slow")

    def deferred() -> dict | None:
        task = airflow.task("cohort_sync__slow", run_id)
        return task if task["state"] == "deferred" and task["triggerer_job"] else None

    task = airflow.wait_until(deferred, "the triggerer to take over")
    finish_exports(vendors)
    assert task["trigger"]["classpath"].endswith("triggers.amplitude.AmplitudeExportTrigger")
    assert airflow.wait_for_run("cohort_sync__slow", run_id) == "success"
    assert members(vendors, "Slow") == {"s-1"}
    airflow.wait_until(
        lambda: "Trigger fired event" in airflow.log("cohort_sync__slow", run_id), "the triggerer's log"
    )


def test_two_dags_at_once(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "f1rstaa", *(f"f-{n}" for n in range(50)))
    fill(vendors, "sec0nda", *(f"s-{n}" for n in range(60)))
    names = ("cohort_sync__first_of_two", "cohort_sync__second_of_two")
    for name in names:
        airflow.unpause(name)
    runs = {name: airflow.trigger(name) for name in names}
    assert [airflow.wait_for_run(name, run_id) for name, run_id in runs.items()] == ["success"] * 2
    assert len(members(vendors, "First of two")) == 50
    assert len(members(vendors, "Second of two")) == 60


def test_a_bad_sync_says_so_and_stops_no_other(airflow: AirflowInstance) -> None:
    assert airflow.api("GET", "importErrors")["import_errors"] == []
    dag = airflow.api("GET", "dags/cohort_sync__misspelt/details")
    assert "config-error" in [tag["name"] for tag in dag["tags"]]
    assert "cohort_syncs.yaml" in dag["doc_md"]
    assert "segmentname" in dag["doc_md"]
    run_id, state = run(airflow, "cohort_sync__misspelt")
    assert state == "failed"
    assert airflow.task("cohort_sync__misspelt", run_id)["try_number"] == 1
    assert "segmentname" in airflow.log("cohort_sync__misspelt", run_id)


def test_a_guard_ends_the_task_at_once_and_the_form_lets_one_run_through(airflow, vendors) -> None:
    fill(vendors, "guarded", *(f"g-{n}" for n in range(40)))
    assert run(airflow, "cohort_sync__guarded")[1] == "success"
    fill(vendors, "guarded", "g-1")
    run_id, state = run(airflow, "cohort_sync__guarded")
    assert state == "failed"
    assert airflow.task("cohort_sync__guarded", run_id)["try_number"] == 1
    log = airflow.log("cohort_sync__guarded", run_id)
    assert "39 of 40 members (97.5 %) would be removed" in log
    assert "allow_large_removal allows it for one run" in log
    assert len(members(vendors, "Guarded")) == 40
    assert "allow_short_cohort allows it for one run" in log
    allowed = {"allow_large_removal": True, "allow_short_cohort": True}
    assert run(airflow, "cohort_sync__guarded", allowed)[1] == "success"
    assert members(vendors, "Guarded") == {"g-1"}


def test_a_flood_is_stopped_tried_with_a_few_people_and_let_through_by_the_form(airflow, vendors) -> None:
    fill(vendors, "f1ooded", *(f"f-{n}" for n in range(100)))
    assert run(airflow, "cohort_sync__flooded")[1] == "success"
    fill(vendors, "f1ooded", *(f"f-{n}" for n in range(700)))
    run_id, state = run(airflow, "cohort_sync__flooded")
    assert state == "failed"
    assert airflow.task("cohort_sync__flooded", run_id)["try_number"] == 1
    log = airflow.log("cohort_sync__flooded", run_id)
    assert "600 people would join 100 members (+600.0 %)" in log
    assert "allow_large_addition allows it for one run" in log
    assert len(members(vendors, "Flooded")) == 100
    path = "assets/events?source_dag_id=cohort_sync__flooded"
    before = airflow.api("GET", path)["total_entries"]
    run_id, state = run(airflow, "cohort_sync__flooded", {"limit": 5})
    report = airflow.report("cohort_sync__flooded", run_id)
    assert (state, report["added"], report["left_to_add"]) == ("success", 5, 595)
    assert len(members(vendors, "Flooded")) == 105
    assert airflow.api("GET", path)["total_entries"] == before  # nothing starts that waits for the segment
    run_id, state = run(airflow, "cohort_sync__flooded", {"allow_large_addition": True})
    assert (state, airflow.report("cohort_sync__flooded", run_id)["added"]) == ("success", 595)
    assert airflow.api("GET", path)["total_entries"] == before + 1
    assert len(members(vendors, "Flooded")) == 700


def test_a_fallback_identifier_lifts_the_match_rate(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "byone2b", *(f"i-{n}" for n in range(40)), known=False)
    for n in range(30):
        vendors.workspace.add_person(id=f"i-{n}")
    for n in range(30, 39):  # Customer.io has them under other ids, or none
        vendors.workspace.add_person(id=None if n % 2 else f"other-{n}", email=f"I-{n}@Example.com")
    run_id, state = run(airflow, "cohort_sync__by_one")
    assert (state, members(vendors, "By one identifier")) == ("failed", set())
    assert "only 30 of 40 identifiers (75.0 %) are people in Customer.io" in airflow.log(
        "cohort_sync__by_one", run_id
    )
    run_id, state = run(airflow, "cohort_sync__by_two")
    assert state == "success"
    report = airflow.report("cohort_sync__by_two", run_id)
    assert (report["match_rate"], report["unmatched"]) == (39 / 40, 1)
    assert report["matched_by"] == {"id": 30, "email": 9}
    segment = vendors.workspace.find_segment("By two identifiers")
    assert segment is not None
    assert len(segment.members) == report["segment_after"] == 39
    assert "id 30, email 9" in airflow.log("cohort_sync__by_two", run_id)


def test_people_are_added_although_a_guard_stops_the_removals(airflow, vendors) -> None:
    fill(vendors, "add1ngo", *(f"a-{n}" for n in range(40)))
    assert run(airflow, "cohort_sync__adding")[1] == "success"
    fill(vendors, "add1ngo", *(f"a-{n}" for n in range(35, 45)))
    run_id, state = run(airflow, "cohort_sync__adding")
    assert state == "failed"
    assert airflow.task("cohort_sync__adding", run_id)["try_number"] == 1
    assert len(members(vendors, "Adding")) == 45
    path = f"dags/cohort_sync__adding/dagRuns/{run_id}/taskInstances/sync/xcomEntries/failure"
    failure = airflow.api("GET", path)["value"]
    failure = json.loads(failure) if isinstance(failure, str) else failure
    assert failure["reason"].startswith("Guard large_removal stopped the removals from segment 'Adding'")
    assert "this try removed nobody" in failure["segment"]
    assert (failure["report"]["added"], failure["report"]["left_to_remove"]) == (5, 35)
    assert "5 people were added, and 35 members stay" in airflow.log("cohort_sync__adding", run_id)
    assert run(airflow, "cohort_sync__adding", {"allow_large_removal": True})[1] == "success"
    assert members(vendors, "Adding") == {f"a-{n}" for n in range(35, 45)}


def test_a_retry_continues_the_same_export(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "shakyaa", "x-1", "x-2")
    vendors.faults.add("drop", api="track", path="remove_customers", times=0)
    guest = vendors.workspace.add_person(id="guest")
    segment = vendors.workspace.add_segment(name="Shaky", members=[guest])
    segment.description = "[managed by airflow-provider-cio-cohort: Amplitude cohort shakyaa]"
    airflow.unpause("cohort_sync__shaky")
    before = vendors.count(api="amplitude", path_regex=r"/request/shakyaa$")
    run_id = airflow.trigger("cohort_sync__shaky")
    airflow.wait_until(
        lambda: airflow.task("cohort_sync__shaky", run_id)["try_number"] == 2, "the second try", 120
    )
    vendors.faults.clear()
    assert airflow.wait_for_run("cohort_sync__shaky", run_id) == "success"
    assert members(vendors, "Shaky") == {"x-1", "x-2"}
    assert vendors.count(api="amplitude", path_regex=r"/request/shakyaa$") == before + 1
    assert "1 members could not be removed" in airflow.log("cohort_sync__shaky", run_id, try_number=1)
    assert "Continuing the export" in airflow.log("cohort_sync__shaky", run_id, try_number=2)


def test_an_own_dag_and_an_own_yaml_beside_ours(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "w1nback", "w-1", "w-2")
    fill(vendors, "teamaaa", "t-1")
    run_id, state = run(airflow, "win_back")
    assert state == "success"
    path = f"dags/win_back/dagRuns/{run_id}/taskInstances/announce/xcomEntries/return_value"
    assert "2 people in Win back" in airflow.api("GET", path)["value"]
    assert run(airflow, "cohort_sync__of_the_team")[1] == "success"
    assert members(vendors, "Of the team") == {"t-1"}
