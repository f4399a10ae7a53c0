"""Sends batches over as many connections as the pace needs, and no more."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import Generic, TypeVar

from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.progress import Progress

Packed = TypeVar("Packed")

#: Of so many batches the quickest tells the latency, and how many times the connections that it takes there
#: may be, with some to begin with.
WINDOW = 64
HEADROOM = 2
AT_LEAST = 4


class BatchSender(Generic[Packed]):
    """
    Cuts values into batches and sends each at its moment.

    A thread, with its connection, is started only when a batch is due and none is idle. So their number
    comes to be pace times latency without being told either. Where the processor is slower than the pace, it
    is held there: threads beyond it would only wait for each other, and then send in a burst what is due.

    :param pack: makes of a batch what is sent; what waits or is on its way should be small.
    :param send: sends one batch, with its own retries.
    :param pacer: the pace to keep.
    :param size: values in a batch.
    :param connections: at most so many at once.
    :param halt: set at the first error, so that the batches on their way give up too.
    :param progress: told of each batch that has arrived.
    """

    def __init__(
        self,
        pack: Callable[[list[str]], Packed],
        send: Callable[[Packed], object],
        pacer: Pacer,
        *,
        size: int,
        connections: int,
        halt: Halt,
        progress: Progress | None = None,
    ) -> None:
        self.pack = pack
        self.send = send
        self.pacer = pacer
        self.size = size
        self.connections = connections
        self.halt = halt
        self.progress = progress
        self._latencies: deque[float] = deque(maxlen=WINDOW)

    def run(self, values: Iterable[str]) -> int:
        """
        Send all of ``values`` and return how many there were; the first error ends it.

        :param values: any number; only the batches on their way are in memory.
        """
        iterator = iter(values)
        sent = under_way = 0
        arrived: SimpleQueue[Future[int]] = SimpleQueue()
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="batch")
        try:
            while batch := list(islice(iterator, self.size)):
                while under_way >= self._allowed() or not arrived.empty():
                    self._settle(arrived.get())
                    under_way -= 1
                packed = self.pack(batch)
                self.pacer.wait()
                pool.submit(self._arrived, packed, len(batch)).add_done_callback(arrived.put)
                under_way += 1
                sent += len(batch)
            while under_way:
                self._settle(arrived.get())
                under_way -= 1
        except BaseException:
            self.halt.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return sent

    def _allowed(self) -> int:
        """Return how many batches may be on their way at once."""
        if not self._latencies:
            return self.connections
        needed = min(self._latencies.copy()) / self.pacer.gap
        return min(self.connections, AT_LEAST + math.ceil(HEADROOM * needed))

    def _arrived(self, packed: Packed, count: int) -> int:
        began = time.perf_counter()
        self.send(packed)
        self._latencies.append(time.perf_counter() - began)
        return count

    def _settle(self, future: Future[int]) -> None:
        """Take note of a batch that has arrived; raise the error of one that has failed."""
        count = future.result()
        if self.progress:
            self.progress.step(count)
