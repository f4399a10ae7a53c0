"""The double of Amplitude answers as the vendor does."""

from __future__ import annotations

import csv
import io
import time

import pytest
import requests

from airflow_provider_cio_cohort.sandbox.server import API_KEY, SECRET_KEY

REQUEST = "/api/5/cohorts/request"
STATUS = "/api/5/cohorts/request-status"
LIST = "/api/3/cohorts"
USAGE = "/api/3/cohorts/usage"


def details(answer: requests.Response) -> str:
    error = answer.json()["error"]
    assert (error["http_code"], error["type"]) == (answer.status_code, "unspecified")
    return error["metadata"]["details"]


def lines(answer: requests.Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode(), newline="")))


# ---- keys and regions


@pytest.mark.parametrize("path", [LIST, USAGE, f"{REQUEST}/a1b2c3d", f"{STATUS}/1", f"{REQUEST}/1/file"])
@pytest.mark.parametrize(
    ("auth", "region", "words"),
    [
        (("nonsense", SECRET_KEY), "us", "Invalid API Key"),
        ((API_KEY, "nonsense"), "us", "Invalid API/Secret Key combination"),
        ((API_KEY, SECRET_KEY), "eu", "Invalid API Key"),
        (None, "us", "Invalid API Key"),
    ],
)
def test_wrong_keys_and_the_wrong_region_are_a_403(amplitude, cohort, path, auth, region, words) -> None:
    answer = amplitude(path, region=region, auth=auth)
    assert (answer.status_code, details(answer)) == (403, words)


def test_a_project_of_the_eu_lives_there_only(sandbox, amplitude) -> None:
    sandbox.add_project(api_key="eu-key", secret_key="eu-secret", region="eu")
    auth = ("eu-key", "eu-secret")
    assert amplitude(LIST, region="eu", auth=auth).json() == {"cohorts": []}
    assert details(amplitude(LIST, region="us", auth=auth)) == "Invalid API Key"


def test_projects_see_nothing_of_each_other(sandbox, amplitude, cohort, request_export) -> None:
    sandbox.add_project(api_key="another-key", secret_key="another-secret")
    auth = ("another-key", "another-secret")
    request_id = request_export()
    assert amplitude(LIST, auth=auth).json() == {"cohorts": []}
    assert amplitude(f"{REQUEST}/{cohort.id}", auth=auth).status_code == 404
    assert amplitude(f"{REQUEST}/{request_id}/file", auth=auth).status_code == 404


def test_a_plan_without_the_api_says_so(sandbox, amplitude) -> None:
    sandbox.add_project(api_key="free-key", secret_key="free-secret", paid=False)
    answer = amplitude(LIST, auth=("free-key", "free-secret"))
    assert answer.status_code == 403
    assert "Growth" in details(answer)


# ---- the three steps


def test_an_export_is_requested_computed_and_fetched(sandbox, amplitude, cohort) -> None:
    sandbox.configure(export_seconds=600)
    answer = amplitude(f"{REQUEST}/{cohort.id}")
    request_id = answer.json()["request_id"]
    assert answer.status_code == 202
    assert answer.json() == {"request_id": request_id, "cohort_id": cohort.id}
    answer = amplitude(f"{STATUS}/{request_id}")
    assert (answer.status_code, answer.json()["async_status"]) == (202, "JOB INPROGRESS")
    answer = amplitude(f"{REQUEST}/{request_id}/file")
    assert (answer.status_code, answer.json()) == (404, {"details": "Cohort download not found"})
    sandbox.project.jobs[request_id].ready_at = time.monotonic()
    answer = amplitude(f"{STATUS}/{request_id}")
    assert (answer.status_code, answer.json()["async_status"]) == (200, "JOB COMPLETED")
    assert amplitude(f"{REQUEST}/{request_id}/file").status_code == 200


def test_the_finished_state_has_been_seen_with_another_name(sandbox, amplitude, request_export) -> None:
    sandbox.configure(completed_text="JOB_COMPLETED")
    answer = amplitude(f"{STATUS}/{request_export()}")
    assert (answer.status_code, answer.json()["async_status"]) == (200, "JOB_COMPLETED")


def test_an_unknown_cohort_is_a_bare_404_and_costs_nothing(sandbox, amplitude) -> None:
    answer = amplitude(f"{REQUEST}/nothere")
    assert answer.status_code == 404
    with pytest.raises(ValueError, match=r"Expecting value|Extra data"):
        answer.json()
    assert sandbox.project.used == 0


def test_an_unknown_export(amplitude) -> None:
    answer = amplitude(f"{STATUS}/4711")
    assert not answer.ok
    assert answer.json() == {"details": "No job exists with request_id: 4711"}
    answer = amplitude(f"{REQUEST}/4711/file")
    assert (answer.status_code, answer.json()) == (404, {"details": "Cohort download not found"})


def test_an_archived_cohort_exports_where_the_setting_says_so(sandbox, amplitude) -> None:
    sandbox.project.add_cohort(id="old1a1a", name="Old", rows=[], archived=True)
    assert amplitude(f"{REQUEST}/old1a1a").status_code == 404
    sandbox.configure(archived_can_export=True)
    assert amplitude(f"{REQUEST}/old1a1a").status_code == 202


def test_an_export_has_the_rows_of_its_request(amplitude, cohort, request_export) -> None:
    request_id = request_export()
    cohort.rows.clear()
    assert len(lines(amplitude(f"{REQUEST}/{request_id}/file"))) == 4
    assert len(lines(amplitude(f"{REQUEST}/{request_export()}/file"))) == 1


# ---- the list


def test_the_list_has_the_fields_of_the_vendor(amplitude, cohort) -> None:
    (found,) = amplitude(f"{LIST}?includeSyncInfo=true").json()["cohorts"]
    assert (found["id"], found["name"], found["size"]) == ("a1b2c3d", "Power users", 3)
    assert (found["archived"], found["published"], found["hidden"], found["finished"]) == (
        False,
        True,
        False,
        True,
    )
    assert found["lastComputed"] == cohort.last_computed
    assert found["definition"]["countGroup"]["name"] == "User"
    fields = {"lastMod", "createdAt", "type", "owners", "viewers", "description", "appId"}
    assert fields <= found.keys()


def test_the_list_tells_what_is_odd_about_a_cohort(sandbox, amplitude, request_export) -> None:
    add = sandbox.project.add_cohort
    add(id="grp9c4d", name="Accounts", rows=[], group="Company")
    add(id="raw0e2f", name="Never computed", rows=[], computed=False)
    add(id="old1a1a", name="Old", rows=[], archived=True)
    add(id="sec2e7t", name="Not discoverable", rows=[], listed=False)
    add(id="dif5f0r", name="Computed a while ago", rows=[], announced=7)
    found = {cohort["id"]: cohort for cohort in amplitude(LIST).json()["cohorts"]}
    assert found["grp9c4d"]["definition"]["countGroup"]["name"] == "Company"
    raw = found["raw0e2f"]
    assert (raw["finished"], raw["lastComputed"], raw["size"]) == (False, None, None)
    assert found["old1a1a"]["archived"] is True
    assert found["dif5f0r"]["size"] == 7
    assert "sec2e7t" not in found
    assert request_export(cohort_id="sec2e7t")


def test_a_new_membership_moves_last_computed_but_not_last_mod(amplitude, cohort) -> None:
    cohort.last_computed -= 3600
    before = amplitude(LIST).json()["cohorts"][0]
    cohort.set_rows([])
    after = amplitude(LIST).json()["cohorts"][0]
    assert (after["size"], after["lastMod"]) == (0, before["lastMod"])
    assert after["lastComputed"] > before["lastComputed"]
