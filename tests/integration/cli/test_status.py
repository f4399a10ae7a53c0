"""``status`` over a real metadata database."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from tests.integration.cli.conftest import Answer
from tests.unit.overview.database import migrated, session
from tests.unit.overview.rows import Airflow, failure

__all__ = ["migrated", "session"]


@pytest.fixture
def stored(session: Session) -> Airflow:
    return Airflow(session, datetime.now(UTC))


def test_every_sync_with_its_last_runs_and_its_next(airflow: Callable[..., Answer], stored: Airflow) -> None:
    good = stored.sync("power_users")
    stored.good(good, stored.ago(hours=12), segment_after=900, match_rate=0.9)
    stored.sync("new_one")
    stored.session.commit()
    answer = airflow("status", "-o", "json")
    assert answer.code == 0
    rows = {row["sync"]: row for row in answer.rows}
    assert set(rows) == {"power_users", "new_one"}
    row = rows["power_users"]
    assert (row["state"], row["size"], row["match_rate"], row["unmatched"]) == ("success", 900, 0.9, 100)
    assert (row["cohort_id"], row["cohort_name"]) == ("a1b2c3d", "Power users of the app")
    assert (row["segment_id"], row["segment_name"]) == ("17", "Power users")
    assert row["cohort_url"] == "https://analytics.amplitude.com/cohort/a1b2c3d"
    assert row["segment_url"] == "https://fly.customer.io/workspaces/7/journeys/segments/17"
    assert row["timezone"] == "UTC"
    assert row["last_run"] == stored.ago(hours=12).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["last_success"] > row["last_run"]
    assert row["next_run"] > row["last_success"]
    assert rows["new_one"]["state"] == "never ran"
    assert rows["new_one"]["last_success"] is None
    table = airflow("status").out
    for words in (
        "power_users",
        "90.0%",
        "Power users of the app (a1b2c3d)",
        "Power users (17)",
        "unmatched",
    ):
        assert words in table


def test_times_are_in_the_timezone_of_each_sync(airflow: Callable[..., Answer], stored: Airflow) -> None:
    zones = {"tokyo": "Asia/Tokyo", "berlin": "Europe/Berlin"}
    for name, zone in zones.items():
        made = stored.sync(name)
        stored.serialized(made[0], timezone=zone)
        stored.failed(made[0], stored.ago(hours=2), failure())
    stored.session.commit()
    started, failed = stored.ago(hours=2), stored.ago(hours=2) + timedelta(minutes=5)
    out = airflow("status").out
    for name, zone in zones.items():
        (line,) = [line for line in out.splitlines() if line.startswith(name) and ":" not in line.split()[0]]
        assert zone in line
        assert f"{started.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" in line
        assert f"Failed at {failed.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}; log:" in out
    rows = {row["sync"]: row for row in airflow("status", "-o", "json").rows}
    assert {name: rows[name]["timezone"] for name in zones} == zones
    assert rows["tokyo"]["last_run"] == started.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_run_that_was_cleared_is_the_last_run(airflow: Callable[..., Answer], stored: Airflow) -> None:
    made = stored.sync()
    again = {"queued_at": stored.ago(hours=1), "start_date": stored.ago(hours=1)}
    stored.run(made[0], stored.ago(days=2), "failed", **again)
    stored.good(made, stored.ago(days=1))
    stored.session.commit()
    (row,) = airflow("status", "-o", "json").rows
    assert (row["state"], row["last_run"]) == ("failed", stored.ago(hours=1).strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_a_failed_sync_is_a_no_and_says_so(airflow: Callable[..., Answer], stored: Airflow) -> None:
    stored.good(stored.sync("well"), stored.ago(hours=12))
    broken = stored.sync("broken")
    stored.run(broken[0], stored.ago(hours=1), "failed")
    stored.session.commit()
    answer = airflow("status")
    assert answer.code == 1
    assert "broken: The last run failed. No good sync is known." in answer.out
    assert airflow("status", "well").code == 0
    assert airflow("status", "cohort_sync__broken", "-o", "yaml").code == 1


def test_why_a_sync_failed(airflow: Callable[..., Answer], stored: Airflow) -> None:
    stored.good(stored.sync("well"), stored.ago(hours=12))
    broken = stored.sync("broken")
    due, kept = stored.ago(hours=1), failure()
    run_id = stored.failed(broken[0], due, kept, "export", {"sync": "upstream_failed"})
    stored.session.commit()
    rows = {row["sync"]: row for row in airflow("status", "-o", "json").rows}
    row = rows["broken"]
    failed_at = (due + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (row["reason"], row["error"]) == (kept["reason"], "UnknownCohortError")
    assert (row["failed_at"], row["segment"]) == (failed_at, kept["segment"])
    assert row["log"].endswith(f"/dags/{broken[0]}/runs/{quote(run_id, safe='')}/tasks/export")
    nothing = dict.fromkeys(("reason", "error", "failed_at", "segment", "log"))
    assert {name: rows["well"][name] for name in nothing} == nothing
    said = " ".join(airflow("status", "broken").out.split())
    assert (
        f"broken: {kept['reason']} The last run failed. No good sync is known. {kept['segment']} "
        f"Failed at {failed_at[:16].replace('T', ' ')} UTC; log: {row['log']}"
    ) in said


def test_a_file_that_cannot_be_read_is_a_no_with_all_that_it_takes_along(
    airflow: Callable[..., Answer], stored: Airflow
) -> None:
    stored.good(stored.sync("well"), stored.ago(hours=12))
    gone = {"is_stale": True, "last_parsed_time": stored.ago(hours=1), "relative_fileloc": "growth.py"}
    stored.sync("lost", **gone)
    stored.dag("cohort_freshness__growth", "cohort-freshness", **gone)
    stored.broken_file(relative_fileloc="growth.py")
    stored.import_error("new.py", "import airflow_provider_cio_cohort")
    stored.session.commit()
    answer = airflow("status")
    assert answer.code == 1
    for words in (
        "growth.yaml: The file cannot be read, so none of its syncs runs.",
        "lost: Airflow has lost its DAG, so it does not run: its file cannot be read.",
        "growth.py: cohort_freshness__growth is missing with it, so nobody is told",
        "new.py: The DAG file cannot be imported, so none of its DAGs runs.",
    ):
        assert words in answer.out
    (row,) = airflow("status", "lost", "-o", "json").rows
    assert (row["state"], row["next_run"]) == ("missing", None)
    assert airflow("status", "lost").code == 1
    assert airflow("status", "well").code == 0


def test_a_freshness_dag_that_is_paused_is_a_no(airflow: Callable[..., Answer], stored: Airflow) -> None:
    stored.good(stored.sync("well"), stored.ago(hours=12))
    stored.dag("cohort_freshness__growth", "cohort-freshness", is_paused=True, relative_fileloc="growth.py")
    stored.session.commit()
    answer = airflow("status")
    assert answer.code == 1
    assert "growth.py: cohort_freshness__growth is paused, so nobody is told" in answer.out


def test_an_unknown_name_is_no_sync(airflow: Callable[..., Answer], stored: Airflow) -> None:
    stored.session.commit()
    answer = airflow("status", "nobody")
    assert answer.code == 2
    assert answer.out == ""
    assert "Airflow has no sync 'nobody'" in answer.err


def test_without_a_database_it_says_what_to_do(process: Callable[..., Answer], tmp_path: Any) -> None:
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", None)
    answer = process("status", env=env)
    assert answer.code == 3
    assert "Airflow's database cannot be read" in answer.err
    assert "Traceback" not in answer.err
