"""Syncs with the names that a team would give them: what the pictures show."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("growth_syncs.yaml")))
