"""Deadlines of runs, and the DAG that checks whether the segments of a file are fresh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow.sdk import DAG
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from airflow_provider_cio_cohort.assets import known_segment
from airflow_provider_cio_cohort.compatibility import HAS_STATE_STORES
from airflow_provider_cio_cohort.dag_generation.file_ids import file_dag, file_dag_id
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX, age
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync
from airflow_provider_cio_cohort.dag_generation.messages import code
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.dag_generation.tasks import TASK_ID, verbatim
from airflow_provider_cio_cohort.operators.freshness import SegmentFreshnessOperator, WatchedSegment

TAG = "cohort-freshness"
_BY_PATH = "airflow_provider_cio_cohort.alerts.deadline.run_is_late"


def deadline(sync: Sync) -> DeadlineAlert | None:
    """Return the deadline of every run of a sync; ``None`` if it has no ``max_age`` or no alerts."""
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
    """Return the id of the DAG that watches the syncs of a file."""
    return file_dag_id("cohort_freshness__", path)


def freshness_dag(path: Path, syncs: Sequence[LoadedSync]) -> DAG | None:
    """Build the DAG that watches the syncs of a file; ``None`` if none has a ``max_age``."""
    watched = [each for sync in syncs for each in _watched(sync)]
    if not watched:
        return None
    names = ", ".join(code(each.sync) for each in watched)
    dag = file_dag(
        freshness_dag_id(path),
        description=f"Checks whether the segments of {path.name} are fresh",
        doc_md="Fails when a segment has had no good run within its `max_age`, even if its DAG is paused, "
        f"and sends the alerts of its sync once. It watches {names} of {code(path.name)}. It calls no vendor "
        "API.\n",
        tags=[TAG],
    )
    SegmentFreshnessOperator(task_id="look", segments=watched, dag=dag)
    return dag


def _watched(loaded: LoadedSync) -> Iterator[WatchedSegment]:
    """Yield the segments of a sync; also of one with a mistake, whose segments become stale."""
    if not HAS_STATE_STORES:
        return
    for target, spec in loaded.watched:
        asset = known_segment(
            verbatim(spec.customer_io_conn_id), verbatim(spec.segment_name), spec.segment_id
        )
        if asset is not None and spec.enabled and spec.max_age is not None:
            yield WatchedSegment(
                sync=f"{loaded.name}, target {target}" if target else loaded.name,
                dag_id=f"{DAG_PREFIX}{loaded.name}",
                task_id=f"{TASK_ID}__{target}" if target else TASK_ID,
                asset=asset,
                max_age=age(spec.max_age),
                max_age_in_words=spec.max_age,
                starts=spec.starts,
                until=spec.ends,
                alerts=tuple(each.alert for each in spec.alerts),
                has_mistake=loaded.spec is None,
            )
