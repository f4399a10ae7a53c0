"""Whether a request may be sent again depends on whether it can have reached the vendor."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from requests import exceptions as r
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from airflow_provider_cio_cohort.exceptions import ConfigurationError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.api import error_from_aiohttp, error_from_requests


def wrapped(reason: Exception) -> MaxRetryError:
    return MaxRetryError(None, "/path?signature=4711", reason)  # type: ignore[arg-type]


def check(fault: Exception, words: str, maybe_applied: bool) -> None:
    assert isinstance(fault, VendorUnavailableError)
    assert words in fault.headline
    assert fault.maybe_applied is maybe_applied
    assert "4711" not in str(fault)


@pytest.mark.parametrize(
    ("error", "words", "maybe_applied"),
    [
        (r.ConnectTimeout(), "no connection could be made", False),
        (r.ConnectionError(wrapped(NewConnectionError(None, "refused"))), "no connection", False),  # type: ignore[arg-type]
        (r.SSLError(wrapped(ssl.SSLCertVerificationError("bad"))), "TLS certificate was not accepted", False),
        (r.SSLError(wrapped(ssl.SSLEOFError("cut"))), "the connection broke", True),
        (r.ProxyError(wrapped(OSError("tunnel"))), "the proxy failed", True),
        (r.ReadTimeout(), "no answer came in time", True),
        (r.ConnectionError(ProtocolError("reset", ConnectionResetError())), "the connection broke", True),
        (r.ChunkedEncodingError(), "the connection broke", True),
    ],
)
def test_what_is_known_of_a_request_without_an_answer(error, words: str, maybe_applied: bool) -> None:
    check(error_from_requests(error, "The API", "writing", "https://h.test"), words, maybe_applied)


def test_an_address_that_is_none_is_the_connections_fault() -> None:
    assert isinstance(error_from_requests(r.InvalidURL("x"), "The API", "writing", "x"), ConfigurationError)


KEY = ConnectionKey("h.test", 443, True, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "words", "maybe_applied"),
    [
        (aiohttp.ConnectionTimeoutError(), "no connection could be made", False),
        (aiohttp.ClientConnectorError(KEY, OSError("refused")), "no connection could be made", False),
        (
            aiohttp.ClientConnectorDNSError(KEY, OSError("unknown")),
            "the host name could not be resolved",
            False,
        ),
        (aiohttp.ClientProxyConnectionError(KEY, OSError("refused")), "the proxy failed", False),
        (
            aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("bad")),
            "TLS certificate was not accepted",
            False,
        ),
        (aiohttp.SocketTimeoutError(), "no answer came in time", True),
        (aiohttp.ServerDisconnectedError(), "the connection broke", True),
        (aiohttp.ClientPayloadError("?signature=4711"), "the connection broke", True),
        (ConnectionResetError("?signature=4711"), "the connection broke", True),
    ],
)
def test_the_same_is_known_of_the_other_library(error, words: str, maybe_applied: bool) -> None:
    check(error_from_aiohttp(error, "The API", "writing", "https://h.test"), words, maybe_applied)


def test_an_address_that_the_other_library_cannot_read_is_the_connections_fault() -> None:
    assert isinstance(
        error_from_aiohttp(aiohttp.InvalidURL("x"), "The API", "writing", "x"), ConfigurationError
    )
