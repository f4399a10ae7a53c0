from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG, Param

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

globals().update(build_dags(Path(__file__).with_name("snapshot_syncs.yaml")))

with DAG(
    "kept_here",
    schedule=None,
    params={"source": Param("cohort", enum=["cohort", "snapshot"]), "snapshot_at": Param(None)},
):
    AmplitudeCohortToCustomerIOOperator(
        task_id="sync",
        cohort_id="k3ptccc",
        segment_name="Kept here",
        poll_interval=1,
        deferrable=False,
        skip_unchanged=True,
        snapshot_path=f"file://{os.environ['AIRFLOW_HOME']}-snapshots",
        source="{{ params.source }}",
        snapshot_at="{{ params.snapshot_at }}",
    )
