"""Where the facts about Amplitude leave a doubt, the sandbox answers either way."""

from __future__ import annotations

import pytest

from tests.benchmarks.crowd import CrowdRows

LIST = "/api/3/cohorts"
REQUEST = "/api/5/cohorts/request"
STATUS = "/api/5/cohorts/request-status"


@pytest.mark.parametrize("status", [429, 402, 403, 404])
def test_a_month_that_is_used_up_has_any_status_and_says_so(sandbox, amplitude, cohort, status: int) -> None:
    sandbox.configure(exports_a_month=0, quota_status=status)
    answer = amplitude(f"{REQUEST}/{cohort.id}")
    assert answer.status_code == status
    assert "monthly limit" in answer.json()["error"]["metadata"]["details"]
    assert answer.json()["error"]["http_code"] == status


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_a_plan_without_the_api_has_any_status_and_says_so(sandbox, amplitude, status: int) -> None:
    sandbox.configure(unpaid_status=status)
    sandbox.add_project(api_key="free-key", secret_key="free-secret", paid=False)
    answer = amplitude(LIST, auth=("free-key", "free-secret"))
    assert answer.status_code == status
    assert "Growth" in answer.json()["error"]["metadata"]["details"]


@pytest.mark.parametrize("names", [True, False])
def test_answers_name_the_cohort_or_do_not(sandbox, amplitude, cohort, names: bool) -> None:
    sandbox.configure(answers_cohort_id=names)
    asked = amplitude(f"{REQUEST}/{cohort.id}").json()
    told = amplitude(f"{STATUS}/{asked['request_id']}").json()
    assert [answer.get("cohort_id") for answer in (asked, told)] == [cohort.id if names else None] * 2


@pytest.mark.parametrize(("status", "is_json"), [(400, True), (404, False)])
def test_an_unknown_request_has_either_status(sandbox, amplitude, status: int, is_json: bool) -> None:
    sandbox.configure(unknown_status=status)
    answer = amplitude(f"{STATUS}/123")
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("application/json" if is_json else "text/html")
    assert ("No job exists with request_id: 123" in answer.text) == is_json


def test_a_new_request_may_be_unknown_at_first(sandbox, amplitude, request_export) -> None:
    sandbox.configure(status_unknown_for=600)
    request_id = request_export()
    assert "No job exists" in amplitude(f"{STATUS}/{request_id}").text
    sandbox.configure(status_unknown_for=0)
    assert amplitude(f"{STATUS}/{request_id}").json()["async_status"] == "JOB COMPLETED"


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("look", "text"),
    [("header", '"amplitude_id","user_id"\n'), ("nothing", ""), ("newline", "\n"), ("list", "[]")],
)
@pytest.mark.parametrize("rows", [[], CrowdRows(0, 0)])
def test_an_empty_cohort_has_a_file_of_any_look(
    sandbox, amplitude, export, cohort, compressed, look, text, rows
) -> None:
    sandbox.configure(empty_export=look, compressed=compressed)
    whole = export().text
    sandbox.project.add_cohort(id=cohort.id, name="Nobody", rows=rows)
    answer = export()
    assert (answer.status_code, answer.text) == (200, text)
    assert len(whole.splitlines()) == 4


@pytest.mark.parametrize(("look", "status"), [("no_content", 204), ("not_found", 404)])
def test_an_empty_cohort_may_have_no_file(sandbox, export, cohort, look: str, status: int) -> None:
    sandbox.configure(empty_export=look)
    assert export().status_code == 200
    sandbox.project.add_cohort(id=cohort.id, name="Nobody", rows=[])
    assert export().status_code == status


@pytest.mark.parametrize("listed", [True, False])
def test_archived_cohorts_are_listed_or_not(sandbox, amplitude, cohort, listed: bool) -> None:
    sandbox.configure(archived_listed=listed)
    sandbox.project.add_cohort(id="old1a1a", name="Old", rows=[], archived=True)
    found = {each["id"] for each in amplitude(LIST).json()["cohorts"]}
    assert found == ({cohort.id, "old1a1a"} if listed else {cohort.id})
