"""Which syncs there are, and what is known of each of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Kind, Overview, State, Sync, load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, cohort_uri, report, segment_uri

DAY = timedelta(days=1)


def only(session: Session) -> Sync:
    (sync,) = load_overview(session, now=NOW).syncs
    return sync


def kinds(overview: Overview) -> list[Kind]:
    return [one.kind for one in overview.attention]


def test_nothing_there(session: Session) -> None:
    overview = load_overview(session, now=NOW)
    assert (overview.syncs, overview.quotas, overview.attention) == ((), (), ())


def test_a_sync_that_is_well(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(segment="Power%20users%20%5BAmplitude%5D")
    airflow.good(made, airflow.ago(days=2), size=900, segment_name=None)
    run_id = airflow.good(made, airflow.ago(days=1), size=1000, segment_name=None)
    sync = only(session)
    assert (sync.name, sync.state, sync.cohort_id) == ("power_users", State.SUCCESS, "a1b2c3d")
    assert sync.segment_name == "Power users [Amplitude]"
    assert (sync.amplitude_conn_id, sync.customer_io_conn_id) == ("amplitude_default", "customer_io_default")
    assert [one.size for one in sync.reports] == [900, 1000]
    assert sync.last_run is not None
    assert sync.last_run.run_id == run_id
    assert kinds(load_overview(session, now=NOW)) == []


def test_the_event_says_what_the_segment_is_called(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(segment="old%20name")
    airflow.good(made, airflow.ago(days=1), segment_name="New name")
    assert only(session).segment_name == "New name"


def test_a_segment_known_by_its_id_alone(session: Session, airflow: Airflow) -> None:
    dag_id = airflow.dag("win_back")
    airflow.writes(dag_id, "sync", "customerio://customer_io_default/segments/id/17")
    sync = only(session)
    assert (sync.name, sync.segment_name, sync.cohort_id) == ("win_back", "segment 17", None)


def test_only_readable_dags(session: Session, airflow: Airflow) -> None:
    airflow.sync("mine")
    theirs = airflow.sync("theirs", amplitude_conn_id="amplitude_theirs")
    overview = load_overview(session, {"cohort_sync__mine"}, NOW)
    assert [sync.name for sync in overview.syncs] == ["mine"]
    assert [quota.conn_id for quota in overview.quotas] == ["amplitude_default"]
    assert load_history(session, *theirs, readable={"cohort_sync__mine"}, now=NOW) is None
    assert load_history(session, *theirs, readable=set(), now=NOW) is None
    assert load_overview(session, set(), NOW).syncs == ()


def test_a_dag_that_is_gone_from_its_file(session: Session, airflow: Airflow) -> None:
    airflow.sync("gone", is_stale=True)
    assert load_overview(session, now=NOW).syncs == ()


def test_several_targets_are_several_syncs(session: Session, airflow: Airflow) -> None:
    europe = airflow.sync("vip", task_id="sync__europe", segment="vip")
    airflow.sync("vip", task_id="sync__america", segment="vip_us")
    airflow.writes("cohort_sync__vip", "export", cohort_uri("x9"))
    airflow.run(
        europe[0], airflow.ago(days=1), "failed", {"sync__europe": "failed", "sync__america": "success"}
    )
    america, of_europe = load_overview(session, now=NOW).syncs
    assert (america.name, america.state) == ("vip · america", State.SUCCESS)
    assert (of_europe.name, of_europe.state) == ("vip · europe", State.FAILED)


def test_several_syncs_in_somebodys_own_dag(session: Session, airflow: Airflow) -> None:
    airflow.sync(dag_id="crm", dag_display_name="CRM", task_id="one")
    airflow.sync(dag_id="crm", task_id="two", segment="two")
    assert [sync.name for sync in load_overview(session, now=NOW).syncs] == ["CRM · one", "CRM · two"]


def test_of_an_event_only_what_the_sync_itself_made_counts(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.event(("other_dag", "sync", made[2]), airflow.ago(hours=1), report(5))
    airflow.event((made[0], "other", made[2]), airflow.ago(hours=1), report(5))
    assert only(session).reports == ()


def test_a_mistake_in_the_yaml_and_a_sync_that_is_switched_off(session: Session, airflow: Airflow) -> None:
    airflow.dag("cohort_sync__broken", "cohort-sync", "config-error", timetable_summary="None")
    airflow.dag("cohort_sync__off", "cohort-sync", "disabled", timetable_summary="None")
    airflow.dag("unrelated", "disabled")
    overview = load_overview(session, now=NOW)
    assert {sync.name: sync.state for sync in overview.syncs} == {
        "broken": State.CONFIG_ERROR,
        "off": State.DISABLED,
    }
    assert kinds(overview) == [Kind.CONFIG_ERROR]


@pytest.mark.parametrize(
    ("of_run", "of_task", "expected"),
    [
        ("success", "success", State.SUCCESS),
        ("failed", "failed", State.FAILED),
        ("failed", "upstream_failed", State.FAILED),
        ("failed", None, State.FAILED),
        ("success", "skipped", State.SKIPPED),
        ("running", "deferred", State.RUNNING),
        ("running", "up_for_retry", State.RETRYING),
        ("running", None, State.RUNNING),
        ("running", "success", State.SUCCESS),
        ("queued", None, State.QUEUED),
    ],
)
def test_states(
    session: Session, airflow: Airflow, of_run: str, of_task: str | None, expected: State
) -> None:
    made = airflow.sync()
    airflow.run(made[0], airflow.ago(minutes=5), of_run, {"sync": of_task})
    assert only(session).state is expected


def test_a_sync_that_never_ran(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    assert only(session).state is State.NEVER
    airflow.run(made[0], airflow.ago(days=1), "failed", tasks={"another": "failed"})
    assert only(session).state is State.NEVER


def test_waiting_for_approval(session: Session, airflow: Airflow) -> None:
    made = airflow.sync("vip", task_id="sync__europe", segment="vip")
    airflow.sync("vip", task_id="sync__america", segment="vip_us")
    tasks = {"approve__europe": "awaiting_input", "sync__europe": None, "sync__america": None}
    airflow.run(made[0], airflow.ago(hours=20), "running", tasks)
    overview = load_overview(session, now=NOW)
    assert {sync.name: sync.state for sync in overview.syncs} == {
        "vip · america": State.RUNNING,
        "vip · europe": State.WAITING,
    }
    # The other one is overdue; of this one it is known why.
    assert kinds(overview) == [Kind.OVERDUE, Kind.WAITING]
    assert overview.attention[1].since == airflow.ago(hours=20)


def test_waiting_in_somebodys_own_dag(session: Session, airflow: Airflow) -> None:
    made = airflow.sync(dag_id="crm", task_id="fill")
    airflow.run(made[0], airflow.ago(hours=1), "running", {"ask": "awaiting_input", "fill": None})
    assert only(session).state is State.WAITING


def test_runs_by_hand_and_by_schedule_are_in_one_order(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=2))
    airflow.run(
        made[0], airflow.ago(hours=3), "failed", run_id="manual", run_type="manual", logical_date=None
    )
    airflow.good(made, airflow.ago(days=1))
    sync = only(session)
    assert [run.run_type for run in sync.runs] == ["manual", "scheduled", "scheduled"]
    assert (sync.state, sync.failures) == (State.FAILED, 1)


def test_the_parts_of_a_mapped_task(session: Session, airflow: Airflow) -> None:
    from airflow.models.taskinstance import TaskInstance

    from tests.unit.overview.rows import task_row

    made = airflow.sync()
    run_id = airflow.run(made[0], airflow.ago(days=1), "failed", {})
    for number, state in enumerate(("success", "failed", "success")):
        airflow.put(TaskInstance, **task_row(made[0], "sync", run_id, state, map_index=number))
    sync = only(session)
    assert (sync.state, len(sync.runs)) == (State.FAILED, 1)


def test_only_the_recent_past_is_read(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    for days in range(50, 0, -1):
        airflow.good(made, airflow.ago(days=days), size=days)
    sync = only(session)
    assert [one.size for one in sync.reports] == list(range(30, 0, -1))
    assert len(sync.runs) == 30


@pytest.mark.parametrize(
    "extra",
    [
        {},
        [],
        "text",
        None,
        17,
        {"segment_after": "many", "match_rate": "high", "added": True, "removed": -1, "duration": [1]},
        {"segment_after": 10**30, "match_rate": 7.5, "cohort_id": {"a": 1}, "segment_name": 10**4000},
        {"segment_name": "", "cohort_id": "   ", "exports_used": 1.5, "exports_reset": 5, "unchanged": "no"},
        {"snapshot_at": ["<b>"], "source": 1},
    ],
)
def test_events_that_say_nothing_of_use(session: Session, airflow: Airflow, extra: Any) -> None:
    made = airflow.sync()
    run_id = airflow.run(made[0], airflow.ago(days=1))
    airflow.event(made, airflow.ago(days=1), extra if extra is not None else [], run_id)
    sync = only(session)
    (said,) = sync.reports
    assert (said.size, said.match_rate, said.added, said.removed, said.unchanged) == (*[None] * 4, False)
    assert said.snapshot_at is None
    assert sync.segment_name == "power_users"
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert len(history.moments) == 1


def test_history(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    first = airflow.good(made, airflow.ago(days=3), size=100)
    # Cleared: it ran again, later, and what it came to then is what holds.
    airflow.event(made, airflow.ago(hours=2), report(300), first)
    failed = airflow.run(made[0], airflow.ago(days=2), "failed")
    dry = airflow.run(made[0], airflow.ago(days=1), "success")
    airflow.event(made, airflow.ago(days=9), report(50), "deleted run")
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert [
        (one.run.run_id if one.run else None, one.report and one.report.size) for one in history.moments
    ] == [
        (first, 300),
        (dry, None),
        (failed, None),
        (first, 100),
        (None, 50),
    ]
    assert [one.ran_again for one in history.moments] == [False, False, False, True, False]
    assert load_history(session, made[0], "other", made[2], now=NOW) is None
    assert load_history(session, "other", "sync", made[2], now=NOW) is None


def test_a_run_that_was_cleared_is_the_last_one_everywhere(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    again = {
        "queued_at": airflow.ago(hours=1),
        "start_date": airflow.ago(minutes=50),
        "end_date": airflow.ago(minutes=40),
    }
    first = airflow.run(made[0], airflow.ago(days=3), "failed", **again)
    airflow.event(made, airflow.ago(days=3), report(300), first)
    airflow.good(made, airflow.ago(days=1), size=100)
    sync = only(session)
    assert sync.last_run is not None
    assert (sync.last_run.run_id, sync.state, sync.failures) == (first, State.FAILED, 1)
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert (history.sync.state, history.sync.failures) == (State.FAILED, 1)
    assert [(one.state, one.report and one.report.size, one.ran_again) for one in history.moments] == [
        (State.FAILED, None, False),
        (State.SUCCESS, 100, False),
        (State.SUCCESS, 300, True),
    ]


def test_a_run_that_runs_again_has_not_come_to_anything_yet(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    again = {"queued_at": airflow.ago(minutes=9), "start_date": airflow.ago(minutes=8)}
    first = airflow.run(made[0], airflow.ago(days=1), "running", **again)
    airflow.event(made, airflow.ago(days=1), report(300), first)
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert [(one.state, one.at, one.ran_again) for one in history.moments] == [
        (State.RUNNING, airflow.ago(minutes=8), False),
        (State.SUCCESS, airflow.ago(days=1), True),
    ]
    assert only(session).state is State.RUNNING


def test_a_backfill_of_the_past_is_the_last_run(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=1))
    now = {"queued_at": airflow.ago(hours=1), "start_date": airflow.ago(hours=1)}
    back = airflow.run(made[0], airflow.ago(days=20), "success", run_type="backfill", **now)
    last = only(session).last_run
    assert last is not None
    assert last.run_id == back


def test_a_drop_lasts_until_another_run_has_mended_it(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.good(made, airflow.ago(days=2), size=1000)
    fell = airflow.good(made, airflow.ago(days=1), size=500)
    airflow.event(made, airflow.ago(hours=1), report(500), fell)  # cleared, with the same result
    assert kinds(load_overview(session, now=NOW)) == [Kind.DROP]


@pytest.mark.parametrize("form", ["Europe/Berlin", "+02:00", "Mars/Base", "../../etc/passwd", 7, None])
@pytest.mark.parametrize("compressed", [False, True])
def test_the_timezone_of_the_dag(session: Session, airflow: Airflow, form: Any, compressed: bool) -> None:
    made = airflow.sync()
    airflow.serialized(made[0], timezone="Asia/Tokyo", number=1)
    airflow.serialized(made[0], timezone=form, number=2, compressed=compressed)
    assert only(session).dag.timezone == ("Europe/Berlin" if form == "Europe/Berlin" else "UTC")


@pytest.mark.parametrize("compressed", [False, True])
def test_the_form_of_the_dag(session: Session, airflow: Airflow, compressed: bool) -> None:
    made = airflow.sync()
    params = [["dry_run", {"value": False}], ["source", {"value": "cohort"}]]
    airflow.serialized(made[0], timezone="UTC", params=params, compressed=compressed)
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert history.sync.dag.form == {"dry_run", "source"}


def test_a_sync_that_cannot_run_has_a_page_as_well(session: Session, airflow: Airflow) -> None:
    dag_id = airflow.dag("cohort_sync__broken", "cohort-sync", "config-error", timetable_summary="None")
    history = load_history(session, dag_id, "sync", None, now=NOW)
    assert history is not None
    assert (history.sync.name, history.sync.state) == ("broken", State.CONFIG_ERROR)
    assert [one.kind for one in history.attention] == [Kind.CONFIG_ERROR]


def test_an_address_that_is_no_address(session: Session, airflow: Airflow) -> None:
    dag_id = airflow.dag("strange")
    airflow.writes(dag_id, "sync", "customerio://[half/segments/name/x")
    airflow.writes(dag_id, "sync", segment_uri("x", ""))
    assert len(load_overview(session, now=NOW).syncs) == 2
