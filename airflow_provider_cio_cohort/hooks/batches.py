"""Sends batches over as many connections as the pace needs, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.progress import Progress


class BatchSender:
    """
    Cuts values into batches and sends each at its moment.

    A thread, with its connection, is started only when a batch is due and none is idle. So their number
    comes to be pace times latency without being told either.

    :param send: sends one batch, with its own retries.
    :param pacer: the pace to keep.
    :param size: values in a batch.
    :param connections: at most so many at once.
    :param halt: set at the first error, so that the batches on their way give up too.
    :param progress: told of each batch that has arrived.
    """

    def __init__(
        self,
        send: Callable[[list[str]], object],
        pacer: Pacer,
        *,
        size: int,
        connections: int,
        halt: Halt,
        progress: Progress | None = None,
    ) -> None:
        self.send = send
        self.pacer = pacer
        self.size = size
        self.connections = connections
        self.halt = halt
        self.progress = progress

    def run(self, values: Iterable[str]) -> int:
        """
        Send all of ``values`` and return how many there were; the first error ends it.

        :param values: any number; only the batches on their way are in memory.
        """
        iterator = iter(values)
        sent = 0
        pending: set[Future[int]] = set()
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="batch")
        try:
            while batch := list(islice(iterator, self.size)):
                pending = self._settled(pending, at_least_one=len(pending) >= self.connections)
                self.pacer.wait()
                pending.add(pool.submit(self._arrived, batch))
                sent += len(batch)
            while pending:
                pending = self._settled(pending, at_least_one=True)
        except BaseException:
            self.halt.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return sent

    def _arrived(self, batch: list[str]) -> int:
        self.send(batch)
        return len(batch)

    def _settled(self, pending: set[Future[int]], *, at_least_one: bool) -> set[Future[int]]:
        """Return the batches that are still on their way; raise the error of one that failed."""
        done, rest = wait(pending, None if at_least_one else 0, return_when=FIRST_COMPLETED)
        for future in done:
            count = future.result()
            if self.progress:
                self.progress.step(count)
        return rest
