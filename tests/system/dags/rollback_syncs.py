from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_cio_cohort.dag_generation import build_dags

_DAGS = build_dags(Path(__file__).with_name("rollback_syncs.yaml"))
for _dag in _DAGS.values():
    # Beside the home of this Airflow, whose path no YAML file can know.
    _dag.get_task("sync").snapshot_path = f"file://{os.environ['AIRFLOW_HOME']}-snapshots"
globals().update(_DAGS)
