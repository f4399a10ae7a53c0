"""What goes wrong at Amplitude in particular: exports that never come, files that are not whole."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort import exceptions

FILE = {"api": "", "path": r"(/file|\.csv)$"}


@pytest.fixture
def large(task):
    """Let the cohort be large enough that a part of it is more than the tolerated difference."""
    names = [f"u-{n:03}" for n in range(200)]
    people = [task.sandbox.workspace.add_person(id=name) for name in names]
    rows = [{"amplitude_id": name, "user_id": name} for name in names]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    segment = task.sandbox.workspace.find_segment("Power users")
    segment.remove(segment.members)
    segment.add([*people, task.sandbox.workspace.add_person(id="leaves-too")])
    return task


def assert_whole(large, report) -> None:
    assert len(large.members) == 200
    assert (report["removed"], report["segment_after"], large.exports) == (1, 200, 1)


@pytest.mark.parametrize("deferrable", [False, True])
def test_an_export_that_is_stuck_ends_with_the_deadline_and_is_continued(task, deferrable: bool) -> None:
    task.parameters |= {"deferrable": deferrable}
    job = task.sandbox.faults.add("job_stuck", path="/request/[^/]+$")
    error = task.fail(export_timeout=0.2)
    assert isinstance(error, exceptions.ExportNotReadyError)
    assert "within export_timeout (0.2 s)" in str(error)
    assert "continues to wait for the same export" in str(error)
    assert job.met == 1
    for each in task.sandbox.project.jobs.values():
        each.ready_at = 0
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("after", [0, 1])
def test_an_export_that_failed_is_requested_anew(task, after: int) -> None:
    task.parameters |= {"deferrable": True}
    if after:  # the trigger learns of it, not the worker
        task.sandbox.faults.add("job_stuck", path="/request/[^/]+$")
    task.sandbox.faults.add("job_failed", path="/request-status/", after=after)
    report = task.run()
    assert [type(error) for error in task.errors] == [exceptions.ExportFailedError]
    assert "A retry requests a new one" in str(task.errors[0])
    task.assert_as_without_faults(report, exports=2)


@pytest.mark.parametrize(
    ("path", "status", "details"),
    [
        ("/request-status/", 400, "No job exists with request_id: 1"),
        ("/file$", 404, "Cohort download not found"),
        ("/file$", 200, "Cohort download not found"),
    ],
)
def test_an_export_that_amplitude_has_lost_is_requested_anew(task, path: str, status: int, details) -> None:
    lost = {"status": status, "body": {"details": details}}
    task.sandbox.faults.add("status", path=path, times=0, **lost)
    error = task.fail()
    assert isinstance(error, exceptions.ExportFailedError)
    assert "A retry requests a new" in str(error)
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run(), exports=2)


def test_a_file_that_is_not_there_yet_is_asked_for_again(task) -> None:
    body = {"details": "Cohort download not found"}
    broken = task.sandbox.faults.add("status", path="/file$", times=3, status=404, body=body)
    task.assert_as_without_faults(task.run())
    assert (broken.met, task.errors) == (3, [])


def test_a_link_that_expires_before_the_download_is_asked_again(task) -> None:
    task.sandbox.configure(inline_rows=0)
    task.sandbox.faults.add("expire_link", api="storage", times=2)
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)
    assert task.sandbox.count(api="storage") == 3


def test_links_that_always_expire_leave_the_export_to_the_retry(task) -> None:
    task.sandbox.configure(inline_rows=0, signed_url_seconds=-1)
    error = task.fail()
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert "The storage of Amplitude's exports answered HTTP 403" in str(error)
    assert "A retry asks for a fresh link to the same export" in str(error)
    task.sandbox.configure(signed_url_seconds=60)
    task.assert_as_without_faults(task.run())


def test_a_list_that_is_null_hides_the_cohort_and_no_more(task) -> None:
    task.sandbox.project.cohorts["a1b2c3d"].listed = False
    task.sandbox.faults.add("null_lists", path="/api/3/cohorts$")
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("inline_rows", [0, 1000])
@pytest.mark.parametrize(
    ("compressed", "action"),
    [(True, "cut"), (True, "cut_rows"), (True, "cut_trailer"), (False, "cut"), (False, "cut_rows")],
)
def test_a_file_that_is_cut_is_downloaded_again(
    large, inline_rows: int, compressed: bool, action: str
) -> None:
    large.sandbox.configure(inline_rows=inline_rows, compressed=compressed)
    broken = large.sandbox.faults.add(action, **FILE, keep=0.5, after=1 if inline_rows == 0 else 0)
    report = large.run()
    assert broken.met == 1
    assert_whole(large, report)


@pytest.mark.parametrize(
    ("compressed", "action", "words"),
    [
        (True, "cut", "The connection broke while receiving the file of Amplitude's export"),
        (False, "cut", "The connection broke while receiving the file of Amplitude's export"),
        (True, "cut_trailer", "ends before the end of its gzip stream"),
    ],
)
def test_a_file_that_is_always_cut_is_left_to_the_retry(large, compressed: bool, action: str, words) -> None:
    large.sandbox.configure(compressed=compressed)
    large.sandbox.faults.add(action, **FILE, keep=0.8, times=0)
    error = large.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert words in str(error)
    assert "A retry downloads the same export again" in str(error)
    assert len(large.members) == 201
    large.sandbox.faults.clear()
    assert_whole(large, large.run())


@pytest.mark.parametrize("content_length", [True, False])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_that_is_always_cut_on_a_line_border_is_never_the_whole_cohort(
    large, compressed: bool, content_length: bool
) -> None:
    large.sandbox.configure(compressed=compressed, content_length=content_length)
    large.sandbox.faults.add("cut_rows", **FILE, keep=0.6, times=0)
    error = large.fail(patience=10, max_removal_percent=None)
    assert isinstance(error, exceptions.GuardTrippedError)
    assert error.trips == ("short_cohort",)
    assert len(large.members) == 201
    large.sandbox.faults.clear()
    assert_whole(large, large.run())


def test_a_file_cut_at_changing_lines_is_never_believed(large) -> None:
    large.sandbox.configure(compressed=False)
    for keep in (0.5, 0.6, 0.7):
        large.sandbox.faults.add("cut_rows", **FILE, keep=keep)
    error = large.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "No two of 3 downloads of the same Amplitude export were equal" in str(error)
    assert_whole(large, large.run())


@pytest.mark.parametrize("inline_rows", [0, 1000])
@pytest.mark.parametrize(("action", "keep"), [("cut_rows", 0.5), ("cut_rows", 0.99), ("cut", 0.7)])
def test_a_file_without_length_that_ends_on_a_line_border_is_compared(
    large, action: str, keep: float, inline_rows: int
) -> None:
    large.sandbox.configure(compressed=False, content_length=False, inline_rows=inline_rows)
    broken = large.sandbox.faults.add(action, **FILE, keep=keep, after=int(inline_rows == 0))
    report = large.run()
    assert broken.met == 1
    assert_whole(large, report)
    downloads = [r for r in large.sandbox.requests if r.path.endswith("/file")]
    assert len(downloads) == 3  # the cut one, and two that are equal


def test_a_whole_file_without_length_is_downloaded_twice(large) -> None:
    large.sandbox.configure(compressed=False, content_length=False)
    assert_whole(large, large.run())
    assert large.sandbox.count(path_regex="/file$") == 2


def test_a_file_without_length_that_is_cut_elsewhere_each_time_is_never_believed(large) -> None:
    large.sandbox.configure(compressed=False, content_length=False)
    for percent in range(1, 99):
        large.sandbox.faults.add("cut_rows", **FILE, keep=percent / 100)
    error = large.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "had nothing that proves it complete" in str(error)
    assert "no two downloads of it were equal" in str(error)
    assert len(large.members) == 201
    large.sandbox.faults.clear()
    assert_whole(large, large.run())


def test_a_compressed_file_without_length_is_proven_by_its_trailer(large) -> None:
    large.sandbox.configure(content_length=False)
    for keep in (0.3, 0.99):
        large.sandbox.faults.add("cut", **FILE, keep=keep)
    assert_whole(large, large.run())
    assert large.sandbox.count(path_regex="/file$") == 3


@pytest.mark.parametrize("inline_rows", [0, 1000])
def test_an_unknown_encoding_is_named(large, inline_rows: int) -> None:
    def compress(content: bytes | None) -> None:
        for job in large.sandbox.project.jobs.values():
            job.file = content

    large.sandbox.configure(inline_rows=inline_rows, encoding="br")
    large.sandbox.at_request(lambda request: compress(b"\x0b\x02rows\x03"), path=FILE["path"])
    error = large.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "unknown encoding (br)" in str(error)
    compress(None)
    large.sandbox.configure(encoding="")
    assert_whole(large, large.run())


def test_a_missing_property_ends_the_task_and_the_export_is_kept(task) -> None:
    task.sandbox.configure(missing_columns=True)
    for _ in range(2):  # clearing the task costs no further export
        error = task.fail(user_id_property="customer_id")
        assert isinstance(error, exceptions.MissingPropertyError)
        assert "no column 'customer_id'" in str(error)
        assert "Check user_id_property" in str(error)
        assert task.members == {"stays", "leaves"}
        assert task.exports == 1
    task.assert_as_without_faults(task.run(), exports=2)  # another property is another export


def test_an_export_with_a_header_alone_is_an_empty_cohort(large) -> None:
    large.sandbox.faults.add("cut_rows", **FILE, keep=0, times=0)
    error = large.fail()
    assert isinstance(error, exceptions.GuardTrippedError)
    assert error.trips == ("empty_cohort", "short_cohort")
    assert len(large.members) == 201
    large.sandbox.faults.clear()
    assert_whole(large, large.run())
