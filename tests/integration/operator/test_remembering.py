"""What is remembered of a segment holds for that segment, that workspace and that sync alone."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, Asset, Param, task_group
from airflow.sdk.definitions.param import DagParam

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.assets import LATE_ALIAS, LATE_URI, known_segment
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.test_export import exports
from tests.integration.operator.test_sync import members


def drop_memory(assets) -> None:
    assets.clear()


def test_a_run_that_wrote_and_failed_is_not_unchanged_for_ever(sandbox, cohort, sync) -> None:
    made = cohort("a", "b", "c")
    sync(skip_unchanged=True)
    segment = sandbox.workspace.find_segment("Power users")
    outsider = sandbox.workspace.add_person(id="x")

    def swap(request: Any) -> None:
        segment.by_hand_remove([segment.members[0]])
        segment.by_hand_add([outsider])

    # The run writes (it brings somebody back), and fails at the end with as many members as before.
    segment.by_hand_remove([segment.members[0]])
    sandbox.at_request(swap, api="track", path="add_customers", after=0)
    sandbox.faults.add("status", api="track", path="add_customers", status=409)
    with pytest.raises(exceptions.PermanentError):
        sync(skip_unchanged=True)
    segment.by_hand_add([sandbox.workspace.person("a")])
    while len(segment.members) > 3:
        segment.by_hand_remove([sandbox.workspace.person("b")])
    assert len(segment.members) == 3
    assert made.last_computed
    assert "unchanged" not in sync(skip_unchanged=True)
    assert members(sandbox) == {"a", "b", "c"}


def test_what_cannot_be_voided_stops_the_run_before_the_first_write(sandbox, cohort, sync, assets) -> None:
    cohort("a")
    sync()
    for store in assets.values():

        def fail(*arguments: Any, **how: Any) -> None:
            raise RuntimeError("away")

        store.set = fail
    cohort("a", "b")
    with pytest.raises(exceptions.StateStoreError) as caught:
        sync()
    assert caught.value.segment_touched is False
    assert members(sandbox) == {"a"}


def test_what_cannot_be_read_is_not_overwritten_and_stops_the_run(sandbox, cohort, sync, assets) -> None:
    cohort("a")
    sync()
    store = assets[known_segment("customer_io_default", "Power users", None)]
    kept, get = dict(store.kept), store.get

    def fail(*arguments: Any) -> None:
        raise RuntimeError("away")

    store.get = fail
    cohort("a", "b")
    with pytest.raises(exceptions.StateStoreError):
        sync()
    store.get = get
    assert store.kept == kept
    assert members(sandbox) == {"a"}
    assert sandbox.project.used == 1


def test_what_cannot_be_read_makes_no_second_segment(sandbox, cohort, sync, assets) -> None:
    segment = sandbox.workspace.add_segment(name="Power users")  # made by hand: nothing marks it
    cohort("a")
    sync()
    segment.name = "Champions"
    store = assets[known_segment("customer_io_default", "Power users", None)]

    def fail(*arguments: Any) -> None:
        raise RuntimeError("away")

    get, store.get = store.get, fail
    cohort("a", "b")
    with pytest.raises(exceptions.StateStoreError):
        sync()
    assert sandbox.workspace.find_segment("Power users") is None
    store.get = get
    sync()
    assert len(segment.members) == 2


def test_a_segment_that_was_made_anew_with_as_many_members_is_not_unchanged(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync(skip_unchanged=True)
    workspace = sandbox.workspace
    workspace.delete_segment(workspace.find_segment("Power users"))
    strangers = [workspace.add_person(id=each) for each in ("x", "y")]
    workspace.add_segment(name="Power users", members=strangers)
    report = sync(skip_unchanged=True, adopt_segment=True)
    assert "unchanged" not in report
    assert members(sandbox) == {"a", "b"}


def test_another_workspace_of_equal_size_is_not_unchanged(sandbox, cohort, sync, monkeypatch) -> None:
    import json

    cohort("a", "b")
    sync(skip_unchanged=True)
    other = sandbox.add_workspace(site_id="o-site", tracking_key="o-key", app_key="o-app")
    for each in ("a", "b"):
        other.add_person(id=each)
    strangers = [other.add_person(id=each) for each in ("x", "y")]
    segment = other.add_segment(name="Power users", members=strangers)
    monkeypatch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(sandbox.connection_to(other)))
    report = sync(skip_unchanged=True, adopt_segment=True)
    assert "unchanged" not in report
    assert {person.id for person in segment.members} == {"a", "b"}


def test_another_sync_of_the_segment_is_no_reason_to_take_it_for_unchanged(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync(skip_unchanged=True)
    segment = sandbox.workspace.find_segment("Power users")
    # An add_only sync of other people adds one, and by hand one goes: as many as before, and others.
    sandbox.workspace.add_person(id="x")
    rows = [{"amplitude_id": "1", "user_id": "x"}]
    sandbox.project.add_cohort(id="b2c3d4e", name="Others", rows=rows)
    sync(cohort_id="b2c3d4e", mode="add_only")
    segment.by_hand_remove([sandbox.workspace.person("a")])
    assert "unchanged" not in sync(skip_unchanged=True)
    assert members(sandbox) == {"a", "b"}


def test_an_add_only_sync_does_not_blind_the_guard_of_a_mirror(sandbox, cohort, sync) -> None:
    ids = [f"u-{n}" for n in range(100)]
    cohort(*ids)
    sync()
    sandbox.project.add_cohort(id="b2c3d4e", name="Others", rows=[{"amplitude_id": "1", "user_id": "u-1"}])
    sync(cohort_id="b2c3d4e", mode="add_only")
    made = cohort(*ids[:60])
    made.listed = False  # nothing but the last sync tells how large it should be
    with pytest.raises(exceptions.GuardTrippedError, match="short_cohort"):
        sync(max_removal_percent=90)


def test_where_nothing_is_remembered_skip_unchanged_says_so(sandbox, cohort, sync, caplog) -> None:
    cohort("a")
    sync()
    sync(skip_unchanged=True, context={"asset_state_store": None})
    assert "skip_unchanged has no effect" in caplog.text
    assert exports(sandbox) == 2


WORKSPACE = "customerio://customer_io_default/"


def assets_of(**parameters: Any) -> set[str]:
    operator = AmplitudeCohortToCustomerIOOperator(
        task_id="sync", **{"cohort_id": "a1b2c3d", "segment_name": "S", **parameters}
    )
    return {asset.uri for asset in (*operator.inlets, *operator.outlets) if isinstance(asset, Asset)} - {
        WORKSPACE
    }


@pytest.mark.parametrize("make", [lambda dag: DagParam(dag, "x", "y"), lambda dag: Param("x")])
def test_only_plain_text_is_an_asset(make) -> None:
    value = make(DAG("d", schedule=None))
    assert assets_of(segment_name=value) == {LATE_URI, "amplitude://amplitude_default/cohorts/a1b2c3d"}
    assert assets_of(cohort_id=value) == {"customerio://customer_io_default/segments/name/S"}


def test_a_mapped_task_group_has_no_asset_of_an_objects_address() -> None:
    with DAG("d", schedule=None) as dag:

        @task_group
        def fill(name: str) -> None:
            AmplitudeCohortToCustomerIOOperator(task_id="sync", cohort_id="a1b2c3d", segment_name=name)

        fill.expand(name=["one", "two"])
    (operator,) = dag.tasks
    assert operator.outlets == [LATE_ALIAS]
    assert [asset.uri for asset in operator.inlets] == [
        LATE_URI,
        "amplitude://amplitude_default/cohorts/a1b2c3d",
        WORKSPACE,
    ]


def test_a_number_is_an_asset() -> None:
    assert "customerio://customer_io_default/segments/id/17" in assets_of(segment_name=None, segment_id=17)
