"""A connection that cannot be right is refused before any of its keys leaves, and says what to correct."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable
from typing import Any
from unittest.mock import ANY
from urllib.parse import urlencode

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.secrets import BaseSecretsBackend

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.doctor.lines import connection_line
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.export_status import open_status_client
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger


async def ask(conn_id: str) -> None:
    async with open_status_client(conn_id) as client:
        await client.export_finished("1")


def in_the_triggerer(conn_id: str) -> None:
    asyncio.run(ask(conn_id))


USERS: dict[str, Callable[[str], Any]] = {
    "amplitude": lambda conn_id: AmplitudeHook(conn_id).list_cohorts(),
    "its session": lambda conn_id: AmplitudeHook(conn_id).get_conn(),
    "the triggerer": in_the_triggerer,
    "customer.io": lambda conn_id: CustomerIOHook(conn_id).list_segments(),
    "its writes": lambda conn_id: CustomerIOHook(conn_id).add_members(11, ["u-1"]),
    "its run()": lambda conn_id: CustomerIOHook(conn_id).run("/v1/segments"),
}


@pytest.mark.parametrize("user", USERS)
def test_a_connection_of_the_other_vendor_is_refused_before_a_key_leaves(sandbox, user: str) -> None:
    of_amplitude = user in ("amplitude", "its session", "the triggerer")
    wrong, found, right = (
        ("customer_io_default", "customer_io", "amplitude")
        if of_amplitude
        else ("amplitude_default", "amplitude", "customer_io")
    )
    words = rf"of type '{found}'; it must be '{right}'\.\n.*{right}_conn_id and {found}_conn_id look swapped"
    with pytest.raises(exceptions.ConfigurationError, match=words):
        USERS[user](wrong)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("given", "words"),
    [("http", "is of type 'http'"), (None, "has no type"), ("amplitudes", "is of type 'amplitudes'")],
)
def test_a_connection_of_another_type_says_what_to_do(
    sandbox, connect, given: str | None, words: str
) -> None:
    conn_id = connect("amplitude_default", conn_type=given)
    with pytest.raises(exceptions.ConfigurationError) as caught:
        AmplitudeHook(conn_id).check()
    assert words in caught.value.headline
    assert "Name a connection of type amplitude in amplitude_conn_id" in str(caught.value)
    assert sandbox.requests == []


@pytest.mark.parametrize("given", ["customer_io", "customer-io", "Customer_IO"])
def test_a_type_may_be_written_as_airflow_writes_it(sandbox, connect, given: str) -> None:
    assert CustomerIOHook(connect("customer_io_default", conn_type=given)).list_segments() == []


def test_the_trigger_tells_of_a_wrong_type(sandbox) -> None:
    async def first() -> Any:
        return (await anext(AmplitudeExportTrigger("customer_io_default", "1", 0.05, 0).run())).payload

    event = asyncio.run(first())
    assert event["status"] == "error"
    assert "look swapped" in event["message"]
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("like", "key", "suggestion"),
    [
        ("amplitude_default", "regoin", "'region'"),
        ("amplitude_default", "Region", "'region'"),
        ("amplitude_default", "app_api_key", None),
        ("customer_io_default", "request_per_second", "'requests_per_second'"),
        ("customer_io_default", "app_key", "'app_api_key'"),
        ("customer_io_default", "headers", None),
    ],
)
def test_an_unknown_key_is_an_error_with_a_suggestion(sandbox, connect, like, key, suggestion) -> None:
    conn_id = connect(like, extra={key: "a-value-4711"})
    hook = AmplitudeHook(conn_id) if like.startswith("amplitude") else CustomerIOHook(conn_id)
    with pytest.raises(exceptions.ConfigurationError) as caught:
        hook.check()
    message = str(caught.value)
    assert f"extra of connection 'other' has an unknown key: '{key}'" in caught.value.headline
    assert ("did you mean" in message) == (suggestion is not None)
    assert suggestion is None or f"did you mean {suggestion}?" in message
    assert "The keys are " in message
    assert "4711" not in message
    assert sandbox.requests == []
    if like.startswith("amplitude"):
        with pytest.raises(exceptions.ConfigurationError, match="unknown key"):
            in_the_triggerer(conn_id)


def test_every_known_key_is_taken_and_so_is_an_empty_one(sandbox, connect) -> None:
    empty = dict.fromkeys((*CustomerIOHook.extra_keys, "left_by_another_type"), "")
    given = sandbox.connections()["customer_io_default"]["extra"]
    hook = CustomerIOHook(connect("customer_io_default", extra={**empty, **given}))
    assert hook.test_connection()[0]


@pytest.mark.parametrize("conn_type", ["customer-io", "customer_io"])
@pytest.mark.parametrize("rest", ["/", "@/", "@host:1/", "@host/schema"])
def test_a_uri_may_begin_with_either_form_of_the_type(
    sandbox, monkeypatch, conn_type: str, rest: str
) -> None:
    given = sandbox.connections()["customer_io_default"]
    keys = f"{given['login']}:{given['password']}"
    extra = urlencode(given["extra"])
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", f"{conn_type}://{keys}@{rest.removeprefix('@')}?{extra}")
    hook = CustomerIOHook("other")
    assert hook.test_connection() == (True, ANY)
    assert (hook.connection.login, hook.connection.password) == (given["login"], given["password"])


def test_a_uri_of_the_other_vendor_is_still_refused(sandbox, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", "customer_io://site-4711:key-4711@/?app_api_key=app-4711")
    with pytest.raises(exceptions.ConfigurationError, match="look swapped") as caught:
        AmplitudeHook("other").check()
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"login": 4711}, "The field login of connection 'other' is a number, not text"),
        ({"password": 47.11}, "The field password of connection 'other' is a number, not text"),
        ({"password": True}, "The field password of connection 'other' is true or false, not text"),
        ({"extra": {"region": 4711}}, "region in the extra of connection 'other' is a number, not text"),
        ({"extra": {"organization": ["a"]}}, "organization in the extra of connection 'other' is a list"),
        ({"port": "4711b"}, "has a port that is not a number"),
        ({"user": "4711"}, "has a field that connections do not have: user"),
    ],
)
def test_a_field_that_is_no_text_is_named(sandbox, monkeypatch, fields: dict[str, Any], words: str) -> None:
    connection = {**sandbox.connections()["amplitude_default"], **fields}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    with pytest.raises(exceptions.ConfigurationError) as caught:
        AmplitudeHook("other").check()
    assert words in str(caught.value)
    assert "4711" not in str(caught.value)
    assert caught.value.__context__ is None
    ok, message = AmplitudeHook("other").test_connection()
    assert not ok
    assert words in message
    assert sandbox.requests == []


@pytest.mark.parametrize("value", [4711, True, ["k-4711"], {"k": "4711"}])
def test_an_app_key_that_is_no_text_is_named(sandbox, connect, value: Any) -> None:
    conn_id = connect("customer_io_default", extra={"app_api_key": value})
    with pytest.raises(exceptions.ConfigurationError) as caught:
        CustomerIOHook(conn_id).check()
    assert caught.value.headline.startswith("app_api_key in the extra of connection 'other' is ")
    assert "4711" not in str(caught.value)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    "text",
    [
        '{"conn_type": "amplitude", "login": "key-4711"',
        "amplitude://key-4711:sec/ret-4711@host",
        "amplitude://key-4711@http://a://b",
    ],
)
def test_what_airflow_cannot_read_is_not_called_undefined(sandbox, monkeypatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", text)
    with pytest.raises(
        exceptions.ConfigurationError, match="is defined, but Airflow cannot read it"
    ) as caught:
        AmplitudeHook("other").check()
    shown = "".join(traceback.format_exception(caught.value))
    assert "EnvironmentVariablesBackend" in shown
    assert "4711" not in shown
    with pytest.raises(exceptions.TriggererError, match="What EnvironmentVariablesBackend has") as caught:
        in_the_triggerer("other")
    assert caught.value.headline.startswith("The triggerer cannot read connection 'other'")
    shown = "".join(traceback.format_exception(caught.value))
    assert "4711" not in shown
    with pytest.raises(AirflowNotFoundException, match="isn't defined"):
        AmplitudeHook("nowhere").check()
    with pytest.raises(exceptions.TriggererError, match="The worker could"):
        in_the_triggerer("nowhere")


class AwayBackend(BaseSecretsBackend):
    """A secrets backend that cannot be reached, or whose own keys are wrong."""

    def get_conn_value(self, conn_id: str) -> str | None:
        raise PermissionError("token-4711")


@pytest.mark.parametrize(
    ("look_up", "error"),
    [
        (lambda conn_id: AmplitudeHook(conn_id).check(), AirflowNotFoundException),
        (in_the_triggerer, exceptions.TriggererError),
    ],
)
def test_a_secrets_backend_that_fails_is_named(
    sandbox, monkeypatch, look_up: Callable[[str], Any], error: type[Exception]
) -> None:
    monkeypatch.setattr("airflow.sdk.configuration._secrets_backend_cache", {}, raising=False)
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.AwayBackend")
    with pytest.raises(error) as caught:
        look_up("nowhere")
    shown = "".join(traceback.format_exception(caught.value))
    assert "the secrets backend AwayBackend failed (PermissionError)" in shown
    assert "4711" not in shown
    assert AmplitudeHook("amplitude_default").check() == []


def test_the_doctor_does_not_call_a_connection_missing_that_it_could_not_look_for(
    sandbox, monkeypatch
) -> None:
    monkeypatch.setattr("airflow.sdk.configuration._secrets_backend_cache", {}, raising=False)
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", f"{__name__}.AwayBackend")
    line = connection_line("amplitude.connection", AmplitudeHook("nowhere"), ("api",))
    assert line.status == "wrong"
    assert "the secrets backend AwayBackend failed (PermissionError)" in line.seen
    assert "Let this command reach that backend" in line.advice


def test_an_extra_that_was_encoded_twice_is_called_so(sandbox, monkeypatch) -> None:
    extra = json.dumps(json.dumps({"region": "eu"}))
    connection = {**sandbox.connections()["amplitude_default"], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    with pytest.raises(
        exceptions.ConfigurationError, match="not a JSON object, but text: it was encoded twice"
    ):
        AmplitudeHook("other").check()


@pytest.mark.parametrize("extra", ["no json 4711", '["region", 4711]', '"eu"', "[]"])
def test_an_extra_that_is_no_object_is_an_error(sandbox, monkeypatch, caplog, extra: str) -> None:
    connection = {**sandbox.connections()["amplitude_default"], "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    with pytest.raises(
        exceptions.ConfigurationError, match="extra of connection 'other' is not a JSON object"
    ) as caught:
        AmplitudeHook("other").check()
    with pytest.raises(exceptions.ConfigurationError, match="not a JSON object"):
        in_the_triggerer("other")
    assert "4711" not in str(caught.value)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"requests_per_second": "fast"}, "requests_per_second of connection 'other'"),
        ({"requests_per_second": "10 per second"}, "requests_per_second of connection 'other'"),
        ({"requests_per_second": True}, "requests_per_second of connection 'other'"),
        ({"requests_per_second": 1e-300}, "requests_per_second of connection 'other'"),
        ({"requests_per_second": 10**400}, "requests_per_second of connection 'other'"),
        ({"app_base_url": "ftp://h.test"}, "app_base_url of connection 'other' has an unknown scheme: ftp"),
        ({"track_base_url": "https://h.test:port"}, "track_base_url of connection 'other' has a port that"),
        ({"track_base_url": "https://h test"}, "track_base_url of connection 'other' contains a space"),
        ({"app_base_url": "https://"}, "app_base_url of connection 'other' has no host"),
        ({"trust_env": "perhaps"}, "trust_env in the extra of connection 'other'"),
        ({"max_concurrent_tasks": "many"}, "max_concurrent_tasks of connection 'other'"),
        ({"region": "asia"}, "'asia'"),
        ({"app_api_key": ""}, "no App API key"),
        ({"app_base_url": "https://me:pw@h.test"}, "contains credentials"),
        ({"timeout": "soon"}, "timeout in the extra"),
        ({"cert": "/no/such/file"}, "cert in the extra"),
        ({"cert": [1, 2]}, "cert in the extra"),
        ({"proxies": "socks5://127.0.0.1:9"}, "unknown scheme: socks5"),
        (
            {"verify": __file__, "track_base_url": "https://127.0.0.1:9"},
            "certificates for connection 'other'",
        ),
    ],
)
def test_all_settings_are_read_before_anything_is_sent(sandbox, connect, extra, words: str) -> None:
    conn_id = connect("customer_io_default", extra=extra)
    with pytest.raises(exceptions.ConfigurationError) as caught:
        CustomerIOHook(conn_id).check_track()
    assert words in str(caught.value)
    ok, message = CustomerIOHook(conn_id).test_connection()
    assert not ok
    assert words in message
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "ftp://h.test"}, "the field host of connection 'other' has an unknown scheme: ftp"),
        ({"host": "h.test:port"}, "the field host of connection 'other' has a port that"),
        ({"host": "http://h.test", "port": 99999}, "the field host of connection 'other' has a port that"),
        ({"host": "h test"}, "the field host of connection 'other' contains a space"),
        (
            {"host": "h.test", "schema": "htps"},
            "the field host of connection 'other' has an unknown scheme: htps",
        ),
        ({"host": "https://me:pw@h.test"}, "contains credentials"),
        ({"extra": {"region": "asia"}}, "'asia'"),
        ({"extra": {"timeout": "soon"}}, "timeout in the extra of connection 'other'"),
        ({"extra": {"verify": "/no/such/file"}}, "verify in the extra of connection 'other'"),
        ({"extra": {"trust_env": "perhaps"}}, "trust_env in the extra of connection 'other'"),
        # requests could use it, the triggerer could not
        (
            {"extra": {"proxies": "socks5://127.0.0.1:9"}},
            "of connection 'other' has an unknown scheme: socks5",
        ),
        (
            {"host": "https://127.0.0.1:9", "extra": {"verify": __file__}},
            "certificates for connection 'other'",
        ),
    ],
)
def test_all_settings_of_amplitude_are_read_before_anything_is_sent(
    sandbox, connect, fields: dict[str, Any], words: str
) -> None:
    conn_id = connect("amplitude_default", **fields)
    with pytest.raises(exceptions.ConfigurationError) as caught:
        AmplitudeHook(conn_id).find_cohort("a1b2c3d")
    assert words in str(caught.value)
    assert "pw@" not in str(caught.value)
    ok, message = AmplitudeHook(conn_id).test_connection()
    assert not ok
    assert words in message
    assert sandbox.requests == []


def test_swapped_keys_of_amplitude_are_told(sandbox, connect) -> None:
    given = sandbox.connections()["amplitude_default"]
    hook = AmplitudeHook(connect("amplitude_default", login=given["password"], password=given["login"]))
    with pytest.raises(
        exceptions.AuthenticationError, match="API key and the secret key of connection 'other' are swapped"
    ):
        hook.check()
    assert not hook.test_connection()[0]
    assert {record.headers["Host"] for record in sandbox.requests} == {given["host"].removeprefix("http://")}


def test_swapped_keys_of_customer_io_are_told(sandbox, connect) -> None:
    given = sandbox.connections()["customer_io_default"]
    conn_id = connect("customer_io_default", login=given["password"], password=given["login"])
    with pytest.raises(
        exceptions.AuthenticationError,
        match="Site ID and the Tracking API key of connection 'other' are swapped",
    ):
        CustomerIOHook(conn_id).check_track()
    assert {record.api for record in sandbox.requests} == {"track"}


def test_a_tracking_key_in_the_place_of_the_app_key_is_told(sandbox, connect) -> None:
    given = sandbox.connections()["customer_io_default"]
    app_key, tracking_key = given["extra"]["app_api_key"], given["password"]
    conn_id = connect("customer_io_default", password=app_key, extra={"app_api_key": tracking_key})
    with pytest.raises(
        exceptions.AuthenticationError,
        match="Tracking API key of connection 'other' is in the field of the App",
    ) as caught:
        CustomerIOHook(conn_id).check()
    assert app_key not in str(caught.value)
    assert tracking_key not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "extra", "words"),
    [
        ({}, {"app_api_key": "password"}, "It equals the Tracking API key"),
        ({}, {"app_api_key": "login"}, "It is the same as the Site ID"),
        ({"password": "app_api_key"}, {}, "The Tracking API key equals the App API key"),
        ({"login": "app_api_key"}, {}, "The Site ID equals the App API key"),
    ],
)
def test_a_key_that_was_entered_twice_is_told(sandbox, connect, fields, extra, words: str) -> None:
    given = sandbox.connections()["customer_io_default"]
    keys = {**given, **given["extra"]}
    conn_id = connect(
        "customer_io_default",
        extra={name: keys[source] for name, source in extra.items()},
        **{name: keys[source] for name, source in fields.items()},
    )
    with pytest.raises(exceptions.AuthenticationError, match=words):
        CustomerIOHook(conn_id).check()


def test_a_key_that_is_merely_wrong_gets_no_hint(sandbox, connect) -> None:
    for like, user in (("amplitude_default", AmplitudeHook), ("customer_io_default", CustomerIOHook)):
        with pytest.raises(exceptions.AuthenticationError) as caught:
            user(connect(like, password="wrong-key-1")).check()
        assert "swapped" not in str(caught.value)
        assert "equals" not in str(caught.value)
