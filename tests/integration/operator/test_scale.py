"""What a sync does so that it can be large: room on the disk, and reading the segment aside."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import pytest

from airflow_provider_cio_cohort import exceptions
from tests.integration.operator.test_export import exports


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_disk_without_room_is_named_before_anything_is_exported(
    sandbox, cohort, sync, deferrable: bool
) -> None:
    cohort("a", "b")
    sandbox.project.cohorts["a1b2c3d"].announced = 10**13
    with pytest.raises(
        exceptions.DiskFullError, match=r"too little space .* [\d,]+ GiB needed\.\n"
    ) as caught:
        sync.attempt(deferrable=deferrable)
    assert "Nothing was written" in str(caught.value)
    assert "TMPDIR" in str(caught.value)
    assert sandbox.project.used == 0
    assert sandbox.workspace.find_segment("Power users") is None


def test_a_directory_that_others_can_read_is_named_before_anything_is_exported(
    sandbox, cohort, sync, tmp_path, monkeypatch
) -> None:
    cohort("a")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"airflow-cio-cohort-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(exceptions.ConfigurationError, match="is not private to the worker"):
        sync.attempt()
    assert sandbox.project.used == 0


def test_a_disk_that_fills_up_after_the_export_costs_no_other(sandbox, cohort, sync, monkeypatch) -> None:
    cohort("a", "b")

    def filling_up(path):
        return SimpleNamespace(free=10 if exports(sandbox) else 10**9)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", filling_up)
        with pytest.raises(exceptions.DiskFullError):
            sync.attempt()
    assert (sandbox.project.used, sandbox.count(api="amplitude", path_regex="/file$")) == (1, 0)
    assert sync()["added"] == 2
    assert sandbox.project.used == 1


def test_the_room_for_going_back_is_looked_for_too(sandbox, cohort, sync, tmp_path, monkeypatch) -> None:
    cohort("a")
    path = f"file://{tmp_path}"
    sync(snapshot_path=path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(exceptions.DiskFullError):
        sync.attempt(snapshot_path=path, source="snapshot", snapshot_at="2999-01-01")


def segment_of(sandbox, *ids: str, name: str = "Power users"):
    people = [sandbox.workspace.add_person(id=id, email=None) for id in ids]
    return sandbox.workspace.add_segment(name, members=people)


@pytest.mark.parametrize(("slow", "first"), [("membership", "file"), ("file", "membership")])
def test_segment_and_cohort_do_not_wait_for_each_other(sandbox, cohort, sync, slow: str, first: str) -> None:
    cohort("a", "b")
    segment_of(sandbox, "b", "c")
    sandbox.faults.add("delay", path=f"/{slow}$", seconds=1)
    report = sync(adopt_segment=True)
    assert (report["added"], report["removed"]) == (1, 1)
    answered = [record.path.rpartition("/")[2] for record in sandbox.requests]
    assert answered.index(first) < answered.index(slow)


def test_a_download_that_fails_ends_the_reading_too(sandbox, cohort, sync) -> None:
    cohort("a")
    segment_of(sandbox, *(f"m{n}" for n in range(3)))
    sandbox.faults.add(
        "status", api="amplitude", path="/file$", status=404, body={"details": "gone"}, times=0
    )
    sandbox.faults.add("status", api="app", path="/membership$", status=503, times=0)
    with pytest.raises(exceptions.CohortSyncError) as caught:
        sync.attempt()
    assert isinstance(caught.value, exceptions.ExportFailedError)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("segment")]


def test_a_segment_that_cannot_be_read_fails_the_task_before_the_first_write(sandbox, cohort, sync) -> None:
    cohort("a")
    segment_of(sandbox, "b")
    body = {"errors": [{"detail": "unauthorized", "status": "401"}]}
    sandbox.faults.add("status", api="app", path="/membership$", status=401, body=body, times=0)
    with pytest.raises(exceptions.AuthenticationError, match="App API key"):
        sync.attempt(adopt_segment=True)
    assert sandbox.count(api="track", path_regex="_customers$") == 0


def test_an_unchanged_segment_is_read_once_and_nothing_is_sent(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    sandbox.reset_requests()
    assert sync()["segment_after"] == 2
    assert sandbox.count(api="app", path_regex="/membership$") == 1
    assert sandbox.count(api="track", path_regex="_customers$") == 0


def test_what_was_written_is_read_back(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    cohort("a", "b", "c")
    sandbox.reset_requests()
    sync()
    assert sandbox.count(api="app", path_regex="/membership$") == 2
    assert sandbox.count(api="track", path_regex="_customers$") == 1
