"""Files of exports whose labels, lines, bytes or size are odd: what the content says counts."""

from __future__ import annotations

import gzip

import pytest

from airflow_provider_cio_cohort import cohorts, exceptions
from airflow_provider_cio_cohort.hooks import aio, client
from tests.summary import count_bad_input

#: An identifier with a byte that is not UTF-8, as the sandbox takes it.
BAD = "\udcff"


def fill(task, *user_ids: str, announced: int | None = None) -> None:
    """Let the cohort hold these people."""
    rows = [{"amplitude_id": str(n), "user_id": user_id} for n, user_id in enumerate(user_ids)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows, announced=announced)


@pytest.mark.parametrize("inline_rows", [0, 1000])
@pytest.mark.parametrize("label", ["UTF-8", "aws-chunked", "none", "gzip, gzip", "gzip,aws-chunked", "br"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_label_that_the_content_disproves(task, compressed: bool, label: str, inline_rows: int) -> None:
    task.sandbox.configure(compressed=compressed, encoding=label, inline_rows=inline_rows)
    task.assert_as_without_faults(task.run())
    assert task.errors == []


@pytest.mark.parametrize("label", ["", "gzip", "gzip, gzip, gzip"])
def test_a_file_that_is_compressed_twice(task, label: str) -> None:
    task.sandbox.configure(compressed_twice=True, encoding=label)
    task.assert_as_without_faults(task.run())
    assert task.errors == []


@pytest.mark.parametrize("crlf", [False, True])
def test_a_blank_last_line_is_no_damage(task, crlf: bool) -> None:
    task.sandbox.configure(blank_last_line=True, crlf=crlf)
    task.assert_as_without_faults(task.run())
    assert task.errors == []


@pytest.mark.parametrize("inline_rows", [0, 1000])
@pytest.mark.parametrize(("compressed", "content_length"), [(True, True), (True, False), (False, True)])
def test_a_last_line_without_an_end_counts_where_the_file_is_complete(
    task, compressed: bool, content_length: bool, inline_rows: int
) -> None:
    task.sandbox.configure(
        last_line_end=False, compressed=compressed, content_length=content_length, inline_rows=inline_rows
    )
    fill(task, "stays", "unknown", "joins")
    report = task.run()
    assert task.errors == []
    task.assert_as_without_faults(report)
    assert report["unreadable"] == 0
    assert task.sandbox.count(path_regex="/file$") == 1


def test_it_never_counts_where_the_file_may_be_cut(task) -> None:
    count_bad_input()
    task.sandbox.configure(last_line_end=False, compressed=False, content_length=False)
    error = task.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "has no line end" in str(error)
    assert task.members == {"stays", "leaves"}
    task.sandbox.configure(last_line_end=True)
    for job in task.sandbox.project.jobs.values():
        job.file = None
    task.assert_as_without_faults(task.run())


def test_a_complete_file_that_ends_within_a_row_is_damaged(task) -> None:
    count_bad_input()

    def cut(request) -> None:
        for job in task.sandbox.project.jobs.values():
            job.file = b'"amplitude_id","user_id"\n"1","stays"\n"2","joins""'

    task.sandbox.configure(compressed=False)
    task.sandbox.at_request(cut, path="/file$")
    assert isinstance(task.fail(), exceptions.IncompleteExportError)
    assert task.members == {"stays", "leaves"}


# ---- identifiers that are not UTF-8


def test_a_row_that_cannot_be_read_is_skipped_and_counted(task, caplog) -> None:
    count_bad_input()
    fill(task, "stays", "joins", f"nobody{BAD}", "unknown")
    report = task.run()
    task.assert_as_without_faults(report)
    assert (report["cohort_rows"], report["unreadable"], report["duplicates"]) == (4, 1, 0)
    assert (
        "1 of the export's 4 rows have an identifier that cannot be read, the first in line 4" in caplog.text
    )
    assert task.sandbox.count(path_regex="/file$") == 2  # the damage may have come on the way


@pytest.mark.parametrize("value", [f"lea{BAD}ves", f"{BAD}leaves{BAD}", f"{BAD * 7}leaves"])
def test_a_member_who_may_be_meant_is_not_removed(task, value: str, caplog) -> None:
    count_bad_input()
    goes = task.sandbox.workspace.add_person(id="goes")
    task.sandbox.workspace.find_segment("Power users").add([goes])
    fill(task, "stays", "joins", value)
    report = task.run()
    assert task.members == {"stays", "joins", "leaves"}
    assert (report["unreadable"], report["removed"], report["segment_after"]) == (1, 1, 3)
    assert "1 members stay in the segment because they may be people whose rows cannot be read" in caplog.text
    assert task.run()["to_remove"] == 0


@pytest.mark.parametrize(
    ("person", "row"),
    [("Иван", "Иван".encode("cp1251")), ("é-1", b"\xe9-1"), ("ソ", "ソ".encode("cp932"))],
)
def test_a_member_stays_however_little_can_be_read(task, person: str, row: bytes) -> None:
    count_bad_input()
    known = task.sandbox.workspace.add_person(id=person)
    task.sandbox.workspace.find_segment("Power users").add([known])
    fill(task, "stays", "joins", row.decode("utf-8", "surrogateescape"))
    report = task.run()
    assert task.members == {"stays", "joins", person}
    assert (report["unreadable"], report["removed"]) == (1, 1)


def test_nobody_is_added_for_a_row_that_cannot_be_read(task) -> None:
    count_bad_input()
    task.sandbox.workspace.add_person(id="café")
    fill(task, "stays", f"caf{BAD}", f"joins{BAD}", announced=3)
    task.run()
    assert task.members == {"stays"}


def test_too_many_of_them_end_the_task_before_anything_is_written(task) -> None:
    count_bad_input()
    fill(task, "stays", *(f"u-{n}{BAD}" for n in range(6)))
    error = task.fail()
    assert isinstance(error, exceptions.ExportEncodingError)
    assert "The first is in line 3 of the file" in str(error)
    assert "retry" not in str(error)
    assert task.members == {"stays", "leaves"}


def test_a_byte_that_was_damaged_on_the_way_once_is_no_matter(task) -> None:
    count_bad_input()
    cohort = task.sandbox.project.cohorts["a1b2c3d"]
    whole = list(cohort.rows)

    def mend(request) -> None:
        for job in task.sandbox.project.jobs.values():
            job.rows, job.file = whole, None

    fill(task, "stays", f"join{BAD}s", "unknown")
    task.sandbox.at_request(mend, path="/file$", after=1)
    report = task.run()
    task.assert_as_without_faults(report)
    assert report["unreadable"] == 0


# ---- a property that is named like a built-in column


def test_the_user_property_named_user_id(task) -> None:
    rows = [
        {"amplitude_id": "1", "user_id": "leaves", "gp:user_id": "stays"},
        {"amplitude_id": "2", "user_id": "x", "gp:user_id": "joins"},
        {"amplitude_id": "3", "user_id": "y", "gp:user_id": "unknown"},
    ]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    task.sandbox.configure(property_prefix="gp:")
    task.assert_as_without_faults(task.run(user_id_property="gp:user_id"))
    asked = [each.query for each in task.sandbox.requests if "/request/" in each.path]
    assert asked[0]["propKeys"] == ["gp:user_id"]


@pytest.mark.parametrize("missing_columns", [True, False])
def test_the_built_in_column_is_never_taken_for_it(task, missing_columns: bool) -> None:
    task.sandbox.configure(missing_columns=missing_columns)
    error = task.fail(user_id_property="gp:user_id")
    assert isinstance(error, exceptions.MissingPropertyError)
    assert "no column 'gp:user_id'" in str(error)
    assert "is not the user property 'user_id', but Amplitude's own identifier" in str(error)
    assert task.members == {"stays", "leaves"}


# ---- files that are too large


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a cohort of three have at most 130 rows, of 100 bytes each."""
    monkeypatch.setattr(cohorts, "GROWTH_ROWS", 100)
    monkeypatch.setattr(cohorts, "BYTES_OF_ROW", 100)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"surplus_rows": 200}, "more than 130 rows"),
        ({"surplus_rows": 100_000}, "more than 0 MiB"),
        ({"long_value": 20_000}, "more than 0 MiB"),
    ],
)
def test_a_file_that_is_larger_than_the_cohort_can_be(tight, task, settings, words, compressed: bool) -> None:
    count_bad_input()
    task.sandbox.configure(**settings, compressed=compressed)
    error = task.fail(patience=10)
    assert isinstance(error, exceptions.ExportTooLargeError)
    assert words in str(error)
    assert task.members == {"stays", "leaves"}
    assert task.sandbox.count(path_regex="/file$") == 1
    task.sandbox.configure(surplus_rows=0, long_value=0)
    for job in task.sandbox.project.jobs.values():
        job.file = None
    task.assert_as_without_faults(task.run())


def empty_members(count: int) -> bytes:
    """Return a gzip stream of this many members, all of which are empty, compressed once more."""
    return gzip.compress(gzip.compress(b"", mtime=0) * count)


def test_a_file_that_is_large_between_its_two_layers_alone(tight, task) -> None:
    count_bad_input()

    def spoil(request) -> None:
        for job in task.sandbox.project.jobs.values():
            job.file = empty_members(1_000)

    task.sandbox.at_request(spoil, path="/file$")
    error = task.fail()
    assert isinstance(error, exceptions.ExportTooLargeError)
    assert task.sandbox.count(path_regex="/file$") == 1
    for job in task.sandbox.project.jobs.values():
        job.file = None
    task.assert_as_without_faults(task.run())


def test_a_cohort_that_has_grown_is_no_matter(task) -> None:
    fill(task, "stays", "joins", "unknown", announced=1)
    task.sandbox.configure(surplus_rows=50_000)
    assert task.run()["cohort_rows"] == 50_003


def test_a_row_that_is_too_long(task) -> None:
    count_bad_input()
    task.sandbox.configure(long_value=2**20)
    error = task.fail()
    assert isinstance(error, exceptions.IncompleteExportError)
    assert "a row has more than 65,536 characters" in str(error)
    assert task.members == {"stays", "leaves"}


# ---- answers that are too long


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/3/cohorts$", "Amplitude or a proxy before it answered listing the cohorts with more than"),
        ("/request-status/", "reading the status of an export with more than"),
        ("/membership$", "App API or a proxy before it answered reading the members of segment"),
    ],
)
def test_an_answer_without_an_end(task, monkeypatch, path: str, words: str, deferrable: bool) -> None:
    monkeypatch.setattr(client, "MOST_BODY", 100_000)
    flood = {"status": 200, "body": {"text": "x" * 200_000}}
    task.sandbox.faults.add("status", path=path, times=0, **flood)
    error = task.fail(deferrable=deferrable, export_timeout=0.2)
    assert isinstance(error, (exceptions.VendorUnavailableError, exceptions.ExportNotReadyError))
    assert words in str(error)
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_both_clients_have_one_bound() -> None:
    assert aio.client.MOST_BODY is client.MOST_BODY
