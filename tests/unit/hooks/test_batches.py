from __future__ import annotations

import asyncio
import gc
import logging
import math
from contextlib import asynccontextmanager, nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.exceptions import SyncStoppedError
from airflow_provider_cio_cohort.hooks.batches import AT_LEAST, WINDOW, BatchSender, LatencyEstimator
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.rate_limit import SHARE_OF_LIMIT, SLACK, RateLimiter


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def limiter(per_second: float, clock: Clock) -> RateLimiter:
    return RateLimiter(per_second, clock=lambda: clock.now)


def test_requests_are_evenly_spaced_and_a_pause_gives_no_burst() -> None:
    clock = Clock()
    pace = limiter(10, clock)
    moments = []
    for _ in range(3):
        pace.wait(clock.sleep)
        moments.append(round(clock.now, 3))
    clock.now += 5
    pace.wait(clock.sleep)
    moments.append(round(clock.now, 3))
    pace.wait(clock.sleep)
    moments.append(round(clock.now, 3))
    assert moments == [100.0, 100.1, 100.2, 105.2, 105.3]


def test_who_is_a_little_late_makes_up_for_it_and_nobody_else() -> None:
    clock = Clock()
    pace = RateLimiter(100, clock=lambda: clock.now, slack=0.04)
    moments = []
    for late in (0, 0.03, 0, 0, 0, 5, 0, 0, 0, 0, 0):
        clock.now += late
        pace.wait(clock.sleep)
        moments.append(round(clock.now - 100, 3))
    # What was late by 30 ms goes out at once; after 5 s, no more than 40 ms are made up for.
    assert moments == [0, 0.03, 0.03, 0.03, 0.04, 5.04, 5.04, 5.04, 5.04, 5.04, 5.05]


@given(st.lists(st.floats(0, 0.2), max_size=400), st.sampled_from([10, 100, 1000]))
def test_no_second_holds_more_requests_than_the_limit(pauses: list[float], limit: int) -> None:
    clock = Clock()
    pace = RateLimiter.within(limit, clock=lambda: clock.now)
    moments: list[float] = []
    for pause in pauses:
        clock.now += pause
        pace.wait(clock.sleep)
        moments.append(clock.now)
    for start, moment in enumerate(moments):
        within = [later for later in moments[start:] if later < moment + 1]
        assert len(within) <= limit


@given(st.lists(st.floats(0, 0.5), max_size=200), st.sampled_from([1, 2, 5, 10]))
def test_a_few_requests_at_once_are_no_more_in_a_second(pauses: list[float], at_once: int) -> None:
    clock = Clock()
    pace = RateLimiter(9.5, clock=lambda: clock.now, at_once=at_once)
    moments: list[float] = []
    for pause in pauses:
        clock.now += pause
        pace.wait(clock.sleep)
        moments.append(clock.now)
    for sooner, later in zip(moments, moments[at_once:], strict=False):
        assert later - sooner >= at_once / 9.5 - 1e-9


def test_only_after_a_pause_a_few_requests_follow_at_once() -> None:
    """At the beginning there is none: a task of the same workspace may just have ended."""
    clock = Clock()
    pace = RateLimiter(10, clock=lambda: clock.now, at_once=3)
    moments = []
    for late in (0, 0, 0, 0, 0, 5, 0, 0, 0):
        clock.now += late
        pace.wait(clock.sleep)
        moments.append(round(clock.now - 100, 3))
    assert moments == [0, 0.1, 0.2, 0.3, 0.4, 5.4, 5.4, 5.4, 5.7]
    pace.hold(2)
    pace.wait(clock.sleep)
    assert clock.now == pytest.approx(107.7)


def test_a_hold_holds_for_everybody() -> None:
    clock = Clock()
    pace = limiter(10, clock)
    pace.hold(3)
    pace.wait(clock.sleep)
    assert clock.now == pytest.approx(103)


def sender(send, size: int = 2, connections: int = 4, cancel: CancelToken | None = None) -> BatchSender:
    @asynccontextmanager
    async def opened():
        yield send

    pace = limiter(1000, Clock())
    return BatchSender(list, opened, pace, size=size, connections=connections, cancel=cancel or CancelToken())


def test_everything_is_sent_once_in_batches() -> None:
    sent: list[list[str]] = []

    async def send(batch: list[str]) -> None:
        sent.append(batch)

    assert sender(send).run(map(str, range(7))) == 7
    assert sorted(map(len, sent)) == [1, 2, 2, 2]
    assert sorted(value for batch in sent for value in batch) == [str(n) for n in range(7)]


def test_nothing_to_send_sends_nothing_and_opens_nothing() -> None:
    sent: list[list[str]] = []

    async def send(batch: list[str]) -> None:
        sent.append(batch)

    sends = sender(send)
    opened, sends.opened = sends.opened, None
    assert sends.run([]) == 0
    assert sent == []
    sends.opened = opened
    assert sends.run(["1"]) == 1


def test_the_caller_may_have_an_event_loop_already() -> None:
    async def send(batch: list[str]) -> None:
        await asyncio.sleep(0)

    async def caller() -> int:
        return sender(send).run(map(str, range(7)))

    assert asyncio.run(caller()) == 7


def test_the_first_error_ends_it_and_reaches_the_caller() -> None:
    calls: list[list[str]] = []

    async def send(batch: list[str]) -> None:
        calls.append(batch)
        raise LookupError("gone")

    cancel = CancelToken()
    with pytest.raises(LookupError, match="gone"):
        sender(send, connections=2, cancel=cancel).run(map(str, range(1000)))
    assert len(calls) < 10
    assert cancel.is_cancelled()


def test_an_error_of_the_source_ends_it_as_well() -> None:
    cancel = CancelToken()

    def values():
        yield from map(str, range(9))
        raise LookupError("the disk is gone")

    async def send(batch: list[str]) -> None:
        await asyncio.sleep(0)

    with pytest.raises(LookupError, match="the disk is gone"):
        sender(send, cancel=cancel).run(values())
    assert cancel.is_cancelled()


def test_an_error_lets_the_batches_on_their_way_give_up() -> None:
    cancel = CancelToken()
    gave_up = []

    async def send(batch: list[str]) -> None:
        if batch[0] == "0":
            await cancel.sleep(600)  # a retry's wait: nobody would wake it but the sibling's error
            gave_up.append(cancel.is_cancelled())
            return
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        sender(send, size=1, connections=2, cancel=cancel).run(["0", "1"])
    assert gave_up == [True]


def test_of_batches_that_fail_together_each_error_is_retrieved(caplog) -> None:
    gate: asyncio.Barrier | None = None

    async def send(batch: list[str]) -> None:
        nonlocal gate
        gate = gate or asyncio.Barrier(3)
        async with asyncio.timeout(10):
            await gate.wait()
        raise LookupError("gone")

    with caplog.at_level(logging.ERROR, "asyncio"), pytest.raises(LookupError, match="gone"):
        sender(send, size=1, connections=3).run(map(str, range(3)))
    gc.collect()  # that is when asyncio complains
    assert [record.getMessage() for record in caplog.records] == []


def test_no_batch_begins_once_it_was_cancelled() -> None:
    cancel = CancelToken()
    sent: list[str] = []

    async def send(batch: list[str]) -> None:
        sent.extend(batch)
        cancel.cancel()

    with pytest.raises(SyncStoppedError, match=r"stopped before sending a batch\."):
        sender(send, size=1, connections=1, cancel=cancel).run(map(str, range(40)))
    assert sent == ["0"]


def test_batches_go_out_over_several_connections_but_no_more_than_allowed() -> None:
    busy, most = 0, 0
    gate: asyncio.Barrier | None = None

    async def send(batch: list[str]) -> None:
        nonlocal busy, most, gate
        gate = gate or asyncio.Barrier(3)
        busy += 1
        most = max(most, busy)
        async with asyncio.timeout(10):
            await gate.wait()  # passes only when three are under way at once
        busy -= 1

    sender(send, connections=3).run(map(str, range(12)))
    assert most == 3


def test_only_the_batches_on_their_way_are_read_from_the_source() -> None:
    read = 0

    def values():
        nonlocal read
        for number in range(100):
            read = number + 1
            yield str(number)

    ahead: list[int] = []

    async def send(batch: list[str]) -> None:
        await asyncio.sleep(0.001)  # gives a reader without a limit the time to run far ahead
        ahead.append(read - int(batch[0]))

    sender(send, size=1, connections=2).run(values())
    assert max(ahead) <= 4
    assert read == 100


def test_the_connections_are_those_that_the_latency_takes_and_a_few() -> None:
    async def send(batch: list[str]) -> None: ...

    at_work = sender(send, connections=100)
    few = at_work.rate_limiter.burst
    assert at_work._allowed() == 100  # nothing is known yet
    at_work.latency.observe(0.02)
    assert at_work._allowed() == math.ceil(20 + few)
    at_work.latency.observe(0.001)
    assert at_work._allowed() == math.ceil(1 + few)
    for _ in range(1000):
        at_work.latency.observe(10.0)
    assert at_work._allowed() == 100


def test_at_a_low_pace_a_few_batches_may_be_on_their_way() -> None:
    slow = BatchSender(list, nullcontext, limiter(1, Clock()), size=2, connections=100, cancel=CancelToken())
    slow.latency.observe(0.1)
    assert slow._allowed() == 1 + AT_LEAST


@pytest.mark.parametrize("pace", [100, 1000])
def test_where_answers_take_a_short_time_and_a_long_one_by_turns_the_pace_is_kept(pace: int) -> None:
    latency = LatencyEstimator(1 / pace)
    for _ in range(WINDOW * pace):
        for seconds in (0.1, 0.1, 0.1, 0.5):
            latency.observe(seconds)
    assert latency.usual == pytest.approx(0.2, rel=0.1)  # as many are on their way, by Little's law


def test_the_first_answers_which_open_their_connections_do_not_raise_the_latency() -> None:
    latency = LatencyEstimator(1 / 1000, known=0.3)
    for _ in range(99):
        latency.observe(0.36)
    assert latency.usual == 0.3
    latency.observe(0.36)  # the slice is full: so it is with all of them
    assert latency.usual == pytest.approx(0.36)
    for _ in range(100):
        latency.observe(0.31)
    assert latency.usual == pytest.approx(0.31)


def test_a_vendor_that_halts_now_and_then_does_not_become_slow_and_one_that_is_quicker_is_noticed() -> None:
    pace = 100
    latency = LatencyEstimator(1 / pace)
    for _ in range(WINDOW * pace):
        latency.observe(0.1)
    for _ in range(WINDOW * pace // 2):  # it is slow for some seconds
        latency.observe(10.0)
    assert latency.usual == pytest.approx(0.1)
    for _ in range(WINDOW * pace // 2):
        latency.observe(10.0)
    assert latency.usual == pytest.approx(10.0)
    for _ in range(WINDOW * pace // 2):
        latency.observe(0.001)
    assert latency.usual == pytest.approx(0.001)


def test_what_a_vendor_that_halts_is_sent_meanwhile_may_arrive_at_once() -> None:
    limit, on_their_way, most = 1000, 0, 0
    gate: asyncio.Event | None = None

    async def send(batch: list[str]) -> None:
        nonlocal on_their_way, most, gate
        gate = gate or asyncio.Event()
        on_their_way += 1
        most = max(most, on_their_way)
        if on_their_way == allowed:  # with time for more to come, were they let through
            asyncio.get_running_loop().call_later(0.2, gate.set)
        await gate.wait()
        on_their_way -= 1

    @asynccontextmanager
    async def opened():
        yield send

    pace = RateLimiter.within(limit)
    at_work = BatchSender(list, opened, pace, size=1, connections=512, cancel=CancelToken())
    at_work.latency.observe(0.002)
    allowed = at_work._allowed()
    assert at_work.run(map(str, range(500))) == 500
    assert most == allowed
    # Sent evenly in a second, made up for by those that were late, and those that the halt has kept.
    assert SHARE_OF_LIMIT * limit * (1 + SLACK) + pace.burst <= limit


def test_the_latency_of_before_tells_how_many_to_begin_with() -> None:
    at_work = BatchSender(
        list, nullcontext, limiter(1000, Clock()), size=2, connections=100, cancel=CancelToken(), latency=0.01
    )
    assert at_work._allowed() == math.ceil(10 + at_work.rate_limiter.burst)
