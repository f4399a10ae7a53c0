"""A value that changed on its way is refused: text that became a number has lost its writing."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.sync.export import Export, ExportOf
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.test_export import exports


def run(sandbox, store, assets, xcoms, *, native: bool, params: dict[str, Any], **parameters: Any) -> Any:
    """Run the operator with templates that Airflow has rendered."""
    usual = {"task_id": "sync", "cohort_id": "a1b2c3d", "poll_interval": 0.05}
    with DAG(
        "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), render_template_as_native_obj=native
    ) as dag:
        operator = AmplitudeCohortToCustomerIOOperator(**{**usual, **parameters})
    operator.render_template_fields({"params": params, "dag": dag}, dag.get_template_env())
    context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    return operator.execute(context)


@pytest.fixture
def world(sandbox, no_pace, cohort) -> Any:
    cohort("a")
    return sandbox


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("segment_name", "1.10"),
        ("segment_name", "2026_07"),
        ("segment_name", "[1]"),
        ("segment_name", "True"),
        ("cohort_id", "12_34567"),
        ("cohort_id", "1234567"),
        ("customer_io_conn_id", "1"),
        ("amplitude_conn_id", "1"),
        ("user_id_property", "1"),
    ],
)
def test_text_that_a_native_template_made_something_else_of_is_refused(
    world, store, assets, xcoms, name: str, value: str
) -> None:
    parameters = {"segment_name": "Power users", name: "{{ params.x }}"}
    with pytest.raises(exceptions.ConfigurationError, match=f"{name} is .*must be text"):
        run(world, store, assets, xcoms, native=True, params={"x": value}, **parameters)
    assert exports(world) == 0
    assert world.workspace.segments == {}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", ["segment_name", "cohort_id", "user_id_property", "customer_io_conn_id"])
def test_a_template_that_rendered_to_nothing_is_refused(
    world, store, assets, xcoms, name: str, native: bool
) -> None:
    parameters = {"segment_name": "Power users", name: "{{ params.x }}"}
    with pytest.raises(exceptions.ConfigurationError, match=f"{name} is empty"):
        run(world, store, assets, xcoms, native=native, params={"x": None}, **parameters)
    assert exports(world) == 0
    assert world.workspace.segments == {}


def test_an_export_that_another_task_did_not_return_costs_no_other(world, store, assets, xcoms) -> None:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        export = EmptyOperator(task_id="export")
        operator = AmplitudeCohortToCustomerIOOperator(
            task_id="sync", cohort_id="a1b2c3d", segment_name="Power users", export=export.output
        )
    operator.export = None  # what Airflow makes of the output of a task that returned nothing
    with pytest.raises(exceptions.ConfigurationError, match="export is not what"):
        operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    assert exports(world) == 0


@pytest.mark.parametrize("native", [True, False])
def test_a_run_that_goes_back_to_a_snapshot_needs_no_export(
    world, store, assets, xcoms, tmp_path, native: bool
) -> None:
    source = {
        "source": "snapshot",
        "snapshot_at": "2026-01-31",
        "snapshot_path": tmp_path.as_uri(),
        "export": "{{ params.x }}",
    }
    with pytest.raises(exceptions.SnapshotMissingError):
        run(
            world,
            store,
            assets,
            xcoms,
            native=native,
            params={"x": None},
            segment_name="Power users",
            **source,
        )


@pytest.mark.parametrize("native", [True, False])
def test_an_export_that_rendered_to_nothing_costs_no_other(world, store, assets, xcoms, native: bool) -> None:
    template = {"segment_name": "Power users", "export": "{{ params.x }}"}
    with pytest.raises(exceptions.ConfigurationError, match="export is not what"):
        run(world, store, assets, xcoms, native=native, params={"x": None}, **template)
    assert exports(world) == 0
    assert world.workspace.segments == {}


def test_a_segment_may_be_called_none_where_no_template_says_so(world, store, assets, xcoms) -> None:
    report = run(world, store, assets, xcoms, native=False, params={}, segment_name="None")
    assert report["segment_name"] == "None"


@pytest.mark.parametrize("native", [True, False])
def test_a_number_may_be_rendered_where_a_number_is_meant(world, store, assets, xcoms, native: bool) -> None:
    segment = world.workspace.add_segment(name="Chosen")
    params = {"x": str(segment.id)}
    report = run(world, store, assets, xcoms, native=native, params=params, segment_id="{{ params.x }}")
    assert report["segment_id"] == segment.id


@pytest.mark.parametrize("value", ["011", "1_1", "11.0", "+11", "", "None"])
def test_another_writing_of_a_number_is_refused(world, store, assets, xcoms, value: str) -> None:
    world.workspace.add_segment(name="Chosen")
    with pytest.raises(exceptions.ConfigurationError, match="segment_id"):
        run(world, store, assets, xcoms, native=False, params={"x": value}, segment_id="{{ params.x }}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("snapshot_keep_last", 2.5),
        ("snapshot_keep_days", float("nan")),
        ("export_timeout", float("inf")),
        ("poll_interval", float("nan")),
        ("max_removal_percent", 101),
        ("export_reserve", True),
        ("mode", "copy"),
        ("cohort_id", 1234567),
        ("cohort_id", "https://app.amplitude.com/analytics/acme/cohort/a1b2c3d"),
        ("customer_io_conn_id", "${CUSTOMER_IO}"),
    ],
)
def test_what_is_set_after_the_dag_was_read_has_the_same_bounds(
    world, store, assets, xcoms, tmp_path, name: str, value: Any
) -> None:
    operator = AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="a1b2c3d", segment_name="S", snapshot_path=tmp_path.as_uri()
    )
    setattr(operator, name, value)
    with pytest.raises(exceptions.ConfigurationError, match=f"^{name} is "):
        operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    assert world.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("cohort_id", "https://app.amplitude.com/analytics/acme/cohort/a1b2c3d", "Did you mean a1b2c3d?"),
        ("cohort_id", "a1b2\u200bc3d", "it contains the invisible character"),
        ("amplitude_conn_id", "my project", "is not a connection id"),
        ("dry_run", "2", "it must be true or false"),
        ("snapshot_path", "cohorts", "it must be an address with a scheme"),
    ],
)
def test_what_a_template_renders_has_the_same_bounds(
    world, store, assets, xcoms, name: str, value: str, words: str
) -> None:
    parameters = {"segment_name": "Power users", name: "{{ params.x }}"}
    with pytest.raises(exceptions.ConfigurationError, match=f"^{name} is ") as caught:
        run(world, store, assets, xcoms, native=False, params={"x": value}, **parameters)
    assert words in str(caught.value)
    assert world.requests == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("export_timeout", float("inf")),
        ("properties", ["user_id", ""]),
        ("syncs", [{"id_type": "id"}]),
    ],
)
def test_the_export_task_has_the_same_bounds(world, store, name: str, value: Any) -> None:
    operator = AmplitudeCohortExportOperator(task_id="export", cohort_id="a1b2c3d")
    setattr(operator, name, value)
    with pytest.raises(exceptions.ConfigurationError, match=f"^{name}"):
        operator.execute({"task_state_store": store})
    assert world.requests == []


@pytest.mark.parametrize(
    ("conn_id", "fields", "words"),
    [
        ("amplitude_default", {"extra": {"proxies": "socks5://127.0.0.1:9"}}, "unknown scheme: socks5"),
        ("amplitude_default", {"extra": {"organization": 7}}, "organization in the extra"),
        ("customer_io_default", {"extra": {"requests_per_second": "10 per second"}}, "requests_per_second"),
        ("customer_io_default", {"extra": {"max_concurrent_tasks": 0.5}}, "max_concurrent_tasks"),
        ("customer_io_default", {"login": 4711}, "The field login of connection"),
    ],
)
def test_a_connection_that_no_client_can_use_costs_no_export(
    world, sync, connect, conn_id: str, fields: dict[str, Any], words: str
) -> None:
    connect(conn_id, conn_id, **fields)
    with pytest.raises(exceptions.ConfigurationError) as caught:
        sync(deferrable=True)
    assert words in caught.value.headline
    assert exports(world) == 0


def test_an_export_that_is_dated_in_the_future_is_not_used(world, sync) -> None:
    of = ExportOf.of("a1b2c3d", ("user_id",), "amplitude_default")
    given = Export("7", of, time.time() + 3600)
    with pytest.raises(exceptions.ExportMismatchError, match="is dated in the future") as caught:
        sync(export=given.to_dict())
    assert caught.value.segment_touched is False
    assert exports(world) == 0


def test_the_property_may_be_a_template(world, store, assets, xcoms) -> None:
    report = run(
        world,
        store,
        assets,
        xcoms,
        native=False,
        params={"p": "user_id"},
        segment_name="Power users",
        user_id_property="{{ params.p }}",
    )
    assert report["added"] == 1


@pytest.mark.parametrize("name", ["id_type", "mode"])
def test_what_cannot_be_a_template_refuses_one_when_the_dag_is_read(name: str) -> None:
    with pytest.raises(exceptions.ConfigurationError, match=f"{name} is"):
        AmplitudeCohortToCustomerIOOperator(
            task_id="sync", cohort_id="a1b2c3d", segment_name="S", **{name: "{{ params.x }}"}
        )
