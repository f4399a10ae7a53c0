"""A look with a memory shows what a look without one shows, whatever has changed since the last."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.models.asset import AssetEvent
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Memory, Overview, Sync, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, failure, report, task_row
from tests.unit.overview.test_queries import asked

GOOD, BAD = "cohort_sync__good", "cohort_sync__bad"
OLD = "scheduled__old"


@pytest.fixture
def memory(airflow: Airflow, session: Session) -> Memory:
    """A memory that has looked: at a good sync, a failed one, one of a mapped task, and a shared export."""
    good, bad = airflow.sync("good"), airflow.sync("bad")
    airflow.serialized(BAD, timezone="Europe/Berlin")
    for days in (5, 4, 3, 2):
        airflow.good(good, airflow.ago(days=days), exports_used=10 - days, exports_limit=500)
        airflow.good(bad, airflow.ago(days=days))
    airflow.run(GOOD, airflow.ago(days=1, hours=1), run_id=OLD)
    airflow.event(good, airflow.ago(days=1), run_id=OLD)
    airflow.failed(BAD, airflow.ago(days=1), failure())
    airflow.run(BAD, airflow.ago(minutes=5), "running", run_type="manual", logical_date=None)
    late = airflow.late()
    run_id = airflow.run(late[0], airflow.ago(days=1), tasks={})
    for index, name in enumerate(("Europe", "Asia")):
        airflow.part(late, run_id, "success", index, segment=name)
        airflow.late_event(late, run_id, name, index)
    session.commit()
    made = Memory()
    look(session, made)
    return made


def look(session: Session, memory: Memory, **options: Any) -> Overview:
    session.expire_all()
    found = load_overview(session, now=NOW, memory=memory, **options)
    assert found == load_overview(session, now=NOW, **options)
    return found


def named(overview: Overview, name: str) -> Sync:
    return next(sync for sync in overview.syncs if sync.name == name)


def task(session: Session, dag_id: str, run_id: str) -> TaskInstance:
    (found,) = session.scalars(select(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id))
    return found


def cleared(session: Session, airflow: Airflow) -> None:
    clear_task_instances([task(session, GOOD, OLD)], session)


def cleared_by_another_process(session: Session, airflow: Airflow) -> None:
    with create_session(scoped=False) as other:
        clear_task_instances([task(other, GOOD, OLD)], other)


def retried(session: Session, airflow: Airflow) -> None:
    failed = session.scalars(select(TaskInstance).filter_by(dag_id=BAD, state="failed")).one()
    failed.state = TaskInstanceState.RUNNING
    failed.try_number = 2
    session.scalars(
        select(DagRun).filter_by(dag_id=BAD, run_id=failed.run_id)
    ).one().state = DagRunState.RUNNING


def marked_as_failed(session: Session, airflow: Airflow) -> None:
    """Only the task: Airflow leaves the run as it is."""
    task(session, GOOD, OLD).state = TaskInstanceState.FAILED


def state_set_by_sql(session: Session, airflow: Airflow) -> None:
    where = {"dag_id": GOOD, "run_id": OLD}
    statement = "UPDATE task_instance SET state = 'skipped' WHERE dag_id = :dag_id AND run_id = :run_id"
    session.execute(text(statement), where)


def started_later(session: Session, airflow: Airflow) -> None:
    """As the execution API does: in one statement, without an object."""
    question = update(TaskInstance).where(TaskInstance.dag_id == GOOD, TaskInstance.run_id == OLD)
    session.execute(question.values(start_date=airflow.ago(hours=1)))


def queued_later(session: Session, airflow: Airflow) -> None:
    """As the scheduler does, for a run whose state is the same as before."""
    question = update(DagRun).where(DagRun.dag_id == GOOD, DagRun.run_id == OLD)
    session.execute(question.values(queued_at=airflow.ago(hours=1)))


def ran_again(session: Session, airflow: Airflow) -> None:
    cleared(session, airflow)
    again = task(session, GOOD, OLD)
    again.state, again.start_date, again.end_date = "success", airflow.ago(hours=2), airflow.ago(hours=1)
    again.dag_run.state = DagRunState.SUCCESS


def new_run(session: Session, airflow: Airflow) -> None:
    airflow.run(GOOD, airflow.ago(minutes=10), "running")


def new_manual_run(session: Session, airflow: Airflow) -> None:
    airflow.run(GOOD, airflow.ago(minutes=1), "failed", run_type="manual", logical_date=None)


def new_event(session: Session, airflow: Airflow) -> None:
    asset_id = session.scalar(select(AssetEvent.asset_id).filter_by(source_dag_id=GOOD))
    airflow.event((GOOD, "sync", asset_id), airflow.ago(minutes=3), report(size=7, exports_used=400))


def events_removed(session: Session, airflow: Airflow) -> None:
    session.execute(
        delete(AssetEvent).where(
            AssetEvent.source_dag_id == GOOD, AssetEvent.timestamp > NOW - timedelta(days=3)
        )
    )


def run_removed(session: Session, airflow: Airflow) -> None:
    session.execute(delete(TaskInstance).where(TaskInstance.dag_id == GOOD, TaskInstance.run_id == OLD))
    session.execute(delete(DagRun).where(DagRun.dag_id == GOOD, DagRun.run_id == OLD))


def task_added_to_run(session: Session, airflow: Airflow) -> None:
    session.execute(delete(TaskInstance).where(TaskInstance.dag_id == GOOD, TaskInstance.run_id == OLD))
    session.execute(insert(TaskInstance.__table__).values(**task_row(GOOD, "sync", OLD, "failed")))


def reason_removed(session: Session, airflow: Airflow) -> None:
    session.execute(delete(XComModel).where(XComModel.key == "failure"))


def timezone_changed_in_place(session: Session, airflow: Airflow) -> None:
    stored = session.scalars(select(SerializedDagModel)).one()
    stored._data = {"__version": 3, "dag": {"dag_id": BAD, "timezone": "Asia/Tokyo"}}
    stored.dag_hash = "another"


def timezone_changed(session: Session, airflow: Airflow) -> None:
    airflow.serialized(BAD, number=2, timezone="Asia/Tokyo")


def paused(session: Session, airflow: Airflow) -> None:
    session.execute(update(DagModel).where(DagModel.dag_id == GOOD).values(is_paused=True))


def part_failed(session: Session, airflow: Airflow) -> None:
    part = session.scalars(select(TaskInstance).filter_by(dag_id="mine", map_index=1)).one()
    part.state = TaskInstanceState.FAILED


def part_of_another_segment(session: Session, airflow: Airflow) -> None:
    table = RenderedTaskInstanceFields
    rendered = session.scalars(select(table).filter_by(dag_id="mine", map_index=1)).one()
    rendered.rendered_fields = {**rendered.rendered_fields, "segment_name": "Africa"}


CHANGES = (
    *(cleared, cleared_by_another_process, retried, marked_as_failed, state_set_by_sql, started_later),
    queued_later,
    *(ran_again, new_run, new_manual_run, new_event, events_removed, run_removed, task_added_to_run),
    *(reason_removed, timezone_changed_in_place, timezone_changed, paused, part_failed),
    part_of_another_segment,
)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_every_change_shows_at_the_next_look(
    airflow: Airflow, session: Session, memory: Memory, change: Callable[[Session, Airflow], None]
) -> None:
    before = look(session, memory)
    change(session, airflow)
    session.commit()
    after = look(session, memory)
    assert after.syncs != before.syncs
    assert look(session, memory) == after


def test_changes_one_after_another(airflow: Airflow, session: Session, memory: Memory) -> None:
    for change in (marked_as_failed, new_event, ran_again, new_run, timezone_changed, run_removed):
        change(session, airflow)
        session.commit()
        look(session, memory)


def test_unchanged_rows_are_not_read_again(airflow: Airflow, session: Session, memory: Memory) -> None:
    with asked(session) as statements:
        load_overview(session, now=NOW, memory=memory)
    texts = [statement for statement, _ in statements]
    assert [one for one in texts if "asset_event.extra" in one or "dag_run.run_type" in one] == []
    marked_as_failed(session, airflow)
    session.commit()
    with asked(session) as statements:
        load_overview(session, now=NOW, memory=memory)
    (read,) = [parameters for statement, parameters in statements if "dag_run.run_type" in statement]
    assert [one for one in read if isinstance(one, int)] == [
        session.scalar(select(DagRun.id).filter_by(dag_id=GOOD, run_id=OLD))
    ]


def test_users_see_no_more_than_they_may(airflow: Airflow, session: Session, memory: Memory) -> None:
    hidden = look(session, memory, visible_runs=lambda dag_ids: set(dag_ids) - {GOOD})
    assert named(hidden, "good").runs == () != named(hidden, "bad").runs
    assert [sync.name for sync in look(session, memory, readable={BAD}).syncs] == ["bad"]
    assert look(session, memory, readable=set()).syncs == ()
    assert named(look(session, memory), "good").runs


def test_what_nobody_asks_for_is_forgotten() -> None:
    memory = Memory()
    memory.begin()
    memory.keep("asked", {1: "a"})
    memory.keep("not asked", {1: "b"})
    memory.made("not asked", memory.rows("not asked"), dict)
    for _ in range(100):
        memory.begin()
        memory.keep("asked", memory.rows("asked"))
    assert memory.rows("asked") == {1: "a"}
    assert memory.rows("not asked") == {}
    assert memory.made("not asked", {}, dict) == {}
