"""The tasks of a sync: one, or several that share an export, or ask somebody in between."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, literal

from airflow_provider_cio_cohort.dag_generation.form import FIELDS, SNAPSHOT_FIELDS
from airflow_provider_cio_cohort.dag_generation.operator_keys import OperatorParameters
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.pools import exports_pool, syncs_pool
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    AmplitudeCohortToCustomerIOOperator,
)

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.alerts.callback import SyncAlerts

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

    A sync is the task ``sync``. With targets, an approval or pools, the task ``export`` comes first, and each
    target has tasks of its own beside those of the others, so that one that fails stops no other.

    :param dag: the DAG.
    :param sync: the sync; with targets, the first of them.
    :param targets: what it says for each of its targets; empty if it has none.
    """
    for_all = {"dag": dag, **_ONE_AT_A_TIME, **_callbacks(sync)}
    if not targets and sync.on_guard == "fail" and not sync.use_pools:
        AmplitudeCohortToCustomerIOOperator(task_id=TASK_ID, **for_all, **_parameters(sync))
        return
    properties = sorted({each.user_id_property for each in (sync, *targets.values())})
    export = AmplitudeCohortExportOperator(
        task_id=_EXPORT,
        properties=properties,
        source="{{ params.source }}",
        hold_slot=sync.use_pools,
        **for_all,
        **_in_pool(sync, exports_pool(sync.amplitude_conn_id)),
        **{key: _verbatim(getattr(sync, key)) for key in _OF_THE_EXPORT},
    )
    each_adopts = all(target.adopt_segment for target in targets.values())
    for name, target in (targets or {"": sync}).items():
        parameters = {**_parameters(target), **_in_pool(target, syncs_pool(target.customer_io_conn_id))}
        if targets and target.adopt_segment and not each_adopts:
            parameters["adopt_segment"] = True  # the form, which is for all targets, starts with false
        export.set_downstream(_first_task(f"__{name}" if name else "", target, {**for_all, **parameters}))


def _first_task(suffix: str, sync: Sync, parameters: dict[str, Any]) -> BaseOperator:
    """Add the tasks that fill one segment and return the first of them."""
    common = {**parameters, "request_id": f"{{{{ ti.xcom_pull(task_ids='{_EXPORT}') }}}}"}
    if sync.on_guard == "fail":
        return AmplitudeCohortToCustomerIOOperator(task_id=f"{TASK_ID}{suffix}", **common)
    from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator

    plan = AmplitudeCohortToCustomerIOOperator(task_id=f"plan{suffix}", **{**common, "dry_run": True})
    approve = ApproveChangeOperator(
        task_id=f"approve{suffix}",
        dag=parameters["dag"],
        **_callbacks(sync, asks=True),
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


def sync_alerts(sync: Sync) -> SyncAlerts | None:
    """
    Return what tells of a sync; ``None`` for one without alerts.

    :param sync: the sync.
    """
    if not sync.alerts:
        return None
    from airflow_provider_cio_cohort.alerts.callback import SyncAlerts

    return SyncAlerts(sync.name, [each.alert for each in sync.alerts])


def _callbacks(sync: Sync, *, asks: bool = False) -> dict[str, Any]:
    alerts = sync_alerts(sync)
    if alerts is None:
        return {}
    asked = {"notifiers": [alerts.asked]} if asks else {}
    return {"on_failure_callback": alerts.failed, "on_success_callback": alerts.succeeded, **asked}


def _parameters(sync: Sync) -> dict[str, Any]:
    templated = AmplitudeCohortToCustomerIOOperator.template_fields
    values = {
        key: _verbatim(value) if key in templated else value
        for key in OperatorParameters.model_fields
        for value in [getattr(sync, key)]
    }
    return {**values, **{key: f"{{{{ params.{key} }}}}" for key in (*FIELDS, *SNAPSHOT_FIELDS)}}


def _in_pool(sync: Sync, pool: str) -> dict[str, str]:
    return {"pool": pool} if sync.use_pools else {}


def _verbatim(value: Any) -> Any:
    """Keep a text from being read as a template; ordinary text stays as it is, for the UI shows it."""
    return literal(value) if isinstance(value, str) and "{" in value else value
