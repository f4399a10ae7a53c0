"""Sends batches in an event loop: as many at once as the pace needs, and no more."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from itertools import chain, islice
from typing import Generic, TypeVar

from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.latency import Latency
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.progress import Progress

Packed = TypeVar("Packed")

#: So many more batches may be on their way than the latency takes, however low the pace.
AT_LEAST = 4


class BatchSender(Generic[Packed]):
    """
    Cuts values into batches and sends each at its moment.

    A connection is opened only when a batch is due and none is idle. So their number comes to be pace times
    latency without being told either. Where the vendor comes to a halt, or the processor is slower than the
    pace, it is held near that: what is beyond it would only wait, and then arrive in a burst.

    :param pack: makes of a batch what is sent; what waits or is on its way should be small.
    :param opened: opens what sends a batch, with its own retries, in the event loop.
    :param pacer: the pace to keep.
    :param size: values in a batch.
    :param connections: at most so many at once.
    :param halt: set at the first error, so that the batches on their way give up too.
    :param progress: told of each batch that has arrived.
    :param latency: seconds that an answer has taken before, if that is known.
    """

    def __init__(
        self,
        pack: Callable[[list[str]], Packed],
        opened: Callable[[], AbstractAsyncContextManager[Callable[[Packed], Awaitable[object]]]],
        pacer: Pacer,
        *,
        size: int,
        connections: int,
        halt: Halt,
        progress: Progress | None = None,
        latency: float | None = None,
    ) -> None:
        self.pack = pack
        self.opened = opened
        self.pacer = pacer
        self.size = size
        self.connections = connections
        self.halt = halt
        self.progress = progress
        self.latency = Latency(pacer.gap, latency)

    def run(self, values: Iterable[str]) -> int:
        """
        Send all of ``values`` and return how many there were; the first error ends it.

        :param values: any number; only the batches on their way are in memory.
        """
        iterator = iter(values)
        # A look at the first: to open what sends costs threads, sockets and the reading of certificates.
        first = list(islice(iterator, 1))
        if not first:
            return 0
        # In a thread of its own, for the caller's may have an event loop already.
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            try:
                return thread.submit(asyncio.run, self._run(chain(first, iterator))).result()
            except BaseException:
                self.halt.set()
                raise

    async def _run(self, iterator: Iterator[str]) -> int:
        sent = 0
        async with self.opened() as send, _UnderWay(self.halt) as under_way:
            while batch := list(islice(iterator, self.size)):
                packed = self.pack(batch)
                await under_way.at_most(self._allowed() - 1)
                await self.halt.sleep(self.pacer.reserve())
                under_way.add(self._arrive(send, packed, len(batch)))
                sent += len(batch)
            await under_way.at_most(0)
        return sent

    def _allowed(self) -> int:
        """Return how many batches may be on their way at once."""
        if self.latency.usual is None:
            return self.connections
        needed = self.latency.usual / self.pacer.gap
        return min(self.connections, math.ceil(needed + max(self.pacer.room, AT_LEAST)))

    async def _arrive(self, send: Callable[[Packed], Awaitable[object]], packed: Packed, count: int) -> None:
        began = time.perf_counter()
        await send(packed)
        self.latency.learn(time.perf_counter() - began)
        if self.progress:
            self.progress.step(count)


class _UnderWay:
    """
    The batches on their way, as a context manager: after an error the others give up before it is left.

    To count them takes as long for hundreds as for a few, which ``asyncio.wait`` does not.

    :param halt: set at the first error.
    """

    def __init__(self, halt: Halt) -> None:
        self._halt = halt
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None

    def add(self, batch: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(batch)
        self._tasks.add(task)
        task.add_done_callback(self._take_out)

    async def at_most(self, most: int) -> None:
        """Wait until no more than ``most`` are left; raise what the first one has failed with."""
        while self._error is None and len(self._tasks) > most:
            self._arrived.clear()
            await self._arrived.wait()
        if self._error is not None:
            raise self._error

    def _take_out(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._error = self._error or task.exception()
        self._arrived.set()

    async def __aenter__(self) -> _UnderWay:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._halt.set()
            await asyncio.gather(*self._tasks, return_exceptions=True)
