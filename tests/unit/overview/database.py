"""The metadata database of the tests' Airflow home: made once, and empty again after each test."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

#: What every test takes for the present: in the middle of a month, so that a month has a past and a rest.
NOW = datetime(2026, 5, 16, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Make a database of the tests' own, whatever Airflow's configuration was when it was first imported."""
    from airflow import settings

    url = f"sqlite:///{tmp_path_factory.mktemp('metadata') / 'airflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
        shutil.copyfile(template(tmp_path_factory), url.removeprefix("sqlite:///"))
        _connect(settings)
        yield url
    _connect(settings)


def template(factory: pytest.TempPathFactory) -> Path:
    """Return an empty database for a test or a file of tests to copy; all processes of a run make one."""
    is_one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    folder = factory.getbasetemp().parent if is_one_of_many else factory.getbasetemp()
    path = folder / "template.db"
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            made = folder / "template.made"
            made.unlink(missing_ok=True)
            env = {**os.environ, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{made}"}
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(command, env=env, check=True, capture_output=True, timeout=180)
            made.rename(path)
    return path


def _connect(settings: Any) -> None:
    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


@pytest.fixture
def session(migrated: str) -> Iterator[Session]:
    from airflow.utils.session import create_session

    from tests.unit.overview.rows import empty

    with create_session(scoped=False) as opened:
        assert str(opened.get_bind().engine.url) == migrated  # what follows removes everything
        empty(opened)
        opened.commit()
        yield opened
        opened.rollback()
        empty(opened)


@pytest.fixture
def airflow(session: Session) -> object:
    from tests.unit.overview.rows import Airflow

    return Airflow(session, NOW)
