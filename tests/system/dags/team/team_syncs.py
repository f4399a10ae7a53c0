"""A team's own syncs beside the others: Airflow makes a DAG of each."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("team_syncs.yaml")))
