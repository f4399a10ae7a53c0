"""The retention deletes what it should, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_cio_cohort.snapshots.layout import folder_name
from airflow_provider_cio_cohort.snapshots.run import Retention
from airflow_provider_cio_cohort.snapshots.store import SnapshotStore
from tests.places import Place
from tests.unit.snapshots.conftest import day, subject


def days(store: SnapshotStore, workspace_id: int | None = 7) -> list[int]:
    return [entry.moment.day for entry in store.snapshots(workspace_id)]


@pytest.mark.parametrize(
    ("keep_days", "keep_last", "left"),
    [
        (3, 1, [7, 8, 9]),
        (2.5, 1, [8, 9]),
        (3, 5, [5, 6, 7, 8, 9]),
        (100, 1, list(range(1, 10))),
        (0.01, 1, [9]),
        (0.01, 50, list(range(1, 10))),
    ],
)
def test_by_age_and_never_the_last_ones(
    local_place: Place, keep: Callable[..., Any], keep_days: float, keep_last: int, left: list[int]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in range(1, 10):
        keep(store, number)
    deleted = Retention(keep_days, keep_last).apply(store, 7, day(10, 7))
    assert days(store) == left
    assert deleted == 9 - len(left)
    folders = {name.split("/")[2] for name in local_place.files()}
    assert len(folders) == len(left)


def test_the_age_is_that_of_the_taking_not_of_the_moment(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    keep(store, 1, taken=day(20))
    keep(store, 2, taken=day(2))
    keep(store, 3, taken=day(20))
    Retention(5, 1).apply(store, 7, day(21))
    assert days(store) == [1, 3]


def test_the_one_that_was_taken_last_stays_whatever_its_moment_is(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    keep(store, 1, taken=day(4))
    keep(store, 3, taken=day(3))
    keep(store, 5, taken=day(2))
    Retention(5, 1).apply(store, 7, day(21))
    assert days(store) == [1, 5]


def test_one_that_is_dated_in_the_future_is_not_among_the_last_ones(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in (1, 2, 3, 20):
        keep(store, number, taken=day(min(number, 10)))
    Retention(0.5, 2).apply(store, 7, day(10, 7))
    assert days(store) == [2, 3, 20]


def test_in_both_places_and_nothing_else_is_touched(
    place: Place, store: SnapshotStore, keep: Callable[..., Any]
) -> None:
    for number in range(1, 5):
        keep(store, number)
    other = SnapshotStore(place.path, subject(segment=("name", "Others")))
    keep(other, 1)
    keep(other, 2)
    folder = next(name for name in place.files() if "20260301" in name and "Power" in name).rpartition("/")[0]
    foreign = {
        "note.txt": b"x",
        f"{store.folder}/note.txt": b"x",
        f"{store.folder}/old/manifest.json": b"{}",
        f"{folder}/note.txt": b"x",
        f"{folder}.bak/manifest.json": b"{}",
        f"{folder}.bak/identifiers.20200101T000000.000000Z.gz": b"x",
    }
    for name, data in foreign.items():
        place.put(name, data)
    before = place.files()
    assert Retention(0.5, 2).apply(store, 7, day(6)) == 2
    gone = {name for name in before if name not in place.files()}
    assert len(gone) == 4
    assert all("Power" in name and ("20260301T06" in name or "20260302T06" in name) for name in gone)
    assert set(foreign) <= set(place.files())
    assert days(other) == [1, 2]


def test_the_snapshots_of_another_workspace_are_not_ours_to_delete(
    place: Place, store: SnapshotStore, keep: Callable[..., Any]
) -> None:
    for number in (1, 5):
        keep(store, number, workspace_id=8)
    for number in (2, 4):
        keep(store, number)
    left = f"{folder_name(day(1), 8, '0123456789ab')}/identifiers.20260301T070000.000000Z.gz"
    place.put(f"{store.folder}/{left}", b"half")  # of a run of theirs
    Retention(0.5, 1).apply(store, 7, day(9))
    assert (days(store), days(store, 8)) == ([4], [1, 5])
    assert f"{store.folder}/{left}" in place.files()
    Retention(0.5, 1).apply(store, 8, day(9))
    assert (days(store), days(store, 8)) == ([4], [5])
    assert f"{store.folder}/{left}" not in place.files()


@pytest.mark.parametrize("theirs", [8, None])
def test_the_snapshots_of_others_do_not_count_as_our_last_ones(
    place: Place, store: SnapshotStore, keep: Callable[..., Any], theirs: int | None
) -> None:
    for number in range(1, 5):
        keep(store, number)
    for number in range(5, 9):
        keep(store, number, workspace_id=theirs, taken=day(20))
    Retention(0.5, 3).apply(store, 7, day(20))
    assert (days(store), days(store, theirs)) == ([2, 3, 4], [5, 6, 7, 8])


def test_where_the_workspace_is_unknown_only_the_age_counts(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in (1, 2, 3):
        keep(store, number, workspace_id=None)
        keep(store, number)
    Retention(0.5, 1).apply(store, None, day(9))
    assert (days(store), days(store, None)) == ([1, 2, 3], [3])
    Retention(0.5, 1).apply(store, 7, day(9))
    assert (days(store), days(store, None)) == ([3], [])


def test_what_a_crash_has_left_is_deleted_a_day_later(
    place: Place, store: SnapshotStore, keep: Callable[..., Any]
) -> None:
    keep(store, 1)
    keep(store, 2, taken=day(8, 12))
    keep(store, 3)
    keep(store, 4)
    for number in ("20260301", "20260302"):
        place.delete(next(name for name in place.files() if number in name and name.endswith(".json")))
    replaced = next(name for name in place.files() if "20260303T06" in name).rpartition("/")[0]
    place.put(f"{replaced}/identifiers.20260303T080000.000000Z.gz", b"half")
    place.put(f"{replaced}/identifiers.20260308T120000.000000Z.gz", b"under way")
    Retention(100, 1).apply(store, 7, day(9))
    left = sorted(name.split("/", 2)[2] for name in place.files() if name.endswith(".gz"))
    assert not any("20260301T06" in name for name in left)
    assert sum("20260302T06" in name for name in left) == 1
    assert sorted(name[-26:-11] for name in left if "20260303T06" in name) == [
        "20260303T070000",
        "20260308T120000",
    ]
    assert days(store) == [3, 4]


def test_a_damaged_snapshot_is_deleted_when_it_is_too_old(
    local_place: Place, keep: Callable[..., Any]
) -> None:
    store = SnapshotStore(local_place.path, subject())
    for number in range(1, 4):
        keep(store, number)
    name = next(name for name in local_place.files() if "20260301T06" in name and name.endswith(".json"))
    local_place.put(name, b"\xff")
    Retention(1, 1).apply(store, 7, day(9))
    assert days(store) == [3]


def test_an_error_is_a_warning(
    s3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = {**s3.connection, "extra": {**s3.connection["extra"], "endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_S3_AWAY_TOO", json.dumps(away))
    store = SnapshotStore("s3://s3_away_too@bucket/x", subject())
    assert Retention(1, 1).apply(store, 7, day(9) + timedelta(days=1)) == 0
    assert "Old snapshots could not be deleted" in caplog.text
