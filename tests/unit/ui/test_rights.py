"""Who may see what: no more than Airflow's own pages show, by the same rights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.models.taskinstance import TaskInstance
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.ui.rights import RUN_DETAILS
from tests.unit.overview.rows import Airflow, failure, task_row
from tests.unit.ui.test_pages import airflow, client, headers, history_of, login, text_of  # noqa: F401

#: What only runs tell.
OF_RUNS = (
    *("Failed", "The last run failed", "Waiting for approval", "Decide", "Missing pool", "cio_pool"),
    *("Overdue", "The reason.", "Running", "Success", "scheduled__", "/runs/"),
)


@pytest.fixture
def filled(airflow: Airflow, session: Session) -> dict[str, tuple[str, str, int]]:  # noqa: F811
    """Syncs in every state that a run can bring about, each with an event of an earlier success."""
    made = {name: airflow.sync(name) for name in ("failed", "asked", "running", "good", "late", "pool")}
    for one in made.values():
        airflow.event(one, airflow.ago(days=3))
    airflow.failed(made["failed"][0], airflow.ago(hours=2), failure(reason="The reason."))
    waiting = {"approve": "awaiting_input", "sync": None}
    airflow.run(made["asked"][0], airflow.ago(hours=2), "running", waiting)
    airflow.run(made["running"][0], airflow.ago(hours=2), "running", {"sync": "running"})
    airflow.good(made["good"], airflow.ago(hours=2))
    airflow.run(made["late"][0], airflow.ago(days=2), "queued")
    run_id = airflow.run(made["pool"][0], airflow.ago(hours=2), "running", {})
    airflow.put(TaskInstance, **task_row(made["pool"][0], "sync", run_id, "scheduled", pool="cio_pool"))
    session.commit()
    return made


Rule = Callable[..., bool]


@pytest.fixture
def rights(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Rule], None]]:
    """Give the user rights that the roles of Airflow's simple auth manager do not tell apart."""
    manager = create_auth_manager()
    theirs = manager.is_authorized_dag

    def give(rule: Rule) -> None:
        def is_authorized(*, method: str, user: Any, access_entity: Any = None, details: Any = None) -> bool:
            dag_id = None if details is None else details.id
            allowed = access_entity is None or rule(access_entity, dag_id)
            return allowed and theirs(method=method, user=user, access_entity=access_entity, details=details)

        monkeypatch.setattr(manager, "is_authorized_dag", is_authorized)

    return give


def airflows_own_list(role: str | None) -> int:
    """Return the status of Airflow's own list of DAGs, with their runs and what waits for input."""
    from airflow.api_fastapi.core_api.routes.ui.dags import dags_router
    from fastapi import FastAPI

    app = FastAPI()
    app.state.auth_manager = create_auth_manager()
    app.include_router(dags_router)
    with TestClient(app, headers=headers(role)) as opened:
        return opened.get("/dags?dag_ids=none").status_code


@pytest.mark.parametrize("role", [None, "viewer", "user", "op", "admin"])
def test_each_role_of_airflows_auth_manager(
    client: TestClient,  # noqa: F811
    filled: dict[str, tuple[str, str, int]],
    role: str | None,
) -> None:
    answer = client.get("/", headers=headers(role))
    assert airflows_own_list(role) == answer.status_code == (200 if role else 403)
    said = text_of(answer.text)
    assert ("Failed" in said and "Waiting for approval" in said) == bool(role)
    assert client.get(history_of(filled["failed"]), headers=headers(role)).status_code == answer.status_code


@pytest.mark.parametrize("lacking", RUN_DETAILS)
def test_without_a_right_that_airflows_own_list_asks_for_no_run_shows(
    client: TestClient,  # noqa: F811
    filled: dict[str, tuple[str, str, int]],
    rights: Callable[[Rule], None],
    lacking: DagAccessEntity,
) -> None:
    complete = text_of(client.get("/").text)
    assert [words for words in OF_RUNS[:-2] if words not in complete] == []
    rights(lambda entity, _: entity is not lacking)
    assert airflows_own_list("viewer") == 403
    html = client.get("/").text
    said = text_of(html)
    assert [words for words in OF_RUNS if words in html] == []
    assert said.count("No permission") == len(filled)
    assert "You may not see the runs of 6 syncs" in said
    assert "healthy" not in said
    assert "1,000" in said  # the segment's size is in an asset's event
    for made in filled.values():
        assert history_of(made)[1:].replace("&", "&amp;") not in html
        assert client.get(history_of(made)).status_code == 403
        # A query is no way around it.
        assert "Failed" not in client.get(f"/?dag_id={made[0]}").text


def test_rights_for_some_dags(
    client: TestClient,  # noqa: F811
    filled: dict[str, tuple[str, str, int]],
    rights: Callable[[Rule], None],
) -> None:
    mine = {filled["failed"][0], filled["good"][0]}
    rights(lambda entity, dag_id: dag_id in mine)
    html = client.get("/").text
    said = text_of(html)
    assert said.count("No permission") == 4
    assert "The last run failed" in said
    assert "Waiting for approval" not in said
    assert "You may not see the runs of 4 syncs" in said
    statuses = {name: client.get(history_of(made)).status_code for name, made in filled.items()}
    assert {name for name, status in statuses.items() if status == 200} == {"failed", "good"}
    assert set(statuses.values()) == {200, 403}
    # The right for one DAG, asked for in the query, is none for the others.
    assert "Waiting for approval" not in text_of(client.get(f"/?dag_id={filled['failed'][0]}").text)


def test_a_missing_sync_shows_as_missing_without_its_runs(
    client: TestClient,  # noqa: F811
    airflow: Airflow,  # noqa: F811
    session: Session,
    rights: Callable[[Rule], None],
) -> None:
    file = {"relative_fileloc": "growth.py"}
    lost = airflow.sync("lost", is_stale=True, last_parsed_time=airflow.ago(hours=1), **file)
    airflow.event(lost, airflow.ago(days=3))
    airflow.run(lost[0], airflow.ago(hours=2), "failed")
    airflow.broken_file(**file)
    session.commit()
    assert history_of(lost)[1:].replace("&", "&amp;") in client.get("/").text
    rights(lambda entity, _: False)
    html = client.get("/").text
    said = text_of(html)
    assert "Airflow has lost its DAG" in said
    assert "No permission" not in said
    assert "You may not see the runs of 1 sync:" in said
    assert [words for words in OF_RUNS if words in html] == []
    assert history_of(lost)[1:].replace("&", "&amp;") not in html


def test_where_only_hidden_syncs_need_attention_none_is_called_healthy(
    client: TestClient,  # noqa: F811
    airflow: Airflow,  # noqa: F811
    session: Session,
    rights: Callable[[Rule], None],
) -> None:
    airflow.good(airflow.sync("one"), airflow.ago(hours=1))
    airflow.run(airflow.sync("two")[0], airflow.ago(hours=1), "failed")
    session.commit()
    rights(lambda entity, dag_id: dag_id == "cohort_sync__one")
    said = text_of(client.get("/").text)
    assert "No sync whose runs you may see needs attention" in said
    assert "You may not see the runs of 1 sync:" in said
    assert "healthy" not in said


def test_the_rights_are_those_of_airflows_list() -> None:
    """Airflow's own list is the measure: what it asks for, the page asks for."""
    import inspect

    from airflow.api_fastapi.core_api.routes.ui.dags import dags_router

    (route,) = [route for route in dags_router.routes if getattr(route, "operation_id", "") == "get_dags_ui"]
    asked = {
        inspect.getclosurevars(dependency.dependency).nonlocals.get("access_entity")
        for dependency in getattr(route, "dependencies", [])
    }
    assert asked - {None} <= set(RUN_DETAILS)
