"""A task that exports for others checks first what these will need: an export is not spent for nobody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.dag_generation.builder import build_dags
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from tests.integration.operator.test_export import exports

SYNC = {"segment_name": "Power users"}


def checked(sync: Callable[..., Any], *syncs: dict[str, Any], **more: Any) -> Any:
    """Export for these syncs."""
    return sync.attempt(  # type: ignore[attr-defined]
        operator_class=AmplitudeCohortExportOperator, task_id="export", syncs=list(syncs), **more
    )


def twice(sandbox: Any) -> None:
    for _ in range(2):
        sandbox.workspace.add_segment(name="Power users")


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("arrange", "parameters", "error"),
    [
        (None, {"snapshot_path": "file:///not/mounted"}, exceptions.SnapshotStorageError),
        (None, {"snapshot_path": "s4://bucket/cohorts"}, exceptions.ConfigurationError),
        (
            lambda s: s.workspace.add_segment(name="Power users", type="dynamic"),
            {},
            exceptions.DataDrivenSegmentError,
        ),
        (twice, {}, exceptions.AmbiguousSegmentError),
        (None, {"segment_name": None, "segment_id": 987654}, exceptions.UnknownSegmentError),
        (None, {"user_id_property": "mail"}, exceptions.ExportMismatchError),
        (None, {"cohort_id": "bbbbbbb"}, exceptions.ExportMismatchError),
        (
            lambda s: s.configure(email_identifies=False),
            {"id_type": "email"},
            exceptions.MappingError,
        ),
        (None, {"customer_io_conn_id": "nowhere"}, AirflowNotFoundException),
    ],
)
def test_what_no_sync_can_use_is_not_exported(
    sandbox, cohort, sync, arrange, parameters: dict[str, Any], error: type[Exception], deferrable: bool
) -> None:
    cohort("a")
    if arrange:
        arrange(sandbox)
    with pytest.raises(error):
        checked(sync, {**SYNC, **parameters}, deferrable=deferrable)
    assert exports(sandbox) == 0


@pytest.mark.parametrize("wrong", ["login", "password", "app_api_key"])
def test_a_wrong_key_of_the_workspace_costs_no_export(sandbox, cohort, sync, connect, wrong: str) -> None:
    cohort("a")
    change = {"extra": {wrong: "wrong-key"}} if wrong == "app_api_key" else {wrong: "wrong-key"}
    with pytest.raises(exceptions.AuthenticationError):
        checked(sync, {**SYNC, "customer_io_conn_id": connect("customer_io_default", **change)})
    assert exports(sandbox) == 0


def test_a_retry_checks_again_and_costs_one_export(sandbox, cohort, sync, tmp_path: Path) -> None:
    cohort("a")
    folder = tmp_path / "mounted-later"
    syncs = {**SYNC, "snapshot_path": f"file://{folder}"}
    for _ in range(2):
        with pytest.raises(exceptions.SnapshotStorageError):
            checked(sync, syncs)
    assert exports(sandbox) == 0
    folder.mkdir()
    assert checked(sync, syncs)["cohort_id"] == "a1b2c3d"
    assert exports(sandbox) == 1
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_sync_that_cannot_run_does_not_stop_the_others(sandbox, cohort, sync, capsys) -> None:
    cohort("a")
    assert checked(sync, {"segment_id": 987654}, SYNC)["cohort_id"] == "a1b2c3d"
    assert exports(sandbox) == 1
    assert "that to the segment id '987654'" in capsys.readouterr().out


def test_a_dry_run_needs_no_storage(sandbox, cohort, sync) -> None:
    cohort("a")
    assert checked(sync, {**SYNC, "snapshot_path": "file:///not/mounted", "dry_run": "True"})
    assert exports(sandbox) == 1


def test_a_run_that_allows_no_match_may_use_any_identifier(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.configure(email_identifies=False)
    assert checked(sync, {**SYNC, "id_type": "email", "allow_no_match": "True"})
    assert exports(sandbox) == 1


def test_the_segment_of_earlier_runs_is_found_whatever_its_name_is_now(sandbox, cohort, sync, assets) -> None:
    cohort("a")
    sync()
    sandbox.workspace.find_segment("Power users").name = "Champions"
    sandbox.workspace.add_segment(name="Power users", type="dynamic")
    assert checked(sync, SYNC)["cohort_id"] == "a1b2c3d"
    assert sync()["segment_name"] == "Champions"


def test_the_checks_change_nothing(sandbox, cohort, sync) -> None:
    cohort("a")
    checked(sync, SYNC)
    assert sandbox.workspace.find_segment("Power users") is None
    assert {record.method for record in sandbox.requests if record.api in ("app", "track")} == {"GET"}


# ---- DAGs from YAML

HEAD = "syncs:\n- name: power_users\n  cohort_id: a1b2c3d\n  snapshot_path: file:///not/mounted/{braces}\n"


@pytest.mark.parametrize(
    "keys",
    [
        "  segment_name: Power users\n  use_pools: true\n",
        "  segment_name: Power users\n  on_guard: approve\n",
        "  targets:\n  - {name: eu, segment_name: Users}\n  - {name: us, segment_name: '{{ 1 + 1 }}'}\n",
        "  targets:\n  - {name: eu, segment_name: Power users, on_guard: approve}\n",
    ],
)
def test_no_dag_spends_an_export_where_no_snapshot_can_be_kept(
    sandbox, cohort, no_pace, store, assets, tmp_path: Path, keys: str
) -> None:
    cohort("a")
    file = tmp_path / "syncs.yaml"
    file.write_text(HEAD + keys)
    (dag,) = build_dags(file).values()
    export = dag.get_task("export")
    context: Any = {"task_state_store": store, "asset_state_store": assets}
    export.render_template_fields({"params": dag.params.dump()})
    with pytest.raises(exceptions.SnapshotStorageError, match=r"file:///not/mounted/\{braces\}"):
        export.execute(context)
    assert exports(sandbox) == 0


def test_a_sync_with_a_finished_export_looks_for_its_segment_once(sandbox, cohort, sync) -> None:
    cohort("a")
    segment = sandbox.workspace.add_segment(name="Power users")
    export = checked(sync, SYNC)
    before = sandbox.count(api="app", path_regex=r"/segments/\d+$")
    assert sync(export=export, adopt_segment=True)["segment_id"] == segment.id
    assert sandbox.count(api="app", path_regex=r"/segments/\d+$") == before + 1


def test_a_sync_that_has_waited_for_its_export_looks_for_its_segment_again(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.configure(export_seconds=0.2)
    segment = sandbox.workspace.add_segment(name="Power users")

    def delete(request: Any) -> None:
        del sandbox.workspace.segments[segment.id]

    sandbox.at_request(delete, api="amplitude", path="request-status", after=0)
    report = sync(adopt_segment=True, deferrable=False)
    assert (report["segment_id"], report["added"]) == (sandbox.workspace.find_segment("Power users").id, 1)
