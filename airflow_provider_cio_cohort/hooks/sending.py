"""Sends one request over a session: as cheaply as ``requests`` can, and without a word too many."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Request, Response, Session
from requests.auth import AuthBase

from airflow_provider_cio_cohort.hooks.redaction import queries_hidden

_JSON = {"Content-Type": "application/json"}


class Sender:
    """
    Sends requests over a session: no retry, no redirect, no query in the log.

    A large segment takes thousands of requests that differ in nothing but their body. To prepare one, and to
    look through the environment for it, takes longer than to send it; so both are done once.

    :param session: the session; its keys come with each request.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}
        self._templates: dict[tuple[str, str, str], PreparedRequest] = {}

    def send(
        self,
        method: str,
        url: str,
        auth: AuthBase,
        *,
        timeout: tuple[float, float],
        stream: bool = False,
        params: Any = None,
        json: Any = None,
        data: bytes | None = None,
    ) -> Response:
        """
        Send a request once, and return what came.

        :param method: the HTTP method.
        :param url: the whole address.
        :param auth: who we are; always the same to one address.
        :param timeout: seconds to wait for a connection, and for the next bytes.
        :param stream: whether the body is left to be read.
        :param params: the query.
        :param json: the body.
        :param data: the body, where it is JSON already.
        """
        if data is None:
            request = self._session.prepare_request(Request(method, url, auth=auth, params=params, json=json))
        else:
            request = self._with_body(method, url, auth, params, data)
        with queries_hidden():
            return self._session.send(
                request, timeout=timeout, allow_redirects=False, stream=stream, **self._environment(url)
            )

    def _with_body(self, method: str, url: str, auth: AuthBase, params: Any, body: bytes) -> PreparedRequest:
        place = (method, url, str(params))
        if place not in self._templates:
            made = Request(method, url, auth=auth, headers=_JSON, params=params)
            self._templates[place] = self._session.prepare_request(made)
        request = self._templates[place].copy()
        request.prepare_body(body, None)
        return request

    def _environment(self, url: str) -> dict[str, Any]:
        """
        Return proxies and certificates for an address, of connection and environment.

        Left to itself, requests lets the environment win over the connection.
        """
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place not in self._environments:
            session = self._session
            merged = session.merge_environment_settings(
                url, session.proxies, None, session.verify, session.cert
            )
            self._environments[place] = {name: merged[name] for name in ("proxies", "verify", "cert")}
        return self._environments[place]
