"""Says in our own words why no answer came; the libraries' words hold URLs with their queries."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import aiohttp
from requests.exceptions import (
    ConnectTimeout,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
    ProxyError,
    ReadTimeout,
)
from urllib3.exceptions import NameResolutionError, NewConnectionError

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ConfigurationError,
    VendorUnavailableError,
)


def connection_fault(error: Exception, where: str, what: str, address: str) -> CohortSyncError:
    """
    Say in our own words why no answer came; the library's words hold the URL.

    :param error: what ``requests`` or ``urllib3`` raised.
    :param where: which API.
    :param what: what was being done.
    :param address: where it was called.
    """
    if isinstance(error, (InvalidURL, InvalidSchema, MissingSchema)):
        return _no_url(where, address)
    causes = list(_causes(error))
    # Only these are certain to come before the request is sent: a TLS fault may also break its answer.
    certificate = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes)
    unsent = certificate or any(isinstance(c, (ConnectTimeout, NewConnectionError)) for c in causes)
    if certificate:
        problem = "the TLS certificate was not accepted"
    elif isinstance(error, ReadTimeout):
        problem = "no answer came in time"
    elif isinstance(error, ProxyError):
        problem = "the proxy failed"
    elif any(isinstance(cause, NameResolutionError) for cause in causes):
        problem = "no host of that name is known"
    elif unsent:
        problem = "no connection could be made"
    else:
        problem = "the connection broke"
    return _unreachable(where, what, address, problem, unsent=unsent)


def client_fault(error: Exception, where: str, what: str, address: str) -> CohortSyncError:
    """
    Say the same of what ``aiohttp`` raised.

    :param error: what it raised.
    :param where: which API.
    :param what: what was being done.
    :param address: where it was called.
    """
    if isinstance(error, aiohttp.InvalidURL):
        return _no_url(where, address)
    problem = next((words for kind, words in _PROBLEMS if isinstance(error, kind)), "the connection broke")
    unsent = isinstance(
        error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.CertificateError)
    )
    return _unreachable(where, what, address, problem, unsent=unsent)


#: What aiohttp raises, the more particular first.
_PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the TLS certificate was not accepted"),
    (aiohttp.ClientProxyConnectionError, "the proxy failed"),
    (aiohttp.ClientHttpProxyError, "the proxy failed"),
    (aiohttp.ClientConnectorDNSError, "no host of that name is known"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, "no connection could be made"),
    (TimeoutError, "no answer came in time"),
)


def _no_url(where: str, address: str) -> CohortSyncError:
    return ConfigurationError(
        f"The address of {where} is no valid URL.\nIt is {address}: check the connection's host."
    )


def _unreachable(where: str, what: str, address: str, problem: str, *, unsent: bool) -> CohortSyncError:
    return VendorUnavailableError(
        f"{where} could not be reached while {what}: {problem}.\n"
        f"It was called at {address}: if that is right, a retry may succeed.",
        maybe_applied=not unsent,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that the libraries have wrapped in it."""
    wrapped = [error]
    while wrapped:
        cause = wrapped.pop()
        yield cause
        inner = [getattr(cause, "reason", None), getattr(cause, "original_error", None), *cause.args]
        wrapped += [one for one in inner if isinstance(one, BaseException) and one is not cause]
