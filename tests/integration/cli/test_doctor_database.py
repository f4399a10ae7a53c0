"""``doctor``: the lines that need Airflow's database, and what is kept in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.jobs.job import Job
from airflow.models.asset import AssetActive, AssetModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.connection import Connection
from airflow.models.pool import Pool
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from tests.integration.cli.conftest import Answer
from tests.unit.overview.database import migrated, session

__all__ = ["migrated", "session"]
EXPORTS, SYNCS = "cohort_exports__amplitude_default", "cohort_syncs__customer_io_default"


@pytest.fixture(autouse=True)
def clean(session: Session) -> Iterator[None]:
    def remove() -> None:
        session.execute(delete(Job))
        session.execute(delete(Connection))
        for pool in Pool.get_pools(session=session):
            if pool.pool != Pool.DEFAULT_POOL_NAME:
                session.delete(pool)
        session.commit()

    remove()
    yield
    session.rollback()
    remove()


@pytest.fixture
def lines(
    airflow: Callable[..., Answer], sandbox: Any, cohort: Any, segment: Any, impatient: None
) -> Callable[..., dict[str, dict[str, str]]]:
    """Ask the doctor, and return its lines by name."""
    cohort("a")
    segment("a")

    def ask(*arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
        answer = airflow("doctor", *arguments, "-o", "json")
        assert answer.code == code, answer.err
        return {line["name"]: line for line in answer.rows["lines"]}

    return ask


def beat(session: Session, seconds_ago: float) -> None:
    session.add(
        Job(
            job_type="TriggererJob",
            state="running",
            latest_heartbeat=datetime.now(UTC) - timedelta(seconds=seconds_ago),
        )
    )
    session.commit()


def test_a_triggerer_with_and_without_a_heartbeat(session: Session, lines: Any) -> None:
    assert lines()["airflow.triggerer"]["status"] == "warning"
    beat(session, 7200)
    assert lines()["airflow.triggerer"]["status"] == "warning"
    beat(session, -3600)  # not by this machine's clock alone: a slow test is no dead triggerer
    found = lines()["airflow.triggerer"]
    assert (found["status"], found["seen"]) == ("ok", "Triggerers with a recent heartbeat: 1.")
    assert "known only there" in found["meaning"]
    assert {line["status"] for line in lines().values()} == {"ok"}


def test_pools_that_are_missing_of_another_size_or_right(
    session: Session, lines: Any, airflow: Any, write: Any
) -> None:
    path = write({"use_pools": True})
    found = lines()["airflow.pools"]
    assert (found["status"], EXPORTS in found["seen"]) == ("ok", True)  # no sync needs them
    assert lines(path, code=1)["airflow.pools"]["status"] == "wrong"
    airflow("pools", path)
    assert lines(path)["airflow.pools"]["status"] == "ok"
    Pool.create_or_update_pool(SYNCS, 7, "", include_deferred=True, session=session)
    session.commit()
    found = lines(path)["airflow.pools"]
    assert (found["status"], f"{SYNCS} (7 slots)" in found["seen"]) == ("warning", True)
    Pool.create_or_update_pool(SYNCS, 1, "", include_deferred=False, session=session)
    session.commit()
    assert lines(path)["airflow.pools"]["status"] == "warning"


def test_where_connections_come_from(
    session: Session, sandbox: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = lines()["airflow.connections"]
    assert "'amplitude_default' comes from the environment" in seen["seen"]
    assert "this process cannot see" in seen["meaning"]
    for conn_id, connection in sandbox.connections().items():
        monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")
        session.add(Connection(conn_id=conn_id, **{**connection, "extra": json.dumps(connection["extra"])}))
    session.commit()
    seen = lines()["airflow.connections"]
    assert "'amplitude_default' comes from the database" in seen["seen"]
    assert "same connections" in seen["meaning"]


def test_facts_are_kept_with_the_asset_once_airflow_has_it(
    session: Session, airflow: Any, lines: Any
) -> None:
    uri = "customerio://customer_io_default/"
    lines("--save", code=3)
    asset = AssetModel(name=uri, uri=uri, group="asset", extra={})
    session.add(asset)
    session.flush()
    session.add(AssetActive.for_asset(asset))
    session.commit()
    lines("--save")
    session.expire_all()
    (value,) = session.scalars(
        select(AssetStateStoreModel.value).where(AssetStateStoreModel.key == "vendor_facts")
    )
    assert json.loads(value)["customer_io.identifiers"]["value"] == ["id", "email", "cio_id"]
    session.execute(delete(AssetStateStoreModel))
    session.commit()
