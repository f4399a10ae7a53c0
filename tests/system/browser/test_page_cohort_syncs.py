"""The page "Cohort syncs", where people see it: in a frame of Airflow's UI."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from dev.airflow_instance import AirflowInstance
from tests.system.browser.conftest import PATIENCE, Picture
from tests.system.browser.history import COHORTS, Past, dag_of, name_of, settled_runs
from tests.system.browser.login import guarded

pytestmark = pytest.mark.system

ADDRESS = "/plugin/cohort-syncs"


def frame_of(page: Page) -> FrameLocator:
    return page.frame_locator("iframe[title='Cohort syncs']")


@pytest.fixture
def frame(page: Page, past: Past) -> FrameLocator:
    """The page, with syncs that have run a few times."""
    page.goto(ADDRESS)
    opened = frame_of(page)
    expect(opened.get_by_role("heading", name="Cohort syncs")).to_be_visible()
    return opened


def rows(frame: FrameLocator, *words: str) -> Locator:
    found = frame.locator("#rows > tr:visible")
    for word in words:
        found = found.filter(has_text=word)
    return found


def test_the_navigation_leads_to_it(page: Page, past: Past) -> None:
    page.goto("/")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="Cohort syncs").click()
    expect(page).to_have_url(re.compile(ADDRESS))
    expect(rows(frame_of(page), "power_users")).to_be_visible()


def test_the_list_says_how_each_sync_is(
    page: Page, frame: FrameLocator, airflow: AirflowInstance, past: Past
) -> None:
    last = airflow.report(dag_of("power_users"), settled_runs(airflow, "power_users")[-1]["dag_run_id"])
    page.reload()
    of_power_users = rows(frame, "power_users")
    for words in (
        *("pwr7k2m", name_of("power_users"), "Power users [Amplitude]", "Success", "Next in"),
        *(f"{last['segment_after']:,}", f"{last['unmatched']:,} unmatched"),
    ):
        expect(of_power_users).to_contain_text(words)
    expect(of_power_users.locator("svg path.line")).to_have_count(1)
    attention = frame.get_by_role("region", name="Needs attention").get_by_role("listitem")
    assert past.states["trial_ending"][-1] == "failed"
    for sync, why in {
        "misspelt": "Configuration error",
        "trial_ending": "Failed",
        "at_risk": "Sharp drop",
        "europe": "Low match rate",
    }.items():
        expect(attention.filter(has_text=sync)).to_contain_text(why)
    quotas = frame.get_by_role("region", name="Exports of the month")
    expect(quotas).to_contain_text("amplitude_europe")
    expect(quotas).to_contain_text(f"{len(past.runs['europe'])} of 500 used. Amplitude reported")


def test_search_and_filter(page: Page, frame: FrameLocator, picture: Picture) -> None:
    search, count = frame.get_by_role("searchbox", name="Search"), frame.get_by_role("status")
    all_of_them = rows(frame).count()
    search.fill("[amplitude]")
    expect(rows(frame)).to_have_count(len(COHORTS))
    expect(count).to_have_text(f"{len(COHORTS)} of {all_of_them} syncs")
    search.blur()
    page.set_viewport_size({"width": 1280, "height": 860})
    picture("cohort-syncs", page)
    frame.get_by_role("checkbox", name="Needs attention").check()
    expect(rows(frame)).to_have_count(len(COHORTS) - 1)
    expect(rows(frame, "power_users")).to_have_count(0)
    search.fill("no such sync")
    expect(frame.get_by_text("No sync matches.")).to_be_visible()
    search.fill("chn8w3z")
    expect(rows(frame, "at_risk")).to_be_visible()
    frame.get_by_role("link", name="at_risk", exact=True).first.click()
    frame.get_by_role("link", name="← Cohort syncs").click()
    expect(search).to_have_value("chn8w3z")
    expect(rows(frame)).to_have_count(1)


def test_the_page_of_one_sync(
    page: Page, frame: FrameLocator, picture: Picture, airflow: AirflowInstance, past: Past
) -> None:
    runs = settled_runs(airflow, "power_users")
    frame.get_by_role("link", name="power_users", exact=True).click()
    expect(frame.get_by_role("heading", name="power_users")).to_be_visible()
    expect(frame.get_by_text("Times are in Europe/Berlin.")).to_be_visible()
    expect(frame.locator(".large-chart circle.dot")).to_have_count(len(runs))
    table = frame.get_by_role("region", name="Runs").locator("tbody tr")
    expect(table).to_have_count(len(runs))
    expect(table.first).to_contain_text("Success")
    page.set_viewport_size({"width": 1280, "height": 980})
    picture("cohort-sync", page)
    # Its address is that of the window, so it can be passed on and opened again.
    page.reload()
    expect(frame.get_by_role("heading", name="power_users")).to_be_visible()
    table.first.get_by_role("link", name=runs[-1]["run_type"]).click()
    page.wait_for_url(f"/dags/{dag_of('power_users')}/runs/{quote(runs[-1]['dag_run_id'])}/tasks/sync")


def open_page(page: Page, frame: FrameLocator, sync: str) -> None:
    frame.get_by_role("link", name=sync, exact=True).last.click()
    expect(frame.get_by_role("heading", name=sync)).to_be_visible()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (name_of("europe"), "https://analytics.eu.amplitude.com/cohort/eur0p3a"),
        ("Europe [Amplitude]", "https://eu.fly.customer.io/workspaces/"),
    ],
)
@pytest.mark.parametrize("where", ["list", "page"])
def test_the_vendors_pages_open_beside_airflow(
    page: Page, frame: FrameLocator, text: str, address: str, where: str
) -> None:
    page.context.route(f"{address}**", lambda route: route.fulfill(body="the vendor's page"))
    if where == "page":
        open_page(page, frame, "europe")
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name=text, exact=True).click()
    opened.value.wait_for_url(f"{address}**")
    assert opened.value.evaluate("window.opener") is None
    opened.value.close()
    expect(page).to_have_url(re.compile(ADDRESS))


@pytest.mark.parametrize(
    ("what", "ends"), [("DAG", ""), ("Last run", "/runs/{run}"), ("Log", "/runs/{run}/tasks/sync")]
)
def test_a_sync_leads_to_airflow(page: Page, frame: FrameLocator, past: Past, what: str, ends: str) -> None:
    open_page(page, frame, "europe")
    frame.get_by_role("link", name=what, exact=True).click()
    page.wait_for_url(f"/dags/{dag_of('europe')}{ends.format(run=quote(past.runs['europe'][-1]))}")


def test_a_dry_run_is_started_as_the_page_says(page: Page, frame: FrameLocator) -> None:
    open_page(page, frame, "europe")
    expect(frame.get_by_role("link", name="Roll back…")).to_have_count(0)  # it keeps no snapshots
    dry_run = frame.locator("dd").filter(has=frame.get_by_role("link", name="Dry run"))
    expect(dry_run).to_contain_text("Trigger, tick Dry run, then Trigger in the form")
    dry_run.get_by_role("link").click()
    page.wait_for_url(f"/dags/{dag_of('europe')}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Dry run").click()
    expect(dialog.get_by_role("checkbox", name="Dry run")).to_be_checked()
    expect(dialog.get_by_role("button", name="Trigger")).to_be_enabled()


OVERFLOW = """body => [...body.querySelectorAll("main *")]
    .filter((element) => element.checkVisibility() && !element.closest(".hidden, thead"))
    .filter((element) => !element.parentElement.closest("svg"))
    .filter((element) => element.getBoundingClientRect().width > 2)
    .filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((element) => `${element.tagName} ${element.className} ${element.textContent.trim().slice(0, 40)}`)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1280])
def test_everything_fits_the_window(page: Page, frame: FrameLocator, width: int, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 1400})
    body = frame.locator("body")
    expect(rows(frame, "power_users").locator("svg")).to_be_visible()
    assert body.evaluate(OVERFLOW) == []
    for sync in ("power_users", "trial_ending"):
        open_page(page, frame, sync)
        expect(frame.locator(".large-chart")).to_be_visible(visible=width > 720)
        expect(frame.locator(".narrow-chart")).to_be_visible(visible=width <= 720)
        assert body.evaluate(OVERFLOW) == []
        frame.get_by_role("link", name="← Cohort syncs").click()
    page.emulate_media(color_scheme="light")


LONG = "an-id-without-any-place-to-break-it-" * 5


@pytest.mark.parametrize("width", [480, 1280])
def test_long_names_do_not_push_anything_out_of_view(page: Page, frame: FrameLocator, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 1400})
    rows(frame, "power_users").evaluate(
        """(row, text) => row.querySelectorAll("th a, td.named a, td.named code")
            .forEach((element) => { element.textContent = text; })""",
        LONG,
    )
    assert frame.locator("body").evaluate(OVERFLOW) == []
    expect(rows(frame, LONG[:30]).locator("svg")).to_be_visible()


def test_a_run_that_is_cleared_is_the_last_one_everywhere(
    page: Page, frame: FrameLocator, airflow: AirflowInstance, past: Past
) -> None:
    dag_id, first = dag_of("europe"), past.runs["europe"][0]
    body = {"dag_run_id": first, "task_ids": ["sync"], "dry_run": False, "only_failed": False}
    airflow.api("POST", f"dags/{dag_id}/clearTaskInstances", body)
    assert airflow.wait_for_run(dag_id, first) == "success"
    page.reload()
    expect(rows(frame, "eur0p3a")).to_contain_text("Success")
    open_page(page, frame, "europe")
    table = frame.get_by_role("region", name="Runs").locator("tbody tr")
    expect(table).to_have_count(len(past.runs["europe"]) + 1)
    expect(table.filter(has_text="ran again since")).to_have_count(1)
    expect(table.last).to_contain_text("ran again since")
    frame.get_by_role("link", name="Last run", exact=True).click()
    page.wait_for_url(f"/dags/{dag_id}/runs/{quote(first)}")


def test_a_failed_run_is_a_cross_and_a_link(page: Page, frame: FrameLocator, past: Past) -> None:
    attention = frame.get_by_role("region", name="Needs attention").get_by_role("listitem")
    failed = attention.filter(has_text="trial_ending")
    expect(failed).to_contain_text("stopped the change of")
    expect(failed).to_contain_text("Nothing was written: the segment is as it was.")
    failed.get_by_role("link", name="trial_ending").click()
    expect(frame.get_by_role("region", name="Runs").locator("td.reason")).to_contain_text(
        "stopped the change"
    )
    expect(frame.locator(".large-chart path.failed")).to_have_attribute("d", re.compile("M.+"))
    frame.get_by_role("link", name="Open the log").click()
    page.wait_for_url(
        f"/dags/{dag_of('trial_ending')}/runs/{quote(past.runs['trial_ending'][-1])}/tasks/sync"
    )


COLOURS = """body => {
    const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    };
    const light = (colour) => rgb(colour).map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    const paper = (element) => {
        const own = getComputedStyle(element).backgroundColor;
        return own === "rgba(0, 0, 0, 0)" ? paper(element.parentElement) : own;
    };
    return [...body.querySelectorAll("main *")]
        .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .filter((element) => element.checkVisibility() && !element.closest("svg"))
        .map((element) => {
            const [one, other] = [light(getComputedStyle(element).color), light(paper(element))];
            const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
            return [contrast, element.className, element.textContent.trim().slice(0, 40)];
        })
        .sort(([one], [other]) => one - other)[0];
}"""


def test_light_and_dark(page: Page, frame: FrameLocator, picture: Picture) -> None:
    root, body = frame.locator("html"), frame.locator("body")
    expect(root).to_have_attribute("data-theme", "light")
    assert body.evaluate(COLOURS)[0] >= 4.5
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_attribute("data-theme", "dark")
    assert body.evaluate(COLOURS)[0] >= 4.5
    page.emulate_media(color_scheme="light")
    expect(root).to_have_attribute("data-theme", "light")
    for mode, theme in (("Dark Mode", "dark"), ("Light Mode", "light")):
        page.get_by_role("button", name="User").click()
        page.get_by_role("menuitem", name="Appearance").click()
        page.get_by_role("menuitemradio", name=mode).click()
        expect(root).to_have_attribute("data-theme", theme)
        if theme == "dark":
            page.keyboard.press("Escape")
            frame.get_by_role("link", name="power_users", exact=True).click()
            expect(frame.locator(".large-chart")).to_be_visible()
            expect(root).to_have_attribute("data-theme", "dark")
            page.set_viewport_size({"width": 1280, "height": 680})
            picture("cohort-sync-dark", page)


def test_nobody_sees_it_without_a_login(
    browser: Browser, airflow: AirflowInstance, past: Past, tmp_path: Path
) -> None:
    with guarded(airflow, tmp_path) as door, browser.new_context(base_url=door.url) as context:
        context.set_default_timeout(PATIENCE)
        answer = requests.get(f"{door.url}/cohort-syncs/", timeout=30)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
        page = context.new_page()
        opened = page.goto("/cohort-syncs/")
        assert opened is not None
        assert opened.status == 401
        expect(page.get_by_role("heading", name="Please log in")).to_be_visible()
        page.goto(ADDRESS)
        page.get_by_label("Username").fill(door.user)
        page.get_by_label("Password").fill(door.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(ADDRESS)
        expect(rows(frame_of(page), "power_users")).to_be_visible()
