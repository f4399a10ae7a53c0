"""The way back to a snapshot: by the trigger form, and by a backfill, which must say that it goes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.helpers import fill, members

pytestmark = pytest.mark.system

DAG = "cohort_sync__way_back"
SEGMENT = "Way back"
#: In the timezone of the sync, the first is late on the 2nd and the second early on the 3rd; in UTC, both are
#: of the 2nd. The third is a time of the schedule.
SECOND, THIRD, BAD = "2026-02-02T09:00:00Z", "2026-02-02T12:00:00Z", "2026-02-03T16:00:00Z"
PEOPLE = {SECOND: {"w-1", "w-2"}, THIRD: {"w-2", "w-3"}, BAD: {"w-8", "w-9"}}


@pytest.fixture(scope="module")
def runs(airflow: AirflowInstance, vendors: Sandbox) -> dict[str, str]:
    """The runs of three times, each of which has kept a snapshot; the cohort of now is another one."""
    Path(f"{airflow.home}-snapshots").mkdir()
    airflow.unpause(DAG)
    # The slot that it has just missed: there is no cohort yet, so nothing is synced or kept.
    scheduled = airflow.wait_until(lambda: airflow.runs(DAG), "a scheduled run")[0]
    assert airflow.wait_for_run(DAG, scheduled["dag_run_id"]) == "failed"
    made = {}
    for moment, people in PEOPLE.items():
        fill(vendors, "wayback", *people)
        run = airflow.api("POST", f"dags/{DAG}/dagRuns", {"logical_date": moment, "conf": {}})
        made[moment] = run["dag_run_id"]
        assert airflow.wait_for_run(DAG, made[moment]) == "success"
    fill(vendors, "wayback", "w-5", "w-6")
    return made


@pytest.fixture
def dialog(page: Page, runs: dict[str, str]) -> Locator:
    page.set_viewport_size({"width": 1280, "height": 2200})
    page.goto(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    opened = page.get_by_role("dialog").first
    opened.get_by_role("button", name="Go back").click()
    expect(opened.get_by_role("combobox", name="Source")).to_be_visible()
    expect(opened.get_by_text("The newest snapshot at or before that time is used")).to_be_visible()
    return opened


def choose_the_snapshot(page: Page, dialog: Locator) -> None:
    source = dialog.get_by_role("combobox", name="Source")
    if not source.is_visible():  # the form may have been drawn anew, with its first heading open
        dialog.get_by_role("button", name="Go back").click()
    source.click()
    page.get_by_role("option", name="snapshot").click()


def backfill(page: Page, dialog: Locator, *, override: bool) -> Any:
    """Run the one run of the 3rd again, with the form's fields or without; return what was sent."""
    dialog.get_by_text("Run this Dag for a range of dates").click()
    for _ in ("from", "to"):
        dialog.get_by_text("Select date and time").first.click()
        date = page.get_by_placeholder("YYYY/MM/DD")
        date.fill("2026/02/03")
        date.press("Enter")
        page.keyboard.press("Escape")
        expect(date).to_be_hidden()
    dialog.get_by_text("All Runs").click()
    choose_the_snapshot(page, dialog)
    if override:
        dialog.get_by_text("Override parameters on existing runs", exact=True).click()
    for _ in range(10):
        with page.expect_response(lambda answer: answer.url.endswith("/backfills")) as answer:
            dialog.get_by_role("button", name="Run Backfill").click()
        if answer.value.ok:
            return answer.value.request.post_data_json
        # SQLite has one writer; Airflow gives up a backfill that it could not make whole after two minutes.
        assert answer.value.status in (409, 500, 503), answer.value.text()
        page.wait_for_timeout(20_000)
    raise AssertionError(answer.value.text())


def exports(vendors: Sandbox) -> int:
    return vendors.count(api="amplitude", path_regex=r"/request/wayback$")


def ends_of_backfills(airflow: AirflowInstance) -> list[str | None]:
    return [each["completed_at"] for each in airflow.api("GET", "backfills", dag_id=DAG)["backfills"]]


def wait_for_try(airflow: AirflowInstance, run_id: str, number: int) -> str:
    def ended() -> str | None:
        task = airflow.task(DAG, run_id)
        done = task["state"] in ("success", "failed") and task["try_number"] == number
        return str(task["state"]) if done else None

    state = airflow.wait_until(ended, "the run of the backfill", 240)
    airflow.wait_until(lambda: all(ends_of_backfills(airflow)), "the end of the backfill")
    return str(state)


def test_the_trigger_form_goes_back_to_a_date_in_the_timezone_of_the_sync(
    page: Page, dialog: Locator, airflow: AirflowInstance, vendors: Sandbox, runs: dict[str, str]
) -> None:
    assert members(vendors, SEGMENT) == PEOPLE[BAD]
    before = exports(vendors)
    choose_the_snapshot(page, dialog)
    dialog.locator("input[name=element_snapshot_at]").fill("2026-02-02")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        dialog.get_by_role("button", name="Trigger").click()
    run_id = answer.value.json()["dag_run_id"]
    assert airflow.wait_for_run(DAG, run_id) == "success"
    report = airflow.report(DAG, run_id)
    assert (report["source"], report["snapshot_at"]) == ("snapshot", SECOND)
    assert members(vendors, SEGMENT) == PEOPLE[SECOND]
    assert exports(vendors) == before


def test_a_backfill_whose_form_is_not_sent_is_refused(
    page: Page, dialog: Locator, airflow: AirflowInstance, vendors: Sandbox, runs: dict[str, str]
) -> None:
    there, before = members(vendors, SEGMENT), exports(vendors)
    number = airflow.task(DAG, runs[BAD])["try_number"] + 1
    sent = backfill(page, dialog, override=False)
    assert sent["dag_run_conf"] is None  # although the form says snapshot
    assert wait_for_try(airflow, runs[BAD], number) == "failed"
    log = airflow.log(DAG, runs[BAD], try_number=number)
    assert "This run belongs to a backfill and does not say where its members come from" in log
    assert "Nothing was written: the segment is as it was." in log
    assert members(vendors, SEGMENT) == there
    assert exports(vendors) == before


def test_a_backfill_that_overrides_the_parameters_goes_back(
    page: Page,
    dialog: Locator,
    airflow: AirflowInstance,
    vendors: Sandbox,
    runs: dict[str, str],
) -> None:
    there, before = members(vendors, SEGMENT), exports(vendors)
    assert there != PEOPLE[BAD]
    tries = airflow.task(DAG, runs[BAD])["try_number"]
    sent = backfill(page, dialog, override=True)
    assert sent["dag_run_conf"]["source"] == "snapshot"
    assert wait_for_try(airflow, runs[BAD], tries + 1) == "success"
    assert airflow.report(DAG, runs[BAD])["source"] == "snapshot"
    assert members(vendors, SEGMENT) == PEOPLE[BAD]
    assert exports(vendors) == before
