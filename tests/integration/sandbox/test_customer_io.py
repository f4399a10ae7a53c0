"""The double of Customer.io's Track API, and of what both APIs say to wrong keys, answers as the vendor."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.sandbox.server import APP_KEY, SITE_ID, TRACKING_KEY

REGION = "/api/v1/accounts/region"


@pytest.fixture
def bob(sandbox):
    return sandbox.workspace.add_person(id=None, email="bob@example.com")


# ---- keys and regions


def test_the_region_is_told_on_both_hosts(sandbox, track) -> None:
    sandbox.add_workspace(site_id="eu-site", tracking_key="eu-track", app_key="eu-app", region="eu")
    for host in ("us", "eu"):
        answer = track(REGION, region=host)
        assert (answer.status_code, answer.json()["region"]) == (200, "us")
        assert isinstance(answer.json()["environment_id"], int)
        answer = track(REGION, region=host, auth=("eu-site", "eu-track"))
        assert (answer.json()["region"], answer.json()["url"]) == ("eu", "https://track-eu.customer.io")


@pytest.mark.parametrize(
    "auth", [None, ("nonsense", TRACKING_KEY), (SITE_ID, "nonsense"), (SITE_ID, APP_KEY), ("", "")]
)
def test_wrong_track_keys_are_a_401(track, change, segment, ann, members, auth) -> None:
    for answer in (track(REGION, auth=auth), change(segment, ["Ann-1"], auth=auth)):
        assert (answer.status_code, answer.json()) == (401, {"meta": {"error": "Unauthorized request"}})
    assert members(segment) == set()


def test_auth_is_no_test_of_keys(track) -> None:
    assert track("/auth", auth=("nonsense", "nonsense")).status_code == 200


def test_the_wrong_regions_track_host_changes_nothing(change, segment, ann, members) -> None:
    assert change(segment, ["Ann-1"], region="eu").status_code == 401
    assert members(segment) == set()


@pytest.mark.parametrize(
    "authorization", ["", "Bearer nonsense", f"Bearer {TRACKING_KEY}", f"Basic {APP_KEY}"]
)
def test_wrong_app_keys_are_a_401(app, authorization: str) -> None:
    answer = app("/v1/segments", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["status"] == "401"


def test_the_wrong_regions_app_host_redirects(sandbox, app) -> None:
    answer = app("/v1/segments/11/membership?limit=5", region="eu")
    assert answer.status_code == 301
    assert answer.json() == {"errors": [{"detail": "wrong datacenter", "status": "301"}]}
    assert answer.headers["Location"] == f"{sandbox.urls['app_us']}/v1/segments/11/membership?limit=5"


def test_a_followed_redirect_makes_no_segment(sandbox, app) -> None:
    body = {"segment": {"name": "Never made"}}
    answer = app("/v1/segments", "POST", region="eu", json=body, allow_redirects=True)
    assert [(r.method, r.status) for r in sandbox.requests] == [("POST", 301), ("GET", 401)]
    assert answer.status_code == 401
    assert sandbox.workspace.find_segment("Never made") is None


def test_a_workspace_sees_its_own_segments_only(sandbox, app, track, segment, ann) -> None:
    sandbox.add_workspace(site_id="other", tracking_key="other-track", app_key="other-app")
    headers = {"Authorization": "Bearer other-app"}
    assert app(f"/v1/segments/{segment.id}", headers=headers).status_code == 404
    path = f"/api/v1/segments/{segment.id}/add_customers"
    answer = track(path, "POST", auth=("other", "other-track"), json={"ids": ["Ann-1"]})
    assert answer.status_code == 404
    assert segment.members == []


# ---- who is added and removed


def test_a_change_answers_nothing_and_is_idempotent(change, segment, ann, members) -> None:
    for what, expected in (("add", {ann.cio_id}), ("remove", set())):
        for _ in range(2):
            answer = change(segment, ["Ann-1"], what)
            assert (answer.status_code, answer.text) == (200, "{}")
            assert members(segment) == expected


def test_unknown_ids_are_ignored_with_200(sandbox, change, segment, ann, bob, members) -> None:
    answer = change(segment, ["nobody", "Ann-1", "", "Ann+x@Example.com", bob.cio_id, "bob@example.com"])
    assert (answer.status_code, answer.text) == (200, "{}")
    assert members(segment) == {ann.cio_id}
    assert change(segment, ["nobody"], "remove").status_code == 200
    assert members(segment) == {ann.cio_id}
    assert len(sandbox.workspace.people) == 2


@pytest.mark.parametrize(
    ("id_type", "value", "found"),
    [
        ("id", "Ann-1", True),
        ("id", "ann-1", False),
        ("id", " Ann-1", False),
        ("email", "Ann+x@Example.com", True),
        ("email", "ann+X@example.COM", True),
        ("email", "ann x@example.com", False),
        ("email", "Ann-1", False),
        ("cio_id", "Ann-1", False),
    ],
)
def test_case_and_kind_of_identifiers(change, segment, ann, members, id_type, value, found) -> None:
    assert change(segment, [value], query=f"?id_type={id_type}").status_code == 200
    assert members(segment) == ({ann.cio_id} if found else set())
    change(segment, ["Ann-1"])
    assert change(segment, [value], "remove", query=f"?id_type={id_type}").status_code == 200
    assert members(segment) == (set() if found else {ann.cio_id})


@pytest.mark.parametrize(("needs_prefix", "prefix"), [(False, ""), (True, "cio_")])
def test_a_cio_id_has_its_prefix_or_has_none(
    sandbox, change, segment, bob, members, needs_prefix: bool, prefix: str
) -> None:
    sandbox.configure(cio_prefix=needs_prefix)
    wrong = "" if prefix else "cio_"
    change(segment, [f"{wrong}{bob.cio_id}"], query="?id_type=cio_id")
    assert members(segment) == set()
    change(segment, [f"{prefix}{bob.cio_id}"], query="?id_type=cio_id")
    assert members(segment) == {bob.cio_id}


@pytest.mark.parametrize(("value", "found"), [("x" * 150, True), ("x" * 151, False), ("é" * 75, True)])
def test_an_id_has_at_most_150_bytes(sandbox, change, segment, members, value: str, found: bool) -> None:
    person = sandbox.workspace.add_person(id=value)
    assert change(segment, [value]).status_code == 200
    assert members(segment) == ({person.cio_id} if found else set())


def test_bytes_count_not_letters(sandbox, change, segment, members) -> None:
    sandbox.workspace.add_person(id="é" * 76)
    change(segment, ["é" * 76])
    assert members(segment) == set()


def test_an_address_identifies_one_person(sandbox, bob) -> None:
    add = sandbox.workspace.add_person
    assert add(email="BOB@example.com") is bob
    with pytest.raises(ValueError, match="another person has this e-mail address"):
        add(id="b-2", email="Bob@Example.com")
    sandbox.configure(email_identifies=False)
    assert add(id="b-2", email="Bob@Example.com") is not bob


def test_addresses_that_do_not_identify_are_ignored(sandbox, change, segment, ann, members) -> None:
    sandbox.configure(email_identifies=False)
    assert change(segment, ["Ann+x@Example.com"], query="?id_type=email").status_code == 200
    assert members(segment) == set()


def test_who_has_no_id_may_stay(sandbox, change, segment, ann, bob, members) -> None:
    emails = ["ann+x@example.com", "bob@example.com"]
    change(segment, emails, query="?id_type=email")
    sandbox.configure(removal_needs_id=True)
    assert change(segment, emails, "remove", query="?id_type=email").status_code == 200
    assert members(segment) == {bob.cio_id}
    sandbox.configure(removal_needs_id=False)
    change(segment, emails, "remove", query="?id_type=email")
    assert members(segment) == set()


def test_a_change_may_show_later(sandbox, app, change, segment, ann, members) -> None:
    sandbox.configure(visible_after=600)
    change(segment, ["Ann-1"])
    assert members(segment) == set()
    assert app(f"/v1/segments/{segment.id}/customer_count").json()["count"] == 0
    assert segment.members == [ann]


def test_a_later_change_shows_in_the_end(sandbox, change, segment, ann, members, wait_until) -> None:
    sandbox.configure(visible_after=0.05, app_per_second=0)
    change(segment, ["Ann-1"])
    wait_until(lambda: members(segment) == {ann.cio_id})
    change(segment, ["Ann-1"], "remove")
    wait_until(lambda: members(segment) == set())


# ---- what is refused


def test_a_batch_has_1000_ids(sandbox, change, segment, ann) -> None:
    assert change(segment, ["Ann-1", *(f"n-{n}" for n in range(999))]).status_code == 200
    assert sandbox.requests[-1].ids == 1000
    assert len(segment.members) == 1


@pytest.mark.parametrize("ids", [[], ["x"] * 1001, [1], "Ann-1", None, {"id": "Ann-1"}])
def test_other_batches_are_a_400(change, segment, ann, ids) -> None:
    answer = change(segment, ids)
    assert (answer.status_code, len(answer.json()["meta"]["errors"])) == (400, 1)


@pytest.mark.parametrize("body", [b"", b"ids", b"[]", b"{}"])
def test_other_bodies_are_a_400(track, segment, body: bytes) -> None:
    assert track(f"/api/v1/segments/{segment.id}/add_customers", "POST", data=body).status_code == 400


def test_an_unknown_kind_of_identifier_is_a_400(change, segment, ann) -> None:
    answer = change(segment, ["Ann-1"], query="?id_type=phone")
    assert (answer.status_code, answer.json()) == (400, {"meta": {"errors": ["invalid id_type phone"]}})
    assert segment.members == []


def test_a_data_driven_or_missing_segment_is_refused(sandbox, track, change, ann) -> None:
    computed = sandbox.workspace.add_segment("Computed", type="dynamic")
    for what in ("add", "remove"):
        assert change(computed, ["Ann-1"], what).status_code == 400
        for missing in ("999", "eleven"):
            path = f"/api/v1/segments/{missing}/{what}_customers"
            assert track(path, "POST", json={"ids": ["Ann-1"]}).status_code == 404
    assert computed.members == []


@pytest.mark.parametrize("says_when", [True, False])
def test_too_many_changes_are_a_429_with_or_without_a_time(sandbox, change, segment, ann, says_when) -> None:
    sandbox.configure(track_per_second=1, retry_after=says_when)
    answers = [change(segment, ["nobody"], "remove"), change(segment, ["Ann-1"])]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers.get("Retry-After") == ("1" if says_when else None)
    assert segment.members == []


def test_too_many_changes_may_be_dropped_behind_a_200(sandbox, change, segment, ann) -> None:
    sandbox.configure(track_per_second=1, track_drops=True)
    answers = [change(segment, ["nobody"]), change(segment, ["Ann-1"])]
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "{}")] * 2
    assert segment.members == []
