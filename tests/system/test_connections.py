"""The connection forms and the test button, as Airflow's API server serves them to its UI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def forms(airflow: AirflowInstance) -> dict[str, dict[str, Any]]:
    found = airflow.request("GET", "/ui/connections/hook_meta").json()
    return {form["connection_type"]: form for form in found}


def shown(form: dict[str, Any]) -> dict[str, str | None]:
    fields = form["standard_fields"]
    return {name: field["title"] for name, field in fields.items() if field and not field["hidden"]}


def test_the_form_of_amplitude(forms: dict[str, dict[str, Any]]) -> None:
    form = forms["amplitude"]
    assert form["hook_name"] == "Amplitude"
    assert shown(form)["login"] == "API key"
    assert shown(form)["password"] == "Secret key"
    assert "host" in shown(form)
    assert not {"port", "url_schema"} & set(shown(form))
    assert set(form["extra_fields"]) == {"region", "organization"}


def test_the_form_of_customer_io(forms: dict[str, dict[str, Any]]) -> None:
    form = forms["customer_io"]
    assert form["hook_name"] == "Customer.io"
    assert shown(form)["login"] == "Site ID"
    assert shown(form)["password"] == "Tracking API key"
    assert not {"host", "port", "url_schema"} & set(shown(form))
    fields = {
        "app_api_key",
        "region",
        "track_base_url",
        "app_base_url",
        "requests_per_second",
        "max_concurrent_tasks",
    }
    assert set(form["extra_fields"]) == fields
    assert form["extra_fields"]["app_api_key"]["schema"]["format"] == "password"


def check(airflow: AirflowInstance, conn_id: str, connection: dict[str, Any]) -> tuple[bool, str]:
    body = {"connection_id": conn_id, **connection, "extra": json.dumps(connection["extra"])}
    answer = airflow.api("POST", "connections/test", body)
    return answer["status"], answer["message"]


@pytest.mark.parametrize("conn_id", ["amplitude_default", "customer_io_default"])
def test_the_button_tells_that_a_connection_works(airflow, vendors: Sandbox, conn_id: str) -> None:
    works, message = check(airflow, conn_id, vendors.connections()[conn_id])
    assert works
    assert message.startswith("Connected to ")


@pytest.mark.parametrize(
    ("conn_id", "change", "words"),
    [
        ("amplitude_default", {"login": "not-the-key"}, "does not accept the API key (field login)"),
        ("amplitude_default", {"login": "not-the-key"}, "and that the project is in the region us"),
        ("amplitude_default", {"password": "not-the-key"}, "not the secret key (field password)"),
        (
            "amplitude_default",
            {"extra": {"region": "mars"}},
            "names the region 'mars', not one of united states, europe",
        ),
        ("amplitude_default", {"host": "https://nowhere.invalid"}, "the host name could not be resolved"),
        ("amplitude_default", {"host": "http://127.0.0.1:9"}, "no connection could be made"),
        ("customer_io_default", {"login": "not-the-key"}, "Site ID (field login)"),
        ("customer_io_default", {"password": "not-the-key"}, "Tracking API key (field password)"),
        ("customer_io_default", {"extra": {"app_api_key": ""}}, "has no App API key (field app_api_key)"),
        (
            "customer_io_default",
            {"extra": {"track_base_url": "http://127.0.0.1:9"}},
            "Track API could not be",
        ),
        ("customer_io_default", {"extra": {"app_base_url": "http://127.0.0.1:9"}}, "App API could not be"),
        ("customer_io_default", {"extra": {"app_api_key": "not-the-key"}}, "App API key (field app_api_key)"),
        ("customer_io_default", {"extra": {"region": "eu"}}, "Set the connection's region to united states"),
    ],
)
def test_the_button_tells_what_is_wrong(airflow, vendors: Sandbox, conn_id: str, change, words: str) -> None:
    connection = vendors.connections()[conn_id]
    extra = {**connection["extra"], **change.get("extra", {})}
    works, message = check(airflow, conn_id, {**connection, **change, "extra": extra})
    assert not works
    assert words in message
    assert "not-the-key" not in message


@pytest.mark.parametrize(
    ("conn_id", "fault", "words"),
    [
        (
            "amplitude_default",
            {
                "api": "amplitude",
                "status": 403,
                "body": {"error": {"metadata": {"details": "Upgrade your plan"}}},
            },
            "It needs a Growth or Enterprise plan, or the add-on.",
        ),
        ("amplitude_default", {"api": "amplitude", "status": 402, "body": {}}, "does not let connection"),
        ("customer_io_default", {"api": "app", "status": 403, "body": {}}, "from which IP addresses"),
    ],
)
def test_the_button_tells_what_the_account_may_not_do(
    airflow, vendors: Sandbox, conn_id: str, fault: dict[str, Any], words: str
) -> None:
    vendors.faults.add("status", times=0, **fault)
    works, message = check(airflow, conn_id, vendors.connections()[conn_id])
    vendors.faults.clear()
    assert not works
    assert words in message


def test_a_page_instead_of_an_answer_is_called_one(airflow, vendors: Sandbox) -> None:
    vendors.faults.add("html", api="track", status=200, times=0)
    works, message = check(airflow, "customer_io_default", vendors.connections()["customer_io_default"])
    vendors.faults.clear()
    assert not works
    assert "an HTML page" in message


def test_the_api_shows_no_key_of_a_stored_connection(airflow: AirflowInstance, vendors: Sandbox) -> None:
    connection = vendors.connections()["customer_io_default"]
    body = {"connection_id": "stored", **connection, "extra": json.dumps(connection["extra"])}
    airflow.api("POST", "connections", body)
    found = json.dumps(airflow.api("GET", "connections/stored"))
    assert connection["password"] not in found
    assert connection["extra"]["app_api_key"] not in found
