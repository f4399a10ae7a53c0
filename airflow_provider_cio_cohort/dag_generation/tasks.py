"""The tasks of a sync: one, or several that share an export or ask for an approval."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, literal

from airflow_provider_cio_cohort.dag_generation.conflicts import Writers
from airflow_provider_cio_cohort.dag_generation.form import fields
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.pools import exports_pool, syncs_pool
from airflow_provider_cio_cohort.sync.parameters import ExportParameters, SyncParameters, TaskParameters
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    AmplitudeCohortToCustomerIOOperator,
)

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.alerts.callback import SyncAlerts

TASK_ID = "sync"
_EXPORT = "export"
#: max_active_runs does not apply to a backfill, which has its own limit. This limit counts a task across all
#: runs of the DAG, including deferred ones.
_ONE_AT_A_TIME: dict[str, Any] = {"max_active_tis_per_dag": 1}


def add_tasks(dag: DAG, sync: Sync, targets: Mapping[str, Sync], writers: Writers) -> None:
    """
    Add the tasks of a sync to its DAG.

    A sync is the task ``sync``. With targets, an approval or pools, the task ``export`` comes first, and each
    target has its own tasks in parallel to the others, so that a failure does not stop the other targets.

    :param sync: the sync; with targets, the first of them.
    :param targets: the keys of each of its targets; empty if it has none.
    :param writers: all syncs of the file, by the segments that they name.
    """
    for_all = {"dag": dag, **_ONE_AT_A_TIME, **_callbacks(sync)}
    in_form = tuple(fields(sync, targets))
    if not targets and sync.on_guard != "approve" and not sync.use_pools:
        others = writers.others((sync.name, ""))
        AmplitudeCohortToCustomerIOOperator(
            task_id=TASK_ID, other_writers=others, **for_all, **_parameters(sync, in_form)
        )
        return
    syncs = (sync, *targets.values())
    properties = sorted({identifier.property for each in syncs for identifier in each.mapping})
    export_parameters: dict[str, Any] = {
        key: verbatim(getattr(sync, key)) for key in ExportParameters.model_fields
    }
    each_adopts = all(target.adopt_segment for target in targets.values())
    own: dict[str, dict[str, Any]] = {}
    for name, target in (targets or {"": sync}).items():
        own[name] = {**_parameters(target, in_form), "other_writers": writers.others((sync.name, name))}
        if targets and target.adopt_segment and not each_adopts:
            own[name]["adopt_segment"] = True  # the form's default, for all targets, is false
    export = AmplitudeCohortExportOperator(
        task_id=_EXPORT,
        properties=[verbatim(name) for name in properties],
        syncs=[_needs(parameters) for parameters in own.values()],
        source="{{ params.source }}" if "source" in in_form else "cohort",
        hold_slot=sync.use_pools,
        **for_all,
        **_in_pool(sync, exports_pool(sync.amplitude_conn_id)),
        **export_parameters,
    )
    for name, target in (targets or {"": sync}).items():
        parameters = {**for_all, **own[name], **_in_pool(target, syncs_pool(target.customer_io_conn_id))}
        export.set_downstream(_first_task(f"__{name}" if name else "", target, parameters))


def _first_task(suffix: str, sync: Sync, parameters: dict[str, Any]) -> BaseOperator:
    """Add the tasks of one segment and return the first of them."""
    common = {**parameters, "export": f"{{{{ ti.xcom_pull(task_ids='{_EXPORT}') | tojson }}}}"}
    if sync.on_guard != "approve":
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


def _needs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sync's parameters as those of the export: without the export's own, and the defaults."""
    return {
        name: literal(value) if name == "other_writers" else value
        for name, value in parameters.items()
        if name not in ExportParameters.model_fields and value != TaskParameters.model_fields[name].default
    }


def sync_alerts(sync: Sync) -> SyncAlerts | None:
    """Return the alerts of a sync; ``None`` if it has none."""
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


def _parameters(sync: Sync, in_form: Collection[str]) -> dict[str, Any]:
    templated = AmplitudeCohortToCustomerIOOperator.template_fields
    values = {
        key: verbatim(value) if key in templated else value
        for key in SyncParameters.model_fields
        for value in [getattr(sync, key)]
    }
    if sync.on_guard == "add_only":
        values["on_guard"] = sync.on_guard
    return {**values, **{key: f"{{{{ params.{key} }}}}" for key in in_form}}


def _in_pool(sync: Sync, pool: str) -> dict[str, Any]:
    """Return a task's pool, and that a sync which has its export comes before those that still need one."""
    return {"pool": pool, "weight_rule": "upstream"} if sync.use_pools else {}


def verbatim(value: Any) -> Any:
    """Keep a text from being rendered as a template; text without braces stays as it is, for the UI."""
    return literal(value) if isinstance(value, str) and "{" in value else value
