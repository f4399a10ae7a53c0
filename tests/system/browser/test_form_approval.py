"""The question that a guard asks with ``on_guard: approve``, and the button that answers it."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.browser.conftest import Picture
from tests.system.helpers import fill, members, run

pytestmark = pytest.mark.system

DAG = "cohort_sync__lapsed"
SEGMENT = "Lapsed customers"


def test_a_change_is_shown_and_approved(
    page: Page, picture: Picture, airflow: AirflowInstance, vendors: Sandbox
) -> None:
    fill(vendors, "lapsed1", *(f"w-{n}" for n in range(40)))
    assert run(airflow, DAG)[1] == "success"
    fill(vendors, "lapsed1", "w-1")
    run_id = airflow.trigger(DAG)
    airflow.wait_until(
        lambda: airflow.task(DAG, run_id, "approve")["state"] == "awaiting_input", "the question"
    )
    time.sleep(3)  # see test_exports: nobody answers within the time that Airflow needs to notice the pause
    page.goto(f"/dags/{DAG}/runs/{run_id}/tasks/approve/required_actions")
    expect(page.get_by_text(f"Write this change to the segment {SEGMENT}?")).to_be_visible()
    expect(page.get_by_role("row", name="removed 39")).to_be_visible()
    expect(page.get_by_text("39 of 40 members (97.5 %) would be removed")).to_be_visible()
    picture("approval", page)
    page.get_by_role("button", name="Approve").click()
    assert airflow.wait_for_run(DAG, run_id) == "success"
    assert members(vendors, SEGMENT) == {"w-1"}
