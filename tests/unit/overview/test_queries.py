"""The database is asked a number of times that no past makes larger, and by its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, cohort_uri, failure


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
    assert counts == [13, 13, 13]
    with asked(session) as statements:
        load_history(session, *made[0], now=NOW)
    assert len(statements) == 10


def test_hundreds_of_syncs_are_asked_about_a_hundred_at_a_time(session: Session, airflow: Airflow) -> None:
    for number in range(205):
        airflow.sync(f"sync_{number}")
    with asked(session) as statements:
        assert len(load_overview(session, now=NOW).syncs) == 205
    assert len(statements) == 15  # events and runs in three each


def test_a_sync_that_others_have_crowded_out(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=3), size=100)
    for minutes in range(40):
        airflow.event(("other", "sync", made[2]), airflow.ago(minutes=minutes))
    with asked(session) as statements:
        (sync,) = load_overview(session, now=NOW).syncs
    assert [one.size for one in sync.reports] == [100]
    assert len(statements) == 13


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
    for dialect in (mysql.dialect(), postgresql.dialect()):
        for statement in (
            past._events_of(3),
            past._own_events_of(3),
            past._runs_of(3, late=False),
            past._runs_of(3, late=True),
        ):
            sql = str(statement.compile(dialect=dialect))
            assert sql.count("LIMIT") == sql.count("LIMIT %") == (3 if "asset_event" in sql else 6)
            assert sql.count("UNION ALL") == sql.count("LIMIT") - 1
