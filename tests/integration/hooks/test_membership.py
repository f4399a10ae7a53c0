"""What the pages of a membership may and may not look like."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.membership import SegmentMember

PERSON = {"id": "u-1", "email": None, "cio_id": "a1"}


@pytest.fixture
def segment(sandbox):
    sandbox.configure(app_per_second=0)
    members = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(20)]
    return sandbox.workspace.add_segment(name="Some", members=members)


@pytest.fixture
def hook() -> CustomerIOHook:
    """A hook that asks again soon, for as long as hooks do."""
    hook = CustomerIOHook()
    hook.policy = replace(hook.policy, retry_wait_initial=0.01)
    return hook


def answer(sandbox, body: object, times: int = 1, after: int = 0, path: str = "/membership$") -> Any:
    """Answer like this instead of serving a request."""
    return sandbox.faults.add("status", path=path, status=200, body=body, times=times, after=after)


def pages_read(sandbox) -> int:
    return sandbox.count(api="app", path_regex="/membership$")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"next": ""},
        {"identifiers": {"0": PERSON}},
        {"identifiers": [PERSON, "u-2"]},
        {"identifiers": [PERSON, {}]},
        {"identifiers": [PERSON, {"id": "", "email": None, "cio_id": ""}]},
        [],
        "text",
    ],
)
def test_a_page_without_members_is_no_answer_and_is_asked_for_again(sandbox, hook, segment, body) -> None:
    once = answer(sandbox, body)
    assert len(list(hook.stream_members(segment.id))) == 20
    assert once.met == 1
    answer(sandbox, body, times=0)
    hook.policy = replace(hook.policy, retry_timeout=0.1)
    with pytest.raises(
        exceptions.VendorUnavailableError,
        match=rf"(?s)reading the members of segment {segment.id} with HTTP 200, but without .*A retry",
    ):
        list(hook.stream_members(segment.id))


def test_the_second_page_may_not_be_lost(sandbox, hook) -> None:
    members = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(31_000)]
    segment = sandbox.workspace.add_segment(name="Large", members=members)
    once = answer(sandbox, {}, after=1)
    assert len(list(hook.stream_members(segment.id))) == 31_000
    assert once.met == 1


def test_null_is_an_empty_page(sandbox, hook, segment) -> None:
    answer(sandbox, {"identifiers": None, "ids": None, "next": None})
    assert list(hook.stream_members(segment.id)) == []
    assert pages_read(sandbox) == 1


def test_an_empty_page_ends_the_list_whatever_its_cursor(sandbox, hook, segment) -> None:
    for identifiers in ([], None):
        sandbox.reset_requests()
        answer(sandbox, {"identifiers": identifiers, "next": "more"})
        assert list(hook.stream_members(segment.id)) == []
        assert pages_read(sandbox) == 1


@pytest.mark.parametrize("end", [{"next": ""}, {"next": None}, {}])
def test_the_last_page_has_no_cursor(sandbox, hook, segment, end: dict[str, Any]) -> None:
    answer(sandbox, {"identifiers": [PERSON], "next": "more"})
    answer(sandbox, {"identifiers": [{**PERSON, "cio_id": "a2"}], **end})
    assert len(list(hook.stream_members(segment.id))) == 2
    assert pages_read(sandbox) == 2


@pytest.mark.parametrize("last_next", ["empty", "null", "absent", "empty_page"])
def test_all_pages_are_read_whatever_the_last_one_looks_like(sandbox, hook, last_next: str) -> None:
    sandbox.configure(last_next=last_next)
    members = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(31_000)]
    segment = sandbox.workspace.add_segment(name="Large", members=members)
    assert len(list(hook.stream_members(segment.id))) == 31_000


def test_pages_that_come_again_and_again_are_given_up(sandbox, hook, segment) -> None:
    sandbox.configure(endless_next=True)
    with pytest.raises(
        exceptions.VendorUnavailableError, match=r"does not end: it returned 100 members, but the count is 20"
    ):
        list(hook.stream_members(segment.id))


def test_numbers_become_text(sandbox, hook) -> None:
    sandbox.configure(ids_as_numbers=True)
    person = sandbox.workspace.add_person(id="17")
    segment = sandbox.workspace.add_segment(name="Numbered", members=[person])
    assert list(hook.stream_members(segment.id)) == [SegmentMember("17", None, person.cio_id)]
    assert hook.find_people(["17"]).identifiers == ["17"]


def endless(sandbox, size: int) -> None:
    """Let each page lead to another, by a cursor that was never seen."""
    numbers = itertools.count()
    for page in range(100):
        people = [{"id": f"e-{next(numbers)}", "cio_id": f"c{page}-{n}"} for n in range(size)]
        answer(sandbox, {"identifiers": people, "next": f"cursor-{page}"})


@pytest.mark.parametrize(
    ("size", "total", "pages"),
    [
        (1, 20, 24),  # when twenty have come, three more pages may
        (1, None, 24),
        (500, 20, 5),
        (1_000, None, 5),
    ],
)
def test_a_list_without_an_end_is_given_up(sandbox, hook, segment, size, total, pages: int) -> None:
    endless(sandbox, size)
    with pytest.raises(
        exceptions.VendorUnavailableError,
        match=rf"does not end: it returned {pages * size:,} members, but the count is 20\.\n"
        rf"Reading stopped after {pages} pages",
    ):
        list(hook.stream_member_pages(segment.id, total=total))
    assert pages_read(sandbox) == pages


def test_a_segment_that_grows_while_it_is_read_is_read_to_its_end(sandbox, hook, segment) -> None:
    for page in range(5):
        people = [{"id": f"e-{page}-{n}", "cio_id": f"c{page}-{n}"} for n in range(1_000)]
        answer(sandbox, {"identifiers": people, "next": f"cursor-{page}" if page < 4 else ""})
    answer(sandbox, {"segment_id": segment.id, "count": 5_000}, path="/customer_count$")
    assert sum(len(page.ids) for page in hook.stream_member_pages(segment.id, total=20)) == 5_000


@pytest.mark.parametrize("body", [{}, {"count": None}, {"count": True}, {"count": "many"}, []])
def test_a_count_without_a_number_is_no_answer(sandbox, hook, segment, body: object) -> None:
    once = answer(sandbox, body, path="/customer_count$")
    assert hook.count_members(segment.id) == 20
    assert once.met == 1


@pytest.mark.parametrize("body", [{}, {"segments": {}}, [], {"segments": [{"name": "Some"}]}])
def test_a_list_of_segments_without_segments_is_no_answer(sandbox, hook, segment, body: object) -> None:
    once = answer(sandbox, body, path="/v1/segments$")
    assert hook.find_segment("Some").id == segment.id
    assert once.met == 1


def test_a_segment_without_an_id_is_no_answer(sandbox, hook, segment) -> None:
    once = answer(sandbox, {"segment": {"name": "Some"}}, path=r"/v1/segments/\d+$")
    assert hook.get_segment(segment.id).name == "Some"
    assert once.met == 1


def test_a_creation_that_is_answered_without_a_segment_is_looked_for(sandbox, hook) -> None:
    made = sandbox.faults.add("status", path="/v1/segments$", method="POST", status=200, body={})
    with pytest.raises(exceptions.SegmentNotCreatedError):
        hook.create_segment("New")
    assert made.met == 1


@pytest.mark.parametrize("body", [{}, {"region": None}, []])
def test_an_account_without_a_region_is_no_answer(sandbox, hook, body: object) -> None:
    once = answer(sandbox, body, path="/accounts/region$")
    assert hook.account.region == "us"
    assert once.met == 1


def test_a_list_of_cohorts_without_cohorts_is_no_answer(sandbox) -> None:
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=[])
    once = answer(sandbox, {}, path="/api/3/cohorts$")
    assert AmplitudeHook().find_cohort("a1b2c3d") is not None
    assert once.met == 1


def test_an_export_that_is_answered_without_its_id_may_have_been_counted(sandbox) -> None:
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=[])
    met = answer(sandbox, {}, times=0, path="/request/")
    with pytest.raises(
        exceptions.VendorUnavailableError, match=r"(?s)without a request id.*may have counted it"
    ):
        AmplitudeHook().request_export("a1b2c3d")
    assert met.met == 1
