"""Syncs to be broken: killed, cleared and marked while they run."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("crash_syncs.yaml")))
