"""How the mail of an alert looks: in a wide window, on a phone, and in the dark."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from airflow_provider_cio_cohort.alerts import message
from airflow_provider_cio_cohort.alerts.message import Kind
from airflow_provider_cio_cohort.alerts.rendering import rendered
from tests.system.browser.conftest import Picture
from tests.unit.alerts.messages import EVENT_OF, HOSTILE, KINDS, of_kind

pytestmark = pytest.mark.system

WIDTHS = {"wide": 1000, "phone": 480, "narrow": 320}
APPROVAL = message.of_task(
    {
        "dag_id": "cohort_sync__power_users",
        "run_id": "scheduled__2026-11-23T06:12:00+00:00",
        "task_id": "approve",
    },
    "power_users",
    "approval",
    frozenset({"guard"}),
    "waits for an approval: a guard has tripped, and nothing has been written.",
    reason="A guard has tripped, and nothing has been written.",
    facts={"Segment": "Power users [Amplitude]", "Added, at most": "1,204", "Removed": "9,310"},
    causes=(
        "9,310 of 12,480 members (74.6 %) would be removed, more than max_removal_percent allows (50 %); "
        "allow_large_removal allows it for one run",
    ),
    explanation="Approving it in Airflow allows exactly this change, to these people, and no other. "
    "Rejecting it leaves the segment as it is.",
)


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def page(browser: Browser, scheme: str) -> Iterator[Page]:
    """A reader of mails, without scripts, that follows the scheme of the system; one for all mails."""
    with browser.new_context(color_scheme=scheme, java_script_enabled=False) as context:  # type: ignore[arg-type]
        yield context.new_page()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_fits_and_can_be_read(page: Page, scheme: str, kind: Kind, width: str) -> None:
    page.set_viewport_size({"width": WIDTHS[width], "height": 800})
    page.set_content(rendered(of_kind(kind, f"{HOSTILE} {'x' * 200}"), EVENT_OF.get(kind, kind)).html)
    expect(page.get_by_role("heading", name=f"a {HOSTILE}")).to_be_visible()
    expect(page.get_by_role("link")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width]


def test_a_picture_of_an_approval(page: Page, scheme: str, picture: Picture) -> None:
    page.set_viewport_size({"width": 640, "height": 640})
    page.set_content(rendered(APPROVAL, "guard").html)
    if scheme == "light":
        picture("alert-mail", page.locator(".card"))
