"""Mapped tasks and templates in real Airflow: events, memory and rows of their own for every segment."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import fill, members, run

pytestmark = pytest.mark.system

MAPPED = "mapped_syncs"


def events(airflow: AirflowInstance, dag_id: str) -> list[dict[str, Any]]:
    def answer() -> Any:
        # Airflow 3.3.2 answers 500 as long as a run that an event has created is queued.
        got = airflow.request(
            "GET", "/api/v2/assets/events", source_dag_id=dag_id, limit=100, order_by="timestamp"
        )
        return got.json() if got.ok else None

    found: list[dict[str, Any]] = airflow.wait_until(answer, "the events of the assets")["asset_events"]
    return found


def status(airflow: AirflowInstance, dag_id: str) -> dict[str, dict[str, Any]]:
    try:
        printed = airflow.command("cohort-sync", "status", dag_id, "-o", "json")
    except RuntimeError as error:  # it ends with 1 if a sync fails
        printed = str(error)
    shown = re.search(r"^\[$.*?^\]$", printed, re.MULTILINE | re.DOTALL)
    assert shown, printed
    return {row["sync"]: row for row in json.loads(shown[0])}


def test_every_part_of_a_mapped_task_is_a_sync(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "mapped_one", "m-1", "m-2")
    fill(vendors, "mapped_two", "m-3")
    airflow.wait_until(lambda: {MAPPED, "after_mapped_two"} <= airflow.dag_ids(), "the DAGs")
    airflow.unpause("after_mapped_two")
    assert run(airflow, MAPPED)[1] == "success"
    assert [members(vendors, name) for name in ("Mapped one", "Mapped two")] == [{"m-1", "m-2"}, {"m-3"}]
    made = events(airflow, MAPPED)
    assert len(made) == 2
    found = {(event["uri"], event["source_map_index"]): event["extra"] for event in made}
    uri = "customerio://customer_io_default/segments/name/Mapped%20"
    assert {key: extra["segment_after"] for key, extra in found.items()} == {
        (f"{uri}one", 0): 2,
        (f"{uri}two", 1): 1,
    }
    rows = status(airflow, MAPPED)
    assert {name: (row["cohort_id"], row["segment_name"], row["size"]) for name, row in rows.items()} == {
        "mapped_syncs · mapped_one": ("mapped_one", "Mapped one", 2),
        "mapped_syncs · mapped_two": ("mapped_two", "Mapped two", 1),
    }


def test_a_dag_starts_on_the_segment_of_one_part(airflow: AirflowInstance) -> None:
    started = airflow.wait_until(lambda: airflow.runs("after_mapped_two"), "the DAG to start")[0]
    assert airflow.wait_for_run("after_mapped_two", started["dag_run_id"]) == "success"
    assert airflow.report("after_mapped_two", started["dag_run_id"], "tell") == ["Mapped two"]


def test_a_list_in_another_order_mixes_nothing(airflow: AirflowInstance, vendors: Sandbox) -> None:
    before = len(events(airflow, MAPPED))
    assert run(airflow, MAPPED, {"reverse": True})[1] == "success"
    new = events(airflow, MAPPED)[before:]
    # Both segments are remembered from the run before, each under another map index than now.
    assert {(event["extra"]["segment_name"], event["source_map_index"]) for event in new} == {
        ("Mapped two", 0),
        ("Mapped one", 1),
    }
    assert [event["extra"]["unchanged"] for event in new] == [True, True]


def test_a_part_that_fails_is_the_only_one_that_does(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "mapped_one")
    run_id, state = run(airflow, MAPPED)
    assert state == "failed"
    rows = status(airflow, MAPPED)
    one, two = rows["mapped_syncs · mapped_one"], rows["mapped_syncs · mapped_two"]
    assert (two["state"], two["reason"]) == ("success", None)
    assert (one["state"], one["error"]) == ("failed", "GuardTrippedError")
    assert one["log"].endswith(f"/dags/{MAPPED}/runs/{quote(run_id, safe='')}/tasks/fill/mapped/0")
    page = airflow.request("GET", "/cohort-syncs/").text
    assert "mapped_syncs · mapped_one" in page
    assert "mapped_syncs · mapped_two" in page


def test_arguments_of_a_dag_and_mapped_groups_are_syncs(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "argument", "m-4")
    fill(vendors, "group_one", "m-5")
    fill(vendors, "group_two", "m-6", "m-7")
    assert run(airflow, "argument_sync")[1] == "success"
    assert run(airflow, "group_syncs")[1] == "success"
    (row,) = status(airflow, "argument_sync").values()
    assert (row["sync"], row["segment_name"], row["size"]) == ("argument_sync", "By argument", 1)
    assert {name: row["size"] for name, row in status(airflow, "group_syncs").items()} == {
        "group_syncs · group_one": 1,
        "group_syncs · group_two": 2,
    }
    assert run(airflow, "argument_sync", {"segment": "Another"})[1] == "success"
    assert set(status(airflow, "argument_sync")) == {"argument_sync · By argument", "argument_sync · Another"}
