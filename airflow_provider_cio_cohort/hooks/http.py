"""One session policy for both vendors, on the http provider's hook."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import tenacity
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.log import mask_secret
from requests import RequestException, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests_toolbelt.adapters.socket_options import TCPKeepAliveAdapter  # type: ignore[import-untyped]

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ConfigurationError,
    IncompleteExportError,
    RateLimitedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.api import Answer, Api
from airflow_provider_cio_cohort.hooks.auth import NoAuth
from airflow_provider_cio_cohort.hooks.connection import secrets_of
from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.options import http_options
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.policy import Policy
from airflow_provider_cio_cohort.hooks.sending import Sender
from airflow_provider_cio_cohort.hooks.transport_faults import connection_fault

log = logging.getLogger(__name__)

USER_AGENT = "airflow-provider-cio-cohort"
#: Bytes of a body that are read at once; left to itself, requests takes a hundred times as many steps.
BODY_BLOCK = 2**20
#: Seconds of waiting before a retry that the log hears of.
WORTH_TELLING = 3.0
#: What a hook tries again by itself; anything else is for the task, or for nobody, to retry.
PASSING = (VendorUnavailableError, RateLimitedError, IncompleteExportError)

Result = TypeVar("Result")


class VendorHook(HttpHook):
    """
    :class:`HttpHook` with its connection vocabulary (proxies, TLS, keep-alive), but safe for keys.

    The differences: https unless the connection says otherwise; no extra of the connection becomes a
    header; always time-outs; one kept session instead of one per call; retries with Retry-After and a
    budget; no redirect is followed; errors of our own tree, without keys, identifiers or queries.

    :param method: the HTTP method of :meth:`run`.
    :param http_conn_id: the Airflow connection.
    """

    def __init__(self, method: str, http_conn_id: str) -> None:
        super().__init__(method=method, http_conn_id=http_conn_id, tcp_keep_alive=False)
        self.adapter: HTTPAdapter = TCPKeepAliveAdapter(idle=120, count=20, interval=30)
        self.policy = Policy.from_config()
        self.stopped = Halt()
        #: Seconds that the quickest answer of each API has taken.
        self.latencies: dict[str, float] = {}
        self._told_at = float("-inf")

    def stop(self) -> None:
        """Send nothing more: the task was killed."""
        self.stopped.set()

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> Session:
        """
        Return a session that knows the connection's proxies and TLS options, but no key.

        :param headers: headers for every request of the session.
        :param extra_options: HTTP options that replace the connection's.
        """
        session = self._configure_session_from_extra(Session(), self.connection, extra_options or {})
        session.mount("http://", self.adapter)
        session.mount("https://", self.adapter)
        session.auth = NoAuth()
        session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "gzip", **(headers or {})})
        return session

    def _configure_session_from_extra(
        self, session: Session, connection: Any, extra_options: dict[str, Any]
    ) -> Session:
        # The parent sends every key of the extra that it does not know as an HTTP header.
        known = http_options(connection, connection.extra_dejson)
        shown = SimpleNamespace(extra_dejson=known, host=connection.host)
        return super()._configure_session_from_extra(session, shown, extra_options)

    @cached_property
    def connection(self) -> Any:
        """The Airflow connection; its keys are masked in every log from here on."""
        connection = self.get_connection(self.http_conn_id)
        for secret in secrets_of(connection, connection.extra_dejson):
            mask_secret(secret)
        return connection

    @cached_property
    def session(self) -> Session:
        """The session that all calls of this hook share."""
        session = self.get_conn()
        timeout = self.merged_extra.get("timeout")
        if timeout is not None:
            self.policy = replace(self.policy, read_timeout=timeout)
        return session

    def call(
        self,
        api: Api,
        auth: AuthBase,
        method: str,
        path: str,
        *,
        what: str,
        params: Any = None,
        json: Any = None,
        pacer: Pacer | None = None,
        json_expected: bool = True,
        idempotent: bool = True,
        personal: bool = False,
        halt: Halt | None = None,
    ) -> Answer:
        """
        Send a request, with retries for what can be retried, and return the good answer.

        :param api: which API.
        :param auth: who we are to it.
        :param method: the HTTP method.
        :param path: the path, its variable parts quoted.
        :param what: what is being done, for messages: "listing the cohorts".
        :param params: the query.
        :param json: the body.
        :param pacer: the pace to keep.
        :param json_expected: whether a good answer's body must be JSON.
        :param idempotent: whether the request may be sent again when it is not known whether it took effect.
        :param personal: whether the body names people, so that the vendor's words may quote them.
        :param halt: when set, nothing more is sent; the hook's own by default.
        :raises CohortSyncError: as the answer demands; see :mod:`airflow_provider_cio_cohort.exceptions`.
        """

        def once() -> Answer:
            if pacer:
                pacer.wait()
            answer = self._send(api, auth, method, path, what, params=params, json=json)
            error = api.judge(answer, what, json_expected=json_expected, personal=personal)
            if error is None:
                return answer
            if pacer:
                self.policy.slow_down(pacer, answer)
            raise error

        return self.retried(once, idempotent=idempotent, halt=halt)

    def retried(
        self, once: Callable[[], Result], *, idempotent: bool = True, halt: Halt | None = None
    ) -> Result:
        """
        Call ``once`` until it succeeds, cannot be mended by a retry, or the retry budget is used up.

        :param once: what to do.
        :param idempotent: whether to repeat what may have taken effect already.
        :param halt: when set, it is not repeated; the hook's own by default.
        """
        halt = halt or self.stopped
        return tenacity.Retrying(sleep=halt.wait, **self.retry_rules(halt, idempotent=idempotent))(once)

    def retry_rules(self, halt: Halt, *, idempotent: bool) -> dict[str, Any]:
        """
        Return what a call is tried again for, and for how long, as ``tenacity`` takes it.

        :param halt: when set, nothing is tried again.
        :param idempotent: whether to repeat what may have taken effect already.
        """

        def worth_it(error: BaseException) -> bool:
            if halt.is_set() or not isinstance(error, PASSING):
                return False
            return idempotent or not error.maybe_applied

        return {
            "stop": self.policy.stop,
            "wait": self.policy.wait,
            "retry": tenacity.retry_if_exception(worth_it),
            "before_sleep": self._tell_of_waiting,
            "reraise": True,
        }

    def _tell_of_waiting(self, state: tenacity.RetryCallState) -> None:
        """Tell the log why nothing happens, where that takes a while, and not for each of many requests."""
        interval, now = self.policy.progress_interval, time.monotonic()
        error = state.outcome.exception() if state.outcome else None
        if not interval or state.upcoming_sleep < WORTH_TELLING or now < self._told_at + interval:
            return
        self._told_at = now
        why = error.headline if isinstance(error, CohortSyncError) else type(error).__name__
        log.warning("%s Trying again in %.0f s.", why, state.upcoming_sleep)

    def run(
        self,
        endpoint: str | None = None,
        data: dict[str, Any] | str | None = None,
        headers: dict[str, Any] | None = None,
        extra_options: dict[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> Any:
        """
        Send a request of your own to an endpoint of the vendor, by the hook's method and policy.

        :param endpoint: the path.
        :param data: the query of a GET.
        :param headers: not supported: the policy sets them.
        :param extra_options: not supported: the connection sets them.
        :param request_kwargs: ``params`` and ``json``, as ``requests`` takes them.
        :return: the answer's JSON.
        """
        if headers or extra_options or set(request_kwargs) - {"params", "json"}:
            raise ConfigurationError(
                f"{type(self).__name__}.run() takes an endpoint, data, params and json only.\n"
                "Leave out anything else: the connection says it."
            )
        path = endpoint or "/"
        api, auth, pacer = self.route(path)
        answer = self.call(
            api,
            auth,
            self.method,
            path,
            what=f"{self.method} {urlsplit(path).path}",
            params=request_kwargs.get("params", data),
            json=request_kwargs.get("json"),
            pacer=pacer,
            json_expected=False,
            idempotent=self.method != "POST",
        )
        return answer.payload

    def route(self, path: str) -> tuple[Api, AuthBase, Pacer | None]:
        """
        Return which API serves a path, who we are to it, and its pace.

        :param path: the path of a request.
        """
        raise NotImplementedError

    def _send(self, api: Api, auth: AuthBase, method: str, path: str, what: str, **kwargs: Any) -> Answer:
        self.stopped.check(what)
        began = time.perf_counter()
        try:
            with self.fetch(method, api.url(path), auth, stream=True, **kwargs) as response:
                body = b"".join(response.iter_content(BODY_BLOCK))
            took = time.perf_counter() - began
            self.latencies[api.name] = min(took, self.latencies.get(api.name, took))
            return Answer(response.status_code, response.headers, body)
        except RequestException as error:
            fault = connection_fault(error, api.name, what, f"{api.base_url} (connection {api.conn_id!r})")
        raise fault  # outside the handler: the cause would bring the URL and its query into the traceback

    def fetch(self, method: str, url: str, auth: AuthBase, **how: Any) -> Response:
        """
        Send a request once, and return what came: no retry, no redirect, no query in the log.

        :param method: the HTTP method.
        :param url: the whole address.
        :param auth: who we are.
        :param how: ``params``, ``json`` and ``stream``, see :meth:`.Sender.send`.
        """
        sender = self._sender  # the session comes first: it has a say in the policy
        return sender.send(method, url, auth, timeout=self.policy.timeouts, **how)

    @cached_property
    def _sender(self) -> Sender:
        return Sender(self.session)
