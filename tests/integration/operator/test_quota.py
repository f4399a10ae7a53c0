"""An export is one of 500 a month: what is done not to spend one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from tests.integration.operator.test_export import exports


def test_the_last_exports_of_the_month_are_left_alone(sandbox, cohort, sync) -> None:
    sandbox.configure(exports_a_month=11, limits=True)
    cohort("a")
    sync()
    with pytest.raises(exceptions.QuotaReachedError) as caught:
        sync()
    message = str(caught.value)
    assert "10 of the month's 11 exports left" in message
    assert "export_reserve keeps 10" in message
    assert f"is reset at {AmplitudeHook().usage().resets_at}" in message
    assert exports(sandbox) == 1
    sync(export_reserve=0)
    assert exports(sandbox) == 2


def test_a_project_that_does_not_tell_its_quota_is_let_through(sandbox, cohort, sync) -> None:
    cohort("a")
    for body in ({"something": "else"}, {"rest_download": None}):
        sandbox.faults.add("status", api="amplitude", path="/usage", status=200, body=body)
        assert sync()["segment_after"] == 1
    sandbox.faults.add("status", api="amplitude", path="/usage", status=404, body={})
    assert sync()["segment_after"] == 1


def test_an_unchanged_cohort_costs_no_export(sandbox, cohort, sync, assets) -> None:
    made = cohort("a", "b")
    made.last_computed = int(time.time()) - 3600
    first = sync(skip_unchanged=True)
    assert "unchanged" not in first
    report = sync(skip_unchanged=True)
    assert (report["unchanged"], report["added"], report["to_add"]) == (True, 0, 0)
    assert (report["segment_before"], report["segment_after"], report["match_rate"]) == (2, 2, 1.0)
    assert exports(sandbox) == 1
    sync()  # off by default
    assert exports(sandbox) == 2
    made.last_computed = int(time.time()) - 60
    assert "unchanged" not in sync(skip_unchanged=True)
    assert exports(sandbox) == 3


def test_a_segment_with_another_count_or_a_dry_run_is_not_skipped(sandbox, cohort, sync, assets) -> None:
    cohort("a", "b")
    sync(skip_unchanged=True)
    segment = sandbox.workspace.find_segment("Power users")
    segment.remove(segment.members[:1])
    assert sync(skip_unchanged=True)["added"] == 1
    assert "unchanged" not in sync(skip_unchanged=True, dry_run=True)
    assert sync(skip_unchanged=True)["unchanged"] is True
    assert "unchanged" not in sync(skip_unchanged=True, mode="add_only")


def exported(**parameters: Any) -> dict[str, Any]:
    """Return what the task returns that exports the cohort for others."""
    return AmplitudeCohortExportOperator(
        task_id="export", cohort_id="a1b2c3d", poll_interval=0.05, **parameters
    ).execute({})


def test_several_syncs_share_one_export(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    export = exported()
    assert sync(export=export)["added"] == 2
    assert sync(export=json.dumps(export), segment_name="Second")["added"] == 2
    assert exports(sandbox) == 1


def test_a_shared_export_holds_what_each_sync_maps(sandbox, sync) -> None:
    sandbox.workspace.add_person(id="1", email="ann@example.com")
    rows = [{"amplitude_id": "9", "user_id": "", "number": "1", "mail": "ann@example.com"}]
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    export = exported(properties=["number", "mail"])
    assert sync(export=export, user_id_property="number")["added"] == 1
    by_mail = sync(export=export, user_id_property="mail", id_type="email", segment_name="Second")
    assert by_mail["added"] == 1


def test_a_shared_export_that_is_lost_says_which_task_to_clear(sandbox, cohort, sync) -> None:
    cohort("a")
    export = exported()
    sandbox.project.jobs.clear()
    with pytest.raises(exceptions.ExportFailedError, match="clear that task as well"):
        sync(export=export)
    assert exports(sandbox) == 1


@pytest.mark.parametrize("rendered", ["", "None", "null", "1234567", "{}"])
def test_a_shared_export_that_is_not_there_is_not_replaced(sandbox, cohort, sync, rendered: str) -> None:
    cohort("a")
    with pytest.raises(exceptions.ConfigurationError, match="export is not what the task"):
        sync(export=rendered)
    assert exports(sandbox) == 0
