"""Syncs that run on several workers: some of which die, and some at once."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

HERE = Path(__file__).parent
globals().update(build_dags(HERE / "syncs.yaml") | build_dags(HERE / "pooled.yaml"))
