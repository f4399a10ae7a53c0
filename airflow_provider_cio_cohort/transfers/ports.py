"""What a run of a sync uses of Airflow: the hooks of its connections, Airflow's stores, and its snapshots."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.state import asset_store, run_store, task_store
from airflow_provider_cio_cohort.sync.parameters import TaskParameters

if TYPE_CHECKING:
    from airflow.sdk import Asset

    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.snapshots.layout import Origin
    from airflow_provider_cio_cohort.snapshots.run import RunSnapshots
    from airflow_provider_cio_cohort.sync.ports import Amplitude, Ports

log = logging.getLogger(__name__)


def ports_of(
    parameters: TaskParameters,
    context: Mapping[str, Any],
    task: tuple[str, str],
    asset: Asset | None,
    *,
    amplitude: Amplitude | None = None,
    customer_io: CustomerIOHook | None = None,
    workspace: Asset | None = None,
    link_to: Callable[[str], object] = lambda url: None,
    before_writing: Callable[[], object] = lambda: None,
) -> Ports:
    """
    Return everything outside a run that it uses.

    :param parameters: the run's parameters.
    :param context: the task's context.
    :param task: the ids of its DAG and of the task.
    :param asset: the segment, one of the task's inlets or outlets; ``None`` where a template sets it.
    :param amplitude: the project's hook; ``None`` for a new one.
    :param customer_io: the workspace's hook; ``None`` for a new one.
    :param workspace: the asset of the Customer.io connection, which holds what the doctor has seen; ``None``
        for none.
    :param link_to: called with the segment's address in Customer.io, once it is known.
    :param before_writing: called before the first write.
    """
    from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.hooks.customer_io_api import segment_url
    from airflow_provider_cio_cohort.hooks.retry import settings
    from airflow_provider_cio_cohort.sync.memory import VendorFacts
    from airflow_provider_cio_cohort.sync.ports import Ports

    facts = VendorFacts.read(asset_store(context, workspace))
    hook = customer_io or CustomerIOHook(parameters.customer_io_conn_id)

    def on_segment(segment_id: int | None) -> None:
        link_to(segment_url(hook.track.region, hook.workspace_id, segment_id))

    return Ports(
        amplitude=amplitude or AmplitudeHook(parameters.amplitude_conn_id),
        customer_io=hook,
        owner=task[0],
        task_store=task_store(context),
        segment_store=asset_store(context, asset),
        run_store=run_store(context),
        snapshots=snapshots_of(parameters, context, task),
        workspace_of=_workspace_of,
        on_segment=on_segment,
        before_writing=before_writing,
        verify_timeouts=facts.timeouts(
            VerifyTimeouts(**settings(asdict(VerifyTimeouts()), prefix="verify_"))
        ),
        facts=facts,
    )


def snapshots_of(
    parameters: TaskParameters, context: Mapping[str, Any], task: tuple[str, str]
) -> RunSnapshots | None:
    """
    Return the snapshots of the segment; ``None`` if the sync keeps none.

    :param parameters: the run's parameters.
    :param context: the task's context.
    :param task: the ids of its DAG and of the task.
    """
    from airflow_provider_cio_cohort.snapshots.layout import Subject
    from airflow_provider_cio_cohort.snapshots.run import Retention, RunSnapshots
    from airflow_provider_cio_cohort.snapshots.store import SnapshotStore

    if parameters.snapshot_path is None:
        return None
    subject = Subject(
        customer_io_conn_id=parameters.customer_io_conn_id,
        segment=parameters.named,
        id_type=parameters.id_type,
        mode=parameters.mode,
        cohort_id=parameters.cohort_id,
    )
    return RunSnapshots(
        store=SnapshotStore(parameters.snapshot_path, subject),
        retention=Retention(parameters.snapshot_keep_days, parameters.snapshot_keep_last),
        origin=_origin(context, *task),
        zone=getattr(context.get("dag"), "timezone", None),
        user_id_property=parameters.user_id_property,
    )


def _workspace_of(conn_id: str) -> int | None:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

    try:
        return CustomerIOHook(conn_id).workspace_id
    except CohortSyncError as error:  # the other sync's run will say so
        log.warning("Cannot find out which workspace connection %r belongs to: %s", conn_id, error.headline)
        return None


def _origin(context: Mapping[str, Any], dag_id: str, task_id: str) -> Origin:
    from airflow_provider_cio_cohort.snapshots.layout import Origin

    run = context.get("dag_run")
    run_type, index = getattr(run, "run_type", ""), getattr(context.get("ti"), "map_index", None)
    times = ("run_after", "logical_date", "data_interval_start", "data_interval_end")
    return Origin(
        dag_id=dag_id,
        task_id=task_id,
        map_index=-1 if index is None else index,
        run_id=getattr(run, "run_id", ""),
        run_type=str(getattr(run_type, "value", run_type)),
        **{name: getattr(run, name, None) for name in times},
    )
