"""The connection forms and the test button, as somebody sees them who sets the provider up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.browser.conftest import Picture

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class Form:
    """
    What a form should show.

    :param kind: the connection type, as the UI calls it.
    :param conn_id: the default connection id.
    :param standard: words of the placeholder of each standard field, by its label.
    :param extra: words of the help of each extra field, by its label.
    :param secret: the names of the inputs that must be masked.
    """

    kind: str
    conn_id: str
    standard: dict[str, str]
    extra: dict[str, str]
    secret: tuple[str, ...]


AMPLITUDE = Form(
    "Amplitude",
    "amplitude_default",
    {
        "Host": "leave empty",
        "API key": "Settings > Projects > your project > General > API Key",
        "Secret key": "beside the API Key",
    },
    {"Region": "It is Europe if Amplitude's address", "Organization": "What follows /analytics/"},
    ("password",),
)
CUSTOMER_IO = Form(
    "Customer.io",
    "customer_io_default",
    {
        "Site ID": "Settings > Workspace settings > API credentials",
        "Tracking API key": "Tracking API keys: API Key",
    },
    {
        "App API key": "API credentials > App API keys",
        "Region": "The test button says",
        "Track base URL": "Leave empty. Replaces the region's Track API",
        "App base URL": "Leave empty. Replaces the region's App API",
        "Requests per second": "How fast a run sends requests",
    },
    ("password", "element_app_api_key"),
)
FORMS = pytest.mark.parametrize("form", [AMPLITUDE, CUSTOMER_IO], ids=lambda form: form.kind)


def open_form(page: Page, form: Form, conn_id: str) -> Locator:
    page.goto("/connections")
    page.get_by_role("button", name="Add Connection").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Connection ID").fill(conn_id)
    dialog.get_by_role("combobox", name="Connection Type").click()
    page.keyboard.type(form.kind)
    page.get_by_role("option", name=form.kind, exact=True).click()
    expect(dialog.get_by_role("button", name="Standard Fields")).to_have_attribute("aria-expanded", "true")
    return dialog


def open_extra(dialog: Locator) -> None:
    dialog.get_by_role("button", name="Extra Fields", exact=True).click()


def fill(dialog: Locator, connection: dict[str, Any]) -> None:
    """Fill in what a connection of the sandbox says; it opens the extra fields."""
    for name in ("host", "login", "password"):
        if name in connection:
            dialog.locator(f"[name={name}]").fill(connection[name])
    open_extra(dialog)
    for name, value in connection["extra"].items():
        if name != "region":  # a choice; the sandbox is where the form's default is
            dialog.locator(f"[name=element_{name}]").fill(value)


@FORMS
def test_the_form_says_where_each_key_is_found(page: Page, picture: Picture, form: Form) -> None:
    page.set_viewport_size({"width": 1280, "height": 1200})
    dialog = open_form(page, form, form.conn_id)
    for label, words in form.standard.items():
        field = dialog.get_by_label(label, exact=True)
        assert words in (field.get_attribute("placeholder") or "")
        # A placeholder that does not fit would be cut.
        assert field.evaluate(
            """field => {
                const style = getComputedStyle(field);
                const pen = document.createElement("canvas").getContext("2d");
                pen.font = style.font;
                const padding = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
                return pen.measureText(field.placeholder).width <= field.clientWidth - padding;
            }"""
        )
    if form is AMPLITUDE:
        picture("connection-amplitude", dialog)
    open_extra(dialog)
    for label, words in form.extra.items():
        expect(dialog.get_by_role("group").filter(has_text=words)).to_contain_text(label)
    for name in form.secret:
        expect(dialog.locator(f"[name={name}]")).to_have_attribute("type", "password")
    if form is CUSTOMER_IO:
        dialog.locator("[name=element_app_api_key]").fill("never to be read")
        expect(dialog.get_by_text("This field is required")).to_have_count(0)
        picture("connection-customer-io", dialog)


def test_the_app_api_key_is_required(page: Page) -> None:
    dialog = open_form(page, CUSTOMER_IO, "some_id")
    save = dialog.get_by_role("button", name="Save")
    dialog.get_by_label("Site ID").fill("some-site-id")
    expect(save).to_be_disabled()
    open_extra(dialog)
    expect(dialog.get_by_text("This field is required")).to_be_visible()
    key = dialog.locator("[name=element_app_api_key]")
    key.fill("some-key")
    expect(save).to_be_enabled()
    key.fill("")
    expect(save).to_be_disabled()


@pytest.fixture
def tested(page: Page) -> Page:
    """
    A page whose test button works without a port.

    Airflow 3.3.2 sends port 0 for a connection that has none, and refuses it then as another port than the
    stored one, whatever the connection type: https://github.com/apache/airflow/pull/73298.
    """

    def without_port(route: Route) -> None:
        body = json.loads(route.request.post_data or "{}")
        route.continue_(post_data=json.dumps({name: value for name, value in body.items() if name != "port"}))

    page.route("**/api/v2/connections/test", without_port)
    # Wide enough that the button's answer, in the corner, covers no form.
    page.set_viewport_size({"width": 1900, "height": 1000})
    return page


@pytest.fixture
def conn_id(airflow: AirflowInstance, form: Form) -> Iterator[str]:
    conn_id = f"{form.conn_id}_by_hand"
    yield conn_id
    airflow.api("DELETE", f"connections/{conn_id}")


@FORMS
def test_a_wrong_key_is_named_by_the_button_and_mended_in_the_form(
    tested: Page, airflow: AirflowInstance, vendors: Sandbox, form: Form, conn_id: str
) -> None:
    connection = vendors.connections()[form.conn_id]
    dialog = open_form(tested, form, conn_id)
    fill(dialog, {**connection, "password": "not-the-key"})
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    assert airflow.api("GET", f"connections/{conn_id}")["conn_type"] == connection["conn_type"]

    row = tested.get_by_role("row").filter(has_text=conn_id)
    row.get_by_role("button", name="Test Connection").click()
    expect(tested.get_by_text("(field password)")).to_be_visible()

    row.get_by_role("button", name="Edit Connection").click()
    password = dialog.locator("[name=password]")
    expect(password).to_have_value("***")
    password.fill(connection["password"])
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    # The other keys are still there, though the form has not shown them.
    row.get_by_role("button", name="Test Connection").click()
    expect(tested.get_by_text("Connected to ")).to_be_visible()

    row.get_by_role("button", name="Edit Connection").click()
    expect(dialog.locator("[name=password]")).to_have_value("***")
    open_extra(dialog)
    keys = [connection["password"], connection["extra"].get("app_api_key", connection["password"])]
    shown = tested.content() + "".join(field.input_value() for field in dialog.locator("input").all())
    assert not any(key in shown for key in keys)
