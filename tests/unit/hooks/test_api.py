from __future__ import annotations

import json
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude_api import AmplitudeApi
from airflow_provider_cio_cohort.hooks.api import ApiResponse
from airflow_provider_cio_cohort.hooks.customer_io_api import AppApi, TrackApi

CONNECTION = SimpleNamespace(
    conn_id="some_conn", login="the-login", password="the-password", host="", schema="", port=None
)
EXTRA = {"app_api_key": "the-app-key", "region": "eu"}
AMPLITUDE, TRACK, APP = AmplitudeApi(CONNECTION, {}), TrackApi(CONNECTION, EXTRA), AppApi(CONNECTION, EXTRA)


def answer(status: int, body: object = None, **headers: str) -> ApiResponse:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return ApiResponse(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def envelope(details: str, status: int = 403) -> dict[str, object]:
    return {"error": {"http_code": status, "type": "unspecified", "metadata": {"details": details}}}


@pytest.mark.parametrize(
    ("api", "given", "error", "words"),
    [
        (AMPLITUDE, answer(403, envelope("Invalid API Key")), "AuthenticationError", "API key (field login)"),
        (
            AMPLITUDE,
            answer(403, envelope("Invalid API/Secret Key combination")),
            "AuthenticationError",
            "secret key (field password)",
        ),
        (
            AMPLITUDE,
            answer(403, envelope("Upgrade your plan to do so")),
            "AmplitudePlanError",
            "Upgrade your plan to do so",
        ),
        (AMPLITUDE, answer(302), "WrongRegionError", "redirect"),
        (AMPLITUDE, answer(400, envelope("Bad", 400)), "RequestRejectedError", "It said: Bad."),
        (
            TRACK,
            answer(401, {"meta": {"error": "Unauthorized request"}}),
            "AuthenticationError",
            "Tracking API key",
        ),
        (TRACK, answer(400, {"meta": {"errors": ["one", "two"]}}), "RequestRejectedError", "one; two"),
        (
            APP,
            answer(401, {"errors": [{"detail": "no", "status": "401"}]}),
            "AuthenticationError",
            "app_api_key",
        ),
        (APP, answer(403, {"errors": [{"detail": "scope"}]}), "AuthenticationError", "IP addresses"),
        (
            APP,
            answer(301, {"errors": [{"detail": "wrong datacenter", "status": "301"}]}),
            "WrongRegionError",
            "Set the connection's region to united states",
        ),
        (APP, answer(429, None), "RateLimitedError", "429"),
        *((api, answer(599), "VendorUnavailableError", "HTTP 599") for api in (AMPLITUDE, TRACK, APP)),
        (APP, answer(502, b"<html>Bad gateway</html>"), "VendorUnavailableError", "HTTP 502"),
        (APP, answer(403, b"<html>blocked by the proxy</html>"), "VendorUnavailableError", "HTTP 403"),
        (TRACK, answer(404, b"<html>no such page</html>"), "VendorUnavailableError", "HTTP 404"),
        (APP, answer(200, b"<html>log in</html>"), "VendorUnavailableError", "HTML page"),
        (APP, answer(200, b""), "VendorUnavailableError", "an empty body"),
        (APP, answer(200, b'{"segments": ['), "VendorUnavailableError", "not JSON"),
    ],
)
def test_what_an_answer_means(api, given: ApiResponse, error: str, words: str) -> None:
    found = api.error_for(given, "listing the things")
    assert type(found) is getattr(exceptions, error)
    assert words in str(found)


@pytest.mark.parametrize("status", [500, 501, 503, 504, 509, 530, 598, 599])
def test_only_a_503_is_certain_to_have_no_effect(status: int) -> None:
    error = TRACK.error_for(answer(status), "asking")
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert error.maybe_applied is (status != 503)


@pytest.mark.parametrize("refused", [401, 403])
def test_a_key_that_has_worked_is_not_called_wrong_alone(refused: int) -> None:
    api = AppApi(CONNECTION, EXTRA)
    for given, worked in ((answer(200, b"<html>"), False), (answer(200, {}), True), (answer(500), True)):
        api.error_for(given, "asking")
        error = api.error_for(answer(refused), "asking")
        assert isinstance(error, exceptions.AuthenticationError)
        assert error.keys_worked is worked
        assert ("accepted earlier in this run" in str(error)) is worked


@pytest.mark.parametrize("given", [answer(200, {}), answer(202, {"request_id": "1"})])
def test_a_good_answer_has_nothing_wrong(given: ApiResponse) -> None:
    assert AMPLITUDE.error_for(given, "asking") is None


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None), ("\uff11", None)]
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert answer(429, None, Retry_After=value).retry_after == seconds


@pytest.mark.parametrize("year", ["99999", "99999999999"])
def test_a_retry_after_in_no_year_of_any_calendar_is_none(year: str) -> None:
    assert answer(429, None, Retry_After=f"Fri, 01 Jan {year} 00:00:00 GMT").retry_after is None


def test_retry_after_as_a_date_is_of_the_clock_that_dated_the_response() -> None:
    headers = {"Date": formatdate(1_000_000, usegmt=True), "Retry_After": formatdate(1_000_030, usegmt=True)}
    assert answer(429, None, **headers).retry_after == 30


def test_retry_after_as_a_date_is_never_negative() -> None:
    assert answer(429, None, retry_after=formatdate(0, usegmt=True)).retry_after == 0.0


def test_no_key_and_no_person_reaches_a_message() -> None:
    body = {"errors": [{"detail": "the-app-key may not see Ann.Lee+x@example.com at https://h/p?sig=abc"}]}
    message = str(APP.error_for(answer(400, body), "asking"))
    assert "the-app-key" not in message
    assert "example.com" not in message
    assert "abc" not in message
    assert "the-app-key" not in repr(APP)


@pytest.mark.parametrize(
    ("given", "finished"),
    [
        (answer(202, {"async_status": "JOB INPROGRESS"}), False),
        (answer(202, {}), False),
        (answer(202, {"async_status": "JOB COMPLETED"}), False),
        (answer(200, {"async_status": "JOB COMPLETED"}), True),
        (answer(200, {"async_status": "JOB_COMPLETED"}), True),
        (answer(200, {}), True),
        (answer(429, envelope("Too Many Requests", 429)), False),
    ],
)
def test_status_of_an_export(given: ApiResponse, finished: bool) -> None:
    assert AMPLITUDE.read_status(given) is finished


@pytest.mark.parametrize(
    "given",
    [
        answer(404, b"<html>not found</html>"),
        answer(400, {"details": "No job exists with request_id: 9"}),
        answer(200, {"async_status": "JOB FAILED"}),
        answer(200, {"async_status": "JOB NOT COMPLETED"}),
        answer(202, {"async_status": "JOB EXPLODED"}),
    ],
)
def test_an_export_that_failed_or_is_unknown(given: ApiResponse) -> None:
    with pytest.raises(exceptions.ExportFailedError, match="A retry requests a new one"):
        AMPLITUDE.read_status(given)


def test_a_young_export_may_be_unknown_but_not_failed() -> None:
    for unknown in (answer(404, b"<html>not found</html>"), answer(400, {"details": "No job exists"})):
        assert AMPLITUDE.read_status(unknown, is_young=True) is False
    with pytest.raises(exceptions.ExportFailedError):
        AMPLITUDE.read_status(answer(200, {"async_status": "JOB FAILED"}), is_young=True)


@pytest.mark.parametrize("cohort_id", ["../../x?y", "..", "", "a b", "a/b", "a%2Fb"])
def test_a_cohort_id_reaches_no_other_route(cohort_id: str) -> None:
    with pytest.raises(exceptions.ConfigurationError):
        AMPLITUDE.export_path(cohort_id)


def test_a_request_id_reaches_no_other_route() -> None:
    assert AMPLITUDE.file_path("../x?y") == "/api/5/cohorts/request/%2E%2E%2Fx%3Fy/file"


def connection(**fields: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(CONNECTION), **fields})


@pytest.mark.parametrize(
    ("fields", "extra", "url"),
    [
        ({}, {}, "https://amplitude.com"),
        ({}, {"region": "eu"}, "https://analytics.eu.amplitude.com"),
        ({"host": "proxy.test"}, {}, "https://proxy.test"),
        ({"host": "proxy.test", "schema": "http", "port": 81}, {}, "http://proxy.test:81"),
        ({"host": "http://127.0.0.1:9701/"}, {"region": "eu"}, "http://127.0.0.1:9701"),
    ],
)
def test_where_amplitude_is(fields, extra, url: str) -> None:
    assert AmplitudeApi(connection(**fields), extra).base_url == url


def test_where_customer_io_is() -> None:
    assert TRACK.base_url == "https://track-eu.customer.io"
    assert APP.base_url == "https://api-eu.customer.io"
    own = {**EXTRA, "track_base_url": "http://127.0.0.1:1/", "app_base_url": "http://127.0.0.1:2"}
    assert TrackApi(CONNECTION, own).base_url == "http://127.0.0.1:1"
    assert AppApi(CONNECTION, own).base_url == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: AmplitudeApi(connection(login=""), {}), "has no API key (field login)"),
        (lambda: AmplitudeApi(connection(password=None), {}), "has no secret key"),
        (lambda: AmplitudeApi(connection(password="ключ"), {}), "no key has"),
        (lambda: AmplitudeApi(CONNECTION, {"region": "asia"}), "'asia', not one of united states, europe"),
        (lambda: AmplitudeApi(connection(host="https://me:ключ@h.test"), {}), "contains credentials"),
        (lambda: AppApi(CONNECTION, {**EXTRA, "app_base_url": "https://h.test/?k=ключ"}), "or a query"),
        (lambda: AppApi(CONNECTION, {}), "has no App API key (field app_api_key)"),
    ],
)
def test_an_incomplete_connection_names_itself_and_the_field(build, words: str) -> None:
    with pytest.raises(exceptions.ConfigurationError) as caught:
        build()
    assert words in str(caught.value)
    assert "some_conn" in str(caught.value)
    assert "ключ" not in str(caught.value)


def test_where_a_request_names_people_the_vendors_words_are_left_out() -> None:
    given = answer(400, {"meta": {"errors": ["person-4711 is no id"]}})
    assert "4711" in str(TRACK.error_for(given, "writing"))
    assert "4711" not in str(TRACK.error_for(given, "writing", personal=True))


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"id": "\\ud800", "n": [1e999, NaN]}', "{'id': '\\ud800', 'n': [inf, nan]}"),
        (b'{"id": 123456789012345678901234567890, "id": 7}', "{'id': 7}"),
        ("\ufeff{}".encode("utf-16"), "None"),
        (b'{"segments": [', "None"),
        (b"", "None"),
        (b"[" * 100_000, "None"),
    ],
)
def test_an_answer_is_read_if_it_can_be_read_and_else_there_is_none(body: bytes, read: str) -> None:
    """A parser that is quick is strict as well: what it refuses may be read by Python's own."""
    assert repr(answer(200, body).payload) == read
