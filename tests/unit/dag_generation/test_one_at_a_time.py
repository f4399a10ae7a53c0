"""
Two runs of one sync never write at the same time, also in a backfill.

A backfill brings a limit of its own on active runs (10), which takes the place of the DAG's
``max_active_runs``. What holds is ``max_active_tis_per_dag``, as long as Airflow counts deferred tasks too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.overview.database import template

SCRIPT = Path(__file__).with_name("one_at_a_time.py")
EXPECTED = {
    "scheduled,scheduled,scheduled,scheduled": 1,
    "running,scheduled,scheduled,scheduled": 0,
    "queued,scheduled,scheduled,scheduled": 0,
    "deferred,scheduled,scheduled,scheduled": 0,
    "scheduled,deferred,scheduled,scheduled": 0,
    # Back from the triggerer, a task waits in line again, behind whichever is let go.
    "success,scheduled,scheduled,success": 1,
    # Between two tries a task holds nothing: another run may go first, and the retry then waits for it.
    "up_for_retry,scheduled,scheduled,success": 1,
    "failed,scheduled,scheduled,scheduled": 1,
}


def test_the_scheduler_lets_one_run_of_a_backfill_go_at_a_time(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, write
) -> None:
    shutil.copyfile(template(tmp_path_factory), tmp_path / "airflow.db")
    path = write("syncs:\n- {name: one, cohort_id: a, segment_id: 1}\n")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), *EXPECTED],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    let_go = json.loads(done.stdout.splitlines()[-1])
    assert {case: len(tasks) for case, tasks in zip(EXPECTED, let_go, strict=True)} == EXPECTED
