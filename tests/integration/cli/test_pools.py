"""``pools`` over a real metadata database."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.cli.commands.pool_command import pool_import_helper
from airflow.models.pool import Pool
from sqlalchemy.orm import Session

from tests.integration.cli.conftest import Answer
from tests.unit.overview.database import migrated, session

__all__ = ["migrated", "session"]
EXPORTS, SYNCS = "cohort_exports__amplitude_default", "cohort_syncs__customer_io_default"


@pytest.fixture(autouse=True)
def none_yet(session: Session) -> Session:
    for pool in Pool.get_pools(session=session):
        if pool.pool != Pool.DEFAULT_POOL_NAME:
            session.delete(pool)
    session.commit()
    return session


def stored(session: Session) -> dict[str, tuple[int, bool]]:
    session.expire_all()
    return {
        str(pool.pool): (pool.slots, pool.include_deferred)
        for pool in Pool.get_pools(session=session)
        if pool.pool != Pool.DEFAULT_POOL_NAME
    }


def changes(answer: Answer) -> dict[str, tuple[int | None, int, str]]:
    return {row["pool"]: (row["slots_before"], row["slots"], row["change"]) for row in answer.rows}


def test_pools_are_made_once_and_then_left_alone(
    airflow: Callable[..., Answer], sandbox: Any, write: Any, session: Session
) -> None:
    path = write(use_pools := {"use_pools": True}, {**use_pools, "name": "b", "segment_name": "B"})
    first = airflow("pools", path, "-o", "json")
    assert (first.code, changes(first)) == (0, {EXPORTS: (None, 4, "created"), SYNCS: (None, 1, "created")})
    assert stored(session) == {EXPORTS: (4, True), SYNCS: (1, True)}
    again = airflow("pools", path, "-o", "json")
    assert (again.code, changes(again)) == (0, {EXPORTS: (4, 4, "none"), SYNCS: (1, 1, "none")})
    assert "created" in airflow("pools", write({**use_pools, "customer_io_conn_id": "other"})).out


def test_slots_follow_the_connection_and_a_dry_run_only_shows(
    airflow: Callable[..., Answer], connect: Any, write: Any, session: Session
) -> None:
    conn_id = connect("customer_io_default", extra={"max_concurrent_tasks": 3})
    path = write({"use_pools": True, "customer_io_conn_id": conn_id})
    pool = f"cohort_syncs__{conn_id}"
    dry = airflow("pools", path, "--dry-run", "-o", "json")
    assert (dry.code, changes(dry)[pool], stored(session)) == (1, (None, 3, "missing"), {})
    Pool.create_or_update_pool(EXPORTS, 128, "mine", include_deferred=False, session=session)
    session.commit()
    done = airflow("pools", path, "-o", "json")
    assert changes(done) == {EXPORTS: (128, 4, "updated"), pool: (None, 3, "created")}
    assert stored(session) == {EXPORTS: (4, True), pool: (3, True)}
    assert Pool.get_pool(EXPORTS, session=session).description == "mine"
    assert airflow("pools", path, "--dry-run").code == 0


def test_a_connection_that_only_workers_see(
    airflow: Callable[..., Answer], sandbox: Any, write: Any, session: Session
) -> None:
    path = write({"use_pools": True, "customer_io_conn_id": "far_away"})
    answer = airflow("pools", path, "-o", "json")
    assert changes(answer)["cohort_syncs__far_away"] == (None, 1, "created")
    assert "'far_away' is not defined here" in answer.err
    Pool.create_or_update_pool("cohort_syncs__far_away", 7, "", include_deferred=True, session=session)
    session.commit()
    answer = airflow("pools", path, "-o", "json")
    assert (answer.code, changes(answer)["cohort_syncs__far_away"]) == (0, (7, 7, "none"))
    assert "keeps its 7 slots" in answer.err


def test_syncs_without_pools_and_disabled_ones_need_none(
    airflow: Callable[..., Answer], sandbox: Any, write: Any, session: Session
) -> None:
    path = write({}, {"name": "off", "use_pools": True, "enabled": False, "segment_name": "B"})
    answer = airflow("pools", path, "-o", "json")
    assert (answer.code, answer.rows, stored(session)) == (0, [], {})
    assert "None of these syncs has use_pools: true" in answer.err


def test_a_wrong_sync_is_left_out_and_said(
    airflow: Callable[..., Answer], sandbox: Any, write: Any, session: Session
) -> None:
    path = write({"use_pools": True}, {"name": "bad", "cadence": "never", "segment_name": "B"})
    answer = airflow("pools", path)
    assert answer.code == 1
    assert "Skipped 1 of 2 syncs" in answer.err
    assert set(stored(session)) == {EXPORTS, SYNCS}


def test_a_folder_stands_for_the_files_in_it(
    airflow: Callable[..., Answer], sandbox: Any, write: Any, session: Session, tmp_path: Path
) -> None:
    for place in ("team/eu", ".hidden", "empty"):
        (tmp_path / place).mkdir(parents=True)
    first = write({"use_pools": True}, name="a.yaml")
    write({"use_pools": True, "amplitude_conn_id": "eu"}, name="team/eu/b.yml")
    write({"use_pools": True, "amplitude_conn_id": "hidden"}, name=".hidden/c.yaml")
    (tmp_path / "README.md").write_text("syncs:")
    wanted = {EXPORTS: (None, 4, "created"), "cohort_exports__eu": (None, 4, "created")}
    answer = airflow("pools", tmp_path, first, "-o", "json")
    assert (answer.code, changes(answer)) == (0, {**wanted, SYNCS: (None, 1, "created")})
    assert set(stored(session)) == {*wanted, SYNCS}
    assert f"{tmp_path}: a.yaml, team/eu/b.yml" in answer.err

    write({"use_pools": True, "cadence": "never"}, name="team/eu/b.yml")
    answer = airflow("pools", tmp_path, "--dry-run", "-o", "json")
    assert (answer.code, set(changes(answer))) == (1, {EXPORTS, SYNCS})
    assert "Skipped 1 of 2 syncs" in answer.err
    (tmp_path / "team/eu/b.yml").write_text("sync: []")
    answer = airflow("pools", tmp_path)
    assert answer.code == 1
    assert f"{tmp_path}/team/eu/b.yml:1: the file has no key syncs" in answer.err
    answer = airflow("pools", tmp_path / "empty")
    assert answer.code == 1
    assert "the folder has no file that ends with .yaml or .yml" in answer.err


def test_a_wrong_number_of_tasks_makes_no_pool(
    airflow: Callable[..., Answer], connect: Any, write: Any, session: Session
) -> None:
    conn_id = connect("customer_io_default", extra={"max_concurrent_tasks": "many"})
    answer = airflow("pools", write({"use_pools": True, "customer_io_conn_id": conn_id}))
    assert answer.code == 3
    assert "max_concurrent_tasks of connection 'other' must be a whole number" in answer.err
    assert stored(session) == {}


def test_without_a_database_it_says_what_to_do(
    process: Callable[..., Answer], sandbox: Any, write: Any, tmp_path: Any
) -> None:
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", None)
    answer = process("pools", write({"use_pools": True}), env=env)
    assert answer.code == 3
    assert "Airflow's database cannot be read" in answer.err
    assert "Traceback" not in answer.err


def test_validate_reminds_of_the_pools(airflow: Callable[..., Answer], write: Any) -> None:
    path = write({"use_pools": True})
    assert f"airflow cohort-sync pools {path}" in airflow("validate", path).err
    assert "pools" not in airflow("validate", write({})).err


def test_for_import_prints_what_airflow_imports_and_touches_no_database(
    airflow: Callable[..., Answer],
    connect: Any,
    write: Any,
    session: Session,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn_id = connect("customer_io_default", extra={"max_concurrent_tasks": 3})
    path = write(
        {"use_pools": True, "customer_io_conn_id": conn_id},
        {"use_pools": True, "customer_io_conn_id": "elsewhere", "name": "b", "segment_name": "B"},
    )
    with monkeypatch.context() as away:
        away.setattr("airflow_provider_cio_cohort.cli.pools.database", None)
        answer = airflow("pools", path, "--for-import")
    assert answer.code == 0
    assert "the pool cohort_syncs__elsewhere gets 1 slot." in answer.err
    assert stored(session) == {}
    file = tmp_path / "pools.json"
    file.write_text(answer.out, encoding="utf-8")
    pool_import_helper(file)
    assert stored(session) == {
        EXPORTS: (4, True),
        f"cohort_syncs__{conn_id}": (3, True),
        "cohort_syncs__elsewhere": (1, True),
    }
