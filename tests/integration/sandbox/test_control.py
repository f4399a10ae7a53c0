"""The sandbox's own API, its page, and what it keeps of requests and settings."""

from __future__ import annotations

from dataclasses import fields

import pytest
import requests

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.server import API_KEY, APP_KEY, SECRET_KEY, SITE_ID, TRACKING_KEY
from airflow_provider_cio_cohort.sandbox.settings import Settings

KEYS = (API_KEY, SECRET_KEY, SITE_ID, TRACKING_KEY, APP_KEY)


@pytest.fixture
def control(sandbox, http):
    def call(path: str, method: str = "GET", **more) -> requests.Response:
        return http.request(method, f"{sandbox.urls['control']}{path}", timeout=10, **more)

    return call


def secrets_of(sandbox: Sandbox) -> set[str]:
    """All that stands for a person, and the keys."""
    people = sandbox.workspace.people.values()
    rows = [row for cohort in sandbox.project.cohorts.values() for row in cohort.rows]
    of_people = {value for p in people for value in (p.id, p.email, p.cio_id) if value}
    return of_people | {row["amplitude_id"] for row in rows} | set(KEYS)


# ---- what it holds


def test_all_is_made_over_http(sandbox, control, change) -> None:
    people = [{"id": "u-1", "email": "a@example.com"}, {"id": "u-2"}]
    assert control("/people", "POST", json=people).json() == {"people": 2}
    number = control("/segments", "POST", json={"name": "Power users", "members": ["u-2"]}).json()["id"]
    rows = [{"amplitude_id": "1", "user_id": "u-1"}]
    body = {"id": "a1b2c3d", "name": "Power users", "rows": rows}
    assert control("/cohorts", "POST", json=body).json() == {"id": "a1b2c3d", "size": 1}
    assert sandbox.project.cohorts["a1b2c3d"].rows == rows
    segment = sandbox.workspace.find_segment("Power users")
    assert segment.id == number
    change(segment, ["u-1"])
    found = control(f"/segments/{number}/members").json()
    assert sorted((p["id"], p["email"]) for p in found) == [("u-1", "a@example.com"), ("u-2", None)]


def test_the_state_is_counts(sandbox, control, cohort, segment, ann, change, request_export) -> None:
    change(segment, ["Ann-1"])
    request_export()
    state = control("/state").json()
    (project,), (workspace,) = state["projects"], state["workspaces"]
    assert (project["used"], project["limit"]) == (1, 500)
    assert [(c["id"], c["size"], c["group"]) for c in project["cohorts"]] == [(cohort.id, 3, "User")]
    assert workspace["people"] == 1
    assert [(s["id"], s["members"]) for s in workspace["segments"]] == [(segment.id, 1)]
    assert state["requests"] == {"amplitude": 1, "track": 1}
    assert state["too_many"] == {}


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/faults", "POST", {"action": "explode"}),
        ("/faults", "POST", {"action": "drop", "nonsense": 1}),
        ("/settings", "PUT", {"nonsense": 1}),
        ("/settings", "PUT", {"crlf": "yes"}),
        ("/cohorts", "POST", {"id": "a1b2c3d"}),
        ("/segments", "POST", {"name": "Some", "members": ["nobody"]}),
        ("/segments/999/members", "GET", None),
    ],
)
def test_what_makes_no_sense_is_a_400_that_says_why(sandbox, control, path, method, body) -> None:
    answer = control(path, method, json=body)
    assert answer.status_code == 400
    assert ": " in answer.json()["error"]
    assert (sandbox.faults.all(), sandbox.project.cohorts, sandbox.workspace.segments) == ([], {}, {})
    assert sandbox.settings == Settings(export_seconds=0)


# ---- faults and settings


def test_faults_are_set_listed_and_cleared_over_http(control, track) -> None:
    assert control("/faults", "POST", json={"action": "status", "status": 418, "times": 0}).ok
    assert track("/auth").status_code == 418
    (fault,) = control("/faults").json()
    assert (fault["action"], fault["met"]) == ("status", 1)
    control("/faults", "DELETE")
    assert control("/faults").json() == []
    assert track("/auth").status_code == 200


def test_settings_are_changed_over_http(sandbox, control, amplitude) -> None:
    assert control("/settings", "PUT", json={"exports_a_month": 7}).ok
    assert amplitude("/api/3/cohorts/usage").json()["rest_download"]["limit"] == 7


def test_latency_comes_before_every_answer(sandbox, app) -> None:
    sandbox.configure(latency_ms=600_000)
    with pytest.raises(requests.ReadTimeout):
        app("/v1/segments", timeout=0.1)
    sandbox.configure(latency_ms=1)
    assert app("/v1/segments").status_code == 200


def test_latency_spreads_around_its_middle(sandbox, app) -> None:
    sandbox.configure(latency_ms=600_000, latency_spread=12)  # without it, none comes within ten minutes
    seen: set[str] = set()
    for _ in range(50):  # a quarter are quick
        try:
            app("/v1/segments", timeout=0.2)
            seen.add("quick")
        except requests.ReadTimeout:
            seen.add("late")
        if len(seen) == 2:
            break
    assert seen == {"quick", "late"}


def test_each_setting_takes_its_own_type_only() -> None:
    settings = Settings()
    for field in fields(Settings):
        wrong = 1 if field.type in ("str", "bool") else "text"
        with pytest.raises(ValueError, match=f"setting '{field.name}' must be of type"):
            settings.update(**{field.name: wrong})
    assert settings == Settings()


# ---- requests


def test_requests_are_remembered(sandbox, control, app, change, segment, ann) -> None:
    change(segment, ["Ann-1", "u-2"], query="?id_type=id")
    app("/v1/segments/999")
    one, other = sandbox.requests
    path = f"/api/v1/segments/{segment.id}/add_customers"
    assert (one.api, one.method, one.path, one.status, one.ids) == ("track", "POST", path, 200, 2)
    assert one.query == {"id_type": ["id"]}
    assert one.headers["Authorization"].startswith("Basic ")
    assert (other.api, other.path, other.status, other.ids) == ("app", "/v1/segments/999", 404, 0)
    counts = [
        sandbox.count(),
        sandbox.count("app"),
        sandbox.count(path_regex="add_"),
        sandbox.count("storage"),
    ]
    assert counts == [2, 1, 1, 0]
    listed = control("/requests")
    assert [(r["api"], r["ids"]) for r in listed.json()] == [("track", 2), ("app", 0)]
    assert "Authorization" not in listed.text
    assert "Ann-1" not in listed.text
    control("/requests", "DELETE")
    assert (sandbox.requests, sandbox.count()) == ([], 0)


def test_refused_and_unknown_requests_are_remembered_too(sandbox, amplitude, track) -> None:
    amplitude("/api/3/cohorts", auth=None)
    track("/nowhere")
    track("/api/v1/accounts/region", "PUT")
    assert [r.status for r in sandbox.requests] == [403, 404, 405]


def test_keys_are_not_printed(sandbox, app) -> None:
    app("/v1/segments")
    assert APP_KEY not in repr(sandbox.requests)


# ---- the page


def test_the_page_shows_names_and_counts_and_nobody(http) -> None:
    with Sandbox(people=500, export_seconds=0) as vendors:
        vendors.workspace.add_segment("<b>Bold</b>", members=list(vendors.workspace.people.values()))
        answer = http.get(f"{vendors.urls['control']}/")
        page, secrets = answer.text, secrets_of(vendors)
        people = len(vendors.workspace.people)
        size = vendors.project.cohorts["pwr7k2m"].size
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Power users" in page
    assert f">{size:,}<" in page
    assert f">{people:,}<" in page
    assert "&lt;b&gt;Bold&lt;/b&gt;" in page
    assert "0 of 500 exports used" in page
    assert "0 amplitude, 0 storage, 0 track, 0 app" in page
    assert "@" not in page
    assert len(secrets) > 1000
    assert not [secret for secret in secrets if secret in page]


# ---- made-up people, and the sandbox's life


def test_the_same_seed_makes_the_same_people() -> None:
    def rows(seed: int) -> list:
        return list(Sandbox(people=50, seed=seed).project.cohorts["pwr7k2m"].rows)

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_made_up_people_are_odd_enough() -> None:
    vendors = Sandbox(people=2000)
    rows = vendors.project.cohorts["pwr7k2m"].rows
    ids = [row["user_id"] for row in rows]
    assert "" in ids
    assert len({i for i in ids if i}) < len([i for i in ids if i])
    assert any("\n" in row["company"] for row in rows)
    assert any('"' in row["company"] for row in rows)
    assert {i for i in ids if i} - {p.id for p in vendors.workspace.people.values()}
    assert {row["email"].rpartition(".")[2].lower() for row in rows if row["email"]} == {
        "com",
        "org",
        "net",
        "test",
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104
def test_only_loopback_is_served(host: str) -> None:
    with pytest.raises(ValueError, match="loopback addresses only"):
        Sandbox(host=host)


def test_ports_in_a_row_and_ports_that_are_taken(sandbox) -> None:
    taken = int(sandbox.urls["control"].rpartition(":")[2])
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}"), Sandbox(port=taken):
        pass
    with pytest.raises(ValueError, match="8 ports in a row, which do not exist from 65529 on"):
        Sandbox(port=65_529)


def test_a_setting_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="no setting 'nonsense'; the settings are answers_cohort_id"):
        Sandbox(nonsense=1)
