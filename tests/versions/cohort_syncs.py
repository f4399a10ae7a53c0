"""Makes a DAG of each sync beside it."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("cohort_syncs.yaml")))
