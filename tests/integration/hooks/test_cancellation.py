"""Once a sync is stopped, nothing leaves but what is on the wire already."""

from __future__ import annotations

import gzip
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

BATCHES = 40
#: Requests a second, so that forty batches take two seconds: time enough to be stopped.
PACE = 20
#: At that pace and without latency one batch is on the wire; another may have left it when it is counted.
ON_THE_WIRE = 2


class TaskTimeout(BaseException):
    """Comes as Airflow's time-out of a task does: in the main thread, and as no ``Exception``."""


class CancelledAfter(CancelToken):
    """Is cancelled once it was asked so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left = times

    def is_cancelled(self) -> bool:
        self.left -= 1
        return self.left < 0


@contextmanager
def once(happened: Callable[[], object], act: Callable[[], object]) -> Iterator[None]:
    """Act in a thread of its own as soon as something has happened."""

    def watch() -> None:
        until = time.monotonic() + 60
        while not happened() and time.monotonic() < until:
            time.sleep(0.005)
        act()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        watcher.join(60)


@pytest.fixture
def signals() -> Iterator[None]:
    """Let SIGUSR1 raise what Airflow raises on a time-out."""

    def raise_it(*_: object) -> None:
        raise TaskTimeout

    before = signal.signal(signal.SIGUSR1, raise_it)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def slow(sandbox, connect) -> CustomerIOHook:
    return CustomerIOHook(connect("customer_io_default", extra={"requests_per_second": PACE}))


def many() -> Iterator[str]:
    return (f"u-{number}" for number in range(BATCHES * 1000))


@pytest.mark.parametrize(
    ("sent", "raised"), [(signal.SIGUSR1, TaskTimeout), (signal.SIGINT, KeyboardInterrupt)]
)
@pytest.mark.parametrize("change", ["add_members", "remove_members"])
def test_what_is_raised_in_the_main_thread_ends_the_batches(
    sandbox, slow: CustomerIOHook, signals: None, sent: int, raised: type[BaseException], change: str
) -> None:
    segment = sandbox.workspace.add_segment(name="Some")
    arrived: list[int] = []

    def stop() -> None:
        arrived.append(sandbox.count(api="track"))
        os.kill(os.getpid(), sent)

    with once(lambda: sandbox.count(api="track") >= 5, stop), pytest.raises(raised):
        getattr(slow, change)(segment.id, many())
    assert 5 <= sandbox.count(api="track") <= arrived[0] + ON_THE_WIRE


def test_a_cancelled_child_ends_the_batches_and_says_so(sandbox, slow: CustomerIOHook) -> None:
    segment = sandbox.workspace.add_segment(name="Some")
    cancel = CancelToken()
    arrived: list[int] = []

    def stop() -> None:
        arrived.append(sandbox.count(api="track"))
        cancel.cancel()

    stopped = pytest.raises(
        exceptions.SyncStoppedError, match=f"stopped before changing the members of segment {segment.id}"
    )
    with once(lambda: sandbox.count(api="track") >= 5, stop), stopped:
        slow.add_members(segment.id, many(), cancel=cancel)
    assert sandbox.count(api="track") <= arrived[0] + ON_THE_WIRE
    assert not slow.cancel_token.is_cancelled()
    assert slow.add_members(segment.id, ["u-1"]).count == 1


def test_a_batch_that_waits_for_its_retry_is_not_sent_again(sandbox, slow: CustomerIOHook) -> None:
    segment = sandbox.workspace.add_segment(name="Some")
    sandbox.faults.add("status", api="track", status=429, times=0, headers={"Retry-After": "5"})
    cancel = CancelToken()
    stopped = pytest.raises((exceptions.SyncStoppedError, exceptions.RateLimitedError))
    with once(lambda: sandbox.count(api="track") >= 1, cancel.cancel), stopped:
        slow.add_members(segment.id, many(), cancel=cancel)
    assert sandbox.count(api="track") <= 1 + ON_THE_WIRE


def test_no_page_is_asked_for_after_a_child_was_cancelled(sandbox) -> None:
    people = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(91_000)]
    segment = sandbox.workspace.add_segment(name="Large", members=people)
    cancel = CancelToken()
    pages = CustomerIOHook().stream_member_pages(segment.id, cancel, total=91_000)
    next(pages)
    next(pages)
    cancel.cancel()
    with pytest.raises(exceptions.SyncStoppedError, match=f"reading the members of segment {segment.id}"):
        next(pages)
    assert sandbox.count(api="app", path_regex="/membership") == 2


def test_a_request_that_waits_for_its_moment_is_not_sent(sandbox) -> None:
    segment = sandbox.workspace.add_segment(name="Some")
    hook = CustomerIOHook()
    hook.app_client.rate_limiter.hold(600)
    cancel = CancelToken()
    raised: list[BaseException] = []

    def read() -> None:
        try:
            list(hook.stream_member_pages(segment.id, cancel))
        except exceptions.SyncStoppedError as error:
            raised.append(error)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    cancel.cancel()
    reading.join(60)
    assert len(raised) == 1
    assert sandbox.count(api="app") == 0


@pytest.fixture
def request_id(sandbox) -> str:
    noise = random.Random(7)  # noqa: S311
    rows = [{"amplitude_id": str(n), "user_id": noise.randbytes(400).hex()} for n in range(5_000)]
    sandbox.project.add_cohort(id="large1x", name="Large", rows=rows)
    hook = AmplitudeHook()
    wanted = hook.request_export("large1x")
    while not hook.export_finished(wanted):
        pass
    sandbox.reset_requests()
    return wanted


def test_a_download_ends_between_two_blocks(sandbox, request_id: str, tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    whole = AmplitudeHook().download_export(request_id, path)
    path.unlink()
    with pytest.raises(exceptions.SyncStoppedError, match="downloading an export"):
        AmplitudeHook().download_export(request_id, path, CancelledAfter(4))
    assert not path.exists()
    assert path.with_name("export.csv.part").stat().st_size < whole


def test_a_download_ends_where_blocks_decompress_to_nothing(sandbox, request_id: str, tmp_path) -> None:
    sandbox.project.jobs[request_id].file = gzip.compress(gzip.compress(b"", mtime=0) * 50_000)
    with pytest.raises(exceptions.SyncStoppedError, match="downloading an export"):
        AmplitudeHook().download_export(request_id, tmp_path / "export.csv", CancelledAfter(8))
    assert sandbox.count(api="storage") == 1


def test_a_download_does_not_ask_the_storage_once_it_was_cancelled(sandbox, request_id, tmp_path) -> None:
    with pytest.raises(exceptions.SyncStoppedError):
        AmplitudeHook().download_export(request_id, tmp_path / "export.csv", CancelledAfter(1))
    assert (sandbox.count(api="amplitude"), sandbox.count(api="storage")) == (1, 0)


def test_a_download_that_fails_is_not_asked_for_again(sandbox, request_id: str, tmp_path: Path) -> None:
    met = sandbox.faults.add("status", path="/file$", status=503, times=0)
    cancel = CancelToken()
    stopped = pytest.raises((exceptions.SyncStoppedError, exceptions.VendorUnavailableError))
    with once(lambda: met.met, cancel.cancel), stopped:
        AmplitudeHook().download_export(request_id, tmp_path / "export.csv", cancel)
    assert sandbox.count(api="storage") == 0
