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


def test_an_export_that_is_stuck_ends_with_the_deadline_and_is_continued(task) -> None:
    job = task.sandbox.faults.add("job_stuck", path="/request/[^/]+$")
    error = task.fail(export_timeout=0.2)
    assert isinstance(error, exceptions.ExportNotReadyError)
    assert "within export_timeout (0.2 s)" in str(error)
    assert "waits on for the same export" in str(error)
    assert job.met == 1
    for each in task.sandbox.project.jobs.values():
        each.ready_at = 0
    task.assert_as_without_faults(task.run())


def test_an_export_that_failed_is_requested_anew(task) -> None:
    task.sandbox.faults.add("job_failed", path="/request/[^/]+$")
    report = task.run()
    assert [type(error) for error in task.errors] == [exceptions.ExportFailedError]
    assert "A retry requests a new one" in str(task.errors[0])
    task.assert_as_without_faults(report, exports=2)


def test_a_link_that_expires_before_the_download_is_asked_again(task) -> None:
    task.sandbox.configure(inline_rows=0)
    task.sandbox.faults.add("expire_link", api="storage", times=2)
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)
    assert task.sandbox.count(api="storage") == 3


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


def test_a_file_that_is_always_cut_on_a_line_border_is_never_the_whole_cohort(large) -> None:
    large.sandbox.configure(compressed=False)
    large.sandbox.faults.add("cut_rows", **FILE, keep=0.6, times=0)
    error = large.fail(max_removal_percent=None)
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
    assert "held different numbers of rows" in str(error)
    assert_whole(large, large.run())


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_file_without_length_that_ends_on_a_line_border_is_compared(large, keep: float) -> None:
    large.sandbox.configure(compressed=False, content_length=False)
    broken = large.sandbox.faults.add("cut_rows", **FILE, keep=keep)
    report = large.run()
    assert broken.met == 1
    assert_whole(large, report)
    downloads = [r for r in large.sandbox.requests if r.path.endswith("/file")]
    assert len(downloads) == 3  # the cut one, and two that are equal


@pytest.mark.parametrize("inline_rows", [0, 1000])
def test_an_unknown_encoding_is_named(large, inline_rows: int) -> None:
    large.sandbox.configure(compressed=False, inline_rows=inline_rows, encoding="br")
    error = large.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "unknown encoding (br)" in str(error)
    large.sandbox.configure(encoding="")
    assert_whole(large, large.run())


def test_a_missing_property_ends_the_task_and_the_export_is_kept(task) -> None:
    task.sandbox.configure(missing_columns=True)
    error = task.fail(user_id_property="customer_id")
    assert isinstance(error, exceptions.MissingPropertyError)
    assert "no column 'customer_id'" in str(error)
    assert "Check user_id_property" in str(error)
    assert task.members == {"stays", "leaves"}


def test_an_export_with_a_header_alone_is_an_empty_cohort(large) -> None:
    large.sandbox.faults.add("cut_rows", **FILE, keep=0, times=0)
    error = large.fail()
    assert isinstance(error, exceptions.GuardTrippedError)
    assert error.trips == ("empty_cohort", "short_cohort")
    assert len(large.members) == 201
    large.sandbox.faults.clear()
    assert_whole(large, large.run())
