"""The form behind *Trigger*, with which somebody lets one run do more, or less, than the schedule may."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.browser.conftest import Picture
from tests.system.helpers import fill, members

pytestmark = pytest.mark.system

DAG = "cohort_sync__newsletter"
SEGMENT = "Newsletter readers"
HELP = {
    "Allow a large removal": "(max_removal_percent: 50)",
    "Allow a large addition": "(max_growth_percent: 200)",
    "Allow an empty cohort": "remove everybody when the cohort is empty",
    "Allow a short cohort": "(max_shortfall_percent: 30)",
    "Allow no match": "no identifier of the cohort matches a person in Customer.io",
    "Adopt the segment": "a segment that no sync created for this cohort",
}


def open_form(page: Page) -> Locator:
    page.goto(f"/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Run Parameters")).to_be_visible()
    return dialog


def test_the_form_explains_every_field(page: Page, picture: Picture, airflow: AirflowInstance) -> None:
    airflow.unpause(DAG)  # otherwise the form asks for that as well
    page.set_viewport_size({"width": 1280, "height": 1550})
    dialog = open_form(page)
    expect(dialog.get_by_role("group").filter(has_text="write nothing. It uses an export")).to_contain_text(
        "Dry run"
    )
    expect(dialog.get_by_text("Go back")).to_have_count(0)  # the sync keeps no snapshots
    dialog.get_by_role("button", name="Let through once").click()
    for title, words in HELP.items():
        expect(dialog.get_by_role("group").filter(has_text=words)).to_contain_text(title)
        expect(dialog.get_by_role("checkbox", name=title)).not_to_be_checked()
    picture("trigger-form", dialog)


def test_a_wrong_value_is_refused(page: Page, airflow: AirflowInstance) -> None:
    before = len(airflow.runs(DAG))
    dialog = open_form(page)
    dialog.get_by_role("button", name="Advanced Options").click()
    editor = dialog.get_by_role("textbox", name="Editor content")
    editor.focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text('{"dry_run": "perhaps"}')
    page.keyboard.press("ControlOrMeta+Shift+End")  # the bracket that the editor has closed by itself
    page.keyboard.press("Delete")
    dialog.get_by_role("button", name="Trigger").click()
    expect(page.get_by_text("'perhaps' is not of type 'boolean'")).to_be_visible()
    assert len(airflow.runs(DAG)) == before


def test_a_dry_run_writes_nothing(page: Page, airflow: AirflowInstance, vendors: Sandbox) -> None:
    fill(vendors, "nws3b2d", "trying-1", "trying-2")
    there = members(vendors, SEGMENT)
    airflow.unpause(DAG)
    before = {run["dag_run_id"] for run in airflow.runs(DAG)}
    dialog = open_form(page)
    dialog.get_by_text("Dry run").click()
    expect(dialog.get_by_role("checkbox", name="Dry run")).to_be_checked()
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        dialog.get_by_role("button", name="Trigger").click()
    run_id = answer.value.json()["dag_run_id"]
    assert run_id not in before
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert airflow.report(DAG, run_id)["dry_run"]
    assert members(vendors, SEGMENT) == there
