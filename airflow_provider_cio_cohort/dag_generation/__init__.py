"""
Turn a reviewed YAML file of syncs into DAGs.

A DAG file needs three lines::

    from pathlib import Path
    from airflow_provider_cio_cohort.dag_generation import build_dags
    globals().update(build_dags(Path(__file__).with_name("cohort_syncs.yaml")))

DAG files are parsed every few seconds, so this package imports nothing that takes long, such as requests or
aiohttp: that waits until a task runs.
"""

from __future__ import annotations

from airflow_provider_cio_cohort.dag_generation.build import build_dags
from airflow_provider_cio_cohort.dag_generation.errors import CohortSyncConfigError

__all__ = ["CohortSyncConfigError", "build_dags"]
