"""Airflow on PostgreSQL, Redis and Celery workers, once for all tests here; the sandbox beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev import servers
from dev.distributed import DistributedAirflow

DAGS = Path(__file__).with_name("dags")


@pytest.fixture(scope="session")
def airflow(vendors: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DistributedAirflow]:
    """Two workers of two slots each; without PostgreSQL and Redis skipped, but on CI that is a failure."""
    if missing := servers.missing():
        reason = f"not installed: {', '.join(missing)} (Debian: postgresql, redis-server)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    home = tmp_path_factory.mktemp("distributed")
    shutil.copytree(DAGS, home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    instance = DistributedAirflow(
        home,
        home / "dags",
        vendors.connections(),
        env={
            # A task whose machine died is noticed in seconds instead of minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            # What a dead worker had taken is handed out again while the tests still run.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
            "AIRFLOW__CIO_COHORT__VERIFY_SETTLE": "0.2",
            "AIRFLOW__CIO_COHORT__VERIFY_INTERVAL": "0.1",
            "AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT": "5",
        },
    )
    with instance:
        instance.wait_until(lambda: "cohort_sync__machine_1" in instance.dag_ids(), "the DAGs to be found")
        yield instance
