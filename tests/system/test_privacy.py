"""Plants keys and people, lets syncs succeed and fail at DEBUG level, and searches all that Airflow keeps."""

from __future__ import annotations

import base64
import html
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.crashes import Broken, hold, wait_until_held
from tests.system.helpers import PERSON, fill, finish_exports, members, run

pytestmark = pytest.mark.system

WRONG_KEY = "planted-wrong-key-4711"


def shown(airflow: AirflowInstance) -> Iterator[tuple[str, str]]:
    """Yield the pages of all syncs, and what Airflow's API tells of a task that has run."""
    page = airflow.request("GET", "/cohort-syncs/").text
    yield "page", page
    for address in sorted(set(re.findall(r'href="(?:\./)?(history[^"]+)"', page))):
        yield f"page {address}", airflow.request("GET", f"/cohort-syncs/{html.unescape(address)}").text
    for run_of_it in airflow.runs("win_back"):
        task = f"dags/win_back/dagRuns/{run_of_it['dag_run_id']}/taskInstances/sync"
        for part in ("", "/links", "/xcomEntries/return_value"):
            yield f"{part or 'task'} of win_back", airflow.request("GET", f"/api/v2/{task}{part}").text


def kept(home: Path) -> Iterator[tuple[str, str]]:
    """Yield all that Airflow has written down: every log, what the components print, every row."""
    for path in home.rglob("*"):
        if path.suffix in (".log", ".out") and path.is_file():
            yield str(path.relative_to(home)), path.read_text(errors="replace")
    with sqlite3.connect(f"file:{home / 'airflow.db'}?mode=ro", uri=True) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608
            yield f"table {table}", repr(rows)


@pytest.fixture(scope="module")
def everything(airflow: AirflowInstance, vendors: Sandbox) -> list[tuple[str, str]]:
    """Run what succeeds, what fails, what is deferred and what is killed; return all that was kept of it."""
    people = [PERSON, *(f"{PERSON}-{n}" for n in range(1500))]
    fill(vendors, "w1nback", *people)
    assert run(airflow, "win_back")[1] == "success"
    assert len(members(vendors, "Win back")) == 1501
    fill(vendors, "w1nback")
    assert run(airflow, "win_back")[1] == "failed"  # an empty cohort: the guard
    fill(vendors, "w1nback", *people)
    segment = vendors.workspace.find_segment("Win back")
    assert segment is not None
    segment.remove(segment.members)
    refusal = {"meta": {"errors": [f"{PERSON}@example.com is not liked"]}}
    vendors.faults.add("status", api="track", status=400, body=refusal)
    assert run(airflow, "win_back")[1] == "failed"
    vendors.faults.clear()
    vendors.configure(export_seconds=600)
    held = hold(vendors, "writing", times=1, seconds=3)
    broken = Broken(airflow, vendors, "in_private", "crash17").start()
    broken.wait_for("deferred")
    finish_exports(vendors)
    wait_until_held(airflow, held, 1)
    broken.kill("task")
    broken.assert_right()
    wrong = {**vendors.connections()["amplitude_default"], "password": WRONG_KEY}
    body = {"connection_id": "amplitude_wrong", **wrong, "extra": json.dumps(wrong["extra"])}
    airflow.api("POST", "connections", body)
    assert run(airflow, "win_back", {"amplitude_conn_id": "amplitude_wrong"})[1] == "failed"
    return [*kept(airflow.home), *shown(airflow)]


def test_the_search_would_find_something(everything: list[tuple[str, str]]) -> None:
    where = {name for name, text in everything if "w1nback" in text}
    assert any(name.endswith(".log") for name in where)
    assert any(name.startswith("table ") for name in where)
    assert {"page", "/links of win_back", "task of win_back"} <= where
    assert any(name.startswith("page ") for name in where)
    assert any("urllib3" in text and "/v1/segments" in text for _, text in everything)


def test_no_key_is_kept(everything: list[tuple[str, str]], vendors: Sandbox) -> None:
    amplitude, customer_io = vendors.connections().values()
    keys = [amplitude["password"], customer_io["password"], customer_io["extra"]["app_api_key"], WRONG_KEY]
    for connection in (amplitude, customer_io):
        pair = f"{connection['login']}:{connection['password']}"
        keys.append(base64.b64encode(pair.encode()).decode())
    found = {(name, keys.index(key)) for name, text in everything for key in keys if key in text}
    assert found == set()


def test_no_person_is_kept(everything: list[tuple[str, str]]) -> None:
    assert {name for name, text in everything if PERSON in text} == set()


def test_no_signed_url_is_kept(everything: list[tuple[str, str]], vendors: Sandbox) -> None:
    signatures = list(vendors.project.links)
    assert signatures
    assert {name for name, text in everything for signature in signatures if signature in text} == set()
    assert {name for name, text in everything if "X-Amz-Signature=" in text} == set()
