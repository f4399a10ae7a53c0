"""The database is asked by its indexes, and equally often for any number of syncs and runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import event
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Memory, load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, cohort_uri, failure, task_row


@contextmanager
def asked(session: Session) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    event.listen(session.get_bind(), "before_cursor_execute", note)
    yield statements
    event.remove(session.get_bind(), "before_cursor_execute", note)


def test_the_number_of_queries(session: Session, airflow: Airflow) -> None:
    made = [airflow.sync(f"sync_{number}") for number in range(5)]
    asset_id = airflow.writes(made[0][0], "export", cohort_uri("a1b2c3d"))
    counts = []
    for days in range(3):
        for one in made:
            airflow.good(one, airflow.ago(days=days))
        airflow.event((made[0][0], "export", asset_id), airflow.ago(days=days), {"exports_used": 1})
        with asked(session) as statements:
            load_overview(session, now=NOW)
        counts.append(len(statements))
    assert counts == [16, 16, 16]
    with asked(session) as statements:
        load_history(session, *made[0], now=NOW)
    assert len(statements) == 12


def test_the_number_of_queries_is_the_same_for_any_number_of_syncs(
    session: Session, airflow: Airflow
) -> None:
    """Of each kind: good, failed, waiting for a pool, of a mapped task, and one that exports for others."""
    counts = []
    for numbers in (range(1), range(1, 60)):
        for number in numbers:
            airflow.serialized(airflow.sync(f"new_{number}")[0], timezone="Asia/Tokyo")
            airflow.good(airflow.sync(f"good_{number}"), airflow.ago(days=1), exports_used=1)
            airflow.failed(airflow.sync(f"bad_{number}")[0], airflow.ago(days=1), failure())
            no_pool, *_ = airflow.sync(f"no_pool_{number}")
            run_id = airflow.run(no_pool, airflow.ago(hours=1), "running", {})
            airflow.put(TaskInstance, **task_row(no_pool, "sync", run_id, "scheduled", pool="cio_pool"))
            exporting, *_ = airflow.sync(f"exporting_{number}")
            asset_id = airflow.writes(exporting, "export", cohort_uri(f"cohort_{number}"))
            airflow.event((exporting, "export", asset_id), airflow.ago(days=1), {"exports_used": 1})
            late = airflow.late(f"late_{number}")
            run_id = airflow.run(late[0], airflow.ago(days=1), tasks={})
            for index, name in enumerate(("Europe", "Asia")):
                airflow.part(late, run_id, "success", index, segment=f"{name} {number}")
                airflow.late_event(late, run_id, f"{name} {number}", index)
        memory = Memory()
        for _ in ("first look", "second look"):
            with asked(session) as statements:
                syncs = load_overview(session, now=NOW, memory=memory).syncs
            counts.append(len(statements))
    assert len(syncs) == 60 * 7
    assert counts[:2] == counts[2:]
    assert counts[1] < counts[0]


def test_a_sync_that_others_have_crowded_out(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=3), size=100)
    for minutes in range(40):
        airflow.event(("other", "sync", made[2]), airflow.ago(minutes=minutes))
    with asked(session) as statements:
        (sync,) = load_overview(session, now=NOW).syncs
    assert [one.size for one in sync.reports] == [100]
    assert len(statements) == 15


def test_no_table_with_a_past_is_read_as_a_whole(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=1))
    airflow.failed(made[0], airflow.ago(hours=1), failure())
    with asked(session) as statements:
        load_overview(session, now=NOW)
        load_history(session, *made, now=NOW)
    plans = [
        row[-1]
        for statement, parameters in statements
        for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]
    past = ("asset_event", "dag_run", "task_instance", "xcom")
    assert any("idx_asset_id_timestamp" in plan for plan in plans)
    assert [plan for plan in plans if any(f"SCAN {table}" in plan for table in past)] == []
    assert [plan for plan in plans if "idx_xcom_key" in plan] == []  # it leads through all XComs of the past


def test_sql_for_other_databases() -> None:
    """What cannot be run here can at least be written in their dialects."""
    from sqlalchemy.dialects import mysql, postgresql

    from airflow_provider_cio_cohort.overview import past, serialized

    assert "(serialized_dag.data #>> " in str(serialized.newest(["a"]).compile(dialect=postgresql.dialect()))
    assert "JSON_EXTRACT(serialized_dag.data, " in str(
        serialized.newest(["a"], form=True).compile(dialect=mysql.dialect())
    )
    for dialect, function in ((mysql.dialect(), "json_arrayagg("), (postgresql.dialect(), "json_agg(")):
        for statement in (
            past._newest_event_ids(dialect.name),
            past._newest_versions(dialect.name, late=False),
            past._newest_versions(dialect.name, late=True),
        ):
            sql = str(statement.compile(dialect=dialect))
            of_each = 1 if "asset_event" in sql else 2
            assert sql.count(function) == sql.count("LIMIT %") == of_each
            assert sql.count("FROM asset_event \n") == sql.count("asset_event.asset_id = asset.id")
        sql = str(past._own_events_of(3).compile(dialect=dialect))
        assert sql.count("LIMIT") == sql.count("LIMIT %") == 3
        assert sql.count("UNION ALL") == 2
