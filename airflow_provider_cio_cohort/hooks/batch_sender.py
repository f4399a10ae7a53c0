"""Sends batches in an event loop, as many at once as the rate limit and the latency need."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from itertools import chain, islice
from typing import Generic, TypeVar

from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.rate_limit import RateLimiter

Packed = TypeVar("Packed")

#: Batches in flight beyond those that the latency needs, however low the pace.
AT_LEAST = 4
#: Seconds: the latencies of the last ``WINDOW`` count, as the mean of each ``SLICE``; and how many answers
#: make a mean meaningful.
WINDOW = 10
SLICE = 0.1
ENOUGH = 32


class BatchSender(Generic[Packed]):
    """
    Cuts values into batches and sends each when it is due.

    A connection is opened only when a batch is due and none is idle. So their number becomes pace times
    latency, without knowing either. If the vendor stalls, or the processor is slower than the pace, the
    number is limited to a little more: further batches would only wait, and then arrive in a burst.

    :param pack: encodes a batch; batches that wait or are in flight are kept in this form.
    :param opened: opens, in the event loop, a function that sends a batch with its own retries.
    :param rate_limiter: spaces the batches.
    :param size: values in a batch.
    :param connections: the most at once.
    :param cancel: checked before each batch, and cancelled at the first error, so that the batches in flight
        give up too.
    :param what: what is being done, for messages.
    :param progress: counts each batch that has arrived.
    :param latency: seconds that a response has taken before, if known.
    """

    def __init__(
        self,
        pack: Callable[[list[str]], Packed],
        opened: Callable[[], AbstractAsyncContextManager[Callable[[Packed], Awaitable[object]]]],
        rate_limiter: RateLimiter,
        *,
        size: int,
        connections: int,
        cancel: CancelToken,
        what: str = "sending a batch",
        progress: Progress | None = None,
        latency: float | None = None,
    ) -> None:
        self.pack = pack
        self.opened = opened
        self.rate_limiter = rate_limiter
        self.size = size
        self.connections = connections
        self.cancel = cancel
        self.what = what
        self.progress = progress
        self.latency = LatencyEstimator(rate_limiter.gap, latency)

    def run(self, values: Iterable[str]) -> int:
        """
        Send all of ``values`` and return how many there were; the first error ends it.

        An exception in this thread (Airflow's time-out of a task, Ctrl-C) stops the thread of the event loop:
        no further batch is sent, and those in flight are awaited.

        :param values: any number; only the batches in flight are in memory.
        :raises SyncStoppedError: if it is cancelled before all is sent.
        """
        iterator = iter(values)
        # Without values, nothing is opened: that costs threads, sockets and the reading of certificates.
        first = list(islice(iterator, 1))
        if not first:
            return 0
        # In a thread of its own: the caller's may have an event loop already.
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            try:
                return thread.submit(asyncio.run, self._run(chain(first, iterator))).result()
            except BaseException:
                self.cancel.cancel()
                raise

    async def _run(self, iterator: Iterator[str]) -> int:
        sent = 0
        async with self.opened() as send, _UnderWay(self.cancel) as under_way:
            while batch := list(islice(iterator, self.size)):
                packed = self.pack(batch)
                await under_way.at_most(self._allowed() - 1)
                self.cancel.check(self.what)
                await self.cancel.sleep(self.rate_limiter.reserve())
                self.cancel.check(self.what)
                under_way.add(self._arrive(send, packed, len(batch)))
                sent += len(batch)
            await under_way.at_most(0)
        return sent

    def _allowed(self) -> int:
        """Return how many batches may be in flight at once."""
        if self.latency.usual is None:
            return self.connections
        needed = self.latency.usual / self.rate_limiter.gap
        return min(self.connections, math.ceil(needed + max(self.rate_limiter.burst, AT_LEAST)))

    async def _arrive(self, send: Callable[[Packed], Awaitable[object]], packed: Packed, count: int) -> None:
        began = time.perf_counter()
        await send(packed)
        self.latency.observe(time.perf_counter() - began)
        if self.progress:
            self.progress.step(count)


class LatencyEstimator:
    """
    The usual latency of the last seconds: how many requests are in flight, times the gap between them.

    It is a mean, because quick and slow answers alternate: the quick ones alone would suggest too few
    requests. But a pause of the vendor, which delays all requests that wait meanwhile, must not raise it. So
    the mean is taken of each slice of time, and a low one of these is used: three quarters of the slices may
    contain a pause.

    Before the first slice is full, it is the shortest latency, because the first answers come over
    connections that had to be opened, and take longer.

    :param gap: seconds between two requests, at the pace that is kept.
    :param known: seconds that an answer has taken before, if that is known.
    """

    def __init__(self, gap: float, known: float | None = None) -> None:
        self.usual = known
        self._slice: list[float] = []
        self._in_slice = max(math.ceil(SLICE / gap), ENOUGH)
        self._means: deque[float] = deque(maxlen=math.ceil(WINDOW / gap / self._in_slice))

    def observe(self, seconds: float) -> None:
        """
        Record how long an answer took.

        :param seconds: from the sending to the last byte.
        """
        if not self._means:
            self.usual = min(seconds, self.usual or seconds)
        self._slice.append(seconds)
        if len(self._slice) >= self._in_slice:
            self._means.append(sum(self._slice) / len(self._slice))
            self._slice.clear()
            self.usual = sorted(self._means)[len(self._means) // 4]


class _UnderWay:
    """
    The batches in flight, as a context manager: after an error, it waits for the others before it exits.

    Unlike ``asyncio.wait``, it takes as long for hundreds of batches as for a few.

    :param cancel: cancelled at the first error.
    """

    def __init__(self, cancel: CancelToken) -> None:
        self._cancel = cancel
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._error: BaseException | None = None

    def add(self, batch: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(batch)
        self._tasks.add(task)
        task.add_done_callback(self._take_out)

    async def at_most(self, most: int) -> None:
        """Wait until no more than ``most`` are left; raise the first error."""
        while self._error is None and len(self._tasks) > most:
            self._arrived.clear()
            await self._arrived.wait()
        if self._error is not None:
            raise self._error

    def _take_out(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()  # retrieved from each, or asyncio logs that it never was
            self._error = self._error or error
        self._arrived.set()

    async def __aenter__(self) -> _UnderWay:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._cancel.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
