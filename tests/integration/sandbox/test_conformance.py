"""What disagrees with what the vendors publish is found, and nothing of what was sent is shown."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort.hooks import amplitude_api, client, customer_io_api
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.sandbox.records import Exchange
from airflow_provider_cio_cohort.sandbox.server import API_KEY, APP_KEY, SECRET_KEY, SITE_ID, TRACKING_KEY
from tests import conformance, summary, vendor_files

pytestmark = pytest.mark.skipif(not vendor_files.are_there(), reason=vendor_files.WHY_NOT)

PERSON = "zqz4711@example.com"
ADD = "/api/v1/segments/11/add_customers"
LOOK_UP = "/v1/customers/attributes"
IDS = {"ids": [PERSON]}


@pytest.fixture
def found() -> Iterator[Callable[[], list[str]]]:
    """Returns what was found since the last time; it does not fail the test."""
    yield conformance.take_found
    conformance.take_found()


@pytest.fixture
def send(http, sandbox) -> Callable[..., int]:
    """Send a request as a hook does: ``send("app", "GET", path, …)``; the status is returned."""

    def basic(user: str, password: str) -> str:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"

    keys = {
        "amplitude": basic(API_KEY, SECRET_KEY),
        "track": basic(SITE_ID, TRACKING_KEY),
        "app": f"Bearer {APP_KEY}",
    }

    def send(api: str, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> int:
        ours = {"User-Agent": client.USER_AGENT, "Authorization": keys[api], **(headers or {})}
        url = f"{sandbox.urls[f'{api}_us']}{path}"
        return int(
            http.request(method, url, headers=ours, timeout=10, allow_redirects=False, **more).status_code
        )

    return send


def test_the_hooks_know_the_published_hosts() -> None:
    files = vendor_files.read()
    assert set(amplitude_api.HOSTS.values()) == files["amplitude"].servers
    assert set(customer_io_api.TRACK_HOSTS.values()) == files["track"].servers
    assert set(customer_io_api.APP_HOSTS.values()) == files["app"].servers


def test_the_requests_of_the_hooks_are_recognised(sandbox, found) -> None:
    assert conformance.USER_AGENT == client.USER_AGENT
    before = summary.counted("requests"), summary.counted("answers")
    hook = CustomerIOHook()
    segment = hook.create_segment("Power users")
    hook.add_members(segment.id, ["u-1"])
    assert list(hook.stream_members(segment.id)) == []
    assert (summary.counted("requests"), summary.counted("answers")) == (before[0] + 3, before[1] + 3)
    assert found() == []


@pytest.mark.parametrize(
    ("api", "method", "path", "more", "wrong"),
    [
        ("app", "GET", "/v1/people", {}, "GET: a hook's request: there is no such operation"),
        ("app", "PUT", "/v1/segments", {}, "PUT: a hook's request: there is no such operation"),
        ("app", "GET", "/v1/segments?page=2", {}, "there is no parameter page in the query"),
        ("app", "GET", f"/v1/segments?{PERSON}=2", {}, "there is no parameter (a name that is no field's)"),
        ("app", "GET", "/v1/segments/eleven", {}, "segment_id is wrong: $ is a str, against type"),
        ("app", "GET", "/v1/segments/4294967296", {}, "segment_id is wrong: $ is a int, against maximum"),
        (
            "app",
            "GET",
            "/v1/segments/11/membership?limit=30001",
            {},
            "limit is wrong: $ is a int, against max",
        ),
        ("app", "GET", "/v1/segments/11/membership?limit=1&limit=2", {}, "the parameter limit is repeated"),
        ("app", "GET", "/v1/segments", {"json": IDS}, "it has a body"),
        (
            "app",
            "GET",
            "/v1/segments",
            {"headers": {"Authorization": "Basic eDp5"}},
            "by bearer authentication",
        ),
        ("app", "POST", LOOK_UP, {"json": {"ids": [PERSON] * 101}}, "$.ids is a list, against maxItems 100"),
        ("app", "POST", LOOK_UP, {"json": {"ids": []}}, "$.ids is a list, against minItems 1"),
        ("app", "POST", LOOK_UP, {"json": {"ids": [PERSON, 7]}}, '$.ids[1] is a int, against type "string"'),
        ("app", "POST", LOOK_UP, {"json": {}}, "$ lacks ids"),
        ("app", "POST", LOOK_UP, {"json": {**IDS, "size": 1}}, "$ has fields that are not published: size"),
        ("app", "POST", LOOK_UP, {"json": {**IDS, PERSON: 1}}, "published: (a name that is no field's)"),
        ("app", "POST", LOOK_UP, {"data": "{"}, "its body is not declared as JSON"),
        ("app", "POST", "/v1/segments", {"json": {"segment": {}}}, "$.segment lacks name"),
        (
            "track",
            "POST",
            f"{ADD}?id_type=phone",
            {"json": IDS},
            "id_type is wrong: $ is a str, against enum",
        ),
        ("track", "POST", ADD, {"json": {"ids": [PERSON] * 1001}}, "$.ids is a list, against maxItems 1000"),
        (
            "amplitude",
            "GET",
            "/api/5/cohorts/request/a1b2c3d?props=2",
            {},
            "props is wrong: $ is a int, against",
        ),
        ("amplitude", "GET", "/api/5/cohorts/request/a1b2c3d?propKeys[]=a", {}, "there is no parameter"),
    ],
)
def test_a_wrong_request_of_a_hook_is_found(
    send, found, segment, api: str, method: str, path: str, more: dict[str, Any], wrong: str
) -> None:
    send(api, method, path, **more)
    told = found()
    assert len([each for each in told if wrong in each]) == 1
    assert "zqz" not in str(told)


def test_a_wrong_request_is_found_each_time(send, found) -> None:
    for _ in range(2):
        send("app", "POST", LOOK_UP, json={"ids": []})
        assert len(found()) == 1


def test_all_published_keys_of_a_request_are_accepted(send, found, segment, cohort) -> None:
    assert send("app", "GET", f"/v1/segments/{segment.id}/membership?limit=30000&start=") == 200
    assert send("app", "POST", f"{LOOK_UP}?id_type=cio_id", json={"ids": [PERSON] * 100}) == 200
    assert send("track", "POST", f"{ADD}?id_type=email", json={"ids": [PERSON] * 1000}) == 200
    path = f"/api/5/cohorts/request/{cohort.id}?props=1&propKeys=a&propKeys=b"
    assert send("amplitude", "GET", path) == 202
    assert found() == []


@pytest.mark.parametrize(
    ("attribute", "value", "wrong"),
    [
        ("type", "static", '$.segments[0].type is a str, against enum ["dynamic", "manual"]'),
        ("type", "finished", '$.segments[0].type is a str, against enum ["dynamic", "manual"]'),
        ("name", None, '$.segments[0].name is a NoneType, against type "string"'),
        ("id", "11", '$.segments[0].id is a str, against type "integer"'),
    ],
)
def test_a_wrong_answer_is_found(send, found, segment, attribute: str, value: object, wrong: str) -> None:
    setattr(segment, attribute, value)
    send("app", "GET", "/v1/segments")
    assert found() == [f"app API, GET /v1/segments: the sandbox's answer: 200: {wrong}"]


def test_a_wrong_answer_about_a_person_names_nobody(send, found, sandbox, segment) -> None:
    person = sandbox.workspace.add_person(id=PERSON, email=PERSON)
    segment.begin_with([person])
    person.cio_id = [PERSON]
    send("app", "GET", f"/v1/segments/{segment.id}/membership")
    (told,) = found()
    assert "$.identifiers[0].cio_id is a list" in told
    assert "zqz" not in told


def test_a_status_that_is_not_published_is_found(send, found, sandbox, segment) -> None:
    sandbox.configure(lookup_allowed=False)
    assert send("app", "POST", LOOK_UP, json=IDS) == 403
    assert found() == []
    seen: list[Exchange] = []
    sandbox.journal.observers.append(seen.append)
    try:
        send("app", "POST", LOOK_UP, json=IDS)
    finally:
        sandbox.journal.observers.remove(seen.append)
    (answer,) = seen
    sandbox.configure(lookup_allowed=True)  # the same answer, asked for by no setting
    conformance.listen(answer)
    assert found() == [
        "app API, POST /v1/customers/attributes: the sandbox's answer: 403: the status is not published"
    ]


@pytest.mark.parametrize("action", ["extra_fields", "broken_json", "status", "html", "empty_after"])
def test_a_fault_may_be_anything(send, found, sandbox, segment, action: str) -> None:
    sandbox.faults.add(action, status=418, body={"a": 1} if action == "status" else None)
    send("app", "GET", "/v1/segments")
    assert found() == []


def test_a_setting_asks_for_an_unpublished_answer(send, found, sandbox) -> None:
    sandbox.workspace.add_person(id="4711")
    path = f"{LOOK_UP}?id_type=id"
    sandbox.configure(ids_as_numbers=True)
    send("app", "POST", path, json={"ids": ["4711"]})
    assert found() == []


def test_a_long_list_is_validated_in_all_its_parts(send, found, sandbox, segment) -> None:
    people = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(4 * conformance.SAMPLE)]
    segment.begin_with(people)
    for person in people[-100:]:
        person.id = 7
    send("app", "GET", f"/v1/segments/{segment.id}/membership?limit=30000")
    assert len(found()) == 1


def judge(marked: bool) -> tuple[Iterator[None], list[str]]:
    """Return the wrapper of a test's call, begun, and where it reports beside a failure."""
    sections: list[str] = []
    item = SimpleNamespace(
        get_closest_marker=lambda name: marked or None,
        add_report_section=lambda when, key, content: sections.append(content),
    )
    wrapper: Any = conformance.pytest_runtest_call(item)
    next(wrapper)
    return wrapper, sections


def test_the_test_that_caused_it_fails(send, found) -> None:
    wrapper, _ = judge(marked=False)
    send("app", "GET", "/v1/people")
    with pytest.raises(pytest.fail.Exception, match="there is no such operation"):
        wrapper.send(None)
    wrapper, sections = judge(marked=False)
    send("app", "GET", "/v1/people")
    with pytest.raises(AssertionError, match="of its own"):
        wrapper.throw(AssertionError("of its own"))
    assert "there is no such operation" in sections[0]


def test_a_test_of_a_users_own_requests_does_not(send, found, segment) -> None:
    wrapper, _ = judge(marked=True)
    send("app", "GET", "/v1/people")
    with pytest.raises(StopIteration):
        wrapper.send(None)
    wrapper, _ = judge(marked=True)
    segment.type = "static"
    send("app", "GET", "/v1/segments")
    with pytest.raises(pytest.fail.Exception, match="against enum"):
        wrapper.send(None)
