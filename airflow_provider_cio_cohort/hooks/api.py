"""
What a vendor's response means, whichever HTTP library received it.

Knows no ``requests`` and no ``aiohttp``: the hooks and the trigger map responses to errors by the same rules.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import aiohttp
import msgspec
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
    AuthenticationError,
    CohortSyncError,
    ConfigurationError,
    RateLimitedError,
    RequestRejectedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.redaction import scrub

_TRANSIENT = frozenset({408, 425})


@dataclass(frozen=True)
class ApiResponse:
    """
    An HTTP response.

    :param status: the status code.
    :param headers: the headers; looked up without regard to case.
    :param body: the body, decoded from its content encoding.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def payload(self) -> Any:
        """The body as JSON, or ``None`` if it is not JSON."""
        # msgspec takes half the time, and a membership of millions is gigabytes of JSON; json also accepts
        # what is not strictly JSON, such as NaN.
        for read in (msgspec.json.decode, json.loads):
            with suppress(msgspec.DecodeError, ValueError, RecursionError):
                return read(self.body)
        return None

    @property
    def is_page(self) -> bool:
        """Whether the body is an HTML page, as proxies send it."""
        return self.body.lstrip()[:1] == b"<"

    @property
    def retry_after(self) -> float | None:
        """The seconds in Retry-After, ``None`` without that header."""
        value = self._header("retry-after")
        if value.isascii() and value.isdigit():
            return float(value)
        until = _epoch(value)
        if until is None:
            return None
        # Date is when the response was made by the clock of the same machine: ours may differ by minutes.
        now = _epoch(self._header("date"))
        return max(0.0, until - (time.time() if now is None else now))

    def _header(self, name: str) -> str:
        return next((value for key, value in self.headers.items() if key.lower() == name), "").strip()


def _epoch(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


class IncompleteResponseError(Exception):
    """
    The JSON of a successful response lacks a required part.

    :param missing: the part, as a message calls it.
    """

    def __init__(self, missing: str) -> None:
        super().__init__(missing)
        self.missing = missing


def list_in(payload: Any, name: str) -> list[Any]:
    """
    Return a list from a response; ``null`` stands for an empty one.

    :raises IncompleteResponseError: if the key is missing; an empty list would be ``[]``.
    """
    if isinstance(payload, dict) and name in payload:
        items = payload[name]
        if items is None or isinstance(items, list):
            return items or []
    raise IncompleteResponseError(f"the list {name!r}")


class Api:
    """
    One API of a vendor: its address, its keys, and what its errors mean.

    :param base_url: scheme and host, no slash at the end.
    :param conn_id: the Airflow connection, so that messages can name it.
    :param authorization: the Authorization header that carries its keys.
    :param secrets: keys that must not appear in any message.
    """

    #: Statuses that come from a proxy, not from the API, if the body is an HTML page.
    page_statuses: tuple[int, ...] = (400, 401, 403, 407)

    def __init__(
        self, name: str, base_url: str, conn_id: str, authorization: str, secrets: tuple[str, ...]
    ) -> None:
        self.name = name
        self.base_url = base_url
        self.conn_id = conn_id
        self.authorization = authorization
        self.secrets = secrets
        #: Whether the vendor has accepted the keys before: it may then refuse them by mistake.
        self.keys_worked = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    @property
    def place(self) -> str:
        """Where it is and which connection says so, for messages."""
        return f"{self.base_url} (connection {self.conn_id!r})"

    def url(self, path: str) -> str:
        """Return the address of ``path``."""
        return f"{self.base_url}/{path.lstrip('/')}"

    def message_in(self, payload: Any) -> str:
        """Return the vendor's error message from the body of a response, or an empty string."""
        raise NotImplementedError

    def error_for_status(self, response: ApiResponse, detail: str, what: str) -> CohortSyncError | None:
        """
        Return the error for a status that means something particular to this API, else ``None``.

        :param response: a response outside 2xx that is neither a 429 nor a transient failure.
        :param detail: the vendor's error message.
        :param what: what was being done, for the message: "listing the cohorts".
        """
        raise NotImplementedError

    def error_for(
        self, response: ApiResponse, what: str, *, json_expected: bool = True, personal: bool = False
    ) -> CohortSyncError | None:
        """
        Return the error that a response stands for, or ``None`` for a successful one.

        :param what: what was being done, for the message: "listing the cohorts".
        :param json_expected: whether the body of a successful response must be JSON.
        :param personal: whether the vendor's message may quote people, so that it is left out.
        """
        if 200 <= response.status < 300:
            if json_expected and response.payload is None:
                return self._unreadable(response, what)
            self.keys_worked = True
            return None
        detail = "" if personal else self.vendor_message(response)
        error = self._error_for(response, what, detail)
        error.quotation = quoted(detail)
        return error

    def _error_for(self, response: ApiResponse, what: str, detail: str) -> CohortSyncError:
        status = response.status
        if status == 429:
            wait = response.retry_after
            return RateLimitedError(
                f"{self.name} is over its rate limit or quota: {what} was refused with 429.\n"
                f"{quoted(detail)}{quoted_wait(wait)}A later retry may succeed "
                f"(connection {self.conn_id!r}).",
                retry_after=wait,
            )
        if status >= 500 or status in _TRANSIENT or (response.is_page and status in self.page_statuses):
            return VendorUnavailableError(
                f"{self.name} or a proxy before it failed while {what}: HTTP {status}.\n"
                f"{quoted(detail)}A retry may succeed (connection {self.conn_id!r}).",
                maybe_applied=status != 503,
            )
        error = self.error_for_status(response, detail, what) or RequestRejectedError(
            f"{self.name} refused {what}: HTTP {status}.\n"
            f"{quoted(detail)}A retry would be refused as well: check the parameters of the request and "
            f"the keys of connection {self.conn_id!r}.",
            status,
        )
        if self.keys_worked and isinstance(error, AuthenticationError):
            return AuthenticationError(
                f"{error} The same key was accepted earlier in this run: if it is still valid, clear the "
                "task.",
                keys_worked=True,
            )
        return error

    def incomplete(self, response: ApiResponse, what: str, missing: str) -> VendorUnavailableError:
        """
        Return the error for a successful response that lacks a required part.

        :param what: what was being done, for the message.
        :param missing: the part, as :class:`IncompleteResponseError` names it.
        """
        return VendorUnavailableError(
            f"{self.name} answered {what} with HTTP {response.status}, but without {missing}.\n"
            f"A retry may succeed (connection {self.conn_id!r})."
        )

    def vendor_message(self, response: ApiResponse) -> str:
        """Return the vendor's error message in a response, without keys and people."""
        payload = response.payload
        return scrub(self.message_in(payload), self.secrets) if isinstance(payload, dict) else ""

    def _unreadable(self, response: ApiResponse, what: str) -> VendorUnavailableError:
        if response.is_page:
            found = "an HTML page, probably from a proxy"
        else:
            found = "a body that is not JSON" if response.body else "an empty body"
        return VendorUnavailableError(
            f"{self.name} answered {what} with HTTP {response.status} and {found}.\n"
            f"A retry may succeed (connection {self.conn_id!r})."
        )


def quoted(detail: str) -> str:
    """
    Return a vendor's error message as a sentence, nothing if it is empty.

    :param detail: the vendor's message, without keys and people.
    """
    return f"It said: {detail.rstrip('.')}. " if detail else ""


def quoted_wait(wait: float | None) -> str:
    """Return how long a vendor asks to wait as a sentence, nothing if it does not say."""
    return "" if wait is None else f"It asked to wait {wait:g} s. "


def error_from_requests(error: Exception, where: str, what: str, address: str) -> CohortSyncError:
    """Return our error for an exception of ``requests``."""
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
        problem = "the host name could not be resolved"
    elif unsent:
        problem = "no connection could be made"
    else:
        problem = "the connection broke"
    return _unreachable(where, what, address, problem, unsent=unsent)


def error_from_aiohttp(error: Exception, where: str, what: str, address: str) -> CohortSyncError:
    """Return our error for an exception of ``aiohttp``."""
    if isinstance(error, aiohttp.InvalidURL):
        return _no_url(where, address)
    problem = next((words for kind, words in _PROBLEMS if isinstance(error, kind)), "the connection broke")
    unsent = isinstance(
        error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, ssl.CertificateError)
    )
    return _unreachable(where, what, address, problem, unsent=unsent)


#: What aiohttp raises, subclasses first.
_PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the TLS certificate was not accepted"),
    (aiohttp.ClientProxyConnectionError, "the proxy failed"),
    (aiohttp.ClientHttpProxyError, "the proxy failed"),
    (aiohttp.ClientConnectorDNSError, "the host name could not be resolved"),
    (aiohttp.ClientConnectorError, "no connection could be made"),
    (aiohttp.ConnectionTimeoutError, "no connection could be made"),
    (TimeoutError, "no answer came in time"),
)


def _no_url(where: str, address: str) -> CohortSyncError:
    return ConfigurationError(
        f"The address of {where} is not a valid URL.\nIt is {address}: check the connection's host."
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
        wrapped += [each for each in inner if isinstance(each, BaseException) and each is not cause]
