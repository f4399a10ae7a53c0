"""What goes wrong at Customer.io in particular: a 200 that means nothing, and segments that move."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_cio_cohort import exceptions


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "5")


def added(sandbox) -> int:
    return sum(1 for record in sandbox.requests if record.path.endswith("/add_customers"))


def test_a_dropped_batch_is_found_and_sent_again(task) -> None:
    task.sandbox.faults.add("drop", path="add_customers")
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)
    assert added(task.sandbox) == 2


def test_batches_that_are_always_dropped_fail_with_how_many(task) -> None:
    task.sandbox.faults.add("drop", path="add_customers", times=0)
    error = task.fail()
    assert isinstance(error, exceptions.VerificationError)
    assert "at least 1 people of the cohort who exist are not in it" in str(error)
    assert added(task.sandbox) == 2  # once more, and no more than that
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_unknown_people_are_not_taken_for_dropped_ones(task) -> None:
    task.assert_as_without_faults(task.run())
    assert added(task.sandbox) == 1


def test_without_the_right_to_look_people_up_the_missing_are_sent_once_more(task) -> None:
    task.sandbox.configure(lookup_allowed=False)
    task.sandbox.faults.add("drop", path="add_customers")
    task.assert_as_without_faults(task.run())
    assert added(task.sandbox) == 2


def test_one_dropped_batch_among_many_is_found_in_a_sample(task) -> None:
    names = [f"u-{n:05}" for n in range(6000)]
    for name in names[::2]:
        task.sandbox.workspace.add_person(id=name)
    rows = [{"amplitude_id": name, "user_id": name} for name in ("stays", "joins", *names)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    task.sandbox.faults.add("drop", path="add_customers", after=2)
    report = task.run()
    assert (report["segment_after"], report["unmatched"]) == (3002, 3000)
    assert len(task.members) == 3002
    lookups = [r.ids for r in task.sandbox.requests if r.path.endswith("/attributes")]
    assert sum(lookups) <= 4000


@pytest.mark.usefixtures("patient")
def test_writes_that_show_late_are_waited_for(task) -> None:
    task.sandbox.configure(visible_after=0.5)
    task.assert_as_without_faults(task.run())
    assert task.errors == []


def test_writes_that_show_too_late_are_found_done_by_the_retry(task) -> None:
    task.sandbox.configure(visible_after=1.5)
    error = task.fail()
    assert isinstance(error, exceptions.VerificationError)
    assert "Read back 0.5 s after the writes" in str(error)
    task.sandbox.configure(visible_after=0)
    task.assert_as_without_faults(task.run())


def when(sandbox, path: str, do) -> threading.Thread:
    """Do something as soon as a request with that path has come."""
    seen = sandbox.count(path_regex=path)

    def wait() -> None:
        while sandbox.count(path_regex=path) == seen:
            time.sleep(0.001)
        do()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("by_id", [False, True])
def test_a_segment_that_is_deleted_between_reading_and_writing(task, by_id: bool) -> None:
    workspace = task.sandbox.workspace
    segment = workspace.find_segment("Power users")
    task.sandbox.faults.add("delay", path="add_customers", seconds=0)
    task.sandbox.configure(latency_ms=20)
    deleting = when(task.sandbox, "/membership$", lambda: workspace.segments.pop(segment.id))
    chosen = {"segment_id": segment.id, "segment_name": None} if by_id else {}
    error = task.fail(**chosen)
    deleting.join()
    assert isinstance(error, exceptions.SegmentVanishedError)
    assert "a retry looks for it again" in str(error)
    if by_id:
        assert isinstance(task.fail(**chosen), exceptions.UnknownSegmentError)
        assert task.exports == 1
    else:
        task.assert_as_without_faults(task.run())


def test_people_who_come_and_go_while_the_segment_is_read(task) -> None:
    workspace = task.sandbox.workspace
    segment = workspace.find_segment("Power users")
    stays = next(person for person in segment.members if person.id == "stays")
    stranger = workspace.add_person(id="stranger")
    task.sandbox.configure(latency_ms=20)

    def move() -> None:
        segment.remove([stays])
        segment.add([stranger])

    moving = when(task.sandbox, "/membership$", move)
    report = task.run()
    moving.join()
    task.assert_as_without_faults(report)


def test_a_redirect_is_the_wrong_region_and_is_not_followed(task) -> None:
    for place in ("/v1/segments$", "add_customers"):
        task.sandbox.faults.add("redirect", path=place, status=301)
        error = task.fail()
        assert isinstance(error, exceptions.WrongRegionError)
        assert "Set the connection's region to eu" in str(error)
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize(
    ("fields", "extra", "words"),
    [
        ({"password": "wrong"}, {}, "Tracking API key (field password)"),
        ({"login": "wrong"}, {}, "Site ID (field login)"),
        ({}, {"app_api_key": "wrong"}, "App API key (field app_api_key)"),
    ],
)
def test_a_wrong_key_is_found_before_anything_is_exported_or_written(
    task, connect, fields, extra, words: str
) -> None:
    error = task.fail(customer_io_conn_id=connect("customer_io_default", extra=extra, **fields))
    assert isinstance(error, exceptions.AuthenticationError)
    assert words in str(error)
    assert task.exports == 0
    assert added(task.sandbox) == 0
    task.assert_as_without_faults(task.run())
