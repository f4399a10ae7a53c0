"""What a sync tells while it runs and when it is done: progress, links, the asset's event."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

SEGMENT = "customerio://customer_io_default/segments/name/Power%20users"
COHORT = "amplitude://amplitude_default/cohorts/a1b2c3d"
WORKSPACE = "customerio://customer_io_default/"


@dataclass
class Event:
    extra: dict[str, Any] = field(default_factory=dict)


def operator(**parameters: Any) -> AmplitudeCohortToCustomerIOOperator:
    usual = {"task_id": "sync", "cohort_id": "a1b2c3d", "segment_name": "Power users", "poll_interval": 0.05}
    return AmplitudeCohortToCustomerIOOperator(**{**usual, **parameters})


def uris(assets: list[Any]) -> list[str]:
    return [asset.uri for asset in assets]


def test_cohort_and_segment_are_the_ends_of_the_task() -> None:
    task = operator()
    assert (uris(task.inlets), uris(task.outlets)) == ([COHORT, WORKSPACE], [SEGMENT])


def test_a_task_that_only_looks_produces_no_segment() -> None:
    task = operator(dry_run=True)
    assert (uris(task.inlets), uris(task.outlets)) == ([COHORT, SEGMENT, WORKSPACE], [])


def test_a_task_that_exports_for_others_reads_their_segments() -> None:
    syncs = [{"segment_name": "Power users"}, {"segment_name": "{{ params.x }}"}]
    task = AmplitudeCohortExportOperator(task_id="export", cohort_id="a1b2c3d", syncs=syncs)
    assert (uris(task.inlets), uris(task.outlets)) == ([SEGMENT], [COHORT])
    lineage = task.get_openlineage_facets_on_start()
    assert (lineage.inputs, [each.name for each in lineage.outputs]) == ([], ["cohorts/a1b2c3d"])


def execute(
    task: AmplitudeCohortToCustomerIOOperator, store: Any, assets: Any, xcoms: Any
) -> dict[Any, Event]:
    events: dict[Any, Event] = defaultdict(Event)
    context: Any = {
        "task_state_store": store,
        "asset_state_store": assets,
        "ti": xcoms,
        "outlet_events": events,
    }
    task.execute(context)
    return events


def test_the_event_of_the_segment_carries_the_counts(cohort, no_pace, store, assets, xcoms) -> None:
    cohort("planted-person", "u-2")
    task = operator()
    events = execute(task, store, assets, xcoms)
    [(asset, event)] = events.items()
    assert asset.uri == SEGMENT
    assert (event.extra["added"], event.extra["segment_after"], event.extra["match_rate"]) == (2, 2, 1.0)
    assert (event.extra["exports_used"], event.extra["exports_limit"]) == (1, 500)
    assert datetime.fromisoformat(event.extra["exports_at"]) <= datetime.now(UTC)
    assert (event.extra["cohort_name"], event.extra["cohort_url"]) == (
        "Power users",
        "https://analytics.amplitude.com/cohort/a1b2c3d",
    )
    assert event.extra["segment_url"].endswith(f"/journeys/segments/{event.extra['segment_id']}")
    assert event.extra["duration"] > 0
    assert "planted-person" not in str(event.extra)


def test_a_dry_run_by_form_makes_no_event(cohort, no_pace, store, assets, xcoms) -> None:
    cohort("u-1")
    task = operator(dry_run="True")
    assert uris(task.outlets) == [SEGMENT]
    assert not execute(task, store, assets, xcoms)
    assert task.outlets == []


def test_a_skipped_run_makes_an_event_too(cohort, no_pace, store, assets, xcoms) -> None:
    cohort("u-1")
    execute(operator(skip_unchanged=True), store, assets, xcoms)
    store.kept = {}
    events = execute(operator(skip_unchanged=True), store, assets, xcoms)
    [event] = events.values()
    assert event.extra["unchanged"] is True
    assert (event.extra["added"], event.extra["segment_after"]) == (0, 1)


@pytest.mark.parametrize("organization", ["acme", "https://app.eu.amplitude.com/analytics/acme/home?x=1"])
@pytest.mark.parametrize("region", ["eu", "Europe"])
def test_the_links_lead_to_cohort_and_segment_in_their_region(
    sandbox, connect, cohort, no_pace, store, assets, xcoms, region: str, organization: str
) -> None:
    cohort("u-1")
    sandbox.workspace.region = sandbox.project.region = "eu"
    amplitude = connect(
        "amplitude_default", "amplitude_eu", extra={"region": region, "organization": organization}
    )
    customer_io = connect("customer_io_default", "customer_io_eu", extra={"region": region})
    task = operator(amplitude_conn_id=amplitude, customer_io_conn_id=customer_io)
    before = [link.get_link(task, ti_key=None) for link in task.operator_extra_links]
    assert before == ["", ""]
    execute(task, store, assets, xcoms)
    segment = sandbox.workspace.find_segment("Power users")
    workspace = sandbox.workspace.environment_id
    assert {link.name: link.get_link(task, ti_key=None) for link in task.operator_extra_links} == {
        "Amplitude cohort": "https://app.eu.amplitude.com/analytics/acme/cohort/a1b2c3d",
        "Customer.io segment": (
            f"https://eu.fly.customer.io/workspaces/{workspace}/journeys/segments/{segment.id}"
        ),
    }


def test_links_are_there_while_the_task_is_deferred_and_survive_it(sandbox, sync, cohort) -> None:
    cohort("u-1")
    sandbox.configure(export_seconds=0.3)
    seen: list[dict[str, Any]] = []

    class Watched(AmplitudeCohortToCustomerIOOperator):
        def defer(self, **arguments: Any) -> Any:
            seen.append(dict(arguments["kwargs"]["carried"]))
            super().defer(**arguments)

    report = sync(operator_class=Watched, deferrable=True)
    [carried] = seen
    assert carried["cohort_url"] == "https://analytics.amplitude.com/cohort/a1b2c3d"
    assert carried["segment_url"].endswith(f"/{sandbox.workspace.environment_id}/journeys/segments")
    assert report["added"] == 1


def test_long_work_tells_of_its_progress(
    sandbox, sync, cohort, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__PROGRESS_INTERVAL", "1e-9")
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 2)
    monkeypatch.setattr(membership, "IDENTIFIERS_PER_BATCH", 2)
    people = [f"u-{n}" for n in range(5)]
    cohort(*people)
    with caplog.at_level(logging.INFO):
        sync()
    segment = sandbox.workspace.find_segment("Power users")
    told = "\n".join(caplog.messages)
    for words in (
        "Downloading: ",
        f"Adding to segment {segment.id}: 4 of 5 identifiers in 2 batches, ",
        f"Reading segment {segment.id}: 2 of 5 members in 1 pages, ",
        f"Reading segment {segment.id}: 4 of 5 members in 2 pages, ",
    ):
        assert words in told
    assert not any(person in told for person in people)
