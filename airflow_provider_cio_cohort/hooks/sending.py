"""Sends one request over a session: as cheaply as ``requests`` can, and without a word too many."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from requests import Request, Response, Session
from requests.auth import AuthBase

from airflow_provider_cio_cohort.hooks.client_options import environment_of
from airflow_provider_cio_cohort.hooks.redaction import queries_hidden


class Sender:
    """
    Sends requests over a session: no retry, no redirect, no query in the log.

    To look through the environment for a request takes longer than to send it, so it is done once.

    :param session: the session; its keys come with each request.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._environments: dict[tuple[str, str], dict[str, Any]] = {}

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
    ) -> Response:
        """
        Send a request once, and return what came.

        :param method: the HTTP method.
        :param url: the whole address.
        :param auth: who we are.
        :param timeout: seconds to wait for a connection, and for the next bytes.
        :param stream: whether the body is left to be read.
        :param params: the query.
        :param json: the body.
        """
        request = self._session.prepare_request(Request(method, url, auth=auth, params=params, json=json))
        with queries_hidden():
            return self._session.send(
                request, timeout=timeout, allow_redirects=False, stream=stream, **self._environment(url)
            )

    def _environment(self, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc)
        if place not in self._environments:
            self._environments[place] = environment_of(self._session, url)
        return self._environments[place]
