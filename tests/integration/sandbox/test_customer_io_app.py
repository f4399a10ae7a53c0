"""The double of Customer.io's App API answers as the vendor."""

from __future__ import annotations

from urllib.parse import quote

import pytest

SEGMENT_FIELDS = {
    "id",
    "deduplicate_id",
    "name",
    "description",
    "state",
    "progress",
    "type",
    "tags",
    "created_at",
    "updated_at",
}


@pytest.fixture
def people(sandbox):
    return [sandbox.workspace.add_person(id=f"u-{n}", email=f"u-{n}@example.com") for n in range(25)]


# ---- segments


def test_a_segment_is_made_found_and_deleted(app) -> None:
    answer = app("/v1/segments", "POST", json={"segment": {"name": "Power users", "description": "them"}})
    assert answer.status_code == 200
    made = answer.json()["segment"]
    assert made.keys() == SEGMENT_FIELDS
    assert (made["name"], made["description"], made["type"]) == ("Power users", "them", "manual")
    path = f"/v1/segments/{made['id']}"
    assert app(path).json() == {"segment": made}
    assert app("/v1/segments").json() == {"segments": [made]}
    answer = app(path, "DELETE")
    assert (answer.status_code, answer.content) == (204, b"")
    assert app(path).status_code == 404


def test_a_segment_needs_no_description(app) -> None:
    made = app("/v1/segments", "POST", json={"segment": {"name": "Bare"}}).json()["segment"]
    assert made["description"] == ""


def test_a_manual_segment_is_never_finished(sandbox, app) -> None:
    sandbox.workspace.add_segment("By hand")
    sandbox.workspace.add_segment("Computed", type="dynamic")
    found = [(s["type"], s["state"]) for s in app("/v1/segments").json()["segments"]]
    assert found == [("manual", "events"), ("dynamic", "finished")]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"segment": {}}', b'{"segment": {"name": ""}}'])
def test_a_segment_without_a_name_is_a_400(app, body: bytes) -> None:
    answer = app("/v1/segments", "POST", data=body)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["status"] == "400"


@pytest.mark.parametrize(("unique", "status"), [(False, 200), (True, 400)])
def test_two_segments_may_have_one_name_or_not(sandbox, app, unique: bool, status: int) -> None:
    sandbox.configure(unique_names=unique)
    sandbox.workspace.add_segment("Twins")
    assert app("/v1/segments", "POST", json={"segment": {"name": "Twins"}}).status_code == status
    assert app("/v1/segments", "POST", json={"segment": {"name": "twins"}}).status_code == 200


@pytest.mark.parametrize("call", ["", "/customer_count", "/membership", "/used_by"])
def test_a_missing_segment_is_a_404(app, call: str) -> None:
    for number in ("999", "eleven", "9" * 5000):
        answer = app(f"/v1/segments/{number}{call}")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["status"] == "404"
    assert app("/v1/segments/999", "DELETE").status_code == 404


def test_nothing_uses_a_segment(sandbox, app) -> None:
    sandbox.configure(null_when_empty=False)
    segment = sandbox.workspace.add_segment("Power users")
    used = {"campaigns": [], "draft_newsletters": [], "sent_newsletters": []}
    answer = app(f"/v1/segments/{segment.id}/used_by").json()
    assert answer == {"segment_id": segment.id, "used_by": used}


def test_people_are_counted(sandbox, app, people) -> None:
    segment = sandbox.workspace.add_segment("Power users", members=people)
    answer = app(f"/v1/segments/{segment.id}/customer_count")
    assert answer.json() == {"segment_id": segment.id, "count": 25}


# ---- membership


def test_pages_need_a_cursor_that_is_encoded(sandbox, app, people) -> None:
    segment = sandbox.workspace.add_segment("Power users", members=people)
    path = f"/v1/segments/{segment.id}/membership?limit=10"
    seen, cursor, sizes = [], "", []
    while cursor or not sizes:
        page = app(f"{path}&start={quote(cursor, safe='')}").json()
        assert page["segment_id"] == segment.id
        seen += [person["id"] for person in page["identifiers"]]
        assert page["ids"] == [person["id"] for person in page["identifiers"]]
        sizes.append(len(page["identifiers"]))
        cursor = page["next"]
        assert not cursor or all(letter in cursor for letter in "+/=")
    assert (sizes, seen) == ([10, 10, 5], [person.id for person in people])


def test_a_cursor_that_is_not_encoded_is_a_400(sandbox, app, people) -> None:
    segment = sandbox.workspace.add_segment("Power users", members=people)
    path = f"/v1/segments/{segment.id}/membership?limit=10"
    cursor = app(path).json()["next"]
    assert app(f"{path}&start={cursor}").status_code == 400


def test_a_page_has_1000_people_or_up_to_30000(sandbox, app) -> None:
    members = [sandbox.workspace.add_person(id=f"u-{n}") for n in range(30_001)]
    segment = sandbox.workspace.add_segment("Large", members=members)
    path = f"/v1/segments/{segment.id}/membership"
    assert len(app(path).json()["identifiers"]) == 1000
    page = app(f"{path}?limit=30000").json()
    assert len(page["identifiers"]) == 30_000
    assert page["next"]


@pytest.mark.parametrize("query", ["limit=30001", "limit=0", "limit=many", "start=nonsense", "start=LTU="])
def test_other_pages_are_a_400(sandbox, app, query: str) -> None:
    segment = sandbox.workspace.add_segment("Power users")
    assert app(f"/v1/segments/{segment.id}/membership?{query}").status_code == 400


def test_only_the_cio_id_is_always_there(sandbox, app) -> None:
    add = sandbox.workspace.add_person
    members = [add(id="u-1"), add(email="Ann@example.com"), add()]
    segment = sandbox.workspace.add_segment("Power users", members=members)
    path = f"/v1/segments/{segment.id}/membership"
    page = app(path).json()
    assert [(p["id"], p["email"]) for p in page["identifiers"]] == [
        ("u-1", None),
        (None, "Ann@example.com"),
        (None, None),
    ]
    assert page["ids"] == ["u-1", "", ""]
    assert all(p["cio_id"] for p in page["identifiers"])
    sandbox.configure(email_identifies=False)
    assert all(p.keys() == {"id", "cio_id"} for p in app(path).json()["identifiers"])


@pytest.mark.parametrize(("null", "empty"), [(True, None), (False, [])])
def test_an_empty_list_may_be_null(sandbox, app, null: bool, empty) -> None:
    sandbox.configure(null_when_empty=null)
    assert app("/v1/segments").json() == {"segments": empty}
    segment = sandbox.workspace.add_segment("Nobody")
    page = app(f"/v1/segments/{segment.id}/membership").json()
    assert (page["identifiers"], page["ids"], page["next"]) == (empty, empty, "")
    assert app("/v1/customers?email=nobody@example.com").json() == {"results": empty}
    assert app(f"/v1/segments/{segment.id}/used_by").json()["used_by"]["campaigns"] == empty


# ---- people by address


def test_people_are_found_by_an_address_that_is_encoded(sandbox, app) -> None:
    ann = sandbox.workspace.add_person(id="a", email="Ann+x@Example.com")
    found = {"email": ann.email, "id": "a", "cio_id": ann.cio_id}
    assert app("/v1/customers?email=ann%2Bx@example.com").json() == {"results": [found]}
    assert app("/v1/customers?email=ann+x@example.com").json() == {"results": None}
    assert app("/v1/customers").status_code == 400


def test_several_people_may_share_an_address_that_identifies_nobody(sandbox, app) -> None:
    sandbox.configure(email_identifies=False)
    for each in ("a", "b"):
        sandbox.workspace.add_person(id=each, email="shared@example.com")
    found = app("/v1/customers?email=shared@example.com").json()["results"]
    assert [person["id"] for person in found] == ["a", "b"]


# ---- the limit


def test_ten_requests_a_second(sandbox, app) -> None:
    sandbox.configure(app_per_second=1)
    answers = [app("/v1/segments") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["Retry-After"] == "1"
    (error,) = answers[1].json()["errors"]
    assert error["status"] == "429"
    assert error["detail"].startswith("rate limited to ")


def test_the_limit_is_a_workspaces_own(sandbox, app) -> None:
    sandbox.configure(app_per_second=1)
    sandbox.add_workspace(site_id="other", tracking_key="other-track", app_key="other-app")
    assert app("/v1/segments").status_code == 200
    assert app("/v1/segments", headers={"Authorization": "Bearer other-app"}).status_code == 200


def test_the_limit_is_ten_unless_it_is_set(sandbox, app) -> None:
    assert sandbox.settings.app_per_second == 10
    sandbox.configure(app_per_second=0)
    assert {app("/v1/segments").status_code for _ in range(30)} == {200}


# ---- looking people up


def test_people_are_looked_up_and_unknown_ones_left_out(sandbox, app, people) -> None:
    answer = app("/v1/customers/attributes", "POST", json={"ids": ["u-1", "nobody", "u-2"]})
    assert answer.status_code == 200
    found = [entry["customer"] for entry in answer.json()["customers"]]
    assert [customer["id"] for customer in found] == ["u-1", "u-2"]
    assert found[0]["identifiers"] == {
        "id": "u-1",
        "email": "u-1@example.com",
        "cio_id": people[1].cio_id,
    }
    assert sandbox.requests[-1].ids == 3


@pytest.mark.parametrize(("null", "empty"), [(True, None), (False, [])])
def test_a_lookup_of_nobody(sandbox, app, null: bool, empty) -> None:
    sandbox.configure(null_when_empty=null)
    answer = app("/v1/customers/attributes", "POST", json={"ids": ["nobody"]})
    assert (answer.status_code, answer.json()) == (200, {"customers": empty})


def test_a_lookup_counts_like_any_other_call(sandbox, app, people) -> None:
    sandbox.configure(app_per_second=1)
    body = {"ids": ["u-1"]}
    answers = [app("/v1/customers/attributes", "POST", json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    wrong = {"Authorization": "Bearer wrong"}
    assert app("/v1/customers/attributes", "POST", json=body, headers=wrong).status_code == 401


@pytest.mark.parametrize(("id_type", "value"), [("email", "U-1@EXAMPLE.COM"), ("cio_id", None)])
def test_people_are_looked_up_by_other_identifiers(app, people, id_type: str, value: str | None) -> None:
    body = {"ids": [value or people[1].cio_id]}
    answer = app(f"/v1/customers/attributes?id_type={id_type}", "POST", json=body)
    assert [entry["customer"]["id"] for entry in answer.json()["customers"]] == ["u-1"]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"ids": []}),
        ("", {"ids": ["x"] * 101}),
        ("", {"ids": [1]}),
        ("", {}),
        ("?id_type=phone", {"ids": ["x"]}),
    ],
)
def test_a_lookup_that_is_none_is_a_400(app, query: str, body) -> None:
    assert app(f"/v1/customers/attributes{query}", "POST", json=body).status_code == 400


def test_a_lookup_by_email_needs_email_to_identify(sandbox, app) -> None:
    sandbox.configure(email_identifies=False)
    assert app("/v1/customers/attributes?id_type=email", "POST", json={"ids": ["x@x.io"]}).status_code == 400


def test_a_key_that_may_not_look_people_up(sandbox, app) -> None:
    sandbox.configure(lookup_allowed=False)
    assert app("/v1/customers/attributes", "POST", json={"ids": ["u-1"]}).status_code == 403
