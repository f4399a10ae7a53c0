"""
Posts to an API from an event loop, by the policy of the hook: many requests at once, on one thread.

A thread for each of them would do as well, but at hundreds of requests a second the threads take the
interpreter from each other: it takes twice the work, and what was due is sent in bursts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
import tenacity

from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.api import Answer, Api
from airflow_provider_cio_cohort.hooks.client_options import client_options, environment_of
from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.http import USER_AGENT, VendorHook
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.transport_faults import client_fault


class Poster:
    """
    Posts JSON that names people.

    :param hook: the hook, for its policy, and to know whether it was stopped.
    :param api: the API.
    :param pacer: the pace to keep.
    :param session: an open session that knows the keys.
    :param options: what each request takes: proxy and TLS.
    """

    def __init__(
        self,
        hook: VendorHook,
        api: Api,
        pacer: Pacer,
        session: aiohttp.ClientSession,
        options: dict[str, Any],
    ) -> None:
        self.hook = hook
        self.api = api
        self.pacer = pacer
        self.session = session
        self.options = options

    async def post(self, path: str, body: bytes, *, what: str, params: dict[str, str], halt: Halt) -> Answer:
        """
        Send a body, with retries for what can be retried.

        Whoever calls has kept the pace of the first try.

        :param path: the path.
        :param body: JSON; to send it twice has the effect of once.
        :param what: what is being done, for messages.
        :param params: the query.
        :param halt: when set, nothing more is sent.
        :raises CohortSyncError: as the answer demands.
        """
        url = f"{self.api.url(path)}?{urlencode(params)}"
        try:
            return await self._once(url, body, what)
        except CohortSyncError as error:
            first: CohortSyncError | None = error

        async def again() -> Answer:
            nonlocal first
            if first is not None:  # the try that has failed already is the first of those that it counts
                failed, first = first, None
                raise failed
            await halt.sleep(self.pacer.reserve())
            return await self._once(url, body, what)

        # Only what fails comes here: at a thousand requests a second its bookkeeping is a sixth of the work.
        rules = self.hook.retry_rules(halt, idempotent=True)
        return await tenacity.AsyncRetrying(sleep=halt.sleep, **rules)(again)

    async def _once(self, url: str, body: bytes, what: str) -> Answer:
        answer = await self._send(url, body, what)
        error = self.api.judge(answer, what, personal=True)
        if error is None:
            return answer
        self.hook.policy.slow_down(self.pacer, answer)
        raise error

    async def _send(self, url: str, body: bytes, what: str) -> Answer:
        self.hook.stopped.check(what)
        fault: CohortSyncError
        try:
            async with self.session.post(url, data=body, allow_redirects=False, **self.options) as response:
                return Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            fault = client_fault(
                error, self.api.name, what, f"{self.api.base_url} (connection {self.api.conn_id!r})"
            )
        raise fault  # outside the handler: the cause would bring the URL and its query into the traceback


@asynccontextmanager
async def open_poster(hook: VendorHook, api: Api, authorization: str, pacer: Pacer) -> AsyncIterator[Poster]:
    """
    Open a session to an API.

    :param hook: the hook, for its proxies, certificates and time-outs.
    :param api: the API.
    :param authorization: the header that says who we are.
    :param pacer: the pace to keep.
    """
    options = client_options(api.base_url, environment_of(hook.session, api.base_url), api.conn_id)
    connect, read = hook.policy.timeouts
    async with aiohttp.ClientSession(
        headers={
            "Authorization": authorization,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        },
        connector=aiohttp.TCPConnector(limit=0),  # whoever posts decides how many there are
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read),
        # Proxies of the environment are among the options; an entry of netrc would be a second key.
        trust_env=False,
    ) as session:
        yield Poster(hook, api, pacer, session, options)
