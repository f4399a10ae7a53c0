"""Why runs failed: what a task has kept of its error, and of which task."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Failure, State, Sync, load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, failure, task_row

KEPT = failure()


def syncs(session: Session) -> dict[str, Sync]:
    return {sync.task_id: sync for sync in load_overview(session, now=NOW).syncs}


def why(session: Session, task_id: str = "sync") -> Failure | None:
    failing = syncs(session)[task_id].failing
    return failing.failure if failing else None


def test_the_reason_of_the_last_failed_run(session: Session, airflow: Airflow) -> None:
    dag_id, *_ = airflow.sync()
    airflow.failed(dag_id, airflow.ago(days=2), failure(reason="Earlier."))
    due = airflow.ago(days=1)
    airflow.failed(dag_id, due, KEPT)
    airflow.run(dag_id, airflow.ago(minutes=1), "running")
    assert why(session) == Failure(
        "sync", -1, due + timedelta(minutes=5), "UnknownCohortError", KEPT["reason"], KEPT["segment"]
    )
    (attention,) = load_overview(session, now=NOW).attention
    assert attention.text == f"{KEPT['reason']} The last 2 runs failed. No good sync is known."


def test_a_sync_that_has_recovered_has_none(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    airflow.failed(made[0], airflow.ago(days=2), KEPT)
    airflow.good(made, airflow.ago(days=1))
    assert why(session) is None


def test_a_try_that_is_repeated(session: Session, airflow: Airflow) -> None:
    dag_id, *_ = airflow.sync()
    run_id = airflow.failed(dag_id, airflow.ago(minutes=10), KEPT)
    session.execute(TaskInstance.__table__.update().values(state="up_for_retry"))
    session.execute(DagRun.__table__.update().values(state="running", end_date=None))
    airflow.failed(dag_id, airflow.ago(days=1), failure(reason="Earlier."))
    (sync,) = syncs(session).values()
    assert (sync.state, sync.failing and sync.failing.run_id) == (State.RETRYING, run_id)
    assert sync.failing is not None
    assert sync.failing.failure is not None
    assert sync.failing.failure.reason == KEPT["reason"]
    (attention,) = load_overview(session, now=NOW).attention
    assert attention.text == "Earlier. The last run failed. No good sync is known."


def test_every_failed_run_of_the_history(session: Session, airflow: Airflow) -> None:
    made = airflow.sync()
    for days in (3, 1):
        airflow.failed(made[0], airflow.ago(days=days), failure(reason=f"{days} days ago."))
    airflow.good(made, airflow.ago(days=2))
    history = load_history(session, *made, now=NOW)
    assert history is not None
    assert [one.run and one.run.failure and one.run.failure.reason for one in history.moments] == [
        "1 days ago.",
        None,
        "3 days ago.",
    ]


@pytest.mark.parametrize(
    ("kept", "error", "reason"),
    [
        (
            failure(error="KeyError", reason=None),
            "KeyError",
            "The task sync ended with KeyError: see its log.",
        ),
        # An earlier try has kept it, and the last one was killed.
        (failure(try_number=7), None, "The task sync has not reported why: see its log."),
        *(
            (kept, None, "The task sync has not reported why: see its log.")
            for kept in (None, [], "s3://xcoms/1", {}, {"reason": "x"}, {"error": {}}, {"error": 10**20})
        ),
    ],
)
def test_what_is_not_of_use(
    session: Session, airflow: Airflow, kept: Any, error: str | None, reason: str
) -> None:
    dag_id, *_ = airflow.sync()
    airflow.failed(dag_id, airflow.ago(days=1), kept)
    found = why(session)
    assert found is not None
    assert (found.error, found.reason, found.segment is None) == (error, reason, error is None)


def test_a_task_that_is_shared_by_several_syncs(session: Session, airflow: Airflow) -> None:
    for target in ("europe", "america"):
        airflow.sync(task_id=f"sync__{target}", segment=target)
    others = dict.fromkeys(("sync__europe", "sync__america"), "upstream_failed")
    airflow.failed("cohort_sync__power_users", airflow.ago(days=1), KEPT, "export", others)
    for target in ("europe", "america"):
        found = why(session, f"sync__{target}")
        assert found is not None
        assert (found.task_id, found.reason) == ("export", KEPT["reason"])


@pytest.mark.parametrize("task_id", ["plan__europe", "approve__europe", "sync__europe"])
def test_a_task_of_one_of_several_syncs(session: Session, airflow: Airflow, task_id: str) -> None:
    for target in ("europe", "america"):
        airflow.sync(task_id=f"sync__{target}", segment=target)
    others = {"sync__europe": "upstream_failed"} if task_id != "sync__europe" else {}
    dag_id = "cohort_sync__power_users"
    run_id = airflow.failed(dag_id, airflow.ago(days=1), KEPT, task_id, others)
    airflow.put(TaskInstance, **task_row(dag_id, "sync__america", run_id, "failed"))
    found = why(session, "sync__europe")
    assert found is not None
    assert (found.task_id, found.reason) == (task_id, KEPT["reason"])
    found = why(session, "sync__america")
    assert found is not None
    assert (found.task_id, found.error) == ("sync__america", None)


def test_a_part_of_a_mapped_task(session: Session, airflow: Airflow) -> None:
    dag_id, *_ = airflow.sync()
    run_id = airflow.failed(dag_id, airflow.ago(days=1), KEPT, map_index=3)
    for index, state in ((0, "success"), (1, "failed")):
        airflow.put(TaskInstance, **task_row(dag_id, "sync", run_id, state, map_index=index))
    found = why(session)
    assert found is not None
    assert (found.map_index, found.reason) == (3, KEPT["reason"])


def test_a_run_that_failed_without_a_task(session: Session, airflow: Airflow) -> None:
    dag_id, *_ = airflow.sync()
    airflow.run(dag_id, airflow.ago(days=1), "failed", {"sync": None})
    assert why(session) is None
