"""
Sends identifiers in batches: as many at once as the rate limit and the latency need, in an event loop; and
isolates the identifiers for which the Track API refuses a whole batch, so that the others are sent.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Generic, TypeVar
from uuid import uuid4

from airflow_provider_cio_cohort.exceptions import RequestRejectedError
from airflow_provider_cio_cohort.hooks.api import Api, quoted
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX, respelt
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
    :param size: values in a batch.
    :param connections: the most at once.
    :param cancel: checked before each batch, and cancelled at the first error, so that the batches in flight
        give up too.
    :param what: what is being done, for messages.
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


# ---- batches that are refused

#: Statuses of a batch that holds a value that the API does not accept, or is too large.
REFUSED = (400, 413, 422)
#: Identifiers that may be refused in a call: this many, or this share of all, but never more than that. What
#: exceeds it is a wrong request or mapping, not a few bad values.
FEW_REJECTED = 20
REJECTED_SHARE = 0.05
MOST_REJECTED = 500
#: Refused requests after which a call ends if nothing was accepted at all.
MOST_REFUSALS = 60


@dataclass(frozen=True)
class SentPeople:
    """
    What became of identifiers that were sent.

    :param count: how many Customer.io accepted; those of unknown people are among them, and have no effect.
    :param rejected: those that it refuses, and those that cannot be encoded at all.
    """

    count: int
    rejected: tuple[str, ...] = field(default=(), repr=False)


class Rejections:
    """
    The identifiers that were refused in one call.

    A refused batch is halved until each culprit is alone. That must not take two thousand requests for each
    batch where the request itself is wrong: so the first refusal is followed by a request with an identifier
    that nobody has, which Customer.io ignores, and the number of culprits is limited.

    How a ``cio_id`` is written in a batch is not documented: what is refused is sent in its other spelling,
    too. Nor is its form, so an identifier that nobody has may be refused for its form: then the identifiers
    themselves are tried.

    :param api: the API, for messages.
    :param what: what is being done, for messages.
    :param id_type: ``id``, ``email`` or ``cio_id``.
    :param total: how many identifiers the call sends; ``None`` if that is not known.
    """

    def __init__(self, api: Api, what: str, id_type: str, total: int | None) -> None:
        self.values: list[str] = []
        self.accepted = 0
        #: The vendor's words about the first of them, without people.
        self.detail = ""
        self.status = 0
        self._api = api
        self._what = what
        self._id_type = id_type
        #: How an identifier may be spelt, from how it was given; the first accepted spelling is the only one.
        self._spellings: tuple[Callable[[str], str], ...] = (str, respelt) if id_type == "cio_id" else (str,)
        self._total = total
        self._refusals = 0
        #: The refusal of an identifier that nobody has; ``None`` as long as that is not refused.
        self._refusal: RequestRejectedError | None = None
        self._request_is_accepted = False
        self._lock = asyncio.Lock()

    def encodable(self, values: Iterable[str]) -> Iterator[str]:
        """Yield what can be encoded in UTF-8, and reject the rest: lone surrogates, which nobody can have."""
        for value in values:
            if value.isascii() or is_encodable(value):
                yield value
            else:
                self._reject(value, "it is not valid Unicode", 400)

    async def isolate(
        self, batch: list[str], error: RequestRejectedError, post: Callable[[list[str]], Awaitable[object]]
    ) -> None:
        """
        Send a refused batch in parts, and reject what is refused alone.

        :param post: sends identifiers, in time.
        :raises RequestRejectedError: if the request itself is refused, or too many identifiers are.
        """
        if error.status not in REFUSED:
            raise error
        async with self._lock:
            if not self.accepted and not self._request_is_accepted:
                self._request_is_accepted = await self._check_request(batch[0], post)
        parts: deque[list[str]] = deque()
        if self._spellings == (str,):
            self._split(batch, error, parts)
        else:
            parts.append(batch)  # it has not been sent in its other spelling
        async with self._lock:  # one batch at a time, as long as nothing shows that any value is accepted
            while parts and not self.accepted:
                await self._send_part(parts, post)
            if self._refusal is not None and not self.accepted:
                raise self._refusal
        while parts:
            await self._send_part(parts, post)

    async def _check_request(self, value: str, post: Callable[[list[str]], Awaitable[object]]) -> bool:
        """
        Return whether an identifier that nobody has is accepted, spelt like ``value``.

        :raises RequestRejectedError: if it is refused for certain: then it is not the values that are.
        """
        if self._refusal is None:  # of another batch
            nobody = f"{uuid4().hex}@example.invalid" if self._id_type == "email" else uuid4().hex
            is_prefixed = self._id_type == "cio_id" and value.startswith(CIO_PREFIX)
            try:
                await self._post([respelt(nobody) if is_prefixed else nobody], post)
            except RequestRejectedError as error:
                remedy = str(error).partition("\n")[2]
                self._refusal = RequestRejectedError(
                    f"{error.headline}\n{quoted(error.detail)}{remedy}", error.status, error.detail
                )
            else:
                return True
        if self._id_type != "cio_id":
            raise self._refusal
        return False

    async def _post(self, values: list[str], post: Callable[[list[str]], Awaitable[object]]) -> None:
        """Send values; where their spelling may be wrong, in each spelling until one is accepted."""
        refusal: RequestRejectedError | None = None
        for spell in self._spellings:
            try:
                await post(list(map(spell, values)))
            except RequestRejectedError as error:
                if error.status not in REFUSED:
                    raise
                refusal = refusal or error
            else:
                self._spellings = (spell,)
                return
        if refusal is not None:
            raise refusal

    async def _send_part(
        self, parts: deque[list[str]], post: Callable[[list[str]], Awaitable[object]]
    ) -> None:
        part = parts.pop()
        try:
            await self._post(part, post)
        except RequestRejectedError as error:
            if error.status not in REFUSED:
                raise
            self._refusals += 1
            self._split(part, error, parts)
            if not self.accepted and self._refusals > MOST_REFUSALS:
                raise self._too_many(error.status) from None
        else:
            self.accepted += len(part)

    def _split(self, part: list[str], error: RequestRejectedError, parts: deque[list[str]]) -> None:
        if len(part) == 1:
            self._reject(part[0], error.detail, error.status)
            # Next is the largest part, so that a stretch of culprits is soon left.
            parts.rotate(-1)
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]

    def _reject(self, value: str, detail: str, status: int) -> None:
        self.values.append(value)
        self.detail, self.status = self.detail or detail, self.status or status
        total = self._total or self.accepted + len(self.values)
        if len(self.values) > min(max(FEW_REJECTED, REJECTED_SHARE * total), MOST_REJECTED):
            raise self._too_many(status)

    def _too_many(self, status: int) -> RequestRejectedError:
        if self._refusal is not None and not self.accepted:
            return self._refusal
        rejected = len(self.values)
        return RequestRejectedError(
            f"{self._api.name} refused {rejected:,} of {self.accepted + rejected:,} identifiers while "
            f"{self._what}.\n"
            f"{quoted(self.detail)}That is too many to leave them out (HTTP {status}), so nothing more was "
            "sent. A retry would be refused as well: check user_id_property and id_type, or identifiers, and "
            f"what the values look like in Amplitude (connection {self._api.conn_id!r}).",
            status,
        )


def is_encodable(value: str) -> bool:
    """Say whether an identifier can be encoded in UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
