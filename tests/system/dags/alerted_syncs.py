"""Syncs whose failures, recoveries and silences are told by mail and over HTTP."""

from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

globals().update(build_dags(Path(__file__).with_name("alerted_syncs.yaml")))
