"""What needs somebody: failures, syncs that are overdue, pauses, drops."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Attention, Kind, Sync, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, task_row


def wanting(session: Session) -> list[Attention]:
    return list(load_overview(session, now=NOW).attention)


def only(session: Session) -> Sync:
    (sync,) = load_overview(session, now=NOW).syncs
    return sync


def test_failures_in_a_row(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.run(made[0], airflow.ago(days=5), "failed")
    airflow.good(made, airflow.ago(days=4))
    for days in (3, 2, 1):
        airflow.run(made[0], airflow.ago(days=days), "failed")
    airflow.run(made[0], airflow.ago(minutes=5), "running")
    (failed,) = wanting(session)
    assert (failed.kind, failed.text) == (Kind.FAILED, "The last 3 runs failed.")
    assert failed.since == airflow.ago(days=3) + timedelta(minutes=5)


def test_one_failure_of_a_new_sync(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.run(made[0], airflow.ago(hours=1), "failed")
    (failed,) = wanting(session)
    assert failed.text == "The last run failed. No good sync is known."


def test_mended_by_hand(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    due = airflow.ago(days=1)
    airflow.run(made[0], due, "failed")
    manual = airflow.ago(hours=20)
    airflow.run(made[0], manual, run_id="manual", run_type="manual", logical_date=None)
    assert wanting(session) == []


@pytest.mark.parametrize(
    ("next_run", "last_run", "late"),
    [
        # Due once a day: half a day of grace.
        (timedelta(hours=13), timedelta(hours=11), False),
        (timedelta(hours=11), timedelta(hours=13), True),
        # The scheduler has not made the run that is due.
        (timedelta(hours=-11), timedelta(hours=35), False),
        (timedelta(hours=-13), timedelta(hours=37), True),
        # Each hour: an hour of grace.
        (timedelta(minutes=10), timedelta(minutes=50), False),
        (timedelta(minutes=-70), timedelta(minutes=130), True),
    ],
)
def test_overdue(
    session: Session, airflow: Airflow, next_run: timedelta, last_run: timedelta, late: bool
) -> None:
    made = airflow.sync(next_dagrun_create_after=NOW + next_run)
    if next_run < timedelta(0):
        airflow.good(made, NOW - last_run)
        since = NOW + next_run
    else:
        airflow.good(made, NOW - last_run - (next_run + last_run))
        airflow.run(made[0], NOW - last_run, "running")
        since = NOW - last_run
    sync = only(session)
    assert sync.overdue_since == (since if late else None)
    assert [one.kind for one in wanting(session)] == ([Kind.OVERDUE] if late else [])


def test_hours_of_failures_are_overdue_since_the_first_of_them(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(next_dagrun_create_after=NOW + timedelta(minutes=30))
    airflow.good(made, airflow.ago(hours=5, minutes=30))
    for hours in range(4, -1, -1):
        airflow.run(made[0], airflow.ago(hours=hours, minutes=30), "failed")
    assert only(session).overdue_since == airflow.ago(hours=4, minutes=30)
    assert [one.kind for one in wanting(session)] == [Kind.FAILED]  # which says it all


def test_a_task_that_waits_for_a_pool_that_is_not_there(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    run_id = airflow.run(made[0], airflow.ago(minutes=1), "running", {"sync": None})
    row = task_row(made[0], "export", run_id, "scheduled", pool="cohort_exports__amplitude_default")
    airflow.put(TaskInstance, **row)
    (one,) = wanting(session)
    text = "A task waits for the pool cohort_exports__amplitude_default, which does not exist."
    assert (one.kind, one.text) == (Kind.NO_POOL, text)
    Pool.create_or_update_pool(row["pool"], 4, "", include_deferred=True, session=session)
    session.flush()
    assert wanting(session) == []
    Pool.delete_pool(row["pool"], session=session)


def test_a_run_that_airflow_made_late_is_not_overdue_at_once(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.run(made[0], airflow.ago(hours=23), "running", queued_at=airflow.ago(hours=11))
    assert only(session).overdue_since is None


@pytest.mark.parametrize(
    "fields", [{"is_paused": True}, {"timetable_summary": "None", "next_dagrun_create_after": None}]
)
def test_what_has_no_schedule_is_not_overdue(
    session: Session, airflow: Airflow, fields: dict[str, Any]
) -> None:
    made = airflow.sync(**{"next_dagrun_create_after": airflow.ago(days=9), **fields})
    airflow.good(made, airflow.ago(days=10))
    assert only(session).overdue_since is None


def test_a_run_without_a_report_is_no_missing_one(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.run(made[0], airflow.ago(days=3), "failed")
    airflow.run(made[0], airflow.ago(hours=14), "success")
    assert only(session).overdue_since is None


def test_paused(session: Session, airflow: Airflow) -> None:
    airflow.sync("scheduled", is_paused=True)
    airflow.sync("by_hand", segment="b", is_paused=True, timetable_summary="None")
    airflow.sync("once", segment="c", is_paused=True, timetable_summary="@once")
    (paused,) = wanting(session)
    assert paused.sync is not None
    assert (paused.kind, paused.sync.name) == (Kind.PAUSED, "scheduled")


@pytest.mark.parametrize(
    ("before", "last", "expected"),
    [
        ({"size": 1000}, {"size": 701}, []),
        ({"size": 1000}, {"size": 699}, [Kind.DROP]),
        ({"size": 20}, {"size": 0, "match_rate": None}, []),
        ({"match_rate": 0.95}, {"match_rate": 0.86}, []),
        ({"match_rate": 0.95}, {"match_rate": 0.8}, [Kind.DROP]),
        ({"match_rate": 0.5}, {"match_rate": 0.49}, [Kind.LOW_MATCH]),
        ({"match_rate": 0.9}, {"match_rate": 0.1}, [Kind.DROP, Kind.LOW_MATCH]),
        ({"match_rate": 0.9}, {"match_rate": 0.1, "identifiers": 20}, []),
        ({"match_rate": None}, {"match_rate": None}, []),
    ],
)
def test_drops_and_low_match_rates(
    session: Session, airflow: Airflow, before: dict[str, Any], last: dict[str, Any], expected: list[Kind]
) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=2), **before)
    airflow.good(made, airflow.ago(days=1), **last)
    found = [one for one in wanting(session) if one.kind is not Kind.OVERDUE]
    assert [one.kind for one in found] == expected


def test_a_low_match_rate_at_the_first_fill_says_what_to_check(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(hours=1), match_rate=0.02)
    (low,) = wanting(session)
    assert low.kind is Kind.LOW_MATCH
    assert low.text.startswith("Only 2.0% of the cohort's identifiers exist in Customer.io")
    assert "user_id_property" in low.text
    assert "id_type" in low.text


def test_who_is_not_in_the_segment_as_wanted(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(hours=1), not_removable=1200, rejected=3)
    left, refused = wanting(session)
    assert (left.kind, refused.kind) == (Kind.NOT_REMOVABLE, Kind.REJECTED)
    assert left.text.startswith("1,200 people without an id stay in the segment")
    assert refused.text.startswith("Customer.io refuses 3 identifiers of the cohort")


def test_the_most_urgent_comes_first(session: Session, airflow: Airflow) -> None:
    airflow.sync("a_paused", is_paused=True)
    airflow.dag("cohort_sync__b", "cohort-sync", "config-error", timetable_summary="None")
    late = airflow.sync("c", segment="c")
    airflow.run(late[0], airflow.ago(days=2), "running")
    failed = airflow.sync("d", segment="d")
    airflow.run(failed[0], airflow.ago(days=1), "failed")
    expected = [Kind.CONFIG_ERROR, Kind.FAILED, Kind.OVERDUE, Kind.PAUSED]
    assert [one.kind for one in wanting(session)] == expected
