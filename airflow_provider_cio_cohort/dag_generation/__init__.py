"""
Builds DAGs from a reviewed YAML file of syncs.

A DAG file needs three lines::

    from pathlib import Path
    from airflow_provider_cio_cohort.dag_generation import build_dags
    globals().update(build_dags(Path(__file__).with_name("cohort_syncs.yaml")))

DAG files are parsed every few seconds, so this package imports no slow module such as requests or aiohttp;
these are imported when a task runs.
"""

from __future__ import annotations

from airflow_provider_cio_cohort.dag_generation.builder import build_dags
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError

__all__ = ["CohortSyncConfigError", "build_dags"]
