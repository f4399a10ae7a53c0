"""The status of Amplitude's exports for the triggerer's event loop; all tasks that wait share one client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async

from airflow_provider_cio_cohort.compatibility import (
    AirflowNotFoundException,
    amask_secret,
    get_async_connection,
    get_async_extra_dejson,
)
from airflow_provider_cio_cohort.exceptions import ConfigurationError, PermanentError, TriggererError
from airflow_provider_cio_cohort.hooks.aio import AsyncApiClient, open_async_client
from airflow_provider_cio_cohort.hooks.amplitude_api import (
    CONN_TYPE,
    EXPORT_STATUS,
    EXTRA_KEYS,
    AmplitudeApi,
)
from airflow_provider_cio_cohort.hooks.client import HttpTransport
from airflow_provider_cio_cohort.hooks.connection import check_backends, check_connection, secrets_of
from airflow_provider_cio_cohort.hooks.http_options import http_options

#: Amplitude takes five requests of a project at once; one is left to the tasks. Source: "Behavioral Cohorts
#: API", rate limits.
POLLS_AT_ONCE = 4


class StatusClient:
    """Reads the status of exports."""

    def __init__(self, client: AsyncApiClient[AmplitudeApi]) -> None:
        self.client = client
        #: When each export was requested, by the clock of this machine.
        self._accepted: dict[str, float | None] = {}

    async def export_finished(
        self, request_id: str, cohort_id: str | None = None, requested_at: float | None = None
    ) -> bool:
        """
        Return whether an export is ready to be downloaded; one request, no retries.

        :param cohort_id: the cohort that it must be of; ``None`` for any.
        :param requested_at: when it was requested, in epoch seconds; ``None`` if unknown.
        :raises ExportFailedError: if Amplitude gave up on it, does not know it, or says that it is of another
            cohort.
        :raises VendorUnavailableError: if no usable response came.
        """
        api, policy = self.client.api, self.client.transport.policy
        accepted_at = self._accepted.setdefault(request_id, policy.by_this_clock(requested_at))
        response = await self.client.send("GET", api.status_path(request_id), EXPORT_STATUS)
        is_young = policy.is_young(accepted_at)
        return api.read_status(response, cohort_id, is_young=is_young)


class _Shared:
    """A client and the number of its users; the first one opens it, the last one closes it."""

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

    A client for each of a thousand tasks would take a thousand look-ups of the connection, TLS handshakes and
    sockets. The connection is read without blocking the loop, and its keys are masked.

    :raises TriggererError: if the connection cannot be read.
    :raises ConfigurationError: if the connection is of another type, lacks a key, or holds what no client can
        use.
    """
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = clients.setdefault(conn_id, _Shared(conn_id))
    shared.users += 1
    try:
        yield await shared.client()
    except PermanentError:
        _forget(clients, conn_id, shared)  # so that the next user reads the connection again
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
    connection = await _connection(conn_id)
    check_connection(connection, CONN_TYPE, EXTRA_KEYS)
    extra = await get_async_extra_dejson(connection)
    for secret in secrets_of(connection, extra):
        await amask_secret(secret)
    api, options = AmplitudeApi(connection, extra), http_options(connection, extra)
    transport = HttpTransport(lambda: options)
    total = transport.timeouts[1]
    async with open_async_client(api, transport, connections=POLLS_AT_ONCE, total_timeout=total) as client:
        yield StatusClient(client)


async def _connection(conn_id: str) -> Any:
    reason, is_missing = "", False
    try:
        return await get_async_connection(conn_id)
    except Exception as error:  # whatever the secrets backend raises; its text may hold a key
        problem, is_missing = type(error).__name__, isinstance(error, AirflowNotFoundException)
    if is_missing:
        reason = await sync_to_async(_reason)(conn_id)
    raise TriggererError(
        f"The triggerer cannot read connection {conn_id!r} ({problem}), so it cannot wait for the export.\n"
        f"{reason}The worker could: give the triggerer the same environment variables and secrets backend. A "
        "retry continues to wait for the same export."
    )


def _reason(conn_id: str) -> str:
    """Return why Airflow does not find a connection; empty if it is simply not defined."""
    try:
        failed = check_backends(conn_id)
    except ConfigurationError as error:
        return f"{error} "
    return f"It is not defined, as far as Airflow could look: {failed}. " if failed else ""
