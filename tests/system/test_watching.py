"""What others can see of a sync in real Airflow: links, asset events, lineage, metrics."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.conftest import Metrics
from tests.system.helpers import PERSON, fill, finish_exports, run

pytestmark = pytest.mark.system

DAG = "cohort_sync__watched"
SEGMENT = "customerio://customer_io_default/segments/name/Watched"
NAME = 'Customer.io segment "Watched" (customer_io_default)'


def links(airflow: AirflowInstance, run_id: str) -> dict[str, str]:
    path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances/sync/links"
    found: dict[str, str] = airflow.api("GET", path)["extra_links"]
    return found


def test_the_task_links_to_cohort_and_segment_also_while_it_is_deferred(airflow, vendors: Sandbox) -> None:
    fill(vendors, "watched", "w-1", "w-2")
    fill(vendors, "watched", "w-1", "w-2", "nobody-knows", known=False)
    vendors.configure(export_seconds=600)
    airflow.unpause("campaign")
    airflow.unpause(DAG)
    run_id = airflow.trigger(DAG)
    airflow.wait_until(lambda: airflow.task(DAG, run_id)["state"] == "deferred", "the task to be deferred")
    workspace = f"https://fly.customer.io/workspaces/{vendors.workspace.environment_id}/journeys/segments"
    cohort = "https://analytics.amplitude.com/cohort/watched"
    # Airflow stores the links of a task right after its state.
    shown = airflow.wait_until(lambda: all((found := links(airflow, run_id)).values()) and found, "the links")
    assert shown == {"Amplitude cohort": cohort, "Customer.io segment": workspace}
    finish_exports(vendors)
    assert airflow.wait_for_run(DAG, run_id) == "success"
    segment = vendors.workspace.find_segment("Watched")
    assert segment is not None
    wanted = f"{workspace}/{segment.id}"
    airflow.wait_until(lambda: links(airflow, run_id)["Customer.io segment"] == wanted, "the segment's link")


def events(airflow: AirflowInstance) -> list[dict[str, Any]]:
    def answer() -> Any:
        # Airflow 3.3.2 answers 500 as long as a run that an event has created is queued.
        path = "/api/v2/assets/events"
        got = airflow.request("GET", path, source_dag_id=DAG, limit=100, order_by="timestamp")
        return got.json() if got.ok else None

    found: list[dict[str, Any]] = airflow.wait_until(answer, "the events of the assets")["asset_events"]
    return found


def test_a_campaign_starts_on_the_segment_and_reads_its_counts(airflow: AirflowInstance) -> None:
    event = airflow.wait_until(lambda: events(airflow), "the event of the segment")[0]
    assert event["uri"] == SEGMENT
    assert (event["extra"]["added"], event["extra"]["unmatched"]) == (2, 1)
    assert event["extra"]["exports_limit"] == 500
    started = airflow.wait_until(lambda: airflow.runs("campaign"), "the campaign to start")[0]
    assert started["run_type"] == "asset_triggered"
    assert airflow.wait_for_run("campaign", started["dag_run_id"]) == "success"
    assert airflow.report("campaign", started["dag_run_id"], "start") == {
        "added": 2,
        "segment_after": 2,
        "match_rate": pytest.approx(2 / 3),
    }


def test_a_dry_run_starts_no_campaign(airflow: AirflowInstance) -> None:
    before = len(events(airflow))
    assert run(airflow, DAG, {"dry_run": True})[1] == "success"
    assert len(events(airflow)) == before
    assert run(airflow, DAG)[1] == "success"
    assert len(events(airflow)) == before + 1


def test_cohort_and_segment_are_assets_at_both_ends_of_the_dag(airflow: AirflowInstance) -> None:
    graph = airflow.request("GET", "/ui/dependencies", node_id=f"dag:{DAG}").json()
    labels = {node["id"]: node["label"] for node in graph["nodes"]}
    ends = {(labels[edge["source_id"]], labels[edge["target_id"]]) for edge in graph["edges"]}
    assert (DAG, NAME) in ends
    assert (NAME, "campaign") in ends
    [cohort] = airflow.api("GET", "assets", uri_pattern="amplitude://%/cohorts/watched")["assets"]
    assert [task["dag_id"] for task in cohort["consuming_tasks"]] == [DAG]


def test_the_metrics_carry_the_tags_of_the_task(airflow: AirflowInstance, metrics: Metrics) -> None:
    prefix = "airflow.cio_cohort."
    # The account's, which has no task: other syncs tell it as well, and those of other accounts theirs.
    account = "amplitude_conn_id=amplitude_default"

    def sent() -> dict[str, tuple[str, str]]:
        found = {}
        for packet in list(metrics.packets):
            name, _, value = packet.partition(":")
            metric, _, tags = name.partition(",")
            if metric.startswith(prefix) and (f"dag_id={DAG}," in tags or tags == account):
                found.setdefault(metric.removeprefix(prefix), (value, tags))
        return found if {"exports_left", "duration"} <= found.keys() else {}

    found = airflow.wait_until(sent, "the metrics")
    assert found.pop("exports_left")[1] == account
    assert {tags for _, tags in found.values()} == {f"dag_id={DAG},task_id=sync"}
    assert found.pop("duration")[0].endswith("|ms")
    assert float(found.pop("match_rate")[0].removesuffix("|g")) == pytest.approx(2 / 3)
    assert {metric: value for metric, (value, _) in found.items()} == {
        "members_added": "2|c",
        "members_removed": "0|c",
        "segment_size": "2|g",
        "unmatched": "1|g",
        "not_removable": "0|g",
        "rejected": "0|g",
    }


def test_open_lineage_says_cohort_to_segment(airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "tracedaa", PERSON)
    assert run(airflow, "traced")[1] == "success"
    path = airflow.home / "lineage.jsonl"

    def completed() -> dict[str, Any] | None:
        told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return next(
            (e for e in told if e["eventType"] == "COMPLETE" and e["job"]["name"] == "traced.sync"), None
        )

    event = airflow.wait_until(completed, "the lineage of the task")
    ends = [[(end["namespace"], end["name"]) for end in event[side]] for side in ("inputs", "outputs")]
    assert ends == [
        [("amplitude://amplitude_default", "cohorts/tracedaa")],
        [("customerio://customer_io_default", "segments/name/Traced people")],
    ]
    assert PERSON not in json.dumps(event)
