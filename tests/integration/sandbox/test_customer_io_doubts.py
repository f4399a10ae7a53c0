"""Where the facts about Customer.io leave a doubt, the sandbox answers either way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.settings import CHOICES, PATTERNS, STATUSES, Settings
from tests.benchmarks.crowd import Crowd


@pytest.fixture
def people(sandbox) -> list[Any]:
    return [sandbox.workspace.add_person(id=f"u-{n}", email=f"u-{n}@example.com") for n in range(5)]


@pytest.fixture
def pages(sandbox, app) -> Callable[[Any], Iterator[dict[str, Any]]]:
    """Read a membership two people at a time, for as long as there is a cursor."""
    sandbox.configure(app_per_second=0)

    def read(segment: Any) -> Iterator[dict[str, Any]]:
        path = f"/v1/segments/{segment.id}/membership?limit=2"
        page = app(path).json()
        yield page
        while page.get("next"):
            page = app(f"{path}&start={quote(page['next'], safe='')}").json()
            yield page

    return read


# ---- Track


@pytest.mark.parametrize("takes", [False, True])
def test_track_may_take_addresses_that_do_not_identify(sandbox, app, change, segment, ann, takes) -> None:
    sandbox.configure(email_identifies=False, track_takes_email=takes)
    assert change(segment, ["ann+X@example.com"], query="?id_type=email").status_code == 200
    assert segment.members == ([ann] if takes else [])
    answer = app("/v1/customers/attributes?id_type=email", "POST", json={"ids": ["ann+x@example.com"]})
    assert answer.status_code == 400


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_data_driven_segment_is_refused_with_any_status(sandbox, change, ann, status: int) -> None:
    sandbox.configure(dynamic_status=status)
    computed = sandbox.workspace.add_segment("Computed", type="dynamic")
    for what in ("add", "remove"):
        assert change(computed, ["Ann-1"], what).status_code == status
    assert computed.members == []


def test_a_data_driven_segment_may_take_people(sandbox, change, ann) -> None:
    sandbox.configure(dynamic_status=200)
    computed = sandbox.workspace.add_segment("Computed", type="dynamic")
    assert change(computed, ["Ann-1"]).status_code == 200
    assert computed.members == [ann]


@pytest.mark.parametrize(
    ("answers", "status", "applied"), [("401", 401, False), ("redirect", 301, False), ("success", 200, True)]
)
def test_the_wrong_regions_track_host(sandbox, change, segment, ann, answers, status, applied) -> None:
    sandbox.configure(wrong_region_track=answers)
    answer = change(segment, ["Ann-1"], region="eu")
    assert answer.status_code == status
    assert bool(segment.members) == applied
    if answers == "redirect":
        path = f"/api/v1/segments/{segment.id}/add_customers"
        assert answer.headers["Location"] == f"{sandbox.urls['track_us']}{path}"
        assert answer.json() == {"errors": [{"detail": "wrong datacenter", "status": "301"}]}


@pytest.mark.parametrize("answers", CHOICES["wrong_region_track"])
def test_wrong_keys_are_a_401_on_either_host(sandbox, change, segment, ann, answers: str) -> None:
    sandbox.configure(wrong_region_track=answers)
    assert {change(segment, ["Ann-1"], region=r, auth=("x", "y")).status_code for r in ("us", "eu")} == {401}


def test_a_workspace_has_an_environment_of_its_own_or_tells_none(sandbox, track) -> None:
    for site, more in (("second", {}), ("third", {"environment_id": None}), ("fourth", {})):
        sandbox.add_workspace(site_id=site, tracking_key="key", app_key=site, **more)
    region = "/api/v1/accounts/region"
    told = [
        track(region).json(),
        *(track(region, auth=(s, "key")).json() for s in ("second", "third", "fourth")),
    ]
    assert [answer.get("environment_id", "none") for answer in told] == [77, 78, "none", 80]


# ---- identifiers


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("value", [" Ann-1", "Ann-1\n", "\u00a0Ann-1\u3000"])
def test_white_space_around_an_identifier(sandbox, app, change, segment, ann, trimmed, value) -> None:
    sandbox.configure(identifiers_trimmed=trimmed)
    change(segment, [value])
    assert segment.members == ([ann] if trimmed else [])
    found = app("/v1/customers/attributes", "POST", json={"ids": [value]}).json()["customers"]
    assert len(found or []) == trimmed


@pytest.mark.parametrize(
    ("limit", "value", "found"),
    [
        ("bytes", "é" * 75, True),
        ("bytes", "é" * 76, False),
        ("characters", "é" * 150, True),
        ("characters", "é" * 151, False),
    ],
)
def test_an_id_has_at_most_150_of_either(sandbox, change, segment, limit, value, found) -> None:
    sandbox.configure(id_limit=limit)
    sandbox.workspace.add_person(id=value)
    change(segment, [value])
    assert bool(segment.members) == found


@pytest.mark.parametrize("numbers", [False, True])
def test_ids_may_be_shown_as_numbers(sandbox, app, numbers: bool) -> None:
    sandbox.configure(ids_as_numbers=numbers)
    ids = ["42", "0", "042", "4e2", "-4", "٤٢"]
    shown = [42, 0, *ids[2:]] if numbers else ids
    segment = sandbox.workspace.add_segment(
        "Numbers", members=[sandbox.workspace.add_person(id=each, email=f"{each}@x.test") for each in ids]
    )
    page = app(f"/v1/segments/{segment.id}/membership").json()
    assert (page["ids"], [person["id"] for person in page["identifiers"]]) == (shown, shown)
    looked_up = app("/v1/customers/attributes", "POST", json={"ids": ids}).json()["customers"]
    assert [entry["customer"]["id"] for entry in looked_up] == shown
    assert [entry["customer"]["identifiers"]["id"] for entry in looked_up] == shown
    (found,) = app("/v1/customers?email=42@x.test").json()["results"]
    assert found["id"] == shown[0]


# ---- the end of a membership


@pytest.mark.parametrize(("last", "end"), [("empty", {"next": ""}), ("null", {"next": None}), ("absent", {})])
def test_the_last_page_ends_in_either_form(sandbox, people, pages, last: str, end: dict[str, Any]) -> None:
    sandbox.configure(last_next=last)
    segment = sandbox.workspace.add_segment("Some", members=people)
    *before, final = pages(segment)
    assert [len(page["ids"]) for page in (*before, final)] == [2, 2, 1]
    assert {name: value for name, value in final.items() if name == "next"} == end
    assert all(page["next"] for page in before)


def test_empty_pages_with_ever_new_cursors_may_follow(sandbox, people, pages) -> None:
    sandbox.configure(last_next="empty_page")
    read = pages(sandbox.workspace.add_segment("Some", members=people))
    first = [next(read) for _ in range(6)]
    assert [len(page["ids"] or []) for page in first] == [2, 2, 1, 0, 0, 0]
    assert len({page["next"] for page in first} - {"", None}) == 6
    nobody = next(pages(sandbox.workspace.add_segment("Nobody")))
    assert (nobody["identifiers"], bool(nobody["next"])) == (None, True)


def test_the_last_page_may_come_for_ever(sandbox, people, pages) -> None:
    sandbox.configure(endless_next=True)
    segment = sandbox.workspace.add_segment("Some", members=people)
    read = pages(segment)
    first = [next(read) for _ in range(6)]
    assert [page["ids"] for page in first] == [["u-0", "u-1"], ["u-2", "u-3"], *[["u-4"]] * 4]
    assert len({page["next"] for page in first} - {""}) == 6
    sandbox.configure(endless_next=False)
    assert [page["next"] for page in read] == [""]


def test_a_crowd_ends_in_the_same_forms() -> None:
    with Sandbox(crowd=Crowd(20), last_next="absent") as vendors:
        segment = vendors.workspace.add_segment("Crowd")
        segment.add([], [1, 2, 3])
        answer = requests.get(
            f"{vendors.urls['app_us']}/v1/segments/{segment.id}/membership",
            headers={"Authorization": f"Bearer {vendors.workspace.app_key}"},
            timeout=10,
        ).json()
        assert ("next" in answer, len(answer["ids"]), answer["segment_id"]) == (False, 3, segment.id)


# ---- what is kept of a new segment


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, ("  VIP \t users ", " by \n Airflow ")),
        ({"name_rewrite": "trim"}, ("VIP \t users", "by \n Airflow")),
        ({"name_rewrite": "collapse"}, ("VIP users", "by Airflow")),
        ({"name_limit": 5}, ("  VIP", " by \n Airflow ")),
        ({"description_limit": 3}, ("  VIP \t users ", " by")),
        ({"name_limit": 5, "name_rewrite": "trim"}, ("VIP \t", "by \n Airflow")),
    ],
)
def test_names_and_descriptions_may_be_kept_differently(sandbox, app, settings, kept) -> None:
    sandbox.configure(**settings)
    sent = {"name": "  VIP \t users ", "description": " by \n Airflow "}
    made = app("/v1/segments", "POST", json={"segment": sent}).json()["segment"]
    assert (made["name"], made["description"]) == kept
    assert app(f"/v1/segments/{made['id']}").json() == {"segment": made}


def test_a_name_of_which_nothing_is_kept_is_a_400(sandbox, app) -> None:
    sandbox.configure(name_rewrite="trim")
    assert app("/v1/segments", "POST", json={"segment": {"name": "  "}}).status_code == 400
    assert sandbox.workspace.segments == {}


def test_names_are_unique_as_they_are_kept(sandbox, app) -> None:
    sandbox.configure(name_limit=3, unique_names=True)
    statuses = [
        app("/v1/segments", "POST", json={"segment": {"name": n}}).status_code for n in ("VIP 1", "VIP 2")
    ]
    assert statuses == [200, 400]


@pytest.mark.parametrize(("own", "numbers"), [(True, [11, 11, 12, 12]), (False, [11, 12, 13, 14])])
def test_segments_are_numbered_in_each_workspace_or_in_all(sandbox, own: bool, numbers: list[int]) -> None:
    sandbox.configure(numbers_per_workspace=own)
    other = sandbox.add_workspace(site_id="other", tracking_key="other-track", app_key="other-app")
    made = [each.add_segment("Some").id for each in (sandbox.workspace, other) * 2]
    assert made == numbers


def test_a_number_is_never_given_twice(sandbox) -> None:
    other = sandbox.add_workspace(site_id="other", tracking_key="other-track", app_key="other-app")
    one = sandbox.workspace.add_segment("Some")
    sandbox.workspace.delete_segment(one)
    sandbox.configure(numbers_per_workspace=False)
    assert other.add_segment("Some").id == 12
    sandbox.configure(numbers_per_workspace=True)
    assert [w.add_segment("Some").id for w in (sandbox.workspace, other)] == [12, 13]


# ---- the count


@pytest.mark.parametrize(
    ("visible", "counted", "seen"), [(600, 0, (0, 1)), (0, 600, (1, 0)), (600, -1, (0, 0))]
)
def test_the_count_has_a_delay_of_its_own(sandbox, app, change, segment, ann, visible, counted, seen) -> None:
    sandbox.configure(visible_after=visible, count_after=counted)
    change(segment, ["Ann-1"])
    members = app(f"/v1/segments/{segment.id}/membership").json()["identifiers"] or []
    count = app(f"/v1/segments/{segment.id}/customer_count").json()["count"]
    assert (len(members), count) == seen


def test_a_late_count_is_right_in_the_end(sandbox, app, change, segment, ann, wait_until) -> None:
    sandbox.configure(count_after=0.05, app_per_second=0)
    change(segment, ["Ann-1"])
    wait_until(lambda: app(f"/v1/segments/{segment.id}/customer_count").json()["count"] == 1)


def test_servers_may_disagree_about_what_changed(sandbox, app, change, segment, ann) -> None:
    sandbox.configure(visible_after=600, fresh_share=0.5, app_per_second=0)
    change(segment, ["Ann-1"])
    path = f"/v1/segments/{segment.id}"
    pages = [len(app(f"{path}/membership").json()["identifiers"] or []) for _ in range(30)]
    counts = [app(f"{path}/customer_count").json()["count"] for _ in range(30)]
    assert {*pages} == {*counts} == {0, 1}
    sandbox.configure(fresh_share=0)
    assert app(f"{path}/customer_count").json()["count"] == 0


# ---- the look-up


@pytest.mark.parametrize("wrapped", [True, False])
def test_people_are_wrapped_or_bare(sandbox, app, ann, wrapped: bool) -> None:
    sandbox.configure(lookup_wrapped=wrapped)
    (entry,) = app("/v1/customers/attributes", "POST", json={"ids": ["Ann-1"]}).json()["customers"]
    person = entry["customer"] if wrapped else entry
    assert (person["id"], person["identifiers"]["cio_id"]) == ("Ann-1", ann.cio_id)
    assert ("customer" in entry) == wrapped


def test_a_look_up_may_be_refused_for_a_single_identifier(sandbox, app, ann) -> None:
    sandbox.configure(lookup_refuses=r"^bad|\s")
    for ids, status in ((["Ann-1", "fine"], 200), (["Ann-1", "bad-1"], 400), (["Ann-1", "a b"], 400)):
        assert app("/v1/customers/attributes", "POST", json={"ids": ids}).status_code == status
    sandbox.configure(lookup_refuses="")
    assert app("/v1/customers/attributes", "POST", json={"ids": ["bad-1"]}).status_code == 200


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_batch_may_be_refused_for_a_single_identifier(sandbox, change, segment, ann, status: int) -> None:
    sandbox.configure(track_refuses="^bad", track_refuses_status=status)
    answer = change(segment, ["Ann-1", "bad-1"])
    assert (answer.status_code, "bad-1" in answer.json()["meta"]["errors"][0]) == (status, True)
    assert segment.members == []
    assert change(segment, ["Ann-1", "fine"]).status_code == 200
    assert segment.members == [ann]


def test_a_batch_may_be_too_large(sandbox, change, segment, ann) -> None:
    sandbox.configure(track_max_bytes=100)
    assert change(segment, ["Ann-1", "x" * 100]).status_code == 413
    assert segment.members == []
    assert change(segment, ["Ann-1"]).status_code == 200


# ---- settings


@pytest.mark.parametrize("name", [*CHOICES, *STATUSES, *PATTERNS])
def test_a_value_that_makes_no_sense_changes_nothing(name: str) -> None:
    settings = Settings()
    wrong = 201 if name in STATUSES else "(" if name in PATTERNS else "other"
    with pytest.raises(ValueError, match=f"setting '{name}' must be "):
        settings.update(crlf=True, **{name: wrong})
    assert settings == Settings()
    for value in CHOICES.get(name, ()):
        settings.update(**{name: value})
