"""Snapshots are kept and found again, in a local folder and in an S3; nothing half-written counts."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.snapshots.layout import Origin, folder_name, read_entries, slug
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore, some_moments
from tests.places import Place
from tests.unit.snapshots.conftest import day, subject


def test_what_is_kept_is_what_is_read(store: SnapshotStore, keep: Callable[..., Any], tmp_path: Path) -> None:
    people = ("a", "B", "é", "\\0a", "x" * 4000, "日本", "😀")
    kept = keep(store, 1, *people)
    (entry,) = store.snapshots(7)
    assert store.manifest(entry) == kept
    target = tmp_path / "read"
    store.fetch(entry, kept, target)
    assert target.read_text(encoding="utf-8").splitlines() == sorted(people)
    assert (kept.identifiers, kept.moment, kept.taken_at) == (
        7,
        "2026-03-01T06:00:00Z",
        "2026-03-01T07:00:00Z",
    )


def test_the_same_people_make_the_same_file(local_place: Place, keep: Callable[..., Any]) -> None:
    store = SnapshotStore(local_place.path, subject())
    assert keep(store, 1, "a", "b").sha256 == keep(store, 2, "a", "b").sha256
    files = [data for name, data in local_place.files().items() if name.endswith(".gz")]
    assert files[0] == files[1]


def test_an_empty_cohort_can_be_kept(store: SnapshotStore, tmp_path: Path, keep: Callable[..., Any]) -> None:
    empty = tmp_path / "nobody"
    empty.touch()
    segment = Segment(7, None, "Power users")
    kept = store.keep(empty, Origin("dag", "sync"), segment, "user_id", day(1), day(1))
    (entry,) = store.snapshots(7)
    store.fetch(entry, kept, tmp_path / "read")
    assert (kept.identifiers, (tmp_path / "read").read_bytes()) == (0, b"")


@pytest.mark.parametrize(
    ("moment", "found"),
    [(day(2), 2), (day(2, 5), 1), (day(9), 3), (day(3) + timedelta(days=300), 3), (day(1), 1)],
)
def test_the_newest_that_is_not_younger_is_found(
    local_place: Place, keep: Callable[..., Any], moment: datetime, found: int
) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in (2, 3, 1):
        keep(store, number)
    assert store.find(moment, 7).moment == day(found)


def test_of_two_of_one_moment_the_one_that_was_taken_last_is_found(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    keep(store, 1, "late", run_id="z", taken=day(1, 9))
    keep(store, 1, "early", run_id="y", taken=day(1, 8))
    keep(store, 1, "middle", run_id="x", taken=day(1, 8) + timedelta(minutes=1))
    assert store.find(day(1), 7).taken_at == day(1, 9)


def test_a_crash_in_between_leaves_nothing_that_counts(
    store: SnapshotStore, keep: Callable[..., Any], place: Place
) -> None:
    keep(store, 1)
    keep(store, 2)
    name = sorted(name for name in place.files() if name.endswith(".json"))[1]
    place.delete(name)
    assert [entry.moment for entry in store.snapshots(7)] == [day(1)]
    assert store.find(day(5), 7).moment == day(1)


def test_a_crash_while_a_snapshot_is_replaced_leaves_the_old_one_whole(
    store: SnapshotStore, keep: Callable[..., Any], place: Place, tmp_path: Path
) -> None:
    kept = keep(store, 1, "a", "b")
    content = next(name for name in place.files() if name.endswith(".gz"))
    place.put(f"{content.rpartition('/')[0]}/identifiers.20260301T080000.000000Z.gz", gzip.compress(b"half"))
    (entry,) = store.snapshots(7)
    store.fetch(entry, store.manifest(entry), tmp_path / "read")
    assert store.manifest(entry) == kept


def test_a_line_without_an_end_takes_no_memory(
    local_place: Place, keep: Callable[..., Any], tmp_path: Path
) -> None:
    store = SnapshotStore(local_place.path, subject())
    kept = keep(store, 1, "a", "b")
    content = next(name for name in local_place.files() if name.endswith(".gz"))
    local_place.put(content, gzip.compress(b"x" * 2**25, compresslevel=1))
    (entry,) = store.snapshots(7)
    tracemalloc.start()
    try:
        with pytest.raises(exceptions.SnapshotDamagedError, match="a line of it has no end"):
            store.fetch(entry, kept, tmp_path / "read")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("gone", ["manifest.json", ".gz"])
def test_a_file_that_is_gone_when_it_is_read(
    store: SnapshotStore, keep: Callable[..., Any], place: Place, tmp_path: Path, gone: str
) -> None:
    keep(store, 1)
    (entry,) = store.snapshots(7)
    manifest = store.manifest(entry)
    place.delete(next(name for name in place.files() if name.endswith(gone)))
    if gone == ".gz":
        with pytest.raises(exceptions.SnapshotStorageError, match="FileNotFoundError"):
            store.fetch(entry, manifest, tmp_path / "read")
    else:
        with pytest.raises(exceptions.SnapshotDamagedError, match="its manifest is missing"):
            store.manifest(entry)


def test_what_is_not_named_as_ours_is_not_ours() -> None:
    ours = "20260301T060000.000000Z__workspace-7__0123456789ab"
    names = [
        "note.txt",
        "probe",
        f"{ours}/note.txt",
        f"{ours}.bak/manifest.json",
        f"deep/{ours}/manifest.json",
        "20269901T060000.000000Z__workspace-7__0123456789ab/manifest.json",
        "20260301T060000Z__workspace-7__0123456789ab/manifest.json",
        "20260301T060000.000000Z__0123456789ab/manifest.json",
        "20260301T060000.000000Z__workspace-__0123456789ab/manifest.json",
        f"20260301T060000.000000Z__workspace-{'7' * 5000}__0123456789ab/manifest.json",
    ]
    assert read_entries(names) == []
    whole = [f"{ours}/manifest.json", f"{ours}/identifiers.20260301T060001.000000Z.gz"]
    (entry,) = read_entries([*names, *whole])
    assert entry.is_whole
    assert entry.moment == datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert entry.workspace_id == 7


@pytest.mark.parametrize("workspace_id", [0, 7, 10**17, None])
def test_a_name_holds_the_workspace(workspace_id: int | None) -> None:
    name = folder_name(day(1), workspace_id, "0123456789ab")
    (entry,) = read_entries([f"{name}/manifest.json"])
    assert (entry.name, entry.moment, entry.workspace_id) == (name, day(1), workspace_id)


def test_each_workspace_finds_its_own(store: SnapshotStore, keep: Callable[..., Any], tmp_path: Path) -> None:
    keep(store, 1, "ours", workspace_id=7)
    keep(store, 1, "theirs", workspace_id=8)  # of the same DAG, task and run
    keep(store, 2, "nobody knows whose", workspace_id=None)
    keep(store, 3, "theirs", workspace_id=8)
    for workspace_id, moment, people in ((7, 1, "ours"), (8, 3, "theirs"), (None, 2, "nobody knows whose")):
        entry = store.find(day(9), workspace_id)
        assert entry.moment == day(moment)
        store.fetch(entry, store.manifest(entry), tmp_path / "read")
        assert (tmp_path / "read").read_text() == f"{people}\n"
    assert [len(store.snapshots(one)) for one in (7, 8, None, 9)] == [1, 2, 1, 0]
    with pytest.raises(
        exceptions.SnapshotMissingError, match=r"There is none, in .* has 4 of other workspaces"
    ):
        store.find(day(9), 9)
    with pytest.raises(exceptions.SnapshotMissingError, match=r"3 of other workspaces \(8, unknown\), which"):
        store.find(day(1, 5), 7)


def test_folders_of_segments_are_readable_safe_and_never_shared() -> None:
    assert subject().folder.startswith("customer_io_default/Power-users.")
    others = [
        subject(segment=("name", "Power-users")),
        subject(segment=("name", "Power  users")),
        subject(segment=("id", "Power users")),
        subject(customer_io_conn_id="customer-io-default"),
        subject(mode="add_only"),
        subject(mode="add_only", cohort_id="other"),
    ]
    assert len({one.folder for one in (*others, subject())}) == 7
    assert subject(cohort_id="other").folder == subject().folder
    assert subject(id_type="email").folder == subject().folder
    for name in ("", "..", "/", "../../etc", "a/b\\c:d*e?\n\0", "é" * 500, "."):
        assert slug(name).strip(".") not in ("", "/")
        folder = subject(segment=("name", name)).folder
        assert len(folder) < 150
        assert all(c.isascii() and (c.isalnum() or c in "-_./") for c in folder)
        assert ".." not in folder
        assert folder.count("/") == 1


def test_a_message_lists_the_newest_moments(local_place: Place, keep: Callable[..., Any]) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in range(1, 13):
        keep(store, number)
    told = some_moments(store.snapshots(7))
    assert told.startswith("2026-03-12T06:00:00Z, 2026-03-11")
    assert told.endswith("2026-03-03T06:00:00Z and 2 more")


FLAT = """
import resource, sys
from pathlib import Path
from airflow_provider_cio_cohort.snapshots.layout import Origin
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore
from tests.unit.snapshots.conftest import day, subject
folder, count = Path(sys.argv[1]), int(sys.argv[2])
store = SnapshotStore(f"file://{folder}", subject())
source = folder / "source"
def once(count):
    with source.open("w") as file:
        file.writelines(f"person-{number:012}\\n" for number in range(count))
    store.keep(source, Origin("d", "t"), Segment(7, 1, "S"), "user_id", day(1), day(1))
    (entry,) = store.snapshots(7)
    store.fetch(entry, store.manifest(entry), folder / "target")
    assert (folder / "target").stat().st_size == source.stat().st_size
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
small = once(1000)
print(once(count) - small)
"""


def test_two_million_people_take_a_few_mebibytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FLAT, str(tmp_path), "2000000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    kibibytes = int(done.stdout.splitlines()[-1])
    assert kibibytes < 6 * 1024
