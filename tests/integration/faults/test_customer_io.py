"""What goes wrong at Customer.io in particular: a 200 that means nothing, and segments that move."""

from __future__ import annotations

import threading
import time

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks import membership


def added(sandbox) -> int:
    return sum(1 for record in sandbox.requests if record.path.endswith("/add_customers"))


def test_a_dropped_batch_is_found_and_sent_again(task) -> None:
    task.configure(VERIFY_TIMEOUT="10")  # also where the machine is busy
    task.sandbox.faults.add("drop", path="add_customers")
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)
    assert added(task.sandbox) == 2


def test_batches_that_are_always_dropped_fail_with_how_many(task) -> None:
    task.sandbox.faults.add("drop", path="add_customers", times=0)
    error = task.fail()
    assert isinstance(error, exceptions.VerificationError)
    assert "1 people of the cohort who exist in Customer.io are missing" in str(error)
    assert "A retry compares again and sends what is missing" in str(error)
    assert added(task.sandbox) == 2  # once more, and no more than that
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_a_removal_that_was_dropped_is_found_and_sent_again(task) -> None:
    task.configure(VERIFY_TIMEOUT="10")  # also where the machine is busy
    task.sandbox.faults.add("drop", path="remove_customers")
    report = task.run()
    assert task.errors == []
    assert report["removed"] == 1
    task.assert_as_without_faults(report)


def test_removals_that_are_always_dropped_fail_with_how_many(task) -> None:
    dropped = task.sandbox.faults.add("drop", path="remove_customers", times=0)
    error = task.fail()
    assert isinstance(error, exceptions.VerificationError)
    assert "1 members could not be removed" in str(error)
    assert 2 <= dropped.met <= 4  # not for as long as the deadline lets it
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_a_busy_workspace_that_drops_what_is_too_much_gets_it_again(task) -> None:
    task.configure(VERIFY_TIMEOUT="10")  # also where the machine is busy
    names = [f"u-{n:04}" for n in range(3000)]
    for name in names:
        task.sandbox.workspace.add_person(id=name)
    rows = [{"amplitude_id": name, "user_id": name} for name in ("stays", "joins", *names)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    task.parameters["allow_large_addition"] = True
    task.sandbox.configure(track_per_second=4, track_drops=True)
    report = task.run(tries=10)
    assert report["unmatched"] == 0
    assert task.members == {"stays", "joins", *names}
    assert task.exports == 1


def test_unknown_people_are_not_taken_for_dropped_ones(task) -> None:
    task.assert_as_without_faults(task.run())
    assert added(task.sandbox) == 1


def test_without_the_right_to_look_people_up_the_missing_are_sent_once_more(task) -> None:
    task.sandbox.configure(lookup_allowed=False)
    task.sandbox.faults.add("drop", path="add_customers")
    task.assert_as_without_faults(task.run())
    assert added(task.sandbox) == 2


def test_without_that_right_nobody_can_tell_dropped_people_from_unknown_ones(task) -> None:
    task.sandbox.configure(lookup_allowed=False)
    task.sandbox.faults.add("drop", path="add_customers", times=0)
    report = task.run()
    assert (report["added"], report["unmatched"]) == (0, 2)
    assert added(task.sandbox) == 2
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_one_dropped_batch_among_many_is_found_in_a_sample(task) -> None:
    names = [f"u-{n:05}" for n in range(6000)]
    for name in names[::2]:
        task.sandbox.workspace.add_person(id=name)
    rows = [{"amplitude_id": name, "user_id": name} for name in ("stays", "joins", *names)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    task.parameters["allow_large_addition"] = True
    task.sandbox.faults.add("drop", path="add_customers", after=2)
    report = task.run()
    assert (report["segment_after"], report["unmatched"]) == (3002, 3000)
    assert len(task.members) == 3002
    # A sample has shown that something was lost, so all were looked up, and those alone were sent again.
    batches = [r.ids for r in task.sandbox.requests if r.path.endswith("/add_customers")]
    assert (sum(batches), batches[-1]) == (6001 + 500, 500)


def test_writes_that_show_late_are_waited_for(task) -> None:
    task.configure(VERIFY_TIMEOUT="5", VERIFY_STABLE_SECONDS="0.2")
    task.sandbox.configure(visible_after=0.4)
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
    task.sandbox.configure(latency_ms=20)
    deleting = when(task.sandbox, "/membership$", lambda: workspace.segments.pop(segment.id))
    chosen = {"segment_id": segment.id, "segment_name": None} if by_id else {}
    error = task.fail(**chosen)
    deleting.join()
    assert isinstance(error, exceptions.SegmentDeletedError)
    assert "a retry looks for it again" in str(error)
    if by_id:
        assert isinstance(task.fail(**chosen), exceptions.UnknownSegmentError)
        assert task.exports == 1
    else:
        task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("call", ["customer_count", "membership", "remove_customers"])
def test_a_segment_that_is_deleted_after_the_writes_is_made_anew(task, call: str) -> None:
    workspace = task.sandbox.workspace
    segment = workspace.find_segment("Power users")
    task.sandbox.configure(latency_ms=20)
    deleting = when(task.sandbox, "/add_customers$", lambda: workspace.segments.pop(segment.id))
    task.sandbox.faults.add("delay", path=call, after=int(call == "membership"), seconds=0.05)
    error = task.fail()
    deleting.join()
    assert isinstance(error, exceptions.SegmentDeletedError)
    task.assert_as_without_faults(task.run())
    assert workspace.find_segment("Power users").id != segment.id


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


def test_pages_that_move_while_they_are_read(task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 10)
    workspace = task.sandbox.workspace
    segment = workspace.find_segment("Power users")
    first = [workspace.add_person(id=f"first-{n}") for n in range(9)]
    last = [workspace.add_person(id=f"last-{n}") for n in range(15)]
    segment.remove(segment.members)
    segment.add([*first, *last, workspace.add_person(id="stays"), workspace.add_person(id="leaves")])
    task.parameters |= {"allow_large_removal": True, "allow_short_cohort": True}
    task.sandbox.configure(latency_ms=20)
    # Nine of those on the first page leave: the second page then begins nine people too late.
    moving = when(task.sandbox, "/membership$", lambda: segment.remove(first))
    report = task.run()
    moving.join()
    assert report["segment_before"] < 26
    task.assert_as_without_faults(report)


def test_a_page_without_its_members_is_not_taken_for_the_end(task) -> None:
    met = task.sandbox.faults.add("no_identifiers", path="/membership$", times=2)
    task.assert_as_without_faults(task.run())
    assert (met.met, task.errors) == (2, [])


def test_a_workspace_in_the_other_region_is_found_before_anything_is_exported(task, connect) -> None:
    workspace = task.sandbox.workspace
    here = task.sandbox.connections()["customer_io_default"]["extra"]
    workspace.region = "eu"
    error = task.fail(customer_io_conn_id=connect("customer_io_default", extra={**here, "region": "us"}))
    assert isinstance(error, exceptions.WrongRegionError)
    assert "region to europe" in str(error)
    assert (task.exports, added(task.sandbox)) == (0, 0)
    workspace.region = "us"
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
