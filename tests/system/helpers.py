"""What the system tests do over and over."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance

#: Planted wherever people are: nothing that Airflow keeps may hold it.
PERSON = "planted-person-4711"
#: How long an export takes, unless a test says otherwise.
EXPORT_SECONDS = 0.5


def fill(vendors: Sandbox, cohort_id: str, *user_ids: str, known: bool = True) -> None:
    """Let a cohort hold these people."""
    for user_id in user_ids:
        if known:
            vendors.workspace.add_person(id=user_id, email=f"{user_id}@example.com")
    rows = [
        {"amplitude_id": str(n), "user_id": user_id, "email": f"{user_id}@example.com"}
        for n, user_id in enumerate(user_ids)
    ]
    vendors.project.add_cohort(id=cohort_id, name=cohort_id, rows=rows)


def finish_exports(vendors: Sandbox) -> None:
    """Let the exports that are being computed be finished, and later ones be fast again."""
    vendors.configure(export_seconds=EXPORT_SECONDS)
    for job in vendors.project.jobs.values():
        job.ready_at = 0


def members(vendors: Sandbox, name: str) -> set[str | None]:
    segment = vendors.workspace.find_segment(name)
    return set() if segment is None else {person.id for person in segment.members}


def answer(airflow: AirflowInstance, dag_id: str, run_id: str, choice: str) -> dict[str, Any]:
    """Answer the question of a run's task ``approve``; return the question."""
    path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve"
    airflow.wait_until(
        lambda: airflow.task(dag_id, run_id, "approve")["state"] == "awaiting_input", "the question"
    )
    question: dict[str, Any] = airflow.api("GET", f"{path}/-1/hitlDetails")
    # Airflow takes a task that resumes before its supervisor has reported the pause, here within a second,
    # for one that was killed, and asks again. People are slower than that.
    time.sleep(3)
    airflow.api("PATCH", f"{path}/-1/hitlDetails", {"chosen_options": [choice], "params_input": {}})
    return question


def run(airflow: AirflowInstance, dag_id: str, conf: dict[str, Any] | None = None) -> tuple[str, str]:
    """Run a DAG by hand to its end; return the run's id and state."""
    airflow.unpause(dag_id)
    run_id = airflow.trigger(dag_id, conf)
    return run_id, airflow.wait_for_run(dag_id, run_id)
