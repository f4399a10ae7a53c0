"""Amplitude's status call for the event loop; everything else is the hook's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from requests import Session

from airflow_provider_cio_cohort.compatibility import (
    amask_secret,
    get_async_connection,
    get_async_extra_dejson,
)
from airflow_provider_cio_cohort.exceptions import PermanentError
from airflow_provider_cio_cohort.hooks.amplitude_api import AmplitudeApi
from airflow_provider_cio_cohort.hooks.api import Answer
from airflow_provider_cio_cohort.hooks.client_options import client_options, environment_of
from airflow_provider_cio_cohort.hooks.connection import basic_header, secrets_of
from airflow_provider_cio_cohort.hooks.options import http_options
from airflow_provider_cio_cohort.hooks.policy import Policy
from airflow_provider_cio_cohort.hooks.transport_faults import client_fault

#: Amplitude takes five requests of a project at once; one is left to the tasks. Source: "Behavioral Cohorts
#: API", rate limits.
POLLS_AT_ONCE = 4


class StatusClient:
    """
    Asks Amplitude how far an export is.

    :param api: Amplitude, as the connection sees it.
    :param session: an open session that knows the keys.
    :param options: what each request takes: proxy and TLS.
    """

    def __init__(self, api: AmplitudeApi, session: aiohttp.ClientSession, options: dict[str, Any]) -> None:
        self.api = api
        self.session = session
        self.options = options

    async def export_finished(self, request_id: str) -> bool:
        """
        Say whether an export is ready to be downloaded; one request, no retries.

        :param request_id: the export.
        :raises ExportFailedError: if Amplitude gave it up or does not know it.
        :raises VendorUnavailableError: if no usable answer came.
        """
        url = self.api.url(self.api.status_path(request_id))
        fault = None
        try:
            async with self.session.get(url, allow_redirects=False, **self.options) as response:
                answer = Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what, address = (
                "asking how far an export is",
                f"{self.api.base_url} (connection {self.api.conn_id!r})",
            )
            fault = client_fault(error, self.api.name, what, address)
        if fault:
            raise fault  # outside the handler: the library's words would stand in the traceback
        return self.api.read_status(answer)


class _Shared:
    """A client with those who use it at the moment; the first one opens it, the last one closes it."""

    def __init__(self, conn_id: str) -> None:
        self.users = 0
        self._conn_id = conn_id
        self._opening = asyncio.Lock()
        self._opened = AsyncExitStack()
        self._client: StatusClient | None = None

    async def client(self) -> StatusClient:
        async with self._opening:
            if self._client is None:
                self._client = await self._opened.enter_async_context(_open(self._conn_id))
        return self._client

    async def close(self) -> None:
        await self._opened.aclose()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def open_status_client(conn_id: str) -> AsyncIterator[StatusClient]:
    """
    Open a client, or share the one that other waiting tasks of the connection have open.

    A thousand of them would be a thousand look-ups of the connection, TLS handshakes and sockets. The
    connection is read without blocking the loop, and its keys are masked.

    :param conn_id: the Airflow connection.
    :raises ConfigurationError: if the connection lacks a key, or holds what no client can use.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = clients.setdefault(conn_id, _Shared(conn_id))
    shared.users += 1
    try:
        yield await shared.client()
    except PermanentError:
        _forget(clients, conn_id, shared)  # whoever comes next reads the connection anew: it may be mended
        raise
    finally:
        shared.users -= 1
        if not shared.users:
            _forget(clients, conn_id, shared)
            await shared.close()


def _forget(clients: dict[str, _Shared], conn_id: str, shared: _Shared) -> None:
    if clients.get(conn_id) is shared:
        del clients[conn_id]


@asynccontextmanager
async def _open(conn_id: str) -> AsyncIterator[StatusClient]:
    connection = await get_async_connection(conn_id)
    extra = await get_async_extra_dejson(connection)
    for secret in secrets_of(connection, extra):
        await amask_secret(secret)
    api = AmplitudeApi(connection, extra)
    policy, given = Policy.from_config(), http_options(connection, extra)
    options = await asyncio.to_thread(_options, api, given)
    async with aiohttp.ClientSession(
        headers={"Authorization": basic_header(api.api_key, api.secret_key)},
        connector=aiohttp.TCPConnector(limit=POLLS_AT_ONCE),
        timeout=aiohttp.ClientTimeout(
            sock_connect=policy.connect_timeout, total=given.get("timeout", policy.read_timeout)
        ),
        # Not the environment: aiohttp would take a netrc entry for this host, and refuse to send two keys.
        trust_env=False,
    ) as session:
        yield StatusClient(api, session, options)


def _options(api: AmplitudeApi, given: dict[str, Any]) -> dict[str, Any]:
    """Translate proxy and TLS options from what ``requests`` takes; reads files."""
    session = Session()
    session.proxies = given.get("proxies", {})
    session.verify = given.get("verify", True)
    session.cert = given.get("cert")
    session.trust_env = given.get("trust_env", True)
    return client_options(api.base_url, environment_of(session, api.base_url), api.conn_id)
