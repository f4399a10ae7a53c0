from __future__ import annotations

from contextlib import nullcontext

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.membership import SegmentMember
from airflow_provider_cio_cohort.hooks.rate_limit import SHARE_OF_LIMIT


@pytest.fixture
def hook(sandbox) -> CustomerIOHook:
    return CustomerIOHook()


def people(sandbox, count: int) -> list[str]:
    ids = [f"u-{n:05}" for n in range(count)]
    for each in ids:
        sandbox.workspace.add_person(id=each, email=f"{each}@example.com")
    return ids


def ids_in(hook: CustomerIOHook, segment_id: int) -> set[str | None]:
    return {member.id for member in hook.stream_members(segment_id)}


def test_a_segment_from_its_creation_to_its_end(hook: CustomerIOHook) -> None:
    assert hook.find_segment("Power users") is None
    made = hook.create_segment("Power users", "about them")
    assert (made.name, made.description, made.is_manual) == ("Power users", "about them", True)
    assert hook.find_segment("Power users") == made == hook.get_segment(made.id)
    assert list(hook.stream_members(made.id)) == []
    assert hook.count_members(made.id) == 0
    hook.delete_segment(made.id)
    with pytest.raises(exceptions.UnknownSegmentError, match=f"no segment {made.id}"):
        hook.get_segment(made.id)


def test_two_segments_of_one_name_are_an_error_that_lists_both(hook: CustomerIOHook, sandbox) -> None:
    one = sandbox.workspace.add_segment(name="Twins")
    other = sandbox.workspace.add_segment(name="Twins")
    with pytest.raises(exceptions.AmbiguousSegmentError, match=f"ids {one.id}, {other.id}"):
        hook.find_segment("Twins")


MARK = "Kept equal to cohort a1b2c3d of Amplitude by the sync power_users."


@pytest.mark.parametrize(
    ("setting", "kept"), [({"name_rewrite": "collapse"}, "Power users"), ({}, "Power  users")]
)
def test_a_creation_whose_answer_was_lost_is_found_by_its_name_or_its_description(
    hook: CustomerIOHook, sandbox, setting: dict[str, str], kept: str
) -> None:
    sandbox.configure(**setting)
    hook.list_segments()
    sandbox.faults.add("reset_after", path="/v1/segments$", method="POST")
    made = hook.create_segment("Power  users", MARK)
    assert (made.name, made.description) == (kept, MARK)
    assert list(sandbox.workspace.segments) == [made.id]


def test_a_segment_that_was_there_before_is_not_taken_for_the_new_one(hook: CustomerIOHook, sandbox) -> None:
    sandbox.workspace.add_segment(name="Of the same cohort", description=MARK)
    hook.list_segments()
    sandbox.faults.add("reset_before", path="/v1/segments$", method="POST")
    with pytest.raises(exceptions.SegmentNotCreatedError):
        hook.create_segment("Power users", MARK)


@pytest.mark.parametrize(
    ("listed", "others"),
    [
        (True, [{"description": MARK}, {"description": MARK}]),  # which of the two?
        (True, [{"description": MARK, "type": "dynamic"}]),
        (True, [{"description": "Somebody made it by hand."}]),
        (False, [{"description": MARK}]),  # nobody can say whether it is new
    ],
)
def test_another_segment_is_not_taken_for_the_new_one(hook, sandbox, listed: bool, others) -> None:
    if listed:
        hook.list_segments()
    for other in others:
        sandbox.workspace.add_segment(name="Another", **other)
    sandbox.faults.add("reset_before", path="/v1/segments$", method="POST")
    with pytest.raises(exceptions.SegmentNotCreatedError):
        hook.create_segment("Power users", MARK)


def test_nobody_can_be_added_to_a_data_driven_segment(hook: CustomerIOHook, sandbox) -> None:
    segment = sandbox.workspace.add_segment(name="Computed", type="dynamic")
    with pytest.raises(exceptions.DataDrivenSegmentError):
        hook.find_segment("Computed")
    with pytest.raises(exceptions.DataDrivenSegmentError):
        hook.get_segment(segment.id)
    with pytest.raises(exceptions.PermanentError):
        hook.add_members(segment.id, ["u-1"])


def test_members_are_added_and_removed_in_batches(hook: CustomerIOHook, sandbox) -> None:
    ids = people(sandbox, 2500)
    segment = hook.create_segment("Many")
    assert hook.add_members(segment.id, [*ids, "nobody"]).count == 2501
    assert ids_in(hook, segment.id) == set(ids)
    assert hook.count_members(segment.id) == 2500
    assert hook.remove_members(segment.id, ids[:1200]).count == 1200
    assert ids_in(hook, segment.id) == set(ids[1200:])
    sizes = [record.ids for record in sandbox.requests if record.api == "track"]
    assert sorted(sizes) == [200, 501, 1000, 1000, 1000]


@pytest.mark.parametrize("id_type", ["email", "cio_id"])
def test_other_identifiers(hook: CustomerIOHook, sandbox, id_type: str) -> None:
    person = sandbox.workspace.add_person(id=None, email="Ann+x@Example.com")
    segment = hook.create_segment("By another identifier")
    value = {"email": "ann+X@example.COM", "cio_id": person.cio_id}[id_type]
    hook.add_members(segment.id, [value], id_type)
    (member,) = hook.stream_members(segment.id)
    assert member == SegmentMember(None, "Ann+x@Example.com", person.cio_id)
    hook.remove_members(segment.id, [value], id_type)
    assert list(hook.stream_members(segment.id)) == []


def test_every_page_of_a_membership_is_read(hook: CustomerIOHook, sandbox) -> None:
    ids = people(sandbox, 61_000)
    segment = sandbox.workspace.add_segment(name="Large", members=ids)
    assert ids_in(hook, segment.id) == set(ids)
    pages = [record for record in sandbox.requests if record.path.endswith("/membership")]
    assert len(pages) == 3


def test_a_missing_segment(hook: CustomerIOHook) -> None:
    for call in (hook.count_members, lambda n: list(hook.stream_members(n)), hook.delete_segment):
        with pytest.raises(exceptions.UnknownSegmentError):
            call(999_999)
    with pytest.raises(exceptions.UnknownSegmentError):
        hook.add_members(999_999, ["u-1"])


@pytest.mark.parametrize(
    ("fields", "extra", "words"),
    [
        ({"login": "wrong-key-1"}, {}, "Site ID (field login) and Tracking API key (field password)"),
        ({"password": "wrong-key-2"}, {}, "Site ID (field login) and Tracking API key (field password)"),
        ({}, {"app_api_key": "wrong-key-3"}, "App API key (field app_api_key)"),
    ],
)
def test_a_wrong_key_is_named(sandbox, connect, fields, extra, words: str) -> None:
    hook = CustomerIOHook(connect("customer_io_default", extra=extra, **fields))
    ok, message = hook.test_connection()
    assert not ok
    assert words in message
    assert "wrong-key" not in message


def test_a_tracking_key_is_no_app_key(sandbox, connect) -> None:
    tracking_key = sandbox.connections()["customer_io_default"]["password"]
    hook = CustomerIOHook(connect("customer_io_default", extra={"app_api_key": tracking_key}))
    with pytest.raises(exceptions.AuthenticationError, match="app_api_key"):
        hook.check()


def test_the_wrong_region_is_told_by_both_apis(sandbox, connect) -> None:
    urls = {
        "track_base_url": sandbox.urls["track_eu"],
        "app_base_url": sandbox.urls["app_eu"],
        "region": "eu",
    }
    hook = CustomerIOHook(connect("customer_io_default", extra=urls))
    with pytest.raises(exceptions.WrongRegionError, match="lives in the region 'us', not 'eu'"):
        hook.check()
    with pytest.raises(exceptions.WrongRegionError, match="Set the connection's region to united states"):
        hook.list_segments()
    with pytest.raises(exceptions.WrongRegionError):
        hook.create_segment("Never made")
    assert sandbox.workspace.find_segment("Never made") is None


@pytest.mark.parametrize(
    ("answered", "error"),
    [
        ("401", exceptions.AuthenticationError),
        ("redirect", exceptions.WrongRegionError),
        ("success", None),  # whoever writes cannot tell, so the region is compared before
    ],
)
def test_the_wrong_region_is_told_whatever_its_track_host_answers(sandbox, connect, answered, error) -> None:
    sandbox.configure(wrong_region_track=answered)
    urls = {"track_base_url": sandbox.urls["track_eu"], "region": "eu"}
    hook = CustomerIOHook(connect("customer_io_default", extra=urls))
    with pytest.raises(exceptions.WrongRegionError, match="lives in the region 'us', not 'eu'"):
        hook.check_track()
    segment = sandbox.workspace.add_segment(name="Some")
    with pytest.raises(error) if error else nullcontext():
        hook.add_members(segment.id, people(sandbox, 3))
    assert len(sandbox.workspace.segments[segment.id].shown) == (0 if error else 3)


def test_a_redirect_of_a_batch_is_not_followed(hook: CustomerIOHook, sandbox) -> None:
    segment = hook.create_segment("Some")
    for status in (301, 302, 307, 308):
        elsewhere = {"Location": f"{sandbox.urls['track_eu']}/api/v1/segments/{segment.id}/add_customers"}
        sandbox.reset_requests()
        sandbox.faults.add("redirect", path="add_customers", status=status, headers=elsewhere)
        with pytest.raises(exceptions.WrongRegionError, match="Set the connection's region to europe"):
            hook.add_members(segment.id, ["u-1"])
        assert sandbox.count(api="track") == 1


def test_a_working_connection_says_so(hook: CustomerIOHook) -> None:
    assert hook.test_connection() == (
        True,
        "Connected to Customer.io (us): the Site ID and Tracking API key are accepted, and so is the App API "
        "key. The first sync shows whether they belong to the same workspace.",
    )


def test_each_request_carries_its_own_key_and_no_extra(hook: CustomerIOHook, sandbox, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "")
    session = hook.get_conn()
    extra = sandbox.connections()["customer_io_default"]["extra"]
    assert not {"app_api_key", "region", "track_base_url"} & {name.lower() for name in session.headers}
    assert extra["app_api_key"] not in repr(session.headers)
    hook.check()
    authorization = {
        record.api: record.headers["Authorization"].split()[0]
        for record in sandbox.requests
        if record.api in ("track", "app")
    }
    assert authorization == {"track": "Basic", "app": "Bearer"}
    for record in sandbox.requests:
        assert not {"app_api_key", "region", "requests_per_second"} & {n.lower() for n in record.headers}


@pytest.mark.own_requests
def test_a_batch_that_the_vendor_refuses_names_nobody(hook: CustomerIOHook, sandbox) -> None:
    segment = hook.create_segment("Some")
    with pytest.raises(exceptions.RequestRejectedError) as caught:
        hook.add_members(segment.id, ["person-4711"], "phone")
    assert "person-4711" not in str(caught.value)


@pytest.mark.parametrize(("given", "tasks"), [(None, 1), ("", 1), (1, 1), (4, 4), ("4", 4)])
def test_concurrent_tasks_share_the_pace_of_both_apis(sandbox, connect, given: object, tasks: int) -> None:
    extra = {"requests_per_second": 50, "max_concurrent_tasks": given}
    hook = CustomerIOHook(connect("customer_io_default", extra=extra))
    assert hook.track_client.rate_limiter.gap == pytest.approx(tasks / 50 / SHARE_OF_LIMIT)
    assert hook.app_client.rate_limiter.gap == pytest.approx(tasks / 9.5)


@pytest.mark.parametrize("given", [0, -1, 1.5, "many", True, [2], "1e3"])
def test_max_concurrent_tasks_must_be_a_whole_number(sandbox, connect, given: object) -> None:
    hook = CustomerIOHook(connect("customer_io_default", extra={"max_concurrent_tasks": given}))
    with pytest.raises(exceptions.ConfigurationError, match="max_concurrent_tasks of connection 'other'"):
        hook.list_segments()
    assert sandbox.requests == []


def test_the_pace_must_be_a_number(sandbox, connect) -> None:
    hook = CustomerIOHook(connect("customer_io_default", extra={"requests_per_second": "fast"}))
    with pytest.raises(exceptions.ConfigurationError, match="requests_per_second of connection 'other'"):
        hook.add_members(1, ["u-1"])
