"""Plain HTTP to the sandbox, as somebody without the hooks would speak it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider_cio_cohort.sandbox.server import API_KEY, APP_KEY, SECRET_KEY, SITE_ID, TRACKING_KEY

ROWS = [
    {"amplitude_id": "101", "user_id": "u-1", "mail": "a@example.com", "plan": "pro"},
    {"amplitude_id": "102", "user_id": "", "mail": 'say "hi",\nthere é', "plan": "free"},
    {"amplitude_id": "103", "user_id": "u-1", "mail": "a@example.com", "plan": "pro"},
]
Call = Callable[..., requests.Response]


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A session that takes nothing from the environment and follows no redirect by itself."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def caller(http: requests.Session, urls: dict[str, str], api: str, **usual: Any) -> Call:
    def call(path: str, method: str = "GET", region: str = "us", **more: Any) -> requests.Response:
        arguments = {"allow_redirects": False, "timeout": 10, **usual, **more}
        return http.request(method, f"{urls[f'{api}_{region}']}{path}", **arguments)

    return call


@pytest.fixture
def amplitude(sandbox, http) -> Call:
    """Call Amplitude: ``amplitude(path, region="us", auth=…)``."""
    return caller(http, sandbox.urls, "amplitude", auth=(API_KEY, SECRET_KEY))


@pytest.fixture
def track(sandbox, http) -> Call:
    """Call the Track API: ``track(path, "POST", json=…)``."""
    return caller(http, sandbox.urls, "track", auth=(SITE_ID, TRACKING_KEY))


@pytest.fixture
def app(sandbox, http) -> Call:
    """Call the App API: ``app(path, "POST", json=…)``."""
    return caller(http, sandbox.urls, "app", headers={"Authorization": f"Bearer {APP_KEY}"})


@pytest.fixture
def cohort(sandbox) -> Any:
    """A cohort of three rows: one without a user_id, two of one user."""
    return sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=ROWS)


@pytest.fixture
def request_export(amplitude, cohort) -> Callable[..., str]:
    """Request an export of the cohort, and return its request id."""

    def ask(query: str = "", cohort_id: str = cohort.id) -> str:
        answer = amplitude(f"/api/5/cohorts/request/{cohort_id}{query}")
        assert answer.status_code == 202, answer.text
        request_id = answer.json()["request_id"]
        assert isinstance(request_id, str)
        return request_id

    return ask


@pytest.fixture
def export(amplitude, request_export) -> Callable[..., requests.Response]:
    """Export the cohort, and return the answer that has the file."""

    def get(query: str = "", **more: Any) -> requests.Response:
        return amplitude(f"/api/5/cohorts/request/{request_export(query)}/file", **more)

    return get


@pytest.fixture
def change(track) -> Call:
    """Add people to a segment, or remove them: ``change(segment, ["u-1"], "remove")``."""

    def post(segment: Any, ids: Any, what: str = "add", query: str = "", **more: Any) -> requests.Response:
        path = f"/api/v1/segments/{segment.id}/{what}_customers{query}"
        return track(path, "POST", json={"ids": ids}, **more)

    return post


@pytest.fixture
def members(app) -> Callable[..., set[str]]:
    """Read the cio_ids of a segment's members."""

    def read(segment: Any) -> set[str]:
        found = app(f"/v1/segments/{segment.id}/membership?limit=30000").json()["identifiers"]
        return {person["cio_id"] for person in found or []}

    return read


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so; not for ever."""

    def wait(condition: Callable[[], bool]) -> None:
        for _ in range(500):
            if condition():
                return
            time.sleep(0.01)
        raise AssertionError("it never came to that")

    return wait


@pytest.fixture
def segment(sandbox) -> Any:
    """A segment without members."""
    return sandbox.workspace.add_segment("Power users")


@pytest.fixture
def ann(sandbox) -> Any:
    """Somebody with an id and an e-mail address."""
    return sandbox.workspace.add_person(id="Ann-1", email="Ann+x@Example.com")
