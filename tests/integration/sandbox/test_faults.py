"""Every fault does what it says, and meets whom it is meant for."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.exceptions import ChunkedEncodingError, ReadTimeout
from requests.exceptions import ConnectionError as Broken

from airflow_provider_cio_cohort.sandbox.faults import ACTIONS

LIST = "/api/3/cohorts"
REQUEST = "/api/5/cohorts/request"
STATUS = "/api/5/cohorts/request-status"
#: The parameters of ``cut`` and ``cut_rows``; of a file of four lines, half are two.
HALF = 0.5


def packed_bytes(answer: requests.Response) -> bytes:
    return answer.raw.read(decode_content=False)


# ---- instead of an answer


@pytest.mark.parametrize("action", ["status", "html", "empty", "broken_json"])
def test_another_answer_comes_and_nothing_is_done(sandbox, change, segment, ann, action) -> None:
    sandbox.faults.add(action, api="track", status=503, headers={"Retry-After": "2"})
    answer = change(segment, ["Ann-1"])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    assert segment.members == []
    assert change(segment, ["Ann-1"]).status_code == 200


def test_each_of_them_has_its_own_body(sandbox, app) -> None:
    for action, body in {
        "html": "<html>",
        "empty": "",
        "broken_json": '{"segments": [',
        "status": "",
    }.items():
        sandbox.faults.add(action, status=200)
        answer = app("/v1/segments")
        assert answer.text.startswith(body)
        assert bool(answer.text) == bool(body)
    sandbox.faults.add("status", status=402, body={"any": ["thing"]})
    assert app("/v1/segments").json() == {"any": ["thing"]}


@pytest.mark.parametrize(
    ("details", "status", "location"),
    [
        ({}, 302, "http://127.0.0.1:9/elsewhere"),
        ({"status": 307, "headers": {"Location": "/v2"}}, 307, "/v2"),
        ({"status": 500}, 302, "http://127.0.0.1:9/elsewhere"),
    ],
)
def test_redirect(sandbox, change, segment, ann, details, status: int, location: str) -> None:
    sandbox.faults.add("redirect", api="track", **details)
    answer = change(segment, ["Ann-1"])
    assert (answer.status_code, answer.headers["Location"]) == (status, location)
    assert segment.members == []


def test_drop_says_yes_and_does_nothing(sandbox, change, segment, ann) -> None:
    sandbox.faults.add("drop", api="track", path="add_customers")
    answer = change(segment, ["Ann-1"])
    assert (answer.status_code, answer.text) == (200, "{}")
    assert segment.members == []


def test_reset_before_applies_nothing(sandbox, change, segment, ann) -> None:
    sandbox.faults.add("reset_before", api="track")
    with pytest.raises(Broken):
        change(segment, ["Ann-1"])
    assert segment.members == []
    assert [(r.api, r.status, r.ids) for r in sandbox.requests] == [("track", 0, 1)]


def test_empty_after_applies(sandbox, change, segment, ann) -> None:
    sandbox.faults.add("empty_after", api="track")
    answer = change(segment, ["Ann-1"])
    assert (answer.status_code, answer.text) == (200, "")
    assert segment.members == [ann]


def test_reset_after_applies(sandbox, change, segment, ann) -> None:
    sandbox.faults.add("reset_after", api="track")
    with pytest.raises(Broken):
        change(segment, ["Ann-1"])
    assert segment.members == [ann]
    assert [r.status for r in sandbox.requests] == [0]


@pytest.mark.parametrize(("action", "applied"), [("stall", False), ("stall_after", True)])
def test_a_stall_outlasts_the_client(sandbox, change, segment, ann, wait_until, action, applied) -> None:
    sandbox.faults.add(action, api="track", seconds=600)
    with pytest.raises(ReadTimeout):
        change(segment, ["Ann-1"], timeout=0.2)
    assert bool(segment.members) == applied
    wait_until(lambda: [r.status for r in sandbox.requests] == [0])


@pytest.mark.parametrize(("action", "applied"), [("stall", False), ("stall_after", True)])
def test_a_stall_ends_in_a_reset(sandbox, change, segment, ann, action, applied) -> None:
    sandbox.faults.add(action, api="track", seconds=0.01)
    with pytest.raises(Broken):
        change(segment, ["Ann-1"])
    assert bool(segment.members) == applied


def test_expire_link(sandbox, export, http) -> None:
    sandbox.configure(inline_rows=0)
    sandbox.faults.add("expire_link", api="storage")
    location = export().headers["Location"]
    answer = http.get(location)
    assert (answer.status_code, "Request has expired" in answer.text) == (403, True)
    assert http.get(location).status_code == 200


# ---- done to the answer


def test_a_delayed_answer_is_the_answer(sandbox, app, segment, wait_until) -> None:
    sandbox.faults.add("delay", api="app", seconds=0.5)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(app, "/v1/segments")
        wait_until(lambda: sandbox.faults.all()[0]["met"] == 1)
        assert not slow.done()
        assert slow.result().json()["segments"][0]["id"] == segment.id


def test_cut_breaks_the_connection_in_the_middle_of_the_body(sandbox, export) -> None:
    whole = packed_bytes(export(stream=True))
    sandbox.faults.add("cut", api="amplitude", path="/file$", keep=HALF)
    answer = export(stream=True)
    assert answer.status_code == 200
    assert int(answer.headers["Content-Length"]) == len(whole)
    with pytest.raises((ChunkedEncodingError, Broken)):
        assert answer.content is None
    assert sandbox.requests[-1].status == 0


@pytest.mark.parametrize("compressed", [True, False])
def test_cut_rows_yields_a_valid_shorter_file(sandbox, export, compressed: bool) -> None:
    sandbox.configure(compressed=compressed)
    query = "?props=1&propKeys=mail"
    whole = export(query).content
    for keep, rows in ((0, 1), (HALF, 2), (0.75, 3), (1, 4)):
        sandbox.faults.add("cut_rows", path="/file$", keep=keep)
        short = export(query).content
        assert whole.startswith(short)
        found = list(csv.reader(io.StringIO(short.decode(), newline=""), strict=True))
        assert [len(row) for row in found] == [3] * rows
        assert short.endswith(b'"\n')


def test_cut_rows_reaches_a_file_behind_a_redirect(sandbox, export, http) -> None:
    sandbox.configure(inline_rows=0)
    sandbox.faults.add("cut_rows", api="storage", keep=HALF)
    assert http.get(export().headers["Location"]).content == b'"amplitude_id","user_id"\n"101","u-1"\n'


def test_cut_trailer_leaves_all_rows_and_no_checksum(sandbox, export) -> None:
    whole = packed_bytes(export(stream=True))
    sandbox.faults.add("cut_trailer", path="/file$")
    short = packed_bytes(export(stream=True))
    assert short == whole[:-8]
    assert zlib.decompressobj(wbits=31).decompress(short) == gzip.decompress(whole)
    with pytest.raises(EOFError):
        gzip.decompress(short)


def test_extra_fields_are_everywhere(sandbox, app, amplitude, cohort, segment) -> None:
    sandbox.faults.add("extra_fields", times=0)
    new = {"of": ["tomorrow"]}
    for answer, inside in ((app("/v1/segments"), "segments"), (amplitude(LIST), "cohorts")):
        assert answer.json()["a_new_field"] == new
        assert answer.json()[inside][0]["a_new_field"] == new
    assert app("/v1/segments").json()["segments"][0]["id"] == segment.id


def test_null_lists(sandbox, app, amplitude, cohort, segment) -> None:
    sandbox.configure(null_when_empty=False)
    sandbox.faults.add("null_lists", times=0)
    page = app(f"/v1/segments/{segment.id}/membership").json()
    assert (page["identifiers"], page["ids"]) == (None, None)
    (found,) = amplitude(LIST).json()["cohorts"]
    assert (found["owners"], found["id"]) == (None, cohort.id)


@pytest.mark.parametrize("action", ["extra_fields", "null_lists"])
def test_what_is_no_json_stays(sandbox, export, action: str) -> None:
    whole = export().content
    sandbox.faults.add(action, path="/file$")
    assert export().content == whole


# ---- done to a job


@pytest.mark.parametrize("path", ["request/", "request-status/"])
def test_a_stuck_job_never_ends(sandbox, amplitude, request_export, path: str) -> None:
    sandbox.faults.add("job_stuck", path=path)
    request_id = request_export()
    for _ in range(2):
        answer = amplitude(f"{STATUS}/{request_id}")
        assert (answer.status_code, answer.json()["async_status"]) == (202, "JOB INPROGRESS")
    assert amplitude(f"{REQUEST}/{request_id}/file").status_code == 404


@pytest.mark.parametrize("path", ["request/", "request-status/"])
def test_a_failed_job_says_so(sandbox, amplitude, request_export, path: str) -> None:
    sandbox.faults.add("job_failed", path=path)
    request_id = request_export()
    for _ in range(2):
        answer = amplitude(f"{STATUS}/{request_id}")
        assert (answer.status_code, answer.json()["async_status"]) == (200, "JOB FAILED")
    assert amplitude(f"{REQUEST}/{request_id}/file").status_code == 404
    assert amplitude(f"{STATUS}/{request_export()}").json()["async_status"] == "JOB COMPLETED"


# ---- done to what is said of a membership or an export


def test_a_membership_that_ends_early(sandbox, app) -> None:
    people = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(4)]
    path = f"/v1/segments/{sandbox.workspace.add_segment('Some', members=people).id}"
    fault = sandbox.faults.add("end_early")
    assert app(f"{path}/customer_count").json()["count"] == 4
    pages = [app(f"{path}/membership?limit=2").json() for _ in range(2)]
    assert [page["ids"] for page in pages] == [["u-0", "u-1"]] * 2
    assert [bool(page["next"]) for page in pages] == [False, True]
    assert fault.met == 1


def test_a_page_without_identifiers(sandbox, app, segment, ann) -> None:
    segment.by_hand_add([ann])
    sandbox.faults.add("no_identifiers", after=1)
    app("/v1/segments")
    answers = [app(f"/v1/segments/{segment.id}/membership") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.json().get("ids") for answer in answers] == [["Ann-1"], None, ["Ann-1"]]
    assert answers[1].text == "{}"


@pytest.mark.parametrize("names", [True, False])
def test_an_answer_about_another_cohort(sandbox, amplitude, cohort, names: bool) -> None:
    sandbox.configure(answers_cohort_id=names)
    sandbox.faults.add("other_cohort", times=2)
    amplitude(LIST)
    asked = amplitude(f"{REQUEST}/{cohort.id}").json()
    told = [asked, *(amplitude(f"{STATUS}/{asked['request_id']}").json() for _ in range(2))]
    other = asked["cohort_id"]
    assert other not in ("", cohort.id)
    assert [each.get("cohort_id") for each in told] == [other, other, cohort.id if names else None]
    assert amplitude(f"{REQUEST}/{asked['request_id']}/file").status_code == 200


# ---- whom they meet


def test_a_fault_meets_whom_it_is_meant_for(sandbox, app, track, segment) -> None:
    sandbox.faults.add("empty", api="app", method="GET", path=r"/segments/\d+$", status=418)
    assert track("/auth").status_code == 200
    assert app("/v1/segments").status_code == 200
    assert app(f"/v1/segments/{segment.id}/used_by").status_code == 200
    assert app(f"/v1/segments/{segment.id}").status_code == 418
    assert app(f"/v1/segments/{segment.id}").status_code == 200


def test_a_fault_meets_so_many_after_so_many(sandbox, track) -> None:
    sandbox.faults.add("empty", after=1, times=2, status=418)
    assert [track("/auth").status_code for _ in range(4)] == [200, 418, 418, 200]
    sandbox.faults.add("empty", times=0, status=418)
    assert [track("/auth").status_code for _ in range(3)] == [418] * 3
    sandbox.faults.clear()
    assert track("/auth").status_code == 200


def test_faults_take_turns(sandbox, track) -> None:
    sandbox.faults.add("empty", status=418)
    sandbox.faults.add("empty", status=503)
    assert [track("/auth").status_code for _ in range(3)] == [418, 503, 200]
    assert [fault["met"] for fault in sandbox.faults.all()] == [1, 1]


def test_a_fault_that_there_is_not(sandbox) -> None:
    with pytest.raises(ValueError, match="no fault 'explode'; the faults are status, html"):
        sandbox.faults.add("explode")
    assert len(ACTIONS) == len(set(ACTIONS)) == 23
