"""Deadlines of runs, and the DAG that checks whether the segments of a file are fresh."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pendulum
from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from airflow_provider_cio_cohort.assets import segment_asset
from airflow_provider_cio_cohort.compatibility import HAS_STATE_STORES, CronTriggerTimetable
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX, age
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync
from airflow_provider_cio_cohort.dag_generation.markdown import code
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.operators.freshness import SegmentFreshnessOperator, WatchedSegment

TAG = "cohort-freshness"
_EVERY_TEN_MINUTES = "*/10 * * * *"
_BY_PATH = "airflow_provider_cio_cohort.alerts.deadline.run_is_late"


def deadline(sync: Sync) -> DeadlineAlert | None:
    """
    Return the deadline of every run of a sync; ``None`` if it has no ``max_age`` or no alerts.

    :param sync: the sync.
    """
    if sync.max_age is None or not sync.alerts:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback  # since Airflow 3.2; max_age requires 3.3

    alerts = [each.alert.to_dict() for each in sync.alerts]
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=age(sync.max_age),
        callback=AsyncCallback(_BY_PATH, {"sync": sync.name, "max_age": sync.max_age, "alerts": alerts}),
        name="max_age",
    )


def freshness_dag_id(path: Path) -> str:
    """
    Return the id of the DAG that watches the syncs of a file.

    :param path: the YAML file.
    """
    return f"cohort_freshness__{re.sub(r'[^A-Za-z0-9_-]', '_', path.stem)}"


def freshness_dag(path: Path, syncs: Sequence[LoadedSync]) -> DAG | None:
    """
    Build the DAG that watches the syncs of a file; ``None`` if none has a ``max_age``.

    :param path: the YAML file.
    :param syncs: its syncs.
    """
    watched = [each for sync in syncs for each in _watched(sync)]
    if not watched:
        return None
    names = ", ".join(code(each.sync) for each in watched)
    dag = DAG(
        freshness_dag_id(path),
        schedule=CronTriggerTimetable(_EVERY_TEN_MINUTES, timezone="UTC"),
        start_date=pendulum.datetime(2025, 1, 1),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"retries": 0},
        description=f"Checks whether the segments of {path.name} are fresh",
        doc_md="Fails when a segment has had no good run within its `max_age`, even if its DAG is paused, "
        f"and sends the alerts of its sync once. It watches {names} of {code(path.name)}. It calls no vendor "
        "API.\n",
        tags=[TAG],
    )
    SegmentFreshnessOperator(task_id="look", segments=watched, dag=dag)
    return dag


def _watched(loaded: LoadedSync) -> Iterator[WatchedSegment]:
    sync = loaded.spec
    if sync is None or not sync.enabled or sync.max_age is None or not HAS_STATE_STORES:
        return
    for target, spec in (loaded.targets or {"": sync}).items():
        asset = segment_asset(spec.customer_io_conn_id, spec.segment_name, spec.segment_id)
        if asset is not None:
            yield WatchedSegment(
                sync=f"{sync.name}, target {target}" if target else sync.name,
                dag_id=f"{DAG_PREFIX}{sync.name}",
                asset=asset,
                max_age=age(sync.max_age),
                max_age_in_words=sync.max_age,
                until=sync.ends,
                alerts=tuple(each.alert for each in sync.alerts),
            )
