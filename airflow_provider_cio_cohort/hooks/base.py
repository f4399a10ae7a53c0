"""The common base of both hooks: an ``HttpHook`` of Airflow that sends through :mod:`.client`."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urlsplit

from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk.log import mask_secret
from requests import PreparedRequest, Response, Session

from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.exceptions import CohortSyncError, ConfigurationError
from airflow_provider_cio_cohort.hooks.api import Api, ApiResponse
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient, HttpTransport, new_session
from airflow_provider_cio_cohort.hooks.connection import check_backends, check_connection, secrets_of
from airflow_provider_cio_cohort.hooks.http_options import HttpOptions, aiohttp_options, http_options
from airflow_provider_cio_cohort.hooks.retry import Policy

#: The extra options of :meth:`VendorHook.get_conn`.
SESSION_OPTIONS = ("proxies", "verify", "cert", "trust_env")


class VendorHook(HttpHook):
    """
    :class:`HttpHook` with its connection vocabulary (proxies, TLS, keep-alive), but safe for keys.

    The differences: https unless the connection says otherwise; no extra of the connection becomes a
    header; always time-outs; one kept session instead of one per call; retries with Retry-After, for a
    limited time; no redirect is followed; errors of our own tree, without keys, identifiers or queries. What
    :class:`HttpHook` offers beside :meth:`run` either keeps to that or raises :class:`.ConfigurationError`.

    :param method: the HTTP method of :meth:`run`.
    :param http_conn_id: the Airflow connection.
    """

    #: The keys that the extra of a connection may have.
    extra_keys: tuple[str, ...] = ()

    def __init__(self, method: str, http_conn_id: str) -> None:
        super().__init__(method=method, http_conn_id=http_conn_id, tcp_keep_alive=False)
        self.transport = HttpTransport(self._http_options)

    @property
    def policy(self) -> Policy:
        """Time-outs and retries of this hook."""
        return self.transport.retrying.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self.transport.retrying.policy = policy

    @property
    def cancel_token(self) -> CancelToken:
        """Once it is cancelled, this hook sends nothing more."""
        return self.transport.cancel_token

    def stop(self) -> None:
        """Send nothing more, because the task was killed."""
        self.cancel_token.cancel()

    @cached_property
    def connection(self) -> Any:
        """The Airflow connection, of the right type; its keys are masked in every log from here on."""
        connection, missing = None, None
        try:
            connection = self.get_connection(self.http_conn_id)
        except AirflowNotFoundException as error:
            missing = error
        if missing is not None:  # out here, so that the log shows one error and not two
            if failed := check_backends(self.http_conn_id):
                raise AirflowNotFoundException(f"{missing}, as far as Airflow could look: {failed}.")
            raise missing
        connection = check_connection(connection, self.conn_type, self.extra_keys)
        for secret in secrets_of(connection, connection.extra_dejson):
            mask_secret(secret)
        return connection

    def _read_settings(self, *apis: Api) -> None:
        """Read what the connection says about HTTP; worker and triggerer must be able to use it."""
        for api in apis:
            aiohttp_options(self.session, api.base_url, self.http_conn_id)

    @property
    def session(self) -> Session:
        """The session that all calls of this hook share; it knows no key."""
        return self.transport.session

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> Session:
        """
        Return a new session with the connection's proxies and TLS options, but no key and no redirects.

        :param headers: headers for every request of the session.
        :param extra_options: ``proxies``, ``verify``, ``cert`` and ``trust_env``, which replace the
            connection's.
        :raises ConfigurationError: if there is another option, or one that no client can use.
        """
        given = extra_options or {}
        if set(given) - set(SESSION_OPTIONS):
            raise ConfigurationError(
                f"{type(self).__name__}.get_conn() was called with an unknown option.\n"
                f"Leave it out: extra_options takes {', '.join(SESSION_OPTIONS)}."
            )
        session = new_session(http_options(self.connection, {**self.connection.extra_dejson, **given}))
        session.headers.update(headers or {})
        return session

    def _apis(self) -> tuple[Api, ...]:
        raise NotImplementedError

    def trust_keys(self) -> None:
        """Treat the keys as accepted before, as after a wait in the same run: a refusal is retried once."""
        for api in self._apis():
            api.keys_worked = True

    def client_for(self, path: str) -> ApiClient[Any]:
        """
        Return the client of the API that serves a path.

        :param path: the path of a request.
        """
        raise NotImplementedError

    def run(
        self,
        endpoint: str | None = None,
        data: dict[str, Any] | str | None = None,
        headers: dict[str, Any] | None = None,
        extra_options: dict[str, Any] | None = None,
        **request_kwargs: Any,
    ) -> Any:
        """
        Send a request to any endpoint of the vendor, by the hook's method and policy.

        :param endpoint: the path.
        :param data: the query of a GET; pass ``json`` or ``params`` with any other method.
        :param headers: not supported: the policy sets them.
        :param extra_options: not supported: the connection sets them.
        :param request_kwargs: ``params`` and ``json``, as ``requests`` takes them.
        :return: the response's JSON.
        :raises ConfigurationError: if anything else is passed.
        """
        if headers or extra_options or set(request_kwargs) - {"params", "json"}:
            raise ConfigurationError(
                f"{type(self).__name__}.run() takes an endpoint, data, params and json only.\n"
                "Leave out anything else: it comes from the connection."
            )
        if data and self.method != "GET":  # HttpHook sends it as the body, so it must not become a query
            raise ConfigurationError(
                f"{type(self).__name__}.run() takes data only with GET, not with {self.method}.\n"
                "Pass the body as json, or a query as params."
            )
        path = endpoint or "/"
        what, names_people = _described(self.method, path)
        body = request_kwargs.get("json")
        return self.client_for(path).request(
            self.method,
            path,
            what=what,
            read=lambda payload: payload,
            params=request_kwargs.get("params", data),
            json=body,
            json_expected=False,
            idempotent=self.method != "POST",
            personal=names_people or body is not None,
        )

    def url_from_endpoint(self, endpoint: str | None) -> str:
        """
        Return the address of an endpoint, at the API that serves it.

        :param endpoint: the path; empty for the address of the API.
        """
        path = endpoint or ""
        url: str = self.client_for(path).api.url(path)
        return url

    def check_response(self, response: Response) -> None:
        """
        Raise what :meth:`run` would raise for a response; nothing of its body is logged.

        :param response: a response of the vendor, such as one that came over :meth:`get_conn`.
        :raises CohortSyncError: if its status is not 2xx.
        """
        path = urlsplit(response.url).path
        given = ApiResponse(response.status_code, response.headers, response.content)
        what, names_people = _described(response.request.method or self.method, path)
        personal = names_people or bool(response.request.body)
        error: CohortSyncError | None = self.client_for(path).api.error_for(
            given, what, json_expected=False, personal=personal
        )
        if error:
            raise error

    def run_and_check(
        self, session: Session, prepped_request: PreparedRequest, extra_options: dict[Any, Any]
    ) -> NoReturn:
        """
        Refuse to send a prepared request: it would go anywhere, follow redirects, and log its address.

        :param session: not used.
        :param prepped_request: not used.
        :param extra_options: not used.
        :raises ConfigurationError: always.
        """
        raise self._unsupported("run_and_check()", "run() sends, retries and checks a request")

    def run_with_advanced_retry(self, _retry_args: dict[Any, Any], *args: Any, **kwargs: Any) -> NoReturn:
        """
        Refuse retries by other rules: they would continue after the task was killed.

        :param _retry_args: not used.
        :param args: not used.
        :param kwargs: not used.
        :raises ConfigurationError: always.
        """
        raise self._unsupported(
            "run_with_advanced_retry()",
            "run() retries by the settings in [cio_cohort]",
        )

    @property
    def auth_type(self) -> NoReturn:
        """Refuse another kind of authentication: each API has its own."""
        raise self._unsupported("auth_type", "each request carries the connection's keys")

    @auth_type.setter
    def auth_type(self, value: Any) -> NoReturn:
        raise self._unsupported("auth_type", "each request carries the connection's keys")

    @property
    def base_url(self) -> str:
        """The address of the vendor; of Customer.io's two, that of the App API."""
        return self.url_from_endpoint("").rstrip("/")

    @base_url.setter
    def base_url(self, value: str) -> None:
        if value:  # HttpHook sets an empty one when it is created
            raise self._unsupported("Setting base_url", "the connection says where the vendor is")

    def _unsupported(self, attribute: str, advice: str) -> ConfigurationError:
        return ConfigurationError(
            f"{attribute} of Airflow's HttpHook is not supported by {type(self).__name__}.\n"
            f"Use what the hook offers instead: {advice}."
        )

    def _http_options(self) -> HttpOptions:
        return http_options(self.connection, self.connection.extra_dejson)


def _described(method: str, path: str) -> tuple[str, bool]:
    """Return a request's name in messages, and whether its path may name a person."""
    path = urlsplit(path).path.rstrip("/")
    found = re.match(r"(/*(api|v?\d)(?=/))*/*[^/]*", path)
    resource = found[0] if found else ""
    names_people = len(resource) < len(path)
    return f"{method} {resource}{'/…' if names_people else ''}", names_people
