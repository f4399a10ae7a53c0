"""
The same with ``async-customerio``: its ``add_to_segment``, eight calls at once.

Its retries are those of its own documentation: tenacity, for errors that it calls retryable.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from async_customerio import AsyncCustomerIO, AsyncCustomerIORetryableError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from tests.benchmarks.scripts.export import batches, user_ids

AT_ONCE = 8


class Client(AsyncCustomerIO):
    """The client, without TLS: it takes a host and a port, and puts https:// in front in any case."""

    @staticmethod
    def setup_base_url(host: str, port: int, prefix: str) -> str:
        """Return the address with http:// in front."""
        return str(AsyncCustomerIO.setup_base_url(host, port, prefix)).replace("https://", "http://", 1)


class Patient:
    """A retry strategy."""

    async def execute(self, func: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        """Call until it works."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(AsyncCustomerIORetryableError),
            stop=stop_after_attempt(20),
            wait=wait_random_exponential(max=5),
            reraise=True,
        ):
            with attempt:
                answer = await func(*args, **kwargs)
        return answer


def prepare() -> Callable[[], None]:
    return lambda: asyncio.run(sync())


async def sync() -> None:
    host, _, port = os.environ["TRACK_URL"].rpartition(":")
    keys = {"site_id": os.environ["SITE_ID"], "api_key": os.environ["TRACKING_API_KEY"]}
    room = asyncio.Semaphore(AT_ONCE)
    async with Client(**keys, host=host, port=int(port), retry_strategy=Patient()) as client:

        async def send(batch: list[str]) -> None:
            async with room:
                await client.add_to_segment(int(os.environ["SEGMENT_ID"]), batch)

        await asyncio.gather(*map(send, batches(user_ids())))
