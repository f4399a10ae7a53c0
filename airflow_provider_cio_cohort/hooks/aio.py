"""
The HTTP client of the hooks for an event loop, on ``aiohttp``: many requests at once, on one thread.

A thread for each of them would also work, but at hundreds of requests a second the threads compete for the
interpreter: it takes twice the work, and requests are sent in bursts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Generic
from urllib.parse import urlencode

import aiohttp

from airflow_provider_cio_cohort.exceptions import CohortSyncError, RequestRejectedError
from airflow_provider_cio_cohort.hooks import client
from airflow_provider_cio_cohort.hooks.api import ApiResponse, error_from_aiohttp
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import USER_AGENT, HttpTransport, SomeApi, slow_down, too_long
from airflow_provider_cio_cohort.hooks.http_options import aiohttp_options
from airflow_provider_cio_cohort.hooks.rate_limit import RateLimiter

_JSON = {"Content-Type": "application/json"}


class AsyncApiClient(Generic[SomeApi]):
    """
    Sends requests to one API from an event loop; :func:`open_async_client` opens one.

    :param transport: what the clients of the connection share.
    :param session: an open session that knows the keys.
    :param options: the proxy and TLS arguments of each request.
    """

    def __init__(
        self,
        api: SomeApi,
        transport: HttpTransport,
        rate_limiter: RateLimiter,
        session: aiohttp.ClientSession,
        options: Mapping[str, Any],
    ) -> None:
        self.api = api
        self.transport = transport
        self.rate_limiter = rate_limiter
        self.session = session
        self.options = options

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        what: str,
        params: dict[str, str],
        cancel: CancelToken,
        words: Callable[[str], str] = lambda text: "",
    ) -> ApiResponse:
        """
        Send JSON that names people, and retry it as the policy says.

        The caller spaces the first tries, this method the retries. A successful response may be empty: what
        it says is no proof that anything has changed.

        :param body: JSON; to send it twice has the effect of once.
        :param what: what is being done, for messages.
        :param cancel: once cancelled, nothing more is sent.
        :param words: returns what may be shown of the vendor's message of a refusal, which may quote people:
            the error's ``detail``; by default nothing.
        :raises CohortSyncError: the error that the last response stands for.
        """
        path = f"{path}?{urlencode(params)}"
        try:
            return await self._post_once(path, body, what, cancel, words)
        except CohortSyncError as error:
            first: CohortSyncError | None = error

        async def post_again() -> ApiResponse:
            nonlocal first
            if first is not None:  # the first try, which has failed already, counts as one
                failed, first = first, None
                raise failed
            await cancel.sleep(self.rate_limiter.reserve())
            return await self._post_once(path, body, what, cancel, words)

        # Only failures come here: at a thousand requests a second, tenacity would be a sixth of the work.
        return await self.transport.retrying.call_async(post_again, cancel)

    async def _post_once(
        self, path: str, body: bytes, what: str, cancel: CancelToken, words: Callable[[str], str]
    ) -> ApiResponse:
        cancel.check(what)
        response = await self.send("POST", path, what, body=body)
        is_empty = not response.body.strip()
        error = self.api.error_for(response, what, json_expected=not is_empty, personal=True)
        if error is None:
            return response
        if isinstance(error, RequestRejectedError):
            error.detail = words(self.api.vendor_message(response))
        slow_down(self.rate_limiter, error, self.transport.policy)
        raise error

    async def send(self, method: str, path: str, what: str, *, body: bytes | None = None) -> ApiResponse:
        """
        Send a request once, and return the response, whatever its status.

        :param path: the path and its query, their variable parts quoted.
        :param what: what is being done, for messages.
        :raises VendorUnavailableError: if no response came, or one that is too long.
        """
        url, recorder = self.api.url(path), self.transport.recorder
        exchange = recorder.begin(method, url, self.api.authorization, body) if recorder else None
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers=_JSON if body is not None else None,
                allow_redirects=False,
                **self.options,
            ) as response:
                if exchange:
                    exchange.answer(response.status, response.headers)
                body = await _body_of(response)
                if exchange:
                    exchange.finish(body, is_decoded=True)
                if body is None:
                    raise too_long(self.api, what)
                return ApiResponse(response.status, response.headers, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if exchange:
                exchange.fail(error)
            failure = error_from_aiohttp(error, self.api.name, what, self.api.place)
        raise failure  # outside the handler: the cause would bring the URL and its query into the traceback


async def _body_of(response: aiohttp.ClientResponse) -> bytes | None:
    body = bytearray()
    async for block in response.content.iter_any():
        body += block
        if len(body) > client.MOST_BODY:
            return None
    return bytes(body)


@asynccontextmanager
async def open_async_client(
    api: SomeApi,
    transport: HttpTransport,
    rate_limiter: RateLimiter | None = None,
    *,
    connections: int = 0,
    total_timeout: float | None = None,
) -> AsyncIterator[AsyncApiClient[SomeApi]]:
    """
    Open a client of an API.

    :param transport: what the clients of the connection share: proxies, certificates, time-outs and retries.
    :param rate_limiter: spaces the retries; none by default.
    :param connections: how many may be open at once; 0 for as many as there are requests.
    :param total_timeout: seconds that one request may take as a whole; ``None`` for twice the read timeout,
        beside the connection: aiohttp waits without a timeout after an informational response (1xx).
    """
    # In a thread: it reads files.
    options = await asyncio.to_thread(aiohttp_options, transport.session, api.base_url, api.conn_id)
    connect, read = transport.timeouts
    total = connect + 2 * read if total_timeout is None else total_timeout
    async with aiohttp.ClientSession(
        headers={
            "Authorization": api.authorization,
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "gzip",  # as the other client: aiohttp alone would offer whatever is installed
        },
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=total, sock_connect=connect, sock_read=read),
        # Proxies of the environment are among the options; an entry of netrc would be a second key.
        trust_env=False,
    ) as session:
        yield AsyncApiClient(api, transport, rate_limiter or RateLimiter.unlimited(), session, options)
