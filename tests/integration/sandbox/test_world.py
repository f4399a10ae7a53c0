"""Tests can change the sandbox's world, between any two requests as well."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import requests

from airflow_provider_cio_cohort.sandbox import Sandbox


@pytest.fixture
def bob(sandbox) -> Any:
    return sandbox.workspace.add_person(email="bob@example.com")


@pytest.fixture
def control(sandbox, http):
    def call(path: str, method: str, body: Any) -> requests.Response:
        return http.request(method, f"{sandbox.urls['control']}{path}", json=body, timeout=10)

    return call


@pytest.fixture
def reading(sandbox, app):
    """Read a membership, two people at a time."""

    def read(segment: Any) -> list[str]:
        ids, cursor = [], ""
        while cursor or not ids:
            page = app(f"/v1/segments/{segment.id}/membership?limit=2&start={quote(cursor, safe='')}").json()
            ids += page["ids"]
            cursor = page["next"]
        return ids

    return read


# ---- people


def test_a_person_is_renamed_in_every_segment(sandbox, app, change, ann) -> None:
    segment = sandbox.workspace.add_segment("Some", members=[ann])
    sandbox.workspace.rename_person("Ann-1", id="Ann-2")
    sandbox.workspace.rename_person(ann, email="new@example.com")
    (shown,) = app(f"/v1/segments/{segment.id}/membership").json()["identifiers"]
    assert shown == {"id": "Ann-2", "email": "new@example.com", "cio_id": ann.cio_id}
    found = app("/v1/customers/attributes", "POST", json={"ids": ["Ann-1", "Ann-2"]}).json()["customers"]
    assert [each["customer"]["id"] for each in found] == ["Ann-2"]
    change(segment, ["ann+x@example.com"], "remove", query="?id_type=email")
    assert segment.members == [ann]
    change(segment, ["new@example.com"], "remove", query="?id_type=email")
    assert segment.members == []


def test_an_identifier_can_be_taken_away(sandbox, app, ann) -> None:
    segment = sandbox.workspace.add_segment("Some", members=[ann])
    sandbox.workspace.rename_person(ann, id=None)
    (shown,) = app(f"/v1/segments/{segment.id}/membership").json()["identifiers"]
    assert (shown["id"], shown["email"]) == (None, ann.email)
    assert sandbox.workspace.add_person(id="Ann-1") is not ann


def test_an_identifier_of_another_person_is_refused(sandbox, ann, bob) -> None:
    with pytest.raises(ValueError, match="another person has this id"):
        sandbox.workspace.rename_person(bob, id="Ann-1")
    with pytest.raises(ValueError, match="another person has this e-mail address"):
        sandbox.workspace.rename_person(ann, email="BOB@example.com")
    sandbox.workspace.rename_person(ann, id="Ann-1", email="ANN+x@example.com")
    with pytest.raises(ValueError, match="no such person"):
        sandbox.workspace.rename_person("nobody", id="x")
    assert (ann.id, ann.email, bob.id) == ("Ann-1", "ANN+x@example.com", None)


def test_a_shared_address_finds_the_next_person(sandbox) -> None:
    sandbox.configure(email_identifies=False)
    first, second = (sandbox.workspace.add_person(id=each, email="a@example.com") for each in ("1", "2"))
    assert sandbox.workspace.person("A@example.com") is first
    sandbox.workspace.delete_person(first)
    assert sandbox.workspace.person("a@example.com") is second


@pytest.mark.parametrize("visible_after", [0, 600])
def test_a_deleted_person_leaves_every_segment(
    sandbox, app, change, ann, bob, members, visible_after
) -> None:
    segments = [sandbox.workspace.add_segment(str(number), members=[ann, bob]) for number in range(2)]
    sandbox.configure(visible_after=visible_after, removal_needs_id=True)
    change(segments[0], ["Ann-1"])
    sandbox.workspace.delete_person("Ann-1")
    sandbox.workspace.delete_person("bob@example.com")
    assert [members(segment) for segment in segments] == [set(), set()]
    assert [segment.members for segment in segments] == [[], []]
    assert app("/v1/customers/attributes", "POST", json={"ids": ["Ann-1"]}).json() == {"customers": None}
    again = sandbox.workspace.add_person(id="Ann-1")
    assert again.cio_id not in (ann.cio_id, bob.cio_id)


def test_a_merge_keeps_the_first_in_the_seconds_segments(sandbox, change, ann, bob, members) -> None:
    add = sandbox.workspace.add_segment
    segments = [add("Both", members=[ann, bob]), add("Bob", members=[bob]), add("Nobody")]
    sandbox.workspace.merge_people("Ann-1", bob.cio_id)
    assert [members(segment) for segment in segments] == [{ann.cio_id}, {ann.cio_id}, set()]
    change(segments[2], ["bob@example.com"], query="?id_type=email")
    assert members(segments[2]) == set()
    assert list(sandbox.workspace.people.values()) == [ann]
    with pytest.raises(ValueError, match="cannot be merged with themselves"):
        sandbox.workspace.merge_people(ann, "Ann-1")


# ---- segments


def test_a_segment_is_renamed_and_deleted(sandbox, app, segment) -> None:
    sandbox.workspace.rename_segment(segment, "Other")
    assert [s["name"] for s in app("/v1/segments").json()["segments"]] == ["Other"]
    sandbox.workspace.delete_segment(segment.id)
    assert app(f"/v1/segments/{segment.id}").status_code == 404
    for vanished in (segment, segment.id):
        with pytest.raises(ValueError, match="no such segment"):
            sandbox.workspace.delete_segment(vanished)


@pytest.mark.parametrize("after", [0, 600])
def test_a_change_by_hand_shows_at_once(sandbox, app, change, segment, ann, bob, members, after) -> None:
    sandbox.configure(visible_after=after, count_after=after, removal_needs_id=True)
    change(segment, ["Ann-1"])
    segment.by_hand_add([ann, bob])
    assert members(segment) == {ann.cio_id, bob.cio_id}
    assert app(f"/v1/segments/{segment.id}/customer_count").json()["count"] == 2
    segment.by_hand_remove([bob])
    assert members(segment) == {ann.cio_id}
    assert app(f"/v1/segments/{segment.id}/customer_count").json()["count"] == 1


def test_a_change_by_hand_outlasts_what_was_on_its_way(
    sandbox, change, segment, ann, bob, members, wait_until
) -> None:
    sandbox.configure(visible_after=0.05, app_per_second=0)
    change(segment, ["Ann-1"])
    change(segment, ["bob@example.com"], query="?id_type=email")
    segment.by_hand_remove([ann])
    seen: list[set[str]] = []
    wait_until(lambda: seen.append(members(segment)) or bob.cio_id in seen[-1])
    assert not any(ann.cio_id in each for each in seen)
    assert segment.members == [bob]


# ---- over HTTP


def test_the_world_is_changed_over_http(sandbox, control, segment, ann, bob) -> None:
    path = f"/segments/{segment.id}"
    assert control(f"{path}/members", "POST", ["Ann-1", "bob@example.com"]).ok
    assert segment.members == [ann, bob]
    assert control(f"{path}/members", "DELETE", [bob.cio_id]).ok
    assert segment.members == [ann]
    assert control("/people", "PATCH", {"person": "Ann-1", "id": "Ann-2", "email": None}).ok
    assert (ann.id, ann.email) == ("Ann-2", None)
    assert control("/people/merge", "POST", {"primary": "bob@example.com", "secondary": "Ann-2"}).ok
    assert segment.members == [bob]
    assert control("/people", "DELETE", {"person": "bob@example.com"}).ok
    assert (segment.members, sandbox.workspace.people) == ([], {})
    assert control(path, "PATCH", {"name": "Other"}).ok
    assert segment.name == "Other"
    assert control(path, "DELETE", None).ok
    assert sandbox.workspace.segments == {}


def test_another_workspace_is_changed_over_http(sandbox, control) -> None:
    other = sandbox.add_workspace(site_id="other", tracking_key="other-track", app_key="other-app")
    assert control("/people?site_id=other", "POST", [{"id": "u-1"}]).ok
    assert control("/segments?site_id=other", "POST", {"name": "Some", "members": ["u-1"]}).json() == {
        "id": 11
    }
    assert (len(other.people), len(other.segments[11].members), sandbox.workspace.people) == (1, 1, {})


@pytest.mark.parametrize(
    ("path", "method", "body"),
    [
        ("/people", "PATCH", {"person": "nobody", "id": "x"}),
        ("/people", "PATCH", {"person": "Ann-1", "name": "x"}),
        ("/people", "DELETE", {"person": "nobody"}),
        ("/people/merge", "POST", {"primary": "Ann-1", "secondary": "nobody"}),
        ("/people?site_id=none", "POST", [{"id": "x"}]),
        ("/segments/999", "PATCH", {"name": "x"}),
        ("/segments/999", "DELETE", None),
        ("/segments/11/members", "POST", ["Ann-1", "nobody"]),
        ("/faults", "POST", {"action": "drop", "path": "("}),
        ("/settings", "PUT", {"lookup_refuses": "("}),
    ],
)
def test_a_change_that_makes_no_sense_is_a_400(sandbox, control, segment, ann, path, method, body) -> None:
    answer = control(path, method, body)
    assert (answer.status_code, ": " in answer.json()["error"]) == (400, True)
    assert (segment.members, len(sandbox.workspace.people), sandbox.faults.all()) == ([], 1, [])


# ---- between two requests


def test_pages_move_when_somebody_leaves_between_them(sandbox, reading) -> None:
    people = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(6)]
    segment = sandbox.workspace.add_segment("Some", members=people)
    sandbox.at_request(lambda _: sandbox.workspace.delete_person("u-0"), path="/membership", after=1)
    assert reading(segment) == ["u-0", "u-1", "u-3", "u-4", "u-5"]
    assert reading(segment) == ["u-1", "u-2", "u-3", "u-4", "u-5"]


def test_a_callback_comes_before_the_request_and_its_fault(sandbox, change, segment, ann) -> None:
    seen: list[Any] = []
    sandbox.at_request(lambda r: seen.append((r, sandbox.count("track"), threading.current_thread().name)))
    sandbox.faults.add("status", status=503)
    assert change(segment, ["Ann-1"], query="?id_type=id").status_code == 503
    (request, served, thread) = seen[0]
    assert (request.api, request.method, request.query) == ("track", "POST", {"id_type": ["id"]})
    assert request.path == f"/api/v1/segments/{segment.id}/add_customers"
    assert (b"Ann-1" in request.body, served, thread) == (True, 0, "sandbox")
    assert "Ann-1" not in repr(request)
    assert "Authorization" not in repr(request)


def test_a_callback_can_add_the_fault_that_its_request_meets(sandbox, track) -> None:
    sandbox.at_request(lambda _: sandbox.faults.add("status", status=418), after=1)
    assert [track("/auth").status_code for _ in range(3)] == [200, 418, 200]


def test_a_callback_is_called_before_those_that_are_meant(sandbox, app, track) -> None:
    calls: list[str] = []
    sandbox.at_request(lambda _: calls.append("track"), api="track", times=0)
    sandbox.at_request(lambda _: calls.append("second"), api="app", method="GET", path="/segments$", after=1)
    for _ in range(3):
        track("/auth")
        app("/v1/segments")
    app("/v1/segments/1")
    assert calls == ["track", "track", "second", "track"]


def test_what_a_callback_raises_is_told(sandbox, track) -> None:
    def fail(_: Any) -> None:
        pytest.fail("the world is not as expected")

    sandbox.at_request(fail)
    assert track("/auth").status_code == 200
    (error,) = sandbox.callback_errors
    assert str(error) == "the world is not as expected"
    sandbox.callback_errors.clear()


def fail_in_a_callback(times: int, then: Callable[[], object] = lambda: None) -> None:
    with Sandbox() as vendors:
        vendors.at_request(lambda _: [][1], times=0)
        for _ in range(times):
            requests.get(f"{vendors.urls['track_us']}/auth", timeout=10)
        then()


def test_what_a_callback_raises_is_raised_at_the_end() -> None:
    with pytest.raises(IndexError):
        fail_in_a_callback(1)
    with pytest.raises(BaseExceptionGroup, match="2 callbacks of the sandbox failed"):
        fail_in_a_callback(2)


def test_an_error_of_the_test_itself_comes_first() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        fail_in_a_callback(1, lambda: 1 / 0)
    assert "IndexError" in caught.value.__notes__[0]


def test_a_callback_that_could_never_be_called_is_refused(sandbox) -> None:
    with pytest.raises(ValueError, match="path must be a regular expression"):
        sandbox.at_request(print, path="(")
