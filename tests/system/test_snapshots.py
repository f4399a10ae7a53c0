"""Back to what a segment was, in real Airflow: by a run, by a backfill, and from a terminal."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.places import BUCKET, S3
from tests.system.helpers import PERSON, fill, finish_exports, members, run
from tests.system.test_privacy import kept as kept_by_airflow

pytestmark = pytest.mark.system

DAG = "cohort_sync__kept"
PEOPLE = [f"{PERSON}-{number:02}" for number in range(70)]
SECOND = {*PEOPLE[5:45]}
BAD = {*PEOPLE[45:]}


@pytest.fixture(scope="module", autouse=True)
def storage(airflow: AirflowInstance, s3: S3) -> Iterator[S3]:
    """The S3 on loopback, with the connection that leads to it."""
    body = {**s3.connection, "connection_id": "s3_of_snapshots", "extra": json.dumps(s3.connection["extra"])}
    airflow.api("POST", "connections", body)
    yield s3
    airflow.api("DELETE", "connections/s3_of_snapshots")


def run_of(airflow: AirflowInstance, moment: str, **conf: Any) -> tuple[str, str]:
    body = {"logical_date": moment, "conf": conf}
    run_id = airflow.api("POST", f"dags/{DAG}/dagRuns", body)["dag_run_id"]
    return run_id, airflow.wait_for_run(DAG, run_id)


def kept(s3: S3) -> dict[str, bytes]:
    found = s3.client.list_objects_v2(Bucket=BUCKET, Prefix="of the system tests/").get("Contents", [])
    return {
        each["Key"]: s3.client.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read() for each in found
    }


def ends_of_backfills(airflow: AirflowInstance) -> list[str | None]:
    return [each["completed_at"] for each in airflow.api("GET", "backfills", dag_id=DAG)["backfills"]]


@pytest.fixture(scope="module")
def three_days(airflow: AirflowInstance, vendors: Sandbox, storage: S3) -> list[str]:
    """Three days of a cohort that changes, and is badly defined on the third."""
    airflow.unpause(DAG)
    run_ids = []
    for day, people in enumerate((PEOPLE[:40], PEOPLE[5:45], PEOPLE[45:]), start=1):
        fill(vendors, "k3ptaaa", *people)
        allowed = {"allow_large_removal": True, "allow_short_cohort": True} if day == 3 else {}
        run_id, state = run_of(airflow, f"2026-02-0{day}T06:00:00Z", **allowed)
        assert state == "success"
        run_ids.append(run_id)
    assert members(vendors, "Kept") == BAD
    contents = [gzip.decompress(data) for name, data in kept(storage).items() if name.endswith(".gz")]
    assert [data.decode().split() for data in contents] == [PEOPLE[:40], PEOPLE[5:45], PEOPLE[45:]]
    return run_ids


def test_a_day_without_a_snapshot_is_a_named_error_and_touches_nobody(
    airflow: AirflowInstance, vendors: Sandbox, three_days: list[str]
) -> None:
    run_id, state = run_of(airflow, "2026-02-01T05:00:00Z", source="snapshot")
    assert state == "failed"
    assert airflow.task(DAG, run_id)["try_number"] == 1
    log = airflow.log(DAG, run_id)
    assert "SnapshotMissingError" in log
    assert "Nothing was written: the segment is as it was." in log
    assert members(vendors, "Kept") == BAD


def test_a_damaged_snapshot_is_a_named_error_and_touches_nobody(
    airflow: AirflowInstance, vendors: Sandbox, three_days: list[str], storage: S3
) -> None:
    name, whole = next((name, data) for name, data in kept(storage).items() if name.endswith(".gz"))
    storage.client.put_object(Bucket=BUCKET, Key=name, Body=whole[:-20])
    run_id, state = run_of(airflow, "2026-02-01T07:00:00Z", source="snapshot", allow_large_removal=True)
    storage.client.put_object(Bucket=BUCKET, Key=name, Body=whole)
    assert state == "failed"
    assert "SnapshotDamagedError" in airflow.log(DAG, run_id)
    assert members(vendors, "Kept") == BAD


def test_a_backfill_of_the_second_day_brings_it_back(
    airflow: AirflowInstance, vendors: Sandbox, three_days: list[str], storage: S3
) -> None:
    exports, before = vendors.count(api="amplitude", path_regex=r"/request/(k3ptaaa|k3ptbbb)$"), kept(storage)
    vendors.faults.add("drop", api="amplitude", times=0)  # nothing of Amplitude answers any more
    body = {
        "dag_id": DAG,
        "from_date": "2026-02-02T06:00:00Z",
        "to_date": "2026-02-02T06:00:00Z",
        "run_backwards": False,
        "reprocess_behavior": "completed",
        "dag_run_conf": {"source": "snapshot"},
    }

    def backfilled(trials: int) -> str:
        def ended() -> str | None:
            none_is_running = all(ends_of_backfills(airflow))
            task = airflow.task(DAG, three_days[1])
            if task["state"] in ("success", "failed") and task["try_number"] == trials:
                return str(task["state"])
            if none_is_running:  # not made yet, or only half made before SQLite was busy with another writer
                airflow.request("POST", "/api/v2/backfills", body)
            return None

        return airflow.wait_until(ended, "the run of the backfill")

    assert backfilled(2) == "failed"  # the guard asks first, as it would in any run
    assert "large_removal" in airflow.log(DAG, three_days[1], try_number=2)
    assert members(vendors, "Kept") == BAD
    # There can be one backfill at a time.
    airflow.wait_until(lambda: all(ends_of_backfills(airflow)), "the end of the backfill")
    body["dag_run_conf"] = {"source": "snapshot", "allow_large_removal": True}
    assert backfilled(3) == "success"
    vendors.faults.clear()
    assert members(vendors, "Kept") == SECOND
    report = airflow.report(DAG, three_days[1])
    assert (report["source"], report["snapshot_at"]) == ("snapshot", "2026-02-02T06:00:00Z")
    assert (report["added"], report["removed"], report["segment_after"]) == (40, 25, 40)
    assert (vendors.count(api="amplitude", path_regex=r"/request/(k3ptaaa|k3ptbbb)$"), kept(storage)) == (
        exports,
        before,
    )
    made = airflow.wait_until(
        lambda: [
            event
            for event in airflow.api("GET", "assets/events", source_dag_id=DAG, limit=100)["asset_events"]
            if event["extra"].get("source") == "snapshot"
        ],
        "the event of the segment",
    )
    assert [event["extra"]["snapshot_at"] for event in made] == ["2026-02-02T06:00:00Z"]
    log = airflow.log(DAG, three_days[1], try_number=3)
    assert "Restoring the snapshot of 2026-02-02T06:00:00Z" in log
    assert PERSON not in log


def test_targets_with_an_approval_go_back_without_an_export(
    airflow: AirflowInstance, vendors: Sandbox, storage: S3
) -> None:
    dag_id = "cohort_sync__kept_and_asked"
    fill(vendors, "k3ptbbb", "k-1", "k-2")
    first, state = run(airflow, dag_id)
    assert state == "success"
    moment = airflow.api("GET", f"dags/{dag_id}/dagRuns/{first}")["run_after"]
    for name in ("Kept and asked", "Kept as well"):
        segment = vendors.workspace.find_segment(name)
        segment.remove(segment.members)
    exports = vendors.count(api="amplitude", path_regex=r"/request/(k3ptaaa|k3ptbbb)$")
    run_id, state = run(airflow, dag_id, {"source": "snapshot", "snapshot_at": moment})
    assert state == "success"
    assert vendors.count(api="amplitude", path_regex=r"/request/(k3ptaaa|k3ptbbb)$") == exports
    assert members(vendors, "Kept and asked") == members(vendors, "Kept as well") == {"k-1", "k-2"}
    for task_id in ("sync__one", "sync__two"):
        assert airflow.report(dag_id, run_id, task_id)["source"] == "snapshot"


def test_from_a_terminal_while_the_dag_is_paused(airflow: AirflowInstance, vendors: Sandbox) -> None:
    Path(f"{airflow.home}-snapshots").mkdir(exist_ok=True)
    fill(vendors, "k3ptccc", "h-1", "h-2")
    vendors.configure(export_seconds=0.5)
    first, state = run(airflow, "kept_here")
    assert state == "success"
    moment = airflow.api("GET", f"dags/kept_here/dagRuns/{first}")["run_after"]
    fill(vendors, "k3ptccc", "h-3", "h-4")  # as many, but others
    vendors.configure(export_seconds=600)
    second = airflow.trigger("kept_here")
    airflow.wait_until(lambda: airflow.task("kept_here", second)["state"] == "running", "the second run")
    back = ("cohort-sync", "snapshot", "restore", "kept_here", "--at", moment, "--yes", "-o", "json")
    with pytest.raises(RuntimeError, match="of the DAG kept_here is active"):
        airflow.command(*back)
    finish_exports(vendors)
    assert airflow.wait_for_run("kept_here", second) == "success"
    airflow.api("PATCH", "dags/kept_here", {"is_paused": True})
    answer = airflow.command(*back)
    (row,) = json.loads(answer[answer.index("\n[\n") :])  # at the level DEBUG, Airflow itself prints before
    assert (row["status"], row["added"], row["removed"]) == ("restored", 2, 2)
    assert members(vendors, "Kept here") == {"h-1", "h-2"}
    # By its numbers, nothing has changed since the second run; but the next one knows better.
    _, state = run(airflow, "kept_here")
    assert state == "success"
    assert members(vendors, "Kept here") == {"h-3", "h-4"}


def test_what_others_change_and_whom_a_run_does_not_match(
    airflow: AirflowInstance, vendors: Sandbox, storage: S3
) -> None:
    dag_id, place = "cohort_sync__kept_and_explained", "s3://s3_of_snapshots@cohorts-of-a-test/explained"
    people = [f"{PERSON}-{number}" for number in range(10)]
    fill(vendors, "k3ptddd", *people[:8])
    fill(vendors, "k3ptddd", *people, known=False)
    first, state = run(airflow, dag_id)
    assert state == "success"
    assert airflow.report(dag_id, first)["joined_elsewhere"] is None
    segment = vendors.workspace.find_segment("Kept and explained")
    segment.by_hand_remove(segment.members[:2])
    segment.by_hand_add([vendors.workspace.add_person(id=f"{PERSON}-by-hand")])
    second, state = run(airflow, dag_id)
    report = airflow.report(dag_id, second)
    assert (state, report["joined_elsewhere"], report["left_elsewhere"]) == ("success", 1, 2)
    assert members(vendors, "Kept and explained") == {*people[:8]}

    def rows(*command: str) -> list[dict[str, Any]]:
        answer = airflow.command("cohort-sync", *command, "-o", "json")
        found: list[dict[str, Any]] = json.loads(answer[answer.index("\n[\n") :])
        return found

    assert [row["unknown"] for row in rows("unmatched", "list", "kept_and_explained")] == [2, 2]
    forgotten = rows("forget", people[0], people[9], "--path", place, "--yes")
    assert [row["removed"] for row in forgotten] == [2, 2, 1, 1]
    assert [row["unknown"] for row in rows("unmatched", "list", "kept_and_explained")] == [1, 1]
    (shown,) = rows("snapshot", "show", "kept_and_explained")
    assert shown["identifiers"] == 8


def test_a_tracked_sync_beside_members_whom_others_have_added(
    airflow: AirflowInstance, vendors: Sandbox, storage: S3
) -> None:
    dag_id, name = "cohort_sync__beside_others", "Beside others"
    people, others = [f"{PERSON}-{n}" for n in range(6)], [f"{PERSON}-other-{n}" for n in range(3)]
    by_hand = [vendors.workspace.add_person(id=each) for each in others]
    vendors.workspace.add_segment(name=name, members=by_hand)

    def next_run(*cohort: str) -> tuple[str, dict[str, Any]]:
        fill(vendors, "k3pteee", *cohort)
        run_id, state = run(airflow, dag_id)
        return state, airflow.report(dag_id, run_id) if state == "success" else {}

    state, report = next_run(*people[:4], others[0])
    assert (state, report["added"], report["tracked"]) == ("success", 4, 4)
    # The next run dies after it has added two people, one of whom leaves the cohort until it is tried again.
    fault = {"action": "status", "api": "app", "path": "membership", "status": 400, "after": 1, "times": 9}
    vendors.faults.add(**fault)
    assert next_run(*people[2:])[0] == "failed"
    vendors.faults.clear()
    assert members(vendors, name) >= {*people[4:]}
    state, report = next_run(*people[3:5])
    assert (state, report["removed"], report["tracked"], report["segment_after"]) == ("success", 2, 2, 5)
    assert members(vendors, name) == {*people[3:5], *others}
    answer = airflow.command("cohort-sync", "snapshot", "show", "beside_others", "-o", "json")
    (shown,) = json.loads(answer[answer.index("\n[\n") :])
    assert (shown["mode"], shown["identifiers"]) == ("tracked", 2)


def test_airflow_keeps_nobody_of_it(airflow: AirflowInstance, three_days: list[str]) -> None:
    everything = list(kept_by_airflow(airflow.home))
    assert any(
        name.endswith(".log") and "Stored a snapshot of 40 identifiers" in text for name, text in everything
    )
    assert {name for name, text in everything if PERSON in text} == set()
