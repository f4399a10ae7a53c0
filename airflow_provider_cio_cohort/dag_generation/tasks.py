"""The tasks of a sync: one, or several that share an export, or ask somebody in between."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, literal

from airflow_provider_cio_cohort.dag_generation.form import FIELDS, SNAPSHOT_FIELDS
from airflow_provider_cio_cohort.dag_generation.spec import OperatorParameters, Sync
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    AmplitudeCohortToCustomerIOOperator,
)

TASK_ID = "sync"
_EXPORT = "export"
_OF_THE_EXPORT = (
    "cohort_id",
    "amplitude_conn_id",
    "poll_interval",
    "export_timeout",
    "export_reserve",
    "deferrable",
)
#: max_active_runs does not hold for a backfill, which brings a limit of its own. This one counts a task over
#: all runs of the DAG, deferred ones included.
_ONE_AT_A_TIME: dict[str, Any] = {"max_active_tis_per_dag": 1}


def add_tasks(dag: DAG, sync: Sync, targets: Mapping[str, Sync]) -> None:
    """
    Add the tasks of a sync to its DAG.

    A sync is the task ``sync``. With targets, or with an approval, the task ``export`` comes first, and each
    target has tasks of its own beside those of the others, so that one that fails stops no other.

    :param dag: the DAG.
    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets; empty if it has none.
    """
    if not targets and sync.on_guard == "fail":
        AmplitudeCohortToCustomerIOOperator(task_id=TASK_ID, dag=dag, **_ONE_AT_A_TIME, **_parameters(sync))
        return
    properties = sorted({each.user_id_property for each in (sync, *targets.values())})
    export = AmplitudeCohortExportOperator(
        task_id=_EXPORT,
        dag=dag,
        properties=properties,
        source="{{ params.source }}",
        **_ONE_AT_A_TIME,
        **{key: _verbatim(getattr(sync, key)) for key in _OF_THE_EXPORT},
    )
    each_adopts = all(target.adopt_segment for target in targets.values())
    for name, target in (targets or {"": sync}).items():
        parameters = _parameters(target)
        if targets and target.adopt_segment and not each_adopts:
            parameters["adopt_segment"] = True  # the form, which is for all targets, starts with false
        export.set_downstream(_first_task(dag, f"__{name}" if name else "", target, parameters))


def _first_task(dag: DAG, suffix: str, sync: Sync, parameters: dict[str, Any]) -> BaseOperator:
    """Add the tasks that fill one segment and return the first of them."""
    request_id = f"{{{{ ti.xcom_pull(task_ids='{_EXPORT}') }}}}"
    common = {**parameters, "request_id": request_id, "dag": dag, **_ONE_AT_A_TIME}
    if sync.on_guard == "fail":
        return AmplitudeCohortToCustomerIOOperator(task_id=f"{TASK_ID}{suffix}", **common)
    from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator

    plan = AmplitudeCohortToCustomerIOOperator(task_id=f"plan{suffix}", **{**common, "dry_run": True})
    approve = ApproveChangeOperator(
        task_id=f"approve{suffix}",
        dag=dag,
        plan_task_id=plan.task_id,
        segment=str(sync.segment_id if sync.segment_name is None else sync.segment_name),
        response_timeout=timedelta(hours=sync.approval_timeout_hours),
    )
    approved = f"{{{{ ti.xcom_pull(task_ids='{approve.task_id}') | tojson }}}}"
    write = AmplitudeCohortToCustomerIOOperator(
        task_id=f"{TASK_ID}{suffix}", approved_plan=approved, **common
    )
    plan.set_downstream(approve)
    approve.set_downstream(write)
    return plan


def _parameters(sync: Sync) -> dict[str, Any]:
    templated = AmplitudeCohortToCustomerIOOperator.template_fields
    values = {
        key: _verbatim(value) if key in templated else value
        for key in OperatorParameters.model_fields
        for value in [getattr(sync, key)]
    }
    return {**values, **{key: f"{{{{ params.{key} }}}}" for key in (*FIELDS, *SNAPSHOT_FIELDS)}}


def _verbatim(value: Any) -> Any:
    """Keep a text from being read as a template; ordinary text stays as it is, for the UI shows it."""
    return literal(value) if isinstance(value, str) and "{" in value else value
