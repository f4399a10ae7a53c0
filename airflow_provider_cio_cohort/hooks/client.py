"""The HTTP client of the hooks, on ``requests``; :mod:`.aio` has its twin for the event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial
from json import dumps
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from requests import PreparedRequest, Request, RequestException, Response, Session
from requests.auth import AuthBase
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter  # type: ignore[import-untyped]

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    RateLimitedError,
    SyncStoppedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.api import (
    Api,
    ApiResponse,
    IncompleteResponseError,
    error_from_requests,
)
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.http_options import HttpOptions, environment_of
from airflow_provider_cio_cohort.hooks.rate_limit import RateLimiter
from airflow_provider_cio_cohort.hooks.redaction import queries_hidden
from airflow_provider_cio_cohort.hooks.retry import Policy, Result, Retrying

if TYPE_CHECKING:  # only the doctor records
    from airflow_provider_cio_cohort.hooks.recording import Recorder

USER_AGENT = "airflow-provider-cio-cohort"
#: Bytes of a body that are read at once; left to itself, requests takes a hundred times as many steps.
BODY_BLOCK = 2**20
#: Bytes of the longest body that is read into memory: the longest list has tens of megabytes.
MOST_BODY = 128 * 2**20

SomeApi = TypeVar("SomeApi", bound=Api)


class KeyAuth(AuthBase):
    """
    Sends an Authorization header, and none that ``requests`` would find in a netrc file.

    :param authorization: the header; empty to send none.
    """

    def __init__(self, authorization: str = "") -> None:
        self._authorization = authorization

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header to ``request``."""
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        return request


class _Session(Session):
    """A session that follows no redirect."""

    def get_redirect_target(self, resp: Response) -> None:
        """Return nothing: ``requests`` would read even what it does not follow, and may fail with it."""


def new_session(options: HttpOptions) -> Session:
    """Return a session with proxies and certificates, but no key, that follows no redirect."""
    session, adapter = _Session(), TCPKeepAliveAdapter(idle=120, count=20, interval=30)
    session.proxies = dict(options.proxies)
    session.verify = options.verify
    session.cert = options.cert  # type: ignore[assignment]  # a tuple of one is as good as its path
    session.trust_env = options.trust_env
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.auth = KeyAuth()
    session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"})
    return session


class HttpTransport:
    """
    What the clients of one connection share: its session, time-outs, retries and cancel token.

    :param read_options: returns the connection's HTTP options; called before the first request.
    """

    #: Records what is sent and received; ``None`` to record nothing.
    recorder: Recorder | None = None

    def __init__(self, read_options: Callable[[], HttpOptions]) -> None:
        self.retrying = Retrying(Policy.from_config())
        self.cancel_token = CancelToken()
        self._read_options = read_options
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def policy(self) -> Policy:
        """Time-outs and retries."""
        return self.retrying.policy

    @cached_property
    def options(self) -> HttpOptions:
        """The connection's HTTP options."""
        return self._read_options()

    @cached_property
    def session(self) -> Session:
        """The session that all clients share."""
        return new_session(self.options)

    @property
    def timeouts(self) -> tuple[float, float]:
        """Seconds to wait for a connection, and for the next bytes."""
        return self.policy.connect_timeout, self.options.timeout or self.policy.read_timeout

    def send(
        self,
        method: str,
        url: str,
        auth: AuthBase,
        what: str,
        *,
        cancel: CancelToken | None = None,
        params: Any = None,
        json: Any = None,
    ) -> Response:
        """
        Send a request once, and return the response with its body unread.

        It is not retried, no redirect is followed, and no query is logged.

        :param auth: adds the Authorization header.
        :param what: what is being done, for messages.
        :param cancel: once cancelled, nothing is sent; the transport's own token also counts.
        :raises SyncStoppedError: if it is cancelled.
        """
        # By itself, requests would write every letter outside ASCII as an escape of six bytes.
        body = None if json is None else dumps(json, ensure_ascii=False, allow_nan=False).encode()
        headers = None if body is None else {"Content-Type": "application/json"}
        request = self.session.prepare_request(
            Request(method, url, headers, auth=auth, params=params, data=body)
        )
        CancelToken(self.cancel_token, cancel).check(what)
        options = {
            "timeout": self.timeouts,
            "allow_redirects": False,
            "stream": True,
            **self._environment(url),
        }
        send = partial(self.session.send, request, **options)
        with queries_hidden():
            return self.recorder.watch(request, send) if self.recorder else send()

    def _environment(self, url: str) -> dict[str, Any]:
        """Return proxies and certificates; to look through the environment takes longer than to send."""
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place not in self._environments:
            self._environments[place] = environment_of(self.session, url)
        return self._environments[place]


class ApiClient(Generic[SomeApi]):
    """
    Sends requests to one API: with its keys, at its pace, and with retries.

    :param transport: what the clients of the connection share.
    :param rate_limiter: spaces the requests; none by default.
    """

    def __init__(
        self, api: SomeApi, transport: HttpTransport, rate_limiter: RateLimiter | None = None
    ) -> None:
        self.api = api
        self.transport = transport
        self.rate_limiter = rate_limiter or RateLimiter.unlimited()
        self.auth = KeyAuth(api.authorization)
        #: Seconds that the quickest response has taken; ``None`` before the first.
        self.latency: float | None = None

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        read: Callable[[Any], Result],
        params: Any = None,
        json: Any = None,
        json_expected: bool = True,
        idempotent: bool = True,
        personal: bool = False,
        cancel: CancelToken | None = None,
    ) -> Result:
        """
        Send a request, retry it as the policy says, and return what ``read`` makes of the response.

        :param path: the path, its variable parts quoted.
        :param what: what is being done, for messages: "listing the cohorts".
        :param read: extracts the result from the response's JSON; if it raises
            :class:`.IncompleteResponseError`, the response is treated like broken JSON.
        :param json_expected: whether the body of a successful response must be JSON.
        :param idempotent: whether the request may be repeated although it may have taken effect.
        :param personal: whether the request names people, so that the vendor's message may quote them.
        :param cancel: once cancelled, nothing more is sent; the transport's own token also counts.
        :raises CohortSyncError: the error that the last response stands for.
        """
        cancel = CancelToken(self.transport.cancel_token, cancel)

        def send_once() -> Result:
            self.rate_limiter.wait(cancel.wait)
            response = self.send(method, path, what, cancel=cancel, params=params, json=json)
            error = self.api.error_for(response, what, json_expected=json_expected, personal=personal)
            if error is None:
                try:
                    return read(response.payload)
                except IncompleteResponseError as incomplete:
                    error = self.api.incomplete(response, what, incomplete.missing)
            slow_down(self.rate_limiter, error, self.transport.policy)
            raise error

        return self.transport.retrying.call(send_once, cancel, idempotent=idempotent)

    def retried(self, function: Callable[[], Result], cancel: CancelToken | None = None) -> Result:
        """
        Call a function that sends idempotent requests, and retry it as the policy says.

        :param cancel: once cancelled, it is not repeated; the transport's own token also counts.
        """
        return self.transport.retrying.call(function, CancelToken(self.transport.cancel_token, cancel))

    def send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        cancel: CancelToken | None = None,
        params: Any = None,
        json: Any = None,
        authorization: str | None = None,
    ) -> ApiResponse:
        """
        Send a request once, and return the response, whatever its status.

        :param path: the path, its variable parts quoted.
        :param what: what is being done, for messages.
        :param cancel: once cancelled, nothing is sent; the transport's own token also counts.
        :param authorization: another Authorization header than the API's own.
        :raises VendorUnavailableError: if no response came, or one that is too long.
        """
        auth = self.auth if authorization is None else KeyAuth(authorization)
        began = time.perf_counter()
        try:
            with self.transport.send(
                method, self.api.url(path), auth, what, cancel=cancel, params=params, json=json
            ) as response:
                # Read to its end even if it is cancelled meanwhile: the request has taken effect already.
                body = body_of(response)
            if body is None:
                raise too_long(self.api, what)
            took = time.perf_counter() - began
            self.latency = min(took, self.latency or took)
            return ApiResponse(response.status_code, response.headers, body)
        except RequestException as error:
            failure = error_from_requests(error, self.api.name, what, self.api.place)
        raise failure  # outside the handler: the cause would bring the URL and its query into the traceback

    def accepts(self, path: str, what: str, authorization: str) -> bool:
        """Say whether the API accepts another Authorization header; no response counts as a no."""
        try:
            return self.send("GET", path, what, authorization=authorization).status == 200
        except SyncStoppedError:
            raise
        except CohortSyncError:
            return False


def body_of(response: Response) -> bytes | None:
    """
    Read the body of a response, ``None`` if it is longer than any that a vendor has reason to send.

    :param response: a response whose body is unread.
    """
    blocks, size = [], 0
    for block in response.iter_content(BODY_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > MOST_BODY:
            return None
    return b"".join(blocks)


def too_long(api: Api, what: str) -> VendorUnavailableError:
    """
    Return the error for a response that is too long.

    :param what: what was being done, for the message.
    """
    return VendorUnavailableError(
        f"{api.name} or a proxy before it answered {what} with more than {MOST_BODY / 2**20:,.0f} MiB.\n"
        f"A retry may succeed (connection {api.conn_id!r})."
    )


def slow_down(rate_limiter: RateLimiter, error: CohortSyncError, policy: Policy) -> None:
    """Hold all requests for as long as a 429 asks, unless that is longer than retries may take."""
    if isinstance(error, RateLimitedError) and (error.retry_after or 0) <= policy.retry_timeout:
        rate_limiter.hold(error.retry_after or 0)
