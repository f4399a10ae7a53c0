"""Syncs whose segment is known only when they run: which there are, and that none has what is another's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Kind, State, Sync, load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, cohort_uri, failure

DAILY = {"schedule": "0 6 * * *"}


def syncs(session: Session) -> dict[str, Sync]:
    found = load_overview(session, now=NOW).syncs
    named = {sync.name: sync for sync in found}
    assert len(named) == len(found)
    return named


def run(airflow: Airflow, days: float, *parts: tuple[str, str | None], **fields: Any) -> str:
    """Make a run of ``mine`` whose parts have these states and segments; good parts make their events."""
    states = {state for state, _ in parts}
    state = fields.pop("state", "failed" if "failed" in states else "success")
    run_id = airflow.run("mine", airflow.ago(days=days), state, {}, **fields)
    for index, (part, segment) in enumerate(parts):
        airflow.part(("mine", "fill"), run_id, part, index, segment=segment)
        if part == "success" and segment:
            airflow.late_event(("mine", "fill"), run_id, segment, index)
    return run_id


def test_a_task_that_never_ran_is_listed(session: Session, airflow: Airflow) -> None:
    airflow.late()
    (sync,) = load_overview(session, now=NOW).syncs
    assert (sync.name, sync.state, sync.segment_name, sync.asset_id) == ("mine", State.NEVER, None, None)


def test_each_part_is_a_sync_with_runs_of_its_own(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    run_id = run(airflow, 1, ("success", "One"), ("failed", "Two"))
    found = syncs(session)
    one, two = found["mine · One"], found["mine · Two"]
    assert len(found) == 2
    assert (one.state, one.failures, len(one.reports)) == (State.SUCCESS, 0, 2)
    assert (two.state, two.failures, len(two.reports)) == (State.FAILED, 1, 1)
    assert two.failing is not None
    assert (two.failing.run_id, two.failing.map_index) == (run_id, 1)
    assert one.asset_id != two.asset_id
    assert (one.cohort_id, one.customer_io_conn_id) == ("a1b2c3d", "customer_io_default")


def test_the_segment_counts_and_not_the_map_index(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 3, ("success", "One"), ("success", "Two"))
    run(airflow, 2, ("success", "New"), ("success", "One"), ("failed", "Two"))
    run(airflow, 1, ("failed", "Two"), ("success", "New"), ("success", "One"))
    found = syncs(session)
    assert set(found) == {"mine · One", "mine · Two", "mine · New"}
    assert [item.failures for item in (found["mine · One"], found["mine · Two"])] == [0, 2]
    assert [len(item.reports) for item in found.values()] == [2, 3, 1]
    assert [r.map_index for r in found["mine · Two"].runs] == [0, 2, 1]


def test_what_a_part_says_of_its_failure_is_its_own(session: Session, airflow: Airflow) -> None:
    airflow.late()
    due = airflow.ago(days=1)
    for index, (segment, reason) in enumerate((("One", "The first."), ("Two", "The second."))):
        kept = failure(reason=reason)
        if index == 0:
            run_id = airflow.failed("mine", due, kept, "fill", map_index=0)
        else:
            airflow.also_failed("mine", run_id, due, kept, "fill", map_index=1)
        airflow.renders(("mine", "fill"), run_id, index, segment)
    found = load_overview(session, now=NOW)
    reasons = {one.sync.name: one.text for one in found.attention if one.sync and one.kind is Kind.FAILED}
    assert reasons["mine · One"].startswith("The first. ")
    assert reasons["mine · Two"].startswith("The second. ")


def test_a_mapping_whose_list_failed_fails_all_its_syncs(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    run_id = airflow.run("mine", airflow.ago(days=1), "failed", {"names": "failed"})
    airflow.part(("mine", "fill"), run_id, "upstream_failed")
    found = syncs(session)
    assert {name: sync.state for name, sync in found.items()} == {
        "mine · One": State.FAILED,
        "mine · Two": State.FAILED,
    }


def test_a_part_that_has_not_started_is_that_of_its_index(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 1, ("success", "One"), ("success", "Two"))
    run(airflow, 0.01, ("success", "One"), ("queued", None), state="running")
    found = syncs(session)
    assert found["mine · Two"].state is State.QUEUED or found["mine · Two"].state is State.RUNNING
    assert found["mine · One"].state is State.SUCCESS


def test_a_part_of_an_unknown_segment_that_failed_is_listed(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 1, ("success", "One"), ("failed", None))
    found = syncs(session)
    assert found["mine · [1]"].state is State.FAILED
    assert found["mine · One"].state is State.SUCCESS


def test_what_the_last_scheduled_run_no_longer_had_is_gone(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"), ("success", "Old"))
    run(airflow, 1, ("success", "One"))
    assert set(syncs(session)) == {"mine · One"}


def test_a_run_by_hand_for_one_segment_hides_no_other(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    by_hand = {"run_type": "manual", "logical_date": None, "run_id": "by_hand"}
    run(airflow, 1, ("success", "Three"), **by_hand)
    assert set(syncs(session)) == {"mine · One", "mine · Two", "mine · Three"}


def test_an_argument_of_the_dag_makes_a_sync_of_each_value(session: Session, airflow: Airflow) -> None:
    airflow.late(schedule=None, next_dagrun_create_after=None)
    for days, segment in ((3, "One"), (2, "Two"), (1, "One")):
        fields = {"run_type": "manual", "logical_date": None, "run_id": f"by_hand_{days}"}
        run_id = airflow.run("mine", airflow.ago(days=days), "success", {}, **fields)
        airflow.part(("mine", "fill"), run_id, "success", segment=segment)
        airflow.late_event(("mine", "fill"), run_id, segment, -1)
    found = syncs(session)
    assert {name: len(sync.runs) for name, sync in found.items()} == {"mine · One": 2, "mine · Two": 1}


def test_one_value_needs_no_name_beside_the_dags(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run_id = airflow.run("mine", airflow.ago(days=1), "success", {})
    airflow.part(("mine", "fill"), run_id, "success", rendered={"segment_id": 17})
    assert [(sync.name, sync.segment_name) for sync in syncs(session).values()] == [("mine", "segment 17")]


def test_the_name_of_a_part_is_what_the_dag_calls_it(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run_id = airflow.run("mine", airflow.ago(days=1), "success", {})
    for index, label in enumerate(("Germany", "France")):
        fields = {"segment": f"Segment {label}", "rendered_map_index": label}
        airflow.part(("mine", "fill"), run_id, "success", index, **fields)
    assert set(syncs(session)) == {"mine · Germany", "mine · France"}


def test_tasks_that_only_do_dry_runs_are_left_out(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run_id = airflow.run("mine", airflow.ago(days=1), "success", {})
    for index, dry in enumerate((True, "True")):
        rendered = {"segment_name": f"S{index}", "dry_run": dry}
        airflow.part(("mine", "fill"), run_id, "success", index, rendered=rendered)
    assert syncs(session) == {}


def test_a_dry_run_of_a_sync_is_a_run_without_a_report(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"))
    run_id = airflow.run("mine", airflow.ago(days=1), "success", {})
    airflow.part(("mine", "fill"), run_id, "success", 0, rendered={"segment_name": "One", "dry_run": True})
    (sync,) = syncs(session).values()
    assert (len(sync.runs), len(sync.reports)) == (2, 1)


def test_runs_that_airflow_keeps_no_fields_of_are_known_by_their_events(
    session: Session, airflow: Airflow
) -> None:
    airflow.late()
    old = airflow.run("mine", airflow.ago(days=2), "success", {})
    for index, segment in enumerate(("Two", "One")):  # not in the order of the last run
        airflow.part(("mine", "fill"), old, "success", index)
        airflow.late_event(("mine", "fill"), old, segment, index)
    run(airflow, 1, ("success", "One"), ("success", "Two"))
    found = syncs(session)
    assert [r.map_index for r in found["mine · One"].runs] == [0, 1]
    assert [r.map_index for r in found["mine · Two"].runs] == [1, 0]


def test_the_page_of_a_part_has_its_runs_and_reports(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    run(airflow, 1, ("success", "One"), ("failed", "Two"))
    two = syncs(session)["mine · Two"]
    assert two.asset_id is not None
    history = load_history(session, "mine", "fill", two.asset_id, now=NOW)
    assert history is not None
    assert [moment.report is None for moment in history.moments] == [True, False]
    assert history.sync.name == "mine · Two"


def test_a_part_without_a_good_run_has_a_page_as_well(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 1, ("failed", "One"), ("failed", "Two"), ("failed", None))
    for name in ("One", "Two", "[2]"):
        sync = syncs(session)[f"mine · {name}"]
        assert sync.asset_id is None
        history = load_history(session, "mine", "fill", None, now=NOW, part=sync.part)
        assert history is not None
        assert history.sync.name == sync.name
    assert load_history(session, "mine", "fill", None, now=NOW) is None


def test_the_page_is_the_same_after_the_first_good_run(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 2, ("failed", "One"))
    part = syncs(session)["mine · One"].part
    run(airflow, 1, ("success", "One"))
    history = load_history(session, "mine", "fill", None, now=NOW, part=part)
    assert history is not None
    assert len(history.sync.reports) == 1


def test_each_part_costs_an_export(session: Session, airflow: Airflow) -> None:
    airflow.late(timetable_summary="0 6 * * *")
    airflow.reads("mine", "fill", cohort_uri("a1b2c3d"))
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    run(airflow, 1, ("success", "One"), ("success", "Two"))
    (quota,) = load_overview(session, now=NOW).quotas
    airflow.part(
        ("mine", "fill"),
        run(airflow, 0.5, ("success", "One"), ("success", "Two")),
        "success",
        2,
        segment="Three",
    )
    (more,) = load_overview(session, now=NOW).quotas
    assert quota.to_come > 0
    assert more.to_come == pytest.approx(quota.to_come * 1.5, abs=1)


def test_whoever_may_not_see_the_runs_sees_no_segment(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 1, ("success", "One"), ("success", "Two"))
    (sync,) = load_overview(session, now=NOW, visible_runs=lambda dag_ids: set()).syncs
    assert (sync.name, sync.state, sync.segment_name, sync.runs) == ("mine", State.HIDDEN, None, ())


def test_two_tasks_of_a_dag_do_not_mix(session: Session, airflow: Airflow) -> None:
    airflow.late()
    airflow.late("mine", "other")
    run_id = airflow.run("mine", airflow.ago(days=1), "failed", {})
    airflow.part(("mine", "fill"), run_id, "success", segment="One")
    airflow.part(("mine", "other"), run_id, "failed", segment="One")
    airflow.late_event(("mine", "fill"), run_id, "One", -1)
    found = syncs(session)
    assert {name: (sync.state, len(sync.reports)) for name, sync in found.items()} == {
        "mine · fill": (State.SUCCESS, 1),
        "mine · other": (State.FAILED, 0),
    }


@pytest.mark.parametrize("rendered", [{"segment_name": ["a"]}, {"segment_name": 7.5}, {"segment_id": True}])
def test_fields_that_make_no_sense_name_no_segment(session: Session, airflow: Airflow, rendered: Any) -> None:
    airflow.late()
    run_id = airflow.run("mine", airflow.ago(days=1), "failed", {})
    airflow.part(("mine", "fill"), run_id, "failed", rendered=rendered)
    (sync,) = syncs(session).values()
    assert (sync.state, sync.segment_name) == (State.FAILED, None)


def test_an_approval_in_a_mapped_group_holds_up_its_own_part(session: Session, airflow: Airflow) -> None:
    airflow.late()
    run(airflow, 1, ("success", "One"), ("success", "Two"))
    run_id = run(airflow, 0.1, ("scheduled", None), ("scheduled", None), state="running")
    airflow.part(("mine", "approve"), run_id, "awaiting_input", 1)
    found = syncs(session)
    assert found["mine · Two"].state is State.WAITING
    assert found["mine · One"].state is not State.WAITING


def test_a_part_is_overdue_on_its_own(session: Session, airflow: Airflow) -> None:
    airflow.late(next_dagrun_create_after=NOW + timedelta(hours=1))
    run(airflow, 2, ("success", "One"), ("success", "Two"))
    run(airflow, 0.9, ("success", "One"), ("queued", "Two"), state="running")
    found = syncs(session)
    assert found["mine · Two"].overdue_since is not None
    assert found["mine · One"].overdue_since is None
