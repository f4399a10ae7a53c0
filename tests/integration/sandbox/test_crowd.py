"""The benchmarks' crowd is served as other people are: exported, found, added, paged, removed."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks.crowd import Crowd, CrowdRows
from tests.benchmarks.crowd_sandbox import CrowdSandbox
from tests.benchmarks.vendors import Vendors

SIZE = 100_050


@pytest.fixture
def sandbox() -> Iterator[CrowdSandbox]:
    """Both vendors with a crowd."""
    with CrowdSandbox(crowd=Crowd(SIZE), export_seconds=0) as vendors:
        yield vendors


@pytest.fixture
def names(sandbox: CrowdSandbox) -> list[str]:
    """The ids of the crowd, by number."""
    return [sandbox.crowd.names(number).id for number in range(SIZE)]


def pages(app: Any, segment: Any, limit: int) -> list[dict[str, Any]]:
    start, found = "", []
    while True:
        params = {"limit": limit, **({"start": start} if start else {})}
        found.append(app(f"/v1/segments/{segment.id}/membership", params=params).json())
        if not (start := found[-1]["next"]):
            return found


def test_those_who_are_known_come_in_and_the_others_are_ignored(change, members, segment, names) -> None:
    assert change(segment, [*names[:20], "nobody", "user-", "user-12345678x", "user-1234567890"]).json() == {}
    assert len(members(segment)) == 18, "every tenth of the crowd is nobody in Customer.io"
    change(segment, names[1:4], "remove")
    assert len(members(segment)) == 15


def test_a_number_beyond_the_crowd_is_nobody(change, members, segment) -> None:
    change(segment, [Crowd(SIZE + 10).names(SIZE + 1).id])
    assert members(segment) == set()


def test_pages_hold_people_and_crowd_once_each(app, change, segment, ann, names) -> None:
    change(segment, [ann.id, *names[:99]])
    segment.add([], [number for number in range(99, SIZE) if number % 10])
    found = pages(app, segment, 30_000)
    assert [len(page["ids"]) for page in found] == [30_000, 30_000, 30_000, 46]
    people = [person for page in found for person in page["identifiers"]]
    assert people[0] == {"email": ann.email, "id": ann.id, "cio_id": ann.cio_id}
    assert people[1] == {"email": None, "id": names[1], "cio_id": f"b30{names[1][5:]}"}
    assert {person["id"] for person in people} == {ann.id, *(n for i, n in enumerate(names) if i % 10)}
    assert [person["id"] for person in people] == [i for page in found for i in page["ids"]]


def test_the_crowd_is_found_by_either_identifier(app, sandbox, names) -> None:
    for id_type, asked in (("id", names[1:3]), ("cio_id", [f"b30{name[5:]}" for name in names[1:3]])):
        answer = app(f"/v1/customers/attributes?id_type={id_type}", "POST", json={"ids": [*asked, "else"]})
        assert [each["customer"]["id"] for each in answer.json()["customers"]] == names[1:3]


def test_writes_show_later_where_they_are_to(sandbox, change, members, segment, names, wait_until) -> None:
    sandbox.configure(visible_after=0.3, app_per_second=0)
    change(segment, names[1:4])
    assert members(segment) == set()
    wait_until(lambda: len(members(segment)) == 3)


@pytest.mark.parametrize("tab", [False, True])
def test_an_export_of_the_crowd_is_as_any_other(sandbox, amplitude, names, tab) -> None:
    sandbox.configure(leading_tab=tab, inline_rows=SIZE, encoding_header=False)
    texts = []
    for rows in (CrowdRows(30, 60), list(CrowdRows(30, 60))):
        sandbox.project.add_cohort(id="a1b2c3d", name="Crowd", rows=rows)
        job = amplitude("/api/5/cohorts/request/a1b2c3d?props=1&propKeys=plan").json()["request_id"]
        texts.append(gzip.decompress(amplitude(f"/api/5/cohorts/request/{job}/file").content).decode())
    assert texts[0] == texts[1]
    rows = list(csv.reader(io.StringIO(texts[0])))
    assert [row[1].strip() for row in rows] == ["user_id", *names[30:60]]


def test_the_control_tells_how_far_a_segment_holds_a_cohort(sandbox, http, segment, names, change) -> None:
    url = sandbox.urls["control"]
    cohort = {"id": "a1b2c3d", "name": "Crowd", "rows": {"start": 0, "stop": 30}}
    assert http.post(f"{url}/crowd/cohorts", json=cohort).json()["size"] == 30
    change(segment, [*names[:20], names[31]])
    held = http.get(f"{url}/crowd/segments/{segment.id}?start=0&stop=30").json()
    assert held == {"right": 18, "missing": 9, "too_many": 1}
    (record, _) = json.loads(http.get(f"{url}/requests").text) * 2
    assert (record["ids"], record["sent"]) == (21, 2)
    assert record["received"] > 21 * 14
    assert record["began"] <= record["at"]


def test_the_benchmarks_start_it_as_a_process() -> None:
    with Vendors(30, latency_ms=0) as vendors:
        vendors.set_cohort(0, 30)
        vendors.add_segment()
        assert vendors.held(0, 30) == {"right": 0, "missing": 27, "too_many": 0}


def test_a_cohort_can_hold_those_alone_who_are_somebody() -> None:
    everybody, known = list(CrowdRows(5, 45)), list(CrowdRows(5, 45, known=True))
    assert known == [row for number, row in enumerate(everybody, start=5) if number % 10]
    assert len(known) == Crowd(100).known(5, 45)


@pytest.fixture
def with_emails() -> Iterator[CrowdSandbox]:
    """Both vendors with a crowd of people who have addresses."""
    with CrowdSandbox(crowd=Crowd(100, emails=True), export_seconds=0) as vendors:
        yield vendors


def test_a_crowd_with_addresses_is_found_by_them(with_emails: CrowdSandbox) -> None:
    workspace, crowd = with_emails.workspace, with_emails.crowd
    emails = [str(crowd.names(number).email) for number in range(12)]
    found = workspace.look_up(emails, "email")
    assert [(each.id, each.email) for each in found] == [
        (crowd.names(n).id, emails[n]) for n in range(12) if n % 10
    ]
    shown, _ = crowd.as_json([3], True)
    assert json.loads(shown.rstrip(", "))["email"] == emails[3]


def test_an_export_with_addresses_has_rows_that_only_these_match(with_emails: CrowdSandbox) -> None:
    workspace, crowd = with_emails.workspace, with_emails.crowd
    text = "".join(CrowdRows(0, 20).lines(["amplitude_id", "user_id", "mail"], "", "\n", 7))
    rows = sorted(csv.reader(io.StringIO(text)), key=lambda row: row[2])
    assert [row[2] for row in rows] == sorted(str(crowd.names(number).email) for number in range(20))
    by_id, by_mail = (
        len(workspace.look_up([row[place] for row in rows], kind))
        for place, kind in ((1, "id"), (2, "email"))
    )
    assert (by_id, by_mail) == (16, 18)
