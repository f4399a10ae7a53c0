"""``forget``: a person is removed from all that is kept, and the rest stays as it was."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.snapshots import forget as module
from airflow_provider_cio_cohort.snapshots.layout import PENDING, UNMATCHED, Kind, Origin, Subject
from airflow_provider_cio_cohort.snapshots.run import Retention
from airflow_provider_cio_cohort.snapshots.storage import Storage
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore
from tests.integration.cli.conftest import PERSON
from tests.places import Place

OTHERS = [f"{PERSON}-{number}" for number in range(5)]


def day(number: int, hour: int = 6) -> datetime:
    return datetime(2026, 2, number, hour, tzinfo=UTC)


def store_of(place: Place, segment: str, id_type: str = "id", *kind: Kind) -> SnapshotStore:
    subject = Subject("customer_io_default", ("name", segment), id_type, "mirror", "a1b2c3d")
    return SnapshotStore(place.path, subject, *kind)


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., Any]:
    """Keep lines as the run of a day does."""

    def keep(store: SnapshotStore, number: int, *lines: str, workspace: int = 7, **more: Any) -> Any:
        path = tmp_path / "lines"
        path.write_text("".join(f"{line}\n" for line in sorted(lines)), encoding="utf-8")
        origin = Origin("dag", "sync", run_id=f"run-{number}")
        segment = Segment(workspace, 1, "Power users")
        return store.keep(path, origin, segment, "user_id", day(number, 7), day(number), **more)

    return keep


@pytest.fixture
def file(write: Callable[..., str], place: Place) -> str:
    return write({"snapshot_path": place.path, "unmatched_path": place.path})


def held(place: Place) -> list[str]:
    """Return all lines of all files."""
    files = sorted(place.files().items())
    return [
        line
        for name, data in files
        if name.endswith(".gz")
        for line in gzip.decompress(data).decode().split()
    ]


@pytest.fixture
def kept(keep: Callable[..., Any], place: Place) -> list[SnapshotStore]:
    """Snapshots of two days, of a former segment in another workspace, and of unmatched identifiers."""
    mine, former = store_of(place, "Power users"), store_of(place, "Former", "email")
    unmatched = store_of(place, "Power users", "id", UNMATCHED)
    keep(mine, 1, *OTHERS, PERSON)
    keep(mine, 2, *OTHERS)
    keep(former, 1, f"{PERSON}@example.com", "else@example.com", workspace=8)
    counts = {"unknown": 2, "not_removable": 1, "rejected": 0, "no_identifier": 4}
    lines = [f"{PERSON}@example.com\tnot_removable\temail"]
    lines += [f"{who}\tunknown\tid" for who in (PERSON, OTHERS[0])]
    keep(unmatched, 1, *lines, reasons=counts)
    return [mine, former, unmatched]


def fetched(store: SnapshotStore, number: int, path: Path) -> list[str]:
    entry = next(entry for entry in store.entries() if entry.moment == day(number))
    store.fetch(entry, store.manifest(entry), path)
    return path.read_text(encoding="utf-8").splitlines()


def test_a_person_is_in_no_file_any_more_and_all_files_are_valid(
    airflow: Any, file: str, kept: list[SnapshotStore], place: Place, tmp_path: Path
) -> None:
    mine, former, unmatched = kept
    untouched = {name: data for name, data in place.files().items() if "20260202" in name}
    answer = airflow("forget", PERSON, f"{PERSON}@EXAMPLE.com", "--file", file, "--yes", "-o", "json")
    assert (answer.code, sorted(row["removed"] for row in answer.rows)) == (0, [1, 1, 2])
    assert PERSON not in answer.out + answer.err
    assert fetched(mine, 1, tmp_path / "f") == sorted(OTHERS)
    assert fetched(former, 1, tmp_path / "f") == ["else@example.com"]
    assert fetched(unmatched, 1, tmp_path / "f") == [f"{OTHERS[0]}\tunknown\tid"]
    manifest = unmatched.manifest(unmatched.entries()[0])
    assert manifest.reasons == {"unknown": 1, "not_removable": 0, "rejected": 0, "no_identifier": 4}
    assert {name: data for name, data in place.files().items() if "20260202" in name} == untouched
    assert len([name for name in place.files() if name.endswith(".gz")]) == 4
    again = airflow("forget", PERSON, f"{PERSON}@EXAMPLE.com", "--file", file, "--yes", "-o", "json")
    assert (again.code, again.rows) == (0, [])


def test_whom_a_run_is_about_to_add_is_forgotten_and_the_others_stay_pending(
    airflow: Any, file: str, keep: Callable[..., Any], place: Place, tmp_path: Path
) -> None:
    pending = store_of(place, "Power users", "id", PENDING)
    keep(pending, 1, *OTHERS, PERSON, base="the snapshot")
    answer = airflow("forget", PERSON, "--file", file, "--yes", "-o", "json")
    assert (answer.code, [row["removed"] for row in answer.rows]) == (0, [1])
    assert fetched(pending, 1, tmp_path / "f") == sorted(OTHERS)
    assert pending.manifest(pending.entries()[0]).base == "the snapshot"


@pytest.mark.parametrize("id_type", ["id", "email", "cio_id"])
def test_each_line_is_compared_as_its_own_kind(
    airflow: Any, file: str, keep: Callable[..., Any], place: Place, tmp_path: Path, id_type: str
) -> None:
    """Rows of several identifiers are named by any of them, in one file."""
    unmatched = store_of(place, "Power users", "cio_id", UNMATCHED)
    named = {"id": PERSON, "email": f"{PERSON}@example.com", "cio_id": "0a1b2c3d"}
    given = {"id": PERSON, "email": f"{PERSON}@EXAMPLE.com", "cio_id": "cio_0a1b2c3d"}
    lines = [f"{who}\tunknown\t{kind}" for kind, who in named.items()]
    lines += [f"{who.upper()}\tconflicting\tid" for who in named.values()]  # others: ids have a case
    keep(unmatched, 1, *lines, reasons={"unknown": 3, "conflicting": 3})
    assert airflow("forget", given[id_type], "--file", file, "--yes").code == 0
    left = {named[kind] for kind in named.keys() - {id_type}}
    rest = fetched(unmatched, 1, tmp_path / "f")
    assert {line.split("\t")[0] for line in rest if "unknown" in line} == left
    assert unmatched.manifest(unmatched.entries()[0]).reasons == {"unknown": 2, "conflicting": 3}


def test_the_retention_of_the_rest_does_not_change(
    airflow: Any, file: str, kept: list[SnapshotStore], place: Place
) -> None:
    mine = kept[0]
    before = [(entry.moment, entry.taken_at) for entry in mine.entries()]
    airflow("forget", PERSON, "--file", file, "--yes")
    assert [(entry.moment, entry.taken_at) for entry in mine.entries()] == before
    (written,) = (max(entry.contents.values()) for entry in mine.entries() if entry.moment == day(1))
    assert written > day(2)
    assert Retention(30, 1).apply(mine, 7, day(2) + timedelta(days=28)) == 0
    assert Retention(30, 1).apply(mine, 7, day(1, 8) + timedelta(days=30)) == 1
    assert [entry.moment for entry in mine.entries()] == [day(2)]


def test_a_dry_run_writes_nothing(airflow: Any, file: str, kept: list[SnapshotStore], place: Place) -> None:
    before = place.files()
    answer = airflow("forget", PERSON, "--file", file, "--dry-run", "-o", "json")
    assert (answer.code, [row["removed"] for row in answer.rows]) == (0, [1, 1])
    assert place.files() == before


def test_the_identifiers_can_come_from_stdin(
    airflow: Any, file: str, kept: list[SnapshotStore], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PERSON}\r\n\n{OTHERS[1]}\n"))
    assert airflow("forget", "-", "--file", file, "--yes").code == 0
    assert not {PERSON, OTHERS[1]} & {*held(place)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", "--yes"), "an empty one"),
        ((PERSON,), "stdin is not a terminal: pass --yes"),
        ((PERSON, "--path", "/srv/x", "--yes"), "--path: it must be an address"),
    ],
)
def test_wrong_usage(airflow: Any, file: str, arguments: tuple[str, ...], words: str) -> None:
    answer = airflow("forget", *arguments, "--file", file)
    assert answer.code == 2
    assert words in answer.err


def test_a_storage_that_no_sync_names_is_given_by_its_address(
    airflow: Any, kept: list[SnapshotStore], place: Place
) -> None:
    assert airflow("forget", PERSON, "--path", place.path, "--yes").code == 0
    assert PERSON not in held(place)


def test_what_may_still_hold_a_person_is_named(
    airflow: Any, file: str, keep: Callable[..., Any], local_place: Place, write: Callable[..., str]
) -> None:
    file = write({"snapshot_path": local_place.path})
    mine = store_of(local_place, "Power users")
    for number in (1, 2, 3):
        keep(mine, number, *OTHERS, PERSON)
    names = sorted(name for name in local_place.files() if name.endswith(".gz"))
    local_place.put(names[0], b"damaged")
    manifest = names[1].rpartition("/")[0] + "/manifest.json"
    local_place.delete(manifest)  # an old leftover of a crash
    fresh = names[2].rpartition("/")[0] + f"/identifiers.{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.gz"
    local_place.put(fresh, b"being written")
    answer = airflow("forget", PERSON, "--file", file, "--yes", "-o", "json")
    assert answer.code == 1
    damaged, writing = answer.rows
    assert "is damaged" in damaged["problem"]
    assert (writing["removed"], "A run is writing it" in writing["problem"]) == (1, True)
    left = sorted(name for name in local_place.files() if name.endswith(".gz"))
    assert names[0] in left
    assert fresh in left
    assert len(left) == 3
    assert names[1] not in left


def test_a_run_that_stores_the_same_snapshot_meanwhile_is_not_undone(
    airflow: Any,
    keep: Callable[..., Any],
    local_place: Place,
    write: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = write({"snapshot_path": local_place.path})
    mine = store_of(local_place, "Power users")
    keep(mine, 1, *OTHERS[:2], PERSON)
    before, done = module.read_content, []

    def read_and_be_late(*arguments: Any) -> None:
        before(*arguments)
        if not done and len(held(local_place)) == 3:
            manifest = next(name for name in local_place.files() if name.endswith(".json"))
            facts = json.loads(local_place.files()[manifest])
            done.append(local_place.put(manifest, json.dumps({**facts, "cohort_id": "later"}).encode()))

    monkeypatch.setattr(module, "read_content", read_and_be_late)
    assert airflow("forget", PERSON, "--file", file, "--yes").code == 0
    assert done
    assert fetched(mine, 1, tmp_path / "f") == sorted(OTHERS[:2])
    assert mine.manifest(mine.entries()[0]).cohort_id == "later"
    assert len(held(local_place)) == 2


@pytest.mark.parametrize("write_number", [1, 2, 3, 4])
def test_a_crash_leaves_the_old_file_or_the_new_one(
    airflow: Any,
    keep: Callable[..., Any],
    local_place: Place,
    write: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    write_number: int,
) -> None:
    file = write({"snapshot_path": local_place.path})
    mine = store_of(local_place, "Power users")
    keep(mine, 1, *OTHERS, PERSON)
    steps = []

    def crash_at(name: str) -> None:
        original = getattr(Storage, name)

        def step(self: Storage, *arguments: Any) -> Any:
            steps.append(name)
            if len(steps) == write_number:
                raise KeyboardInterrupt
            return original(self, *arguments)

        monkeypatch.setattr(Storage, name, step)

    for name in ("writing", "replace", "delete"):
        crash_at(name)
    answer = airflow("forget", PERSON, "--file", file, "--yes")
    assert (answer.code, "run the same command again" in answer.err) == (130, True)
    people = fetched(mine, 1, tmp_path / "f")
    assert sorted(people) in (sorted([*OTHERS, PERSON]), sorted(OTHERS))
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as later:
        later.setattr(module, "LEFTOVER_AGE", timedelta(0))
        assert airflow("forget", PERSON, "--file", file, "--yes").code == 0
    assert held(local_place) == sorted(OTHERS)


def test_all_syncs_of_the_dag_bundles_are_looked_at(
    airflow: Any, bundle: Path, write: Callable[..., str], keep: Callable[..., Any], local_place: Place
) -> None:
    write(
        {"name": "kept", "snapshot_path": local_place.path},
        {"name": "none", "segment_name": "None"},
        {"name": "off", "segment_name": "Off", "enabled": False},
        name="dags/syncs.yaml",
    )
    (bundle / "syncs.py").write_text(
        "from pathlib import Path\n"
        "from airflow_provider_cio_cohort.dag_generation import build_dags\n"
        'globals().update(build_dags(Path(__file__).with_name("syncs.yaml")))\n',
        encoding="utf-8",
    )
    (bundle / "mine.py").write_text(
        "from airflow.sdk import DAG\n"
        "from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (\n"
        "    AmplitudeCohortToCustomerIOOperator,\n"
        ")\n"
        'with DAG("mine"):\n'
        "    AmplitudeCohortToCustomerIOOperator(\n"
        '        task_id="sync", cohort_id="a", segment_name="{{ ds }}", snapshot_path="file:///{{ ds }}"\n'
        "    )\n",
        encoding="utf-8",
    )
    keep(store_of(local_place, "Power users"), 1, *OTHERS, PERSON)
    answer = airflow("forget", PERSON, "--yes")
    assert answer.code == 1
    assert PERSON not in held(local_place)
    assert "What off keeps is unknown (disabled)" in answer.err
    assert "What mine keeps is unknown" in answer.err
    assert "What none keeps" not in answer.err
    (bundle / "mine.py").unlink()
    (bundle / "broken.py").write_text("import airflow, nothing_of_the_sort  # dag", encoding="utf-8")
    answer = airflow("forget", PERSON, "--yes", "-o", "json")
    assert (answer.code, answer.rows) == (1, [])
    assert "These files cannot be read, so what their syncs keep is unknown: broken.py." in answer.err
