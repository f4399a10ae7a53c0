"""A backfill that does not say where its members come from must not sync today's cohort."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.utils.types import DagRunType

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.transfers.context import check_backfill

FIELDS = {"dry_run": False, "source": "cohort"}


def of_a_run(
    conf: Any, run_type: Any = DagRunType.BACKFILL_JOB, params: Any = FIELDS, made_by: str = "backfill"
) -> dict[str, Any]:
    dag = DAG("cohort_sync__power_users", schedule=None, params=params, tags=["cohort-sync"])
    return {
        "dag": dag,
        "dag_run": SimpleNamespace(
            conf=conf, run_type=run_type, run_id=f"{made_by}__2026-02-01T06:00:00+00:00"
        ),
    }


@pytest.mark.parametrize("run_type", [DagRunType.BACKFILL_JOB, "backfill"])
@pytest.mark.parametrize("conf", [None, {}, {"dry_run": True}, {"snapshot_at": "2026-01-31"}, {"source": ""}])
def test_a_backfill_without_a_source_is_refused(conf: Any, run_type: Any) -> None:
    with pytest.raises(ConfigurationError, match="belongs to a backfill") as caught:
        check_backfill(of_a_run(conf, run_type))
    assert "Override parameters on existing runs" in str(caught.value)


@pytest.mark.parametrize("source", ["cohort", "snapshot"])
def test_a_backfill_that_says_it_passes(source: str) -> None:
    check_backfill(of_a_run({"source": source}))


def test_a_run_by_hand_that_keeps_its_own_source_is_refused() -> None:
    by_hand = {**FIELDS, "snapshot_at": None}  # all of the form, as Airflow's UI sends it
    with pytest.raises(ConfigurationError, match="triggered by hand to sync the cohort"):
        check_backfill(of_a_run(by_hand, made_by="manual"))
    check_backfill(of_a_run({**by_hand, "source": "snapshot"}, made_by="manual"))
    check_backfill(of_a_run({"source": "cohort"}, made_by="scheduled"))
    check_backfill(of_a_run(by_hand, DagRunType.MANUAL, made_by="manual"))


@pytest.mark.parametrize("run_type", [DagRunType.MANUAL, DagRunType.SCHEDULED, "asset_triggered", ""])
def test_other_runs_pass(run_type: Any) -> None:
    check_backfill(of_a_run(None, run_type))


def test_a_dag_without_the_field_passes() -> None:
    check_backfill(of_a_run({}, params={"dry_run": False}))


def test_where_nothing_can_be_restored_it_says_so() -> None:
    fewest = {"dry_run": False, "allow_no_match": False, "limit": None}  # of a sync without snapshot_path
    with pytest.raises(ConfigurationError, match="keeps no snapshots that it could restore") as caught:
        check_backfill(of_a_run({"dry_run": False}, params=fewest))
    assert '{"source": "cohort"}' in str(caught.value)
    check_backfill(of_a_run({"source": "cohort"}, params=fewest))
    check_backfill(of_a_run({"source": "cohort"}, params=fewest, made_by="manual"))
    check_backfill(of_a_run({}, DagRunType.MANUAL, params=fewest))


def test_a_task_outside_of_a_run_passes() -> None:
    check_backfill({})


@pytest.mark.parametrize("more", [{"segment_name": "Power users"}, {}], ids=["sync", "export"])
def test_nothing_is_asked_or_spent(sandbox: Any, more: dict[str, str]) -> None:
    operator_class = AmplitudeCohortToCustomerIOOperator if more else AmplitudeCohortExportOperator
    task = operator_class(task_id="task", cohort_id="a1b2c3d", **more)
    with pytest.raises(ConfigurationError, match="belongs to a backfill") as caught:
        task.execute(of_a_run(None))
    assert "Nothing was written: the segment is as it was." in str(caught.value)
    assert not sandbox.requests
