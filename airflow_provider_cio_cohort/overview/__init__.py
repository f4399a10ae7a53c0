"""
The state of the syncs, from Airflow's metadata database alone: no vendor API, no connection, no people.

:func:`load_overview` and :func:`load_history` return plain data; the page and the command line show it.
"""

from __future__ import annotations

from airflow_provider_cio_cohort.overview.load import load_history, load_overview
from airflow_provider_cio_cohort.overview.memory import Memory
from airflow_provider_cio_cohort.overview.model import (
    Attention,
    Dag,
    Failure,
    History,
    Kind,
    Moment,
    Overview,
    Quota,
    Report,
    Run,
    State,
    Sync,
)

__all__ = [
    "Attention",
    "Dag",
    "Failure",
    "History",
    "Kind",
    "Memory",
    "Moment",
    "Overview",
    "Quota",
    "Report",
    "Run",
    "State",
    "Sync",
    "load_history",
    "load_overview",
]
