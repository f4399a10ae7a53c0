"""Tasks whose segment is known only when they run: templates, mapped tasks, mapped task groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.assets import LATE_URI, late_segments, segment_asset
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.conftest import Store
from tests.integration.operator.test_export import exports

ALIAS = "customer_io_segments"
SYNCS = [
    {"cohort_id": "a1b2c3d", "segment_name": "One"},
    {"cohort_id": "b1b2c3d", "segment_name": "Two"},
]


def mapped(**parameters: Any) -> Any:
    with DAG("mine", schedule=None):
        return AmplitudeCohortToCustomerIOOperator.partial(
            task_id="fill", poll_interval=0.05, **parameters
        ).expand_kwargs(SYNCS)


def templated(**parameters: Any) -> AmplitudeCohortToCustomerIOOperator:
    return AmplitudeCohortToCustomerIOOperator(
        **{"task_id": "fill", "cohort_id": "a1b2c3d", "segment_name": "{{ params.segment }}", **parameters}
    )


def names(ends: list[Any]) -> list[str]:
    return [end.name if isinstance(end, AssetAlias) else end.uri for end in ends]


@pytest.fixture
def parts(cohort, sync) -> Callable[..., list[tuple[dict[str, Any], Any]]]:
    """Run the parts of a mapped task; return the report of each, and the events that it makes."""
    cohort("a-1", "a-2", id="a1b2c3d")
    cohort("b-1", id="b1b2c3d")

    def run(*indexes: int, **parameters: Any) -> list[tuple[dict[str, Any], Any]]:
        done = []
        for index in indexes or (0, 1):
            operator = mapped(**parameters).unmap(SYNCS[index])
            events = OutletEventAccessors()
            report = sync(ready=operator, context={"outlet_events": events})
            done.append((report, events))
        return done

    return run


def test_a_mapped_task_is_found_by_an_inlet_and_has_an_alias() -> None:
    task = mapped()
    assert names(task.inlets) == [LATE_URI, "customerio://customer_io_default/"]
    assert names(task.outlets) == [ALIAS]
    part = task.unmap(SYNCS[0])
    assert (names(part.inlets)[0], names(part.outlets)) == (LATE_URI, [ALIAS])


def test_so_is_a_task_with_a_template() -> None:
    assert names(templated().inlets) == [
        LATE_URI,
        "amplitude://amplitude_default/cohorts/a1b2c3d",
        "customerio://customer_io_default/",
    ]
    assert names(templated().outlets) == [ALIAS]


def test_an_alias_of_ones_own_takes_the_place_of_ours() -> None:
    mine = AssetAlias("mine")
    assert names(mapped(outlets=[mine]).outlets) == ["mine"]
    assert names(templated(outlets=[mine]).outlets) == ["mine"]


def test_a_dry_run_has_none() -> None:
    assert names(mapped(dry_run=True).outlets) == names(templated(dry_run=True).outlets) == []


def test_the_workspace_of_a_mapped_task_is_that_of_its_connection() -> None:
    assert names(mapped(customer_io_conn_id="eu").inlets) == [LATE_URI, "customerio://eu/"]
    with DAG("mine", schedule=None, default_args={"customer_io_conn_id": "eu"}):
        task = AmplitudeCohortToCustomerIOOperator.partial(task_id="fill").expand_kwargs(SYNCS)
    assert names(task.inlets) == [LATE_URI, "customerio://eu/"]


def test_a_wrong_parameter_of_all_parts_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(exceptions.ConfigurationError, match=r"^Task fill of DAG mine: mode is 'miror'"):
        mapped(mode="miror")


def test_a_part_without_a_required_parameter_names_the_task() -> None:
    with pytest.raises(exceptions.ConfigurationError, match=r"^Task fill of DAG mine: cohort_id is missing"):
        mapped().unmap({"segment_name": "One"})


def test_each_part_makes_the_event_of_its_own_segment(parts) -> None:
    for (report, events), name in zip(parts(), ("One", "Two"), strict=True):
        [alias] = events
        assert alias == AssetAlias(ALIAS)
        [event] = events[alias].asset_alias_events
        assert event.dest_asset_key.to_asset() == segment_asset(name)
        assert event.extra["segment_name"] == name
        assert event.extra["added"] == report["added"]


def test_a_dry_run_makes_no_event(parts) -> None:
    for _, events in parts(dry_run=True):
        assert len(events) == 0


def test_nothing_that_is_remembered_of_one_part_is_known_to_another(parts, assets, sandbox) -> None:
    """With one key in one store, the second part would take the segment of the first for its own."""
    parts()
    kept = assets[late_segments()].kept
    beginnings = {key.partition(".")[0] for key in kept}
    assert len(beginnings) == 2
    assert {key.split(".")[1] for key in kept} == {"segment", "writes", "last_sync"}
    one, two = (sandbox.workspace.find_segment(name) for name in ("One", "Two"))
    assert [person.id for person in one.members] == ["a-1", "a-2"]
    assert [person.id for person in two.members] == ["b-1"]


def test_a_part_remembers_its_last_run_whatever_its_index_is_then(parts, sandbox) -> None:
    parts()
    [(report, events)] = parts(1, skip_unchanged=True)
    assert report["unchanged"] is True
    assert (report["segment_name"], report["segment_after"]) == ("Two", 1)
    assert exports(sandbox) == 2
    [event] = events[AssetAlias(ALIAS)].asset_alias_events
    assert event.dest_asset_key.to_asset() == segment_asset("Two")


def test_a_template_that_rendered_to_braces_is_a_name(cohort, sync, sandbox) -> None:
    cohort("a-1")
    operator = templated(poll_interval=0.05)
    operator.segment_name = "{{ as it is }}"
    events = OutletEventAccessors()
    sync(ready=operator, context={"outlet_events": events})
    [event] = events[AssetAlias(ALIAS)].asset_alias_events
    assert (
        event.dest_asset_key.uri
        == "customerio://customer_io_default/segments/name/%7B%7B%20as%20it%20is%20%7D%7D"
    )


def test_where_a_mapping_decides_the_workspace_nothing_seen_of_another_is_used(
    cohort, sync, connect, caplog
) -> None:
    cohort("a-1")
    part = mapped().unmap({**SYNCS[0], "customer_io_conn_id": connect("customer_io_default")})

    class Stores(dict[str, Any]):
        def __getitem__(self, asset: Any) -> Any:
            return super().__getitem__(asset.uri)

    assert sync(ready=part, context={"asset_state_store": Stores({LATE_URI: Store()})})["added"] == 1
    assert "state store cannot be reached" not in caplog.text
