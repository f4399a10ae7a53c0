"""Snapshots as runs take them and go back to them, in a local folder and in an S3 on loopback."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from tests.integration.operator.conftest import AssetStores, Store
from tests.places import Place

DAYS = {number: datetime(2026, 2, number, 6, tzinfo=UTC) for number in range(1, 6)}
PEOPLE = [f"p-{number}" for number in range(70)]


@dataclass(frozen=True)
class Run:
    """A DAG run, as far as a snapshot tells of it."""

    logical_date: datetime | None
    run_id: str
    run_type: str = "manual"
    run_after: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


def on(day: datetime | None, run_id: str = "", **more: Any) -> dict[str, Any]:
    return {"dag_run": Run(day, run_id or f"run of {day}", **more)}


def members(sandbox: Any, name: str = "Power users") -> set[str | None]:
    return {person.id for person in sandbox.workspace.find_segment(name).members}


def manifests(place: Place) -> list[dict[str, Any]]:
    files = sorted((name, data) for name, data in place.files().items() if name.endswith("manifest.json"))
    return [json.loads(data) for _, data in files]


def contents(place: Place) -> list[list[str]]:
    files = sorted((name, data) for name, data in place.files().items() if name.endswith(".gz"))
    return [gzip.decompress(data).decode().splitlines() for _, data in files]


@pytest.fixture
def three_days(cohort: Callable[..., Any], sync: Callable[..., Any], place: Place) -> Place:
    """A cohort that changes for two days, and is badly defined on the third."""
    cohort(*PEOPLE[:40])
    sync(snapshot_path=place.path, context=on(DAYS[1]))
    cohort(*PEOPLE[5:45])
    sync(snapshot_path=place.path, context=on(DAYS[2]))
    cohort(*PEOPLE[45:])
    allowed = {"allow_large_removal": True, "allow_short_cohort": True}
    sync(snapshot_path=place.path, context=on(DAYS[3]), **allowed)
    return place


def test_every_good_run_keeps_whom_it_has_synced(sandbox: Any, three_days: Place) -> None:
    assert contents(three_days) == [sorted(PEOPLE[:40]), sorted(PEOPLE[5:45]), sorted(PEOPLE[45:])]
    first = manifests(three_days)[0]
    assert (first["moment"], first["identifiers"]) == ("2026-02-01T06:00:00Z", 40)
    assert (first["cohort_id"], first["segment_name"], first["mode"]) == ("a1b2c3d", "Power users", "mirror")
    assert (first["id_type"], first["user_id_property"]) == ("id", "user_id")
    assert first["segment_id"] == sandbox.workspace.find_segment("Power users").id
    assert first["origin"]["run_id"] == f"run of {DAYS[1]}"
    assert not any(name.endswith("probe") for name in three_days.files())


def test_back_to_the_second_day(sandbox: Any, sync: Callable[..., Any], three_days: Place) -> None:
    exports, kept = sandbox.project.used, three_days.files()
    sandbox.faults.add("drop", api="amplitude", times=0)  # nothing of Amplitude answers any more
    back = {"snapshot_path": three_days.path, "source": "snapshot", "context": on(DAYS[2], "back")}
    with pytest.raises(exceptions.GuardTrippedError) as caught:
        sync(**back)
    assert caught.value.trips == ("large_removal",)
    assert members(sandbox) == {*PEOPLE[45:]}
    report = sync(**back, allow_large_removal=True)
    assert members(sandbox) == {*PEOPLE[5:45]}
    assert (report["source"], report["snapshot_at"]) == ("snapshot", "2026-02-02T06:00:00Z")
    assert (report["added"], report["removed"], report["segment_after"]) == (40, 25, 40)
    assert (report["cohort_rows"], report["identifiers"], report["duplicates"]) == (40, 40, 0)
    assert sandbox.project.used == exports
    assert three_days.files() == kept


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-02-02", 2),
        ("2026-02-03T05:59:59Z", 2),
        ("2026-02-02T07:00", 2),
        ("2026-02-02T06:59", 1),
        ("2026-02-02T06:59+00:00", 2),
    ],
)
def test_a_run_by_hand_says_of_when(
    sync: Callable[..., Any], cohort: Callable[..., Any], local_place: Place, moment: str, day: int
) -> None:
    for number in DAYS:
        cohort(*PEOPLE[:number])
        sync(snapshot_path=local_place.path, context=on(DAYS[number]))
    dag = type("Dag", (), {"timezone": pendulum.timezone("Europe/Berlin")})
    more = {"snapshot_at": moment, "context": {**on(None, "by hand"), "dag": dag}}
    report = sync(snapshot_path=local_place.path, source="snapshot", **more)
    assert report["identifiers"] == day
    assert report["segment_after"] == day


def test_a_run_by_hand_that_does_not_say_of_when_is_told_what_there_is(
    sandbox: Any, sync: Callable[..., Any], three_days: Place
) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="no time is given") as caught:
        sync(snapshot_path=three_days.path, source="snapshot", context=on(None, "by hand"))
    assert "2026-02-03T06:00:00Z, 2026-02-02T06:00:00Z, 2026-02-01T06:00:00Z" in str(caught.value)
    assert members(sandbox) == {*PEOPLE[45:]}


def test_without_a_snapshot_path_there_is_no_way_back(sandbox: Any, sync: Callable[..., Any]) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="keeps no snapshots"):
        sync(source="snapshot", context=on(DAYS[1]))
    assert sandbox.requests == []


def test_a_missing_snapshot_touches_nobody(sandbox: Any, sync: Callable[..., Any], three_days: Place) -> None:
    back = DAYS[1] - timedelta(days=1)
    with pytest.raises(exceptions.SnapshotMissingError, match="2026-01-31T06:00:00Z") as caught:
        sync(snapshot_path=three_days.path, source="snapshot", context=on(back))
    assert "The oldest one is of 2026-02-01T06:00:00Z" in str(caught.value)
    assert caught.value.segment_touched is False
    assert members(sandbox) == {*PEOPLE[45:]}


def repacked(data: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    return gzip.compress(b"".join(change(gzip.decompress(data).splitlines(keepends=True))))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "overwritten": lambda data: b"<html>not found</html>",
    "one is missing": lambda data: repacked(data, lambda lines: lines[1:]),
    "one too many": lambda data: repacked(data, lambda lines: [*lines, b"zz\n"]),
    "one is another": lambda data: repacked(data, lambda lines: [*lines[:-1], b"zz\n"]),
    "unsorted": lambda data: repacked(data, lambda lines: lines[::-1]),
    "twice": lambda data: repacked(data, lambda lines: [lines[0], *lines[:-1]]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_snapshot_touches_nobody(
    sandbox: Any, sync: Callable[..., Any], three_days: Place, damage: str
) -> None:
    name = sorted(name for name in three_days.files() if name.endswith(".gz"))[1]
    three_days.put(name, DAMAGE[damage](three_days.files()[name]))
    sandbox.reset_requests()
    back = {"source": "snapshot", "context": on(DAYS[2]), "allow_large_removal": True}
    with pytest.raises(exceptions.SnapshotDamagedError, match="2026-02-02T06:00:00Z is damaged"):
        sync(snapshot_path=three_days.path, **back)
    assert members(sandbox) == {*PEOPLE[45:]}
    assert not any(request.path.endswith("_customers") for request in sandbox.requests)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 99},
        {"format": "1"},
        {"identifiers": -1},
        {"identifiers": "40"},
        {"moment": "2026-02-03T06:00:00Z"},
        {"content": "../../elsewhere.gz"},
        {"more": 1},
        None,
    ],
)
def test_a_damaged_manifest_touches_nobody(
    sandbox: Any, sync: Callable[..., Any], three_days: Place, change: dict[str, Any] | None
) -> None:
    name = sorted(name for name in three_days.files() if name.endswith(".json"))[1]
    whole = json.loads(three_days.files()[name])
    three_days.put(name, b"{" if change is None else json.dumps({**whole, **change}).encode())
    with pytest.raises(exceptions.SnapshotDamagedError, match="2026-02-02T06:00:00Z is damaged"):
        sync(snapshot_path=three_days.path, source="snapshot", context=on(DAYS[2]))
    assert members(sandbox) == {*PEOPLE[45:]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workspace_id": 4711}, "workspace 4711"),
        ({"id_type": "email"}, "id_type email"),
        (
            {"identity": ["customer_io_default", "name", "Others"], "segment_name": "Others"},
            "segment 'Others'",
        ),
    ],
)
def test_a_foreign_snapshot_touches_nobody(
    sandbox: Any, sync: Callable[..., Any], three_days: Place, change: dict[str, Any], words: str
) -> None:
    name = sorted(name for name in three_days.files() if name.endswith(".json"))[1]
    three_days.put(name, json.dumps({**json.loads(three_days.files()[name]), **change}).encode())
    with pytest.raises(exceptions.SnapshotMismatchError, match=f"is for {words}, not for this sync's"):
        sync(snapshot_path=three_days.path, source="snapshot", context=on(DAYS[2]))
    assert members(sandbox) == {*PEOPLE[45:]}


@pytest.mark.parametrize("whose", ["the connection", "the snapshot"])
def test_a_restore_that_cannot_verify_the_workspace_is_refused(
    sandbox: Any, sync: Callable[..., Any], three_days: Place, whose: str
) -> None:
    if whose == "the connection":
        sandbox.workspace.environment_id = None
    else:
        name = sorted(name for name in three_days.files() if name.endswith(".json"))[1]
        manifest = {**json.loads(three_days.files()[name]), "workspace_id": None}
        three_days.put(name, json.dumps(manifest).encode())
    with pytest.raises(exceptions.SnapshotMismatchError, match=f"The workspace of {whose} is unknown"):
        sync(snapshot_path=three_days.path, source="snapshot", context=on(DAYS[2]))
    assert members(sandbox) == {*PEOPLE[45:]}


def test_the_next_run_is_held_against_what_was_restored(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    always = {"snapshot_path": local_place.path, "skip_unchanged": True, "max_shortfall_percent": 30}
    cohort(*PEOPLE[:30])
    sync(**always, context=on(DAYS[1]))
    cohort(*PEOPLE[30:])  # as many, but all of them others
    sync(**always, context=on(DAYS[2]), allow_large_removal=True)
    assert sync(**always, context=on(DAYS[2], "again")).get("unchanged") is True
    sync(**always, context=on(DAYS[1], "back"), source="snapshot", allow_large_removal=True)
    assert members(sandbox) == {*PEOPLE[:30]}
    # By its numbers alone, the cohort is what the last sync had, and the segment has as many members.
    report = sync(**always, context=on(DAYS[3]), allow_large_removal=True)
    assert report.get("unchanged") is None
    assert members(sandbox) == {*PEOPLE[30:]}


def test_a_large_bad_cohort_does_not_make_the_next_good_one_look_short(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    always = {"snapshot_path": local_place.path, "max_removal_percent": None}
    cohort(*PEOPLE[:22])
    sync(**always, context=on(DAYS[1]))
    cohort(*PEOPLE)
    sync(**always, context=on(DAYS[2]))
    assert sync(**always, context=on(DAYS[1], "back"), source="snapshot")["removed"] == 48
    cohort(*PEOPLE[1:22])
    assert sync(**always, context=on(DAYS[3]))["segment_after"] == 21


def test_what_is_not_unchanged_for_the_snapshots_is_synced(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a", "b")
    sync(skip_unchanged=True)
    assert sync(skip_unchanged=True)["unchanged"] is True
    assert "unchanged" not in sync(skip_unchanged=True, snapshot_path=local_place.path)
    assert contents(local_place) == [["a", "b"]]
    assert sync(skip_unchanged=True, snapshot_path=local_place.path)["unchanged"] is True


def test_neither_a_dry_run_nor_a_failed_one_keeps_anything(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], place: Place
) -> None:
    cohort(*PEOPLE)
    sync(snapshot_path=place.path, dry_run=True)
    assert place.files() == {}
    sync(snapshot_path=place.path, context=on(DAYS[1]))
    before = place.files()
    cohort("a")
    with pytest.raises(exceptions.GuardTrippedError):
        sync(snapshot_path=place.path, context=on(DAYS[2]))
    assert place.files() == before


def test_a_dry_run_of_the_way_back(
    sandbox: Any, sync: Callable[..., Any], xcoms: Any, three_days: Place
) -> None:
    back = {"snapshot_path": three_days.path, "source": "snapshot", "context": on(DAYS[1])}
    report = sync(**back, dry_run=True)
    assert (report["dry_run"], report["to_add"], report["to_remove"]) == (True, 40, 25)
    assert xcoms.pushed["plan"]["guards"] == ["large_removal"]
    assert members(sandbox) == {*PEOPLE[45:]}
    sync(**back, approved_plan=xcoms.pushed["plan"])
    assert members(sandbox) == {*PEOPLE[:40]}


def test_a_run_that_is_cleared_replaces_its_own_snapshot(
    cohort: Callable[..., Any], sync: Callable[..., Any], place: Place
) -> None:
    cohort("a", "b")
    sync(snapshot_path=place.path, context=on(DAYS[1]))
    cohort("a", "b", "c")
    sync(snapshot_path=place.path, context=on(DAYS[1]))
    assert contents(place) == [["a", "b", "c"]]
    assert [each["identifiers"] for each in manifests(place)] == [3]


@pytest.fixture
def theirs(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """
    Let a block be another Airflow, with the same DAGs and storage but another workspace, which it gets.

    Its memory is for the block to give.
    """
    workspace = sandbox.add_workspace(site_id="their-site", tracking_key="their-key", app_key="their-app-key")
    connection = sandbox.connections()["customer_io_default"]
    connection |= {"login": "their-site", "password": "their-key"}
    connection["extra"] |= {"app_api_key": "their-app-key"}
    for user_id in PEOPLE:
        workspace.add_person(id=user_id)

    @contextmanager
    def there() -> Iterator[Any]:
        with monkeypatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(connection))
            yield workspace

    return there


#: All snapshots are too old, so that only their number counts.
SHORT = {"snapshot_keep_days": 1e-9, "snapshot_keep_last": 3}


def test_two_airflows_on_one_storage_keep_and_find_their_own(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], place: Place, theirs: Any
) -> None:
    assets = AssetStores()

    def memory() -> dict[str, Any]:
        return {"task_state_store": Store(), "asset_state_store": assets}

    def keep(days: Iterable[int], people: slice, memory: Callable[[], dict[str, Any]] = dict) -> None:
        for day in days:
            cohort(*PEOPLE[people][:-day])
            sync(snapshot_path=place.path, **SHORT, context={**on(DAYS[day], f"day-{day}"), **memory()})

    keep((1, 2, 3), slice(0, 40))
    ours = place.files()
    with theirs() as workspace:
        # The same DAG, task and runs as ours, and more of them.
        keep((1, 2, 3, 4, 5), slice(20, 70), memory)
        assert len(workspace.find_segment("Power users").members) == 45
    assert {name: data for name, data in place.files().items() if name in ours} == ours
    kept = [(each["workspace_id"], each["moment"][:10]) for each in manifests(place)]
    assert sorted(kept) == [
        *((77, f"2026-02-0{day}") for day in (1, 2, 3)),
        *((78, f"2026-02-0{day}") for day in (3, 4, 5)),
    ]
    # Theirs of the fifth day is no later run of ours, whose snapshot stays that of its own date.
    keep((4,), slice(0, 40))
    kept = [(each["workspace_id"], each["moment"][:10]) for each in manifests(place)]
    assert sorted(kept)[:3] == [(77, f"2026-02-0{day}") for day in (2, 3, 4)]
    back = {"snapshot_path": place.path, "source": "snapshot"}
    report = sync(**back, context=on(DAYS[5], "back"))
    assert (report["snapshot_at"], report["segment_after"]) == ("2026-02-04T06:00:00Z", 36)
    with pytest.raises(exceptions.SnapshotMissingError, match=r"3 of other workspaces \(78\), which are not"):
        sync(**back, context=on(DAYS[1], "back"))
    with theirs() as workspace:
        report = sync(**back, context={**on(DAYS[4], "back"), **memory()})
        assert (report["snapshot_at"], report["segment_after"]) == ("2026-02-04T06:00:00Z", 46)
        assert {person.id for person in workspace.find_segment("Power users").members} == {*PEOPLE[20:66]}
    assert members(sandbox) == {*PEOPLE[:36]}


@pytest.mark.parametrize("run_type", ["manual", "backfill"])
def test_a_run_that_comes_after_a_later_one_is_of_now(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place, run_type: str
) -> None:
    cohort("a")
    sync(snapshot_path=local_place.path, context=on(DAYS[1]))
    cohort("a", "b")
    sync(snapshot_path=local_place.path, context=on(DAYS[2]))
    cohort("a", "b", "c")
    sync(snapshot_path=local_place.path, context=on(DAYS[1], run_type=run_type))
    assert contents(local_place) == [["a"], ["a", "b"], ["a", "b", "c"]]
    taken = datetime.fromisoformat(manifests(local_place)[-1]["moment"])
    assert taken > datetime.now(UTC) - timedelta(minutes=5)


@pytest.mark.parametrize("setting", ["name", "id"])
def test_strange_names_and_several_segments_in_one_place(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], place: Place, setting: str
) -> None:
    cohort("a", "b")
    for name in ("../..", "é/ü: <x>|?*", ".", "a b", "a-b", "x" * 300):
        segment: dict[str, Any] = {"segment_name": name}
        if setting == "id":
            segment = {"segment_id": sandbox.workspace.add_segment(name).id}
        sync(snapshot_path=place.path, context=on(DAYS[1]), **segment)
        back = {"source": "snapshot", "context": on(DAYS[2])}
        assert sync(snapshot_path=place.path, **segment, **back)["segment_after"] == 2
    assert contents(place) == [["a", "b"]] * 6
    assert len({name.split("/")[1] for name in place.files()}) == 6


def test_two_syncs_that_add_to_one_segment_have_snapshots_of_their_own(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a", "b")
    sync(snapshot_path=local_place.path, mode="add_only", context=on(DAYS[1]))
    rows = [{"amplitude_id": "1", "user_id": "a"}]
    sandbox.project.add_cohort(id="other1", name="Other", rows=rows)
    other = {"cohort_id": "other1", "mode": "add_only"}
    sync(snapshot_path=local_place.path, context=on(DAYS[2]), **other)
    back = {"source": "snapshot", "context": on(DAYS[3])}
    assert sync(snapshot_path=local_place.path, mode="add_only", **back)["identifiers"] == 2
    assert sync(snapshot_path=local_place.path, **other, **back)["identifiers"] == 1


def test_a_segment_that_was_deleted_is_made_again(
    sandbox: Any, sync: Callable[..., Any], three_days: Place
) -> None:
    segment = sandbox.workspace.find_segment("Power users")
    sandbox.workspace.segments.pop(segment.id)
    report = sync(snapshot_path=three_days.path, source="snapshot", context=on(DAYS[1]))
    assert report["segment_id"] != segment.id
    assert members(sandbox) == {*PEOPLE[:40]}


def test_the_export_of_several_targets_is_not_spent(sandbox: Any, sync: Callable[..., Any]) -> None:
    answer = sync(operator_class=AmplitudeCohortExportOperator, source="snapshot", properties=["email"])
    assert answer is None
    assert sandbox.requests == []


# ---- a storage that is away


def test_nothing_is_spent_or_written_where_no_snapshot_can_be_kept(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], tmp_path: Path
) -> None:
    cohort("a")
    with pytest.raises(exceptions.SnapshotStorageError, match="cannot be written") as caught:
        sync(snapshot_path=f"file://{tmp_path}/not/mounted")
    assert "The folder or the bucket must exist" in str(caught.value)
    assert not (tmp_path / "not").exists()
    assert sandbox.project.used == 0
    assert sandbox.workspace.find_segment("Power users") is None


@pytest.mark.parametrize("source", ["cohort", "snapshot"])
def test_an_s3_that_is_away(
    sandbox: Any,
    cohort: Callable[..., Any],
    sync: Callable[..., Any],
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    away = {**s3.connection, "extra": {**s3.connection["extra"], "endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_S3_AWAY", json.dumps(away))
    cohort("a")
    with pytest.raises(exceptions.SnapshotStorageError, match="EndpointConnectionError") as caught:
        sync(snapshot_path="s3://s3_away@bucket/cohorts", source=source, context=on(DAYS[1]))
    assert "loopback-key" not in str(caught.value)
    assert sandbox.project.used == 0
    assert sandbox.workspace.find_segment("Power users") is None


def test_a_bucket_that_is_not_there_is_not_made(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], s3_place: Place, s3: Any
) -> None:
    cohort("a")
    with pytest.raises(exceptions.SnapshotStorageError):
        sync(snapshot_path="s3://s3_on_loopback@no-such-bucket/cohorts")
    assert [each["Name"] for each in s3.client.list_buckets()["Buckets"]] == ["cohorts-of-a-test"]
    assert sandbox.project.used == 0


def test_a_snapshot_that_cannot_be_kept_at_the_end_fails_and_the_retry_keeps_it(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place, tmp_path: Path
) -> None:
    cohort("a", "b")
    folder = Path(local_place.path.removeprefix("file://"))
    sandbox.configure(export_seconds=1)

    def unmounted(request: Any) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    sandbox.faults.add("delay", api="amplitude", path="request", seconds=0.01)
    sandbox.at_request(unmounted, api="amplitude", path="/file", after=0)
    with pytest.raises(exceptions.SnapshotStorageError, match="The segment is synced, but"):
        sync.attempt(snapshot_path=local_place.path)  # type: ignore[attr-defined]
    assert members(sandbox) == {"a", "b"}
    folder.mkdir()
    report = sync(snapshot_path=local_place.path)
    assert (report["to_add"], report["segment_after"]) == (0, 2)
    assert sandbox.project.used == 1
    assert contents(local_place) == [["a", "b"]]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("s3://key:secret-4711@bucket/x", "not a password"),
        ("/srv/cohorts", "address with a scheme"),
        ("s3://", "address with a scheme"),
        ("s4://bucket/cohorts", "Airflow has no means to read or write"),
    ],
)
def test_a_place_that_is_none(
    sandbox: Any, cohort: Any, sync: Callable[..., Any], path: str, words: str
) -> None:
    cohort("a")
    with pytest.raises(exceptions.ConfigurationError, match=words) as caught:
        sync(snapshot_path=path)
    assert "secret-4711" not in str(caught.value)
    assert sandbox.project.used == 0


def test_local_snapshots_are_for_their_owner_alone(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a")
    sync(snapshot_path=local_place.path)
    folder = Path(local_place.path.removeprefix("file://"))
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}
