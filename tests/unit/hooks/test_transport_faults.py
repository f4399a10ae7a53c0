"""Whether a request may be sent again depends on whether it can have reached the vendor."""

from __future__ import annotations

import ssl

import pytest
from requests import exceptions as r
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from airflow_provider_cio_cohort.exceptions import ConfigurationError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.transport_faults import connection_fault


def wrapped(reason: Exception) -> MaxRetryError:
    return MaxRetryError(None, "/path?signature=4711", reason)  # type: ignore[arg-type]


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
    fault = connection_fault(error, "The API", "writing", "https://h.test")
    assert isinstance(fault, VendorUnavailableError)
    assert words in fault.headline
    assert fault.maybe_applied is maybe_applied
    assert "4711" not in str(fault)


def test_an_address_that_is_none_is_the_connections_fault() -> None:
    assert isinstance(connection_fault(r.InvalidURL("x"), "The API", "writing", "x"), ConfigurationError)
