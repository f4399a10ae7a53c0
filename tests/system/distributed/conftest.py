"""Airflow on PostgreSQL, Redis and Celery workers, once for all tests here; the sandbox beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from dev import servers
from dev.distributed import DistributedAirflow
from tests.system.soon import SOON

HERE = Path(__file__).parent
DAGS = {"cohort_sync__machine_1", "cohort_sync__pooled_1"}
#: How long Amplitude's minutes last, of a minute.
SCALE = 0.2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run these first, so that no other Airflow idles beside this one."""
    items.sort(key=lambda item: HERE not in item.path.parents)


@pytest.fixture(scope="module")
def vendors() -> Iterator[Sandbox]:
    """Both vendors on loopback; Amplitude's limits are enforced where a test says so."""
    with Sandbox(export_seconds=0.5, limits=False, limit_scale=SCALE, track_per_second=100) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def other_workspace(vendors: Sandbox) -> Workspace:
    """A second workspace, by the connection ``customer_io_other``."""
    return vendors.add_workspace(site_id="other-site-id", tracking_key="other-key", app_key="other-app-key")


@pytest.fixture(scope="module")
def airflow(
    vendors: Sandbox, other_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DistributedAirflow]:
    """Two workers of two slots each; without PostgreSQL and Redis skipped, but on CI that is a failure."""
    if missing := servers.missing():
        reason = f"not installed: {', '.join(missing)} (Debian: postgresql, redis-server)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    home = tmp_path_factory.mktemp("distributed")
    shutil.copytree(HERE / "dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    instance = DistributedAirflow(
        home,
        home / "dags",
        {**vendors.connections(), "customer_io_other": vendors.connection_to(other_workspace)},
        env={
            **SOON,
            # What a dead worker had taken is handed out again while the tests still run.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
            "AIRFLOW__CIO_COHORT__EXPORT_HOLD": str(40 * SCALE),
        },
    )
    with instance:
        instance.command("cohort-sync", "pools", str(home / "dags" / "pooled.yaml"))
        instance.wait_until(lambda: instance.dag_ids() >= DAGS, "the DAGs to be found")
        yield instance
