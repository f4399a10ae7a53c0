"""
Whatever the hooks inherit from Airflow's works safely over HTTP, or is closed with an error of ours.

A member that a newer Airflow brings fails these tests until it is decided what becomes of it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.providers.http.hooks.http import HttpHook
from requests import Request, Session

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.sandbox import Sandbox

#: These are requests of users, who may send anything.
pytestmark = pytest.mark.own_requests
#: What a vendor might quote of a person.
EMAIL = "person-4711@example.com"


@dataclass(frozen=True)
class Vendor:
    """
    A hook, and how to try it.

    :param hook: the class.
    :param path: an endpoint that lists something.
    :param listed: the name of the list in its answer.
    :param api: the API that serves it, as the sandbox calls it.
    """

    hook: type[AmplitudeHook] | type[CustomerIOHook]
    path: str
    listed: str
    api: str

    @property
    def conn_id(self) -> str:
        return self.hook.default_conn_name

    def is_empty_list(self, answer: Any) -> bool:
        return set(answer) == {self.listed} and not answer[self.listed]

    def base_url(self, sandbox: Sandbox) -> str:
        return sandbox.urls[f"{self.api}_us"]

    def url(self, sandbox: Sandbox) -> str:
        return f"{self.base_url(sandbox)}{self.path}"


VENDORS = [
    Vendor(AmplitudeHook, "/api/3/cohorts", "cohorts", "amplitude"),
    Vendor(CustomerIOHook, "/v1/segments", "segments", "app"),
]


def inherited() -> set[str]:
    """Return the public names that a hook has from Airflow: of the classes, and of what they set on it."""
    of_classes = {name for base in HttpHook.__mro__ for name in vars(base)}
    return {name for name in of_classes | set(vars(HttpHook())) if not name.startswith("_")}


def closed(use: Callable[[], Any], sandbox: Sandbox) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="of Airflow's HttpHook is not supported by"):
        use()
    assert sandbox.requests == []


def run(vendor: Vendor, sandbox: Sandbox) -> None:
    assert vendor.is_empty_list(vendor.hook().run(vendor.path))
    assert sandbox.count(api=vendor.api) == 1


def method(vendor: Vendor, sandbox: Sandbox) -> None:
    assert vendor.hook().method == "GET"
    with pytest.raises(exceptions.RequestRejectedError):
        vendor.hook(method="patch").run(vendor.path, json={"email": EMAIL})
    assert [request.method for request in sandbox.requests] == ["PATCH"]


def get_conn(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook()
    response = hook.get_conn().get(vendor.url(sandbox), auth=None)
    assert response.status_code in (401, 403)  # the session itself knows no key
    with pytest.raises(exceptions.AuthenticationError):
        hook.check_response(response)

    assert hook.get_conn({"X-A": "b"}, {"verify": False}).verify is False
    for wrong in ({"check_response": False}, {"timeout": 5}, {"verify": "perhaps"}):
        with pytest.raises(exceptions.ConfigurationError):
            hook.get_conn(extra_options=wrong)


def check_response(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook()
    body = {"error": {"message": EMAIL}, "errors": [{"detail": EMAIL}]}
    sandbox.faults.add("status", api=vendor.api, status=422, body=body, times=2)
    for how in ({}, {"json": {"ids": [EMAIL]}}):
        response = hook.get_conn().request("GET", vendor.url(sandbox), **how)
        assert EMAIL in response.text
        with pytest.raises(exceptions.RequestRejectedError) as caught:
            hook.check_response(response)
        assert caught.value.status == 422
        assert EMAIL not in str(caught.value)
    good = hook.get_conn().get(vendor.base_url(sandbox))
    good.status_code = 204
    hook.check_response(good)


def run_and_check(vendor: Vendor, sandbox: Sandbox) -> None:
    request = Request("GET", vendor.url(sandbox)).prepare()
    closed(lambda: vendor.hook().run_and_check(Session(), request, {}), sandbox)


def run_with_advanced_retry(vendor: Vendor, sandbox: Sandbox) -> None:
    closed(lambda: vendor.hook().run_with_advanced_retry({}, vendor.path), sandbox)


def auth_type(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook()
    closed(lambda: hook.auth_type, sandbox)
    closed(lambda: setattr(hook, "auth_type", dict), sandbox)


def url_from_endpoint(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook()
    address = vendor.url(sandbox)
    assert hook.url_from_endpoint(vendor.path) == hook.url_from_endpoint(vendor.path.lstrip("/")) == address
    assert hook.url_from_endpoint(None).rstrip("/") == vendor.base_url(sandbox)
    assert hook.get_conn().get(address).status_code in (401, 403)  # it leads there


def base_url(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook()
    assert hook.base_url == vendor.base_url(sandbox)
    with pytest.raises(exceptions.ConfigurationError, match="the connection says where"):
        hook.base_url = "http://elsewhere.test"
    assert vendor.is_empty_list(hook.run(vendor.path))


def test_connection(vendor: Vendor, sandbox: Sandbox) -> None:
    assert vendor.hook().test_connection()[0]
    assert sandbox.requests


def get_connection(vendor: Vendor, sandbox: Sandbox) -> None:
    assert vendor.hook.get_connection(vendor.conn_id).conn_type == vendor.hook.conn_type


def aget_connection(vendor: Vendor, sandbox: Sandbox) -> None:
    connection = asyncio.run(vendor.hook.aget_connection(vendor.conn_id))
    assert connection.conn_type == vendor.hook.conn_type


def get_hook(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook.get_hook(vendor.conn_id)
    assert type(hook) is vendor.hook
    assert vendor.is_empty_list(hook.run(vendor.path))


def aget_hook(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = asyncio.run(vendor.hook.aget_hook(vendor.conn_id))
    assert type(hook) is vendor.hook
    assert vendor.is_empty_list(hook.run(vendor.path))


def form(vendor: Vendor, sandbox: Sandbox) -> None:
    """The form of a connection is described in the provider's information, not by code."""
    assert vendor.hook.get_connection_form_widgets() == {}
    assert vendor.hook.get_ui_field_behaviour() == {}


def http_conn_id(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook(vendor.conn_id)
    assert hook.http_conn_id == getattr(hook, hook.conn_name_attr) == vendor.conn_id


def names(vendor: Vendor, sandbox: Sandbox) -> None:
    hook = vendor.hook
    assert hook.conn_name_attr in inspect.signature(hook).parameters
    assert hook.default_conn_name == f"{hook.conn_type}_default"
    assert hook.conn_name_attr == f"{hook.conn_type}_conn_id"
    assert hook.hook_name.lower().replace(".", "_") == hook.conn_type


def defaults(vendor: Vendor, sandbox: Sandbox) -> None:
    """Airflow's defaults are empty, and a host that is none of the connection's is never asked."""
    assert vendor.hook.default_host == ""
    assert vendor.hook.default_headers == {}
    hook = type(
        "Changed", (vendor.hook,), {"default_host": "elsewhere.test", "default_headers": {"X-A": "b"}}
    )()
    assert vendor.is_empty_list(hook.run(vendor.path))
    assert all("X-A" not in request.headers for request in sandbox.requests)


def transport(vendor: Vendor, sandbox: Sandbox) -> None:
    """What Airflow keeps for its own session says nothing about ours."""
    hook = vendor.hook()
    hook.merged_extra = {"proxies": {"http": "http://127.0.0.1:9"}}
    hook.keep_alive_adapter = None
    assert vendor.is_empty_list(hook.run(vendor.path))


def logger(vendor: Vendor, sandbox: Sandbox) -> None:
    assert hasattr(vendor.hook().log, "warning")
    assert vendor.hook.logger() is not None


MEMBERS: dict[str, Callable[[Vendor, Sandbox], None]] = {
    "adapter": transport,
    "aget_connection": aget_connection,
    "aget_hook": aget_hook,
    "auth_type": auth_type,
    "base_url": base_url,
    "check_response": check_response,
    "conn_name_attr": names,
    "conn_type": names,
    "default_conn_name": names,
    "default_headers": defaults,
    "default_host": defaults,
    "get_conn": get_conn,
    "get_connection": get_connection,
    "get_connection_form_widgets": form,
    "get_hook": get_hook,
    "get_ui_field_behaviour": form,
    "hook_name": names,
    "http_conn_id": http_conn_id,
    "keep_alive_adapter": transport,
    "log": logger,
    "logger": logger,
    "merged_extra": transport,
    "method": method,
    "run": run,
    "run_and_check": run_and_check,
    "run_with_advanced_retry": run_with_advanced_retry,
    "test_connection": test_connection,
    "url_from_endpoint": url_from_endpoint,
}
test_connection.__test__ = False  # type: ignore[attr-defined]  # it is named like the member that it tries


def test_every_inherited_member_has_been_decided_on() -> None:
    assert set(MEMBERS) == inherited()


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.hook.__name__)
@pytest.mark.parametrize("member", MEMBERS)
def test_it_works_safely_or_is_closed(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, vendor: Vendor, member: str
) -> None:
    caplog.set_level(logging.DEBUG)
    MEMBERS[member](vendor, sandbox)
    assert EMAIL not in caplog.text


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.hook.__name__)
def test_data_never_becomes_the_query_of_a_request_that_has_a_body(sandbox: Sandbox, vendor: Vendor) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="takes data only with GET, not with POST"):
        vendor.hook(method="POST").run(vendor.path, {"ids": [EMAIL]})
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/customers/person-4711/attributes", "GET /v1/customers/…"),
        ("v1/customers?email=person-4711", "GET v1/customers"),
        ("/api/v1/customers/4711", "GET /api/v1/customers/…"),
        ("/v1/segments", "GET /v1/segments"),
    ],
)
def test_an_error_of_run_names_the_endpoint_but_nobody(sandbox: Sandbox, path: str, shown: str) -> None:
    body = {"errors": [{"detail": "4711 is unknown"}], "meta": {"error": "4711 is unknown"}}
    sandbox.faults.add("status", status=422, body=body if "…" in shown else None, times=1)
    with pytest.raises(exceptions.RequestRejectedError) as caught:
        CustomerIOHook().run(path)
    assert f" {shown}: HTTP 422" in caught.value.headline
    assert "4711" not in str(caught.value)
