"""What a task's page shows of a sync: the links to both ends, and the report."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.browser.conftest import Picture
from tests.system.browser.history import Past, dag_of

pytestmark = pytest.mark.system


def task_of(past: Past, sync: str) -> str:
    return f"/dags/{dag_of(sync)}/runs/{past.runs[sync][-1]}/tasks/sync"


@pytest.mark.parametrize(
    ("sync", "cohort", "segments"),
    [
        ("power_users", "https://analytics.amplitude.com/cohort/pwr7k2m", "https://fly.customer.io"),
        ("europe", "https://analytics.eu.amplitude.com/cohort/eur0p3a", "https://eu.fly.customer.io"),
    ],
)
def test_two_buttons_lead_to_cohort_and_segment(
    page: Page, picture: Picture, past: Past, vendors: Sandbox, sync: str, cohort: str, segments: str
) -> None:
    page.goto(f"{task_of(past, sync)}/details")
    expect(page.get_by_role("link", name="Amplitude cohort")).to_have_attribute("href", cohort)
    workspace = vendors.workspaces[-1] if sync == "europe" else vendors.workspace
    name = "Europe [Amplitude]" if sync == "europe" else "Power users [Amplitude]"
    segment = workspace.find_segment(name)
    assert segment is not None
    expect(page.get_by_role("link", name="Customer.io segment")).to_have_attribute(
        "href", f"{segments}/workspaces/{workspace.environment_id}/journeys/segments/{segment.id}"
    )
    if sync == "power_users":
        page.set_viewport_size({"width": 1280, "height": 610})
        picture("task-links", page)


def test_the_log_ends_with_the_report_as_a_table(
    page: Page, picture: Picture, airflow: AirflowInstance, past: Past
) -> None:
    report = airflow.report(dag_of("power_users"), past.runs["power_users"][-1])
    page.goto(f"{task_of(past, 'power_users')}?log_level=info")
    log = page.get_by_test_id("virtualized-list")
    expect(log).to_contain_text(f"{report['segment_after']:,} members now")
    for title, value in {
        "segment name": "Power users [Amplitude]",
        "identifiers": f"{report['identifiers']:,}",
        "match rate": f"{report['match_rate']:.1%}",
    }.items():
        row = log.get_by_text(f"| {title} ")
        expect(row).to_contain_text(f"{value} |")
    picture("task-log", page)
