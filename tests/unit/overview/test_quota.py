"""What a month's exports come to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Kind, Quota, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, cohort_uri, report

#: From NOW, 16 May at noon, to the month's end: half a month of 31 days.
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def only(session: Session) -> Quota:
    (quota,) = load_overview(session, now=NOW).quotas
    return quota


def told(used: int, limit: int = 500, **more: Any) -> dict[str, Any]:
    return report(exports_used=used, exports_limit=limit, **more)


def test_as_seen_and_as_scheduled(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(next_dagrun_create_after=NOW)
    airflow.event(made, airflow.ago(days=2), told(200))
    airflow.event(made, airflow.ago(days=1), told(213))
    quota = only(session)
    assert (quota.conn_id, quota.used, quota.limit) == ("amplitude_default", 213, 500)
    assert (quota.seen, quota.ends) == (airflow.ago(days=1), JUNE)
    assert (quota.to_come, quota.forecast, quota.over) == (16, 229, False)


def test_over_the_limit(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(schedule="5 * * * *", next_dagrun_create_after=NOW)
    airflow.good(made, airflow.ago(minutes=55), exports_used=300, exports_limit=500)
    overview = load_overview(session, now=NOW)
    (quota,) = overview.quotas
    assert (quota.to_come, quota.forecast) == (372, 672)
    (over,) = overview.attention
    assert over.kind is Kind.QUOTA
    assert over.text == "At this pace 672 of 500 exports will be needed by the month's end."


def test_all_used(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(next_dagrun_create_after=NOW + timedelta(hours=1))
    airflow.event(made, airflow.ago(hours=1), told(500))
    (over,) = load_overview(session, now=NOW).attention
    assert over.text == "All 500 exports of the month are used."


def test_what_an_earlier_month_told_is_past(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(next_dagrun_create_after=NOW)
    airflow.event(made, airflow.ago(days=17), told(499, 1000))
    quota = only(session)
    assert (quota.used, quota.seen, quota.to_come) == (None, None, 16)
    assert (quota.limit, quota.assumed) == (1000, False)  # the plan's, not the month's


@pytest.mark.parametrize(
    ("reset", "seen_days_ago", "used", "ends"),
    [
        ("2026-05-20T00:00:00Z", 25, 100, datetime(2026, 5, 20, tzinfo=UTC)),
        ("2026-05-10T00:00:00Z", 10, None, JUNE),
        ("2026-06-01", 1, 100, JUNE),
        ("next week", 1, 100, JUNE),
        ("9999-01-01T00:00:00Z", 1, 100, JUNE),
        ("", 1, 100, JUNE),
        ({"at": 1}, 1, 100, JUNE),
    ],
)
def test_when_the_count_starts_anew(
    session: Session, airflow: Airflow, reset: Any, seen_days_ago: int, used: int | None, ends: datetime
) -> None:
    made = airflow.sync()
    airflow.event(made, airflow.ago(days=seen_days_ago), told(100, exports_reset=reset))
    quota = only(session)
    assert (quota.used, quota.ends) == (used, ends)


def test_nobody_told_anything(session: Session, airflow: Airflow) -> None:
    airflow.sync(next_dagrun_create_after=NOW)
    quota = only(session)
    assert (quota.used, quota.limit, quota.assumed, quota.to_come) == (None, 500, True, 16)


@pytest.mark.parametrize(
    ("fields", "to_come", "uncounted"),
    [
        ({"is_paused": True}, 0, 0),
        ({"timetable_summary": "None", "next_dagrun_create_after": None}, 0, 0),
        ({"schedule": "0 6 1 * *", "next_dagrun_create_after": JUNE}, 0, 0),
        ({"schedule": "0 6 * * 1", "next_dagrun_create_after": NOW}, 3, 0),
        ({"schedule": "@hourly", "next_dagrun_create_after": NOW}, 372, 0),
        ({"schedule": "0 6 31 * *", "next_dagrun_create_after": JUNE - timedelta(hours=18)}, 1, 0),
        ({"schedule": "@once", "next_dagrun_create_after": NOW}, 1, 0),
        ({"schedule": "@once", "next_dagrun_create_after": None}, 0, 0),
        ({"schedule": "0 6 * * *", "next_dagrun_create_after": None}, 0, 0),  # past its end date
        ({"schedule": "Asset", "next_dagrun_create_after": None}, 0, 1),
        ({"schedule": "some timetable", "next_dagrun_create_after": NOW}, 0, 1),
    ],
)
def test_schedules(
    session: Session, airflow: Airflow, fields: dict[str, Any], to_come: int, uncounted: int
) -> None:
    airflow.sync(**fields)
    quota = only(session)
    assert (quota.to_come, quota.uncounted) == (to_come, uncounted)


def test_a_schedule_that_is_no_cron_expression(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(schedule="2 days, 0:00:00", next_dagrun_create_after=NOW)
    airflow.good(made, airflow.ago(days=2))
    assert only(session).to_come == 8


def test_targets_share_the_export_of_their_dag(session: Session, airflow: Airflow) -> None:
    made = airflow.sync("vip", task_id="sync__europe", next_dagrun_create_after=NOW)
    airflow.sync("vip", task_id="sync__america", segment="b")
    asset_id = airflow.writes(made[0], "export", cohort_uri("a1b2c3d"))
    airflow.event(
        (made[0], "export", asset_id), airflow.ago(hours=1), {"exports_used": 7, "exports_limit": 500}
    )
    quota = only(session)
    assert (quota.used, quota.to_come) == (7, 16)


def test_two_tasks_with_exports_of_their_own(session: Session, airflow: Airflow) -> None:
    airflow.sync(dag_id="crm", task_id="one", next_dagrun_create_after=NOW)
    airflow.sync(dag_id="crm", task_id="two", segment="b")
    assert only(session).to_come == 31


def test_each_project_has_its_own(session: Session, airflow: Airflow) -> None:
    eu = airflow.sync("eu", amplitude_conn_id="amplitude_eu")
    us = airflow.sync("us", segment="us", amplitude_conn_id="amplitude_us")
    airflow.event(eu, airflow.ago(hours=1), told(1))
    airflow.event(us, airflow.ago(hours=1), told(2))
    quotas = load_overview(session, now=NOW).quotas
    assert [(one.conn_id, one.used) for one in quotas] == [("amplitude_eu", 1), ("amplitude_us", 2)]


# ---- what Amplitude said last, and the runs that have paid since


def export(at: datetime, **said: Any) -> dict[str, Any]:
    """What a task keeps of the export that it has requested."""
    return {"requested_at": at.timestamp(), **said}


def test_what_amplitude_said_last_not_which_run_ended_last(session: Session, airflow: Airflow) -> None:
    made, other = airflow.sync("slow"), airflow.sync("quick", segment="b")
    said_at = airflow.ago(hours=2)
    airflow.event(other, airflow.ago(hours=1.9), told(11, exports_at=said_at.isoformat()))
    airflow.event(made, airflow.ago(hours=1), told(10, exports_at=airflow.ago(hours=3).isoformat()))
    quota = only(session)
    assert (quota.used, quota.seen, quota.unreported) == (11, said_at, 0)


@pytest.mark.parametrize("state", ["failed", "running", "success"])
def test_a_run_without_a_report_tells_what_amplitude_said(
    session: Session, airflow: Airflow, state: str
) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=1), exports_used=40, exports_limit=500)
    run_id = airflow.run(made[0], airflow.ago(hours=2), state)
    at = airflow.ago(hours=1)
    kept = export(at, exports_used=43, exports_limit=500, exports_at=at.isoformat())
    airflow.xcom(made[0], run_id, "requested_export", kept)
    quota = only(session)
    assert (quota.used, quota.seen, quota.unreported) == (43, at, 0)


def test_a_run_that_has_paid_since_is_counted_in_addition(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    before = airflow.good(made, airflow.ago(days=1), exports_used=40, exports_limit=500)
    airflow.xcom(made[0], before, "requested_export", export(airflow.ago(days=2)))  # among the 40
    for hours, state in ((5, "failed"), (3, "running")):
        run_id = airflow.run(made[0], airflow.ago(hours=hours), state)
        airflow.xcom(made[0], run_id, "requested_export", export(airflow.ago(hours=hours)))
    quota = only(session)
    assert (quota.used, quota.seen, quota.unreported) == (42, airflow.ago(days=1) + timedelta(minutes=5), 2)
    assert quota.forecast == 42 + quota.to_come


def test_a_month_of_which_amplitude_says_nothing(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    for at in (airflow.ago(days=20), airflow.ago(days=2)):  # in April, and in May
        run_id = airflow.failed(made[0], at, None)
        airflow.xcom(made[0], run_id, "requested_export", export(at))
    quota = only(session)
    assert (quota.used, quota.seen, quota.unreported) == (1, None, 1)


def test_the_task_that_exports_for_others(session: Session, airflow: Airflow) -> None:
    made = airflow.sync("vip", task_id="sync__europe")
    airflow.sync("vip", task_id="sync__america", segment="b")
    airflow.writes(made[0], "export", cohort_uri("a1b2c3d"))
    run_id = airflow.run(
        made[0], airflow.ago(hours=2), "failed", {"export": "failed", "sync__europe": "upstream_failed"}
    )
    airflow.xcom(made[0], run_id, "requested_export", export(airflow.ago(hours=1)), "export")
    assert (only(session).used, only(session).unreported) == (1, 1)


@pytest.mark.parametrize(
    "kept", [None, [], "x", {}, {"requested_at": "x"}, {"requested_at": 1e300}, {"requested_at": -5}]
)
def test_an_xcom_that_says_nothing_of_use(session: Session, airflow: Airflow, kept: Any) -> None:
    made = airflow.sync()
    run_id = airflow.run(made[0], airflow.ago(hours=2), "failed")
    airflow.xcom(made[0], run_id, "requested_export", kept)
    assert only(session).used is None
