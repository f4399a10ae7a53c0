"""Every test runs against an Airflow home of its own, and never waits longer than it must."""

from __future__ import annotations

import atexit
import gc
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.records import Journal
from tests import conformance, vendor_files
from tests.places import local_place, place, s3, s3_place  # noqa: F401 (fixtures)
from tests.summary import (  # noqa: F401 (hooks of pytest)
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

# Airflow reads its configuration when it is first imported, so this comes before any import of it.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
os.environ.update(
    {
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CIO_COHORT__RETRY_WAIT_INITIAL": "0.01",
        "AIRFLOW__CIO_COHORT__RETRY_WAIT_MAX": "0.05",
        "AIRFLOW__CIO_COHORT__RETRY_TIMEOUT": "10",
        "AIRFLOW__CIO_COHORT__READ_TIMEOUT": "5",
        "AIRFLOW__CIO_COHORT__EXPORT_GRACE": "0.1",
        "AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT": "3",
        "AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS": "0.2",
        "AIRFLOW__CIO_COHORT__VERIFY_INTERVAL": "0.05",
    }
)
for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
    del os.environ[name]

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("without_deadline", deadline=None)
hypothesis.settings.load_profile("without_deadline")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse deprecated imports, and compare the sandbox with what the vendors publish."""
    # Said here, because naming the warning imports Airflow.
    config.addinivalue_line(
        "filterwarnings", "error::airflow.utils.deprecation_tools.DeprecatedImportWarning"
    )
    if vendor_files.are_there():
        config.pluginmanager.register(conformance)
        Journal.observers.append(conformance.listen)


def pytest_collection_finish() -> None:
    """Let the garbage collector look no more at the modules of Airflow and of the tests, which all stay."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Both vendors on loopback, empty, with Airflow's default connections set to them."""
    from airflow.sdk._shared.secrets_masker import reset_secrets_masker

    # Each sandbox has other addresses, and Airflow masks them: with those of a thousand tests, the regular
    # expression that finds them takes longer to compile than a test does.
    reset_secrets_masker()
    with Sandbox(people=0, export_seconds=0) as vendors:
        for conn_id, connection in vendors.connections().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        yield vendors


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Callable[..., str]:
    """Define a connection like the sandbox's default one of that id, with some fields changed."""

    def define(like: str, conn_id: str = "other", extra: dict[str, Any] | None = None, **fields: Any) -> str:
        connection = {**sandbox.connections()[like], **fields}
        connection["extra"] = {**connection["extra"], **(extra or {})}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return define
