"""Builds an Airflow DAG for each sync in ``cohort_syncs.yaml``."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("cohort_syncs.yaml")))
