"""Real Airflow (scheduler, dag processor, triggerer, API server) and the sandbox, once for all tests here."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import EXPORT_SECONDS
from tests.system.soon import SOON

DAGS = Path(__file__).with_name("dags")
BROWSER = Path(__file__).with_name("browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run first what has an Airflow of its own, so that that of all others does not idle beside it."""
    items.sort(key=lambda item: item.path.name != "test_bundles.py")


@dataclass
class Metrics:
    """
    A receiver of metrics.

    :param packets: what has come so far.
    :param port: where it listens.
    """

    packets: list[str]
    port: int


@pytest.fixture(scope="session")
def vendors() -> Iterator[Sandbox]:
    """Both vendors on loopback, empty; each test brings cohorts and segments of its own."""
    with Sandbox(people=0, export_seconds=EXPORT_SECONDS, limits=False) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, vendors: Sandbox) -> Iterator[None]:
    """Let no test that fails leave its faults to those after it, which would all wait in vain."""
    yield
    if BROWSER not in request.path.parents:  # where runs are made beside the tests
        vendors.faults.clear()
        vendors.configure(export_seconds=EXPORT_SECONDS, latency_ms=0)


@pytest.fixture(scope="session")
def tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for temporary files of all of Airflow's processes."""
    return tmp_path_factory.mktemp("tmp")


@pytest.fixture(scope="session")
def metrics() -> Iterator[Metrics]:
    """Everything that Airflow's processes send to StatsD."""
    received: list[str] = []
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))

    def listen() -> None:
        while packet := receiver.recv(65536):
            received.append(packet.decode())

    thread = threading.Thread(target=listen)
    thread.start()
    yield Metrics(received, receiver.getsockname()[1])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"", receiver.getsockname())
    thread.join()
    receiver.close()


@pytest.fixture(scope="session")
def airflow(
    vendors: Sandbox, metrics: Metrics, tmp: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowInstance]:
    """A running Airflow with the DAGs of this directory, and our own beside them, at DEBUG level."""
    home = tmp_path_factory.mktemp("airflow")
    shutil.copytree(DAGS, home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    instance = AirflowInstance(
        home,
        home / "dags",
        vendors.connections(),
        env={
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "TMPDIR": str(tmp),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_PORT": str(metrics.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",  # the plain protocol has no tags
            "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(home / "lineage.jsonl"), "append": True}
            ),
            **SOON,
            # The files stay as they are, and to parse them over and over takes a third of a core.
            # A test that changes one touches it.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "5",
            "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "5",
            # Several tests here wait for it.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
        },
    )
    with instance:
        wanted = {
            "win_back",
            "campaign",
            *(f"cohort_sync__{name}" for name in ("of_the_team", "hourly", "three_at_once")),
        }
        instance.wait_until(lambda: wanted <= instance.dag_ids(), "the DAGs to be found")
        yield instance
