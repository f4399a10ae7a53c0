"""``snapshot list``, ``show``, ``diff`` and ``restore``, on snapshots that real runs have kept."""

from __future__ import annotations

import json
import os
import pty
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_cio_cohort.cli.select import in_file
from tests.integration.cli.conftest import PERSON
from tests.integration.operator.test_snapshots import Run
from tests.places import Place

PEOPLE = [f"{PERSON}-{number:02}" for number in range(70)]
ALLOWED = {"allow_large_removal": True, "allow_short_cohort": True}


@pytest.fixture
def file(write: Callable[..., str], place: Place) -> str:
    """A file with one sync, which keeps snapshots."""
    return write({"snapshot_path": place.path, "deferrable": False, "timezone": "Europe/Berlin"})


@pytest.fixture
def sync(file: str) -> Callable[..., Any]:
    """Run the sync of the file on a day of February, at six."""

    def run(day: int, **settings: Any) -> Any:
        (found,) = in_file(file, None)
        task: Any = found.task
        usual = {"dry_run": False, "limit": None, "source": "cohort", "snapshot_at": None}
        for key, value in {**usual, **settings}.items():
            setattr(task, key, value)
        for flag in ("adopt_segment", "allow_large_removal", "allow_empty_cohort", "allow_short_cohort"):
            setattr(task, flag, settings.get(flag, False))
        task.allow_low_match = task.allow_no_match = task.allow_large_addition = False
        date = datetime(2026, 2, day, 6, tzinfo=UTC)
        return task.execute({"dag": found.dag, "dag_run": Run(date, f"day-{day}"), "ti": None})

    return run


@pytest.fixture
def three_days(sync: Callable[..., Any], cohort: Callable[..., Any]) -> None:
    """A cohort that changes, and is badly defined on the third day."""
    cohort(*PEOPLE[:40])
    sync(1)
    cohort(*PEOPLE[5:45])
    sync(2)
    cohort(*PEOPLE[45:])
    sync(3, **ALLOWED)


def members(sandbox: Any) -> set[str | None]:
    return {person.id for person in sandbox.workspace.find_segment("Power users").members}


@pytest.mark.parametrize(
    "call",
    [("list",), ("show",), ("diff", "--from", "2026-02-01"), ("restore", "--at", "2026-02-01", "--dry-run")],
    ids=lambda call: call[0],
)
@pytest.mark.usefixtures("three_days")
def test_nobody_is_printed_who_is_not_asked_for(
    airflow: Any, file: str, sandbox: Any, s3: Any, call: tuple[str, ...]
) -> None:
    name, *flags = call
    answer = airflow("snapshot", name, file, *flags, "-v")
    assert answer.out
    project, workspace = sandbox.project, sandbox.workspace
    keys = (project.secret_key, workspace.tracking_key, workspace.app_key, s3.connection["password"])
    assert [secret for secret in (PERSON, *keys) if secret in answer.out + answer.err] == []


@pytest.mark.usefixtures("three_days")
def test_list(airflow: Any, file: str) -> None:
    answer = airflow("snapshot", "list", file, "-o", "json")
    assert answer.code == 0
    assert [(row["moment"], row["identifiers"], row["run_id"]) for row in answer.rows] == [
        ("2026-02-03T06:00:00Z", 25, "day-3"),
        ("2026-02-02T06:00:00Z", 40, "day-2"),
        ("2026-02-01T06:00:00Z", 40, "day-1"),
    ]
    assert {row["sync"] for row in answer.rows} == {"sync"}
    table = airflow("snapshot", "list", file)
    assert "2026-02-02T06:00:00Z" in table.out
    assert PERSON not in table.out + table.err + answer.out + answer.err


@pytest.mark.usefixtures("three_days")
def test_list_says_which_are_damaged(airflow: Any, file: str, place: Place) -> None:
    name = sorted(name for name in place.files() if name.endswith(".json"))[1]
    place.put(name, b"{}")
    answer = airflow("snapshot", "list", file, "-o", "json")
    assert answer.code == 1
    assert [row["problem"] is None for row in answer.rows] == [True, False, True]
    assert "2026-02-02T06:00:00Z is damaged" in answer.rows[1]["problem"]


@pytest.mark.usefixtures("three_days")
def test_the_snapshots_of_another_airflow_are_not_ours(
    airflow: Any, file: str, sandbox: Any, sync: Callable[..., Any], cohort: Callable[..., Any], place: Place
) -> None:
    ours = sandbox.workspace.environment_id
    sandbox.workspace.environment_id = ours + 1  # for the storage, that is another workspace
    cohort(*PEOPLE[:60])
    sync(4, adopt_segment=True)
    sandbox.workspace.environment_id = ours
    assert len([name for name in place.files() if name.endswith("manifest.json")]) == 4
    answer = airflow("snapshot", "list", file, "-o", "json")
    assert (answer.code, [row["moment"][8:10] for row in answer.rows]) == (0, ["03", "02", "01"])
    assert airflow("snapshot", "show", file, "-o", "json").row["moment"] == "2026-02-03T06:00:00Z"
    answer = airflow("snapshot", "show", file, "--at", "2026-02-09", "-o", "json")
    assert answer.row["moment"] == "2026-02-03T06:00:00Z"
    answer = airflow("snapshot", "restore", file, "--at", "2026-02-09", "--dry-run", "-o", "json")
    assert answer.row["snapshot_at"] == "2026-02-03T06:00:00Z"
    answer = airflow("snapshot", "restore", file, "--dry-run")
    assert "There are snapshots of 2026-02-03T06:00:00Z, 2026-02-02" in answer.err


@pytest.mark.usefixtures("three_days")
def test_whose_snapshots_they_are_cannot_be_told_while_customer_io_is_away(
    airflow: Any, file: str, sandbox: Any, impatient: None
) -> None:
    sandbox.faults.add("status", api="track", status=503, times=0)
    answer = airflow("snapshot", "list", file)
    assert (answer.code, answer.out) == (3, "")
    assert "503" in answer.err


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
@pytest.mark.usefixtures("three_days")
def test_show(airflow: Any, file: str, output: str) -> None:
    answer = airflow("snapshot", "show", file, "--at", "2026-02-02", "-o", output)
    assert answer.code == 0
    assert "2026-02-02T06:00:00Z" in answer.out
    assert PERSON not in answer.out + answer.err
    if output == "json":
        assert (answer.row["identifiers"], answer.row["cohort_id"], answer.row["run_id"]) == (
            40,
            "a1b2c3d",
            "day-2",
        )


@pytest.mark.usefixtures("three_days")
def test_show_prints_people_to_who_asks_for_them(airflow: Any, file: str) -> None:
    shown = airflow("snapshot", "show", file, "--at", "2026-02-01", "--identifiers")
    assert shown.out.splitlines() == PEOPLE[:40]
    assert PERSON not in shown.err
    newest = airflow("snapshot", "show", file, "--identifiers", "-o", "json")
    assert newest.rows == PEOPLE[45:]


@pytest.mark.usefixtures("three_days")
def test_show_reads_what_it_shows(airflow: Any, file: str, place: Place) -> None:
    name = sorted(name for name in place.files() if name.endswith(".gz"))[0]
    place.put(name, b"no gzip")
    answer = airflow("snapshot", "show", file, "--at", "2026-02-01", "--identifiers")
    assert (answer.code, answer.out) == (1, "")
    assert "is damaged" in answer.err


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (["--from", "2026-02-01", "--to", "2026-02-02"], (5, 5, 35)),
        (["--from", "2026-02-02"], (25, 40, 0)),
        ([], (0, 0, 25)),
    ],
)
@pytest.mark.usefixtures("three_days")
def test_diff(airflow: Any, file: str, arguments: list[str], counts: tuple[int, int, int]) -> None:
    answer = airflow("snapshot", "diff", file, *arguments, "-o", "json")
    assert answer.code == 0
    assert (answer.row["joined"], answer.row["left"], answer.row["same"]) == counts
    assert PERSON not in answer.out + answer.err


@pytest.mark.usefixtures("three_days")
def test_diff_prints_people_to_who_asks_for_them(airflow: Any, file: str) -> None:
    days = ["--from", "2026-02-01", "--to", "2026-02-02", "--identifiers"]
    lines = airflow("snapshot", "diff", file, *days).out.splitlines()
    assert sorted(lines) == sorted([f"- {who}" for who in PEOPLE[:5]] + [f"+ {who}" for who in PEOPLE[40:45]])
    rows = airflow("snapshot", "diff", file, *days, "-o", "json").rows
    assert {row["identifier"] for row in rows if row["change"] == "joined"} == {*PEOPLE[40:45]}


@pytest.mark.usefixtures("three_days")
def test_restore(airflow: Any, file: str, sandbox: Any, place: Place) -> None:
    exports, kept = sandbox.project.used, place.files()
    back = ["snapshot", "restore", file, "--at", "2026-02-02", "--yes", "-o", "json"]
    refused = airflow(*back)
    assert (refused.code, refused.row["status"], refused.row["guards"]) == (1, "refused", ["large_removal"])
    dry = airflow(*back, "--allow-large-removal", "--dry-run")
    assert (dry.code, dry.row["status"], dry.row["to_add"], dry.row["to_remove"]) == (0, "planned", 40, 25)
    assert members(sandbox) == {*PEOPLE[45:]}
    sandbox.faults.add("drop", api="amplitude", times=0)
    answer = airflow(*back, "--allow-large-removal")
    assert (answer.code, answer.row["status"], answer.row["added"]) == (0, "restored", 40)
    assert (answer.row["source"], answer.row["snapshot_at"]) == ("snapshot", "2026-02-02T06:00:00Z")
    assert "adds up to 40 people and removes 25" in answer.err
    assert members(sandbox) == {*PEOPLE[5:45]}
    assert (sandbox.project.used, place.files()) == (exports, kept)
    assert PERSON not in answer.out + answer.err + refused.out + refused.err


def test_a_tracked_sync_at_a_terminal(
    airflow: Any, write: Callable[..., str], sandbox: Any, cohort: Callable[..., Any], local_place: Place
) -> None:
    path = write({"snapshot_path": local_place.path, "mode": "tracked", "deferrable": False})
    (found,) = in_file(path, None)
    task: Any = found.task
    task.dry_run, task.limit, task.source, task.snapshot_at = False, None, "cohort", None
    for flag in (name for name in task.template_fields if name.startswith(("allow_", "adopt_"))):
        setattr(task, flag, False)
    by_hand = [sandbox.workspace.add_person(id=f"{PERSON}-vip")]
    sandbox.workspace.add_segment("Power users", members=by_hand)

    def run(day: int, *people: str) -> Any:
        cohort(*people)
        moment = Run(datetime(2026, 2, day, 6, tzinfo=UTC), f"day-{day}")
        return task.execute({"dag": found.dag, "dag_run": moment, "ti": None})

    run(1, *PEOPLE[:3])
    run(2, *PEOPLE[1:4])
    exact = airflow("plan", path, "--exact", "-o", "json")
    assert (exact.code, exact.row["to_add"], exact.row["to_remove"]) == (0, 0, 0)
    back = ("snapshot", "restore", path, "--at", "2026-02-01", "--yes", "-o", "json")
    answer = airflow(*back)
    assert (answer.row["added"], answer.row["removed"], answer.row["tracked"]) == (1, 1, 3)
    assert members(sandbox) == {*PEOPLE[:3], f"{PERSON}-vip"}
    # The command has kept a snapshot of its own, which tells whom the sync may remove.
    shown = airflow("snapshot", "show", path, "-o", "json").row
    assert (shown["mode"], shown["identifiers"]) == ("tracked", 3)
    assert run(3, PEOPLE[1])["removed"] == 2
    name = max(name for name in local_place.files() if name.endswith(".gz"))
    local_place.put(name, b"x")
    refused = airflow(*back)
    assert (refused.code, refused.row["guards"]) == (1, ["lost_tracking"])
    assert airflow(*back, "--allow-lost-tracking").row["added"] == 2


@pytest.mark.parametrize(("said", "code"), [("y", 0), ("n", 1), ("", 1)])
@pytest.mark.usefixtures("three_days")
def test_restore_asks_on_a_terminal(
    airflow: Any, file: str, sandbox: Any, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        threading.Timer(0.1, os.write, (controller, f"{said}\n".encode())).start()
        answer = airflow("snapshot", "restore", file, "--at", "2026-02-01", "--allow-large-removal")
    os.close(controller)
    assert answer.code == code
    assert "Restore the segment? [y/N]" in answer.err
    assert members(sandbox) == ({*PEOPLE[:40]} if code == 0 else {*PEOPLE[45:]})


@pytest.mark.usefixtures("three_days")
def test_restore_without_anybody_to_ask_or_a_moment(airflow: Any, file: str, sandbox: Any) -> None:
    answer = airflow("snapshot", "restore", file, "--yes")
    assert answer.code == 2
    assert "2026-02-03T06:00:00Z, 2026-02-02T06:00:00Z, 2026-02-01T06:00:00Z" in answer.err
    answer = airflow("snapshot", "restore", file, "--at", "2026-02-02")
    assert answer.code == 2
    assert "--yes" in answer.err
    assert members(sandbox) == {*PEOPLE[45:]}


@pytest.mark.parametrize(
    ("moment", "code", "words"),
    [("2026-01-31", 1, "no snapshot at or before"), ("last week", 2, "it must be a date")],
)
@pytest.mark.usefixtures("three_days")
def test_a_moment_of_which_there_is_none(
    airflow: Any, file: str, sandbox: Any, moment: str, code: int, words: str
) -> None:
    for name in ("show", "restore"):
        more = ["--yes"] if name == "restore" else []
        answer = airflow("snapshot", name, file, "--at", moment, *more)
        assert (answer.code, answer.out) == (code, "")
        assert words in answer.err
    assert members(sandbox) == {*PEOPLE[45:]}


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("UTC", "2026-02-02T22:00:00Z"),
        ("Europe/Berlin", "2026-02-02T22:00:00Z"),
        ("Pacific/Kiritimati", "2026-02-02T06:00:00Z"),
        ("America/Los_Angeles", "2026-02-03T06:00:00Z"),
    ],
)
def test_a_date_alone_ends_in_the_timezone_of_the_sync(
    airflow: Any,
    write: Callable[..., str],
    cohort: Callable[..., Any],
    local_place: Place,
    zone: str,
    moment: str,
) -> None:
    cohort("a")
    zones = {"timezone": zone, "start_date": "2026-01-01T00:00:00+03:00"}
    file = write({"snapshot_path": local_place.path, "deferrable": False, **zones})
    (found,) = in_file(file, None)
    task: Any = found.task
    task.dry_run, task.limit, task.source, task.snapshot_at = False, None, "cohort", None
    for flag in (name for name in task.template_fields if name.startswith(("allow_", "adopt_"))):
        setattr(task, flag, False)
    for written in ("2026-02-02T06:00:00Z", "2026-02-02T22:00:00Z", "2026-02-03T06:00:00Z"):
        run = Run(datetime.fromisoformat(written), written)
        task.execute({"dag": found.dag, "dag_run": run, "ti": None})
    for name, *flags in (["show"], ["restore", "--dry-run"]):
        answer = airflow("snapshot", name, file, "--at", "2026-02-02", *flags, "-o", "json")
        assert answer.row.get("moment", answer.row.get("snapshot_at")) == moment


def test_several_segments(
    airflow: Any, write: Callable[..., str], cohort: Callable[..., Any], local_place: Place
) -> None:
    cohort("a")
    targets = [{"name": "one", "segment_name": "One"}, {"name": "two", "segment_name": "Two"}]
    file = write({"targets": targets, "snapshot_path": local_place.path}, {"name": "without"})
    assert airflow("snapshot", "list", file, "-o", "json").rows == []
    answer = airflow("snapshot", "show", file)
    assert answer.code == 2
    assert "Choose one with --sync or --target: sync, one; sync, two" in answer.err
    answer = airflow("snapshot", "show", file, "--target", "two")
    assert answer.code == 1
    assert "sync, two has no snapshot yet" in answer.err
    answer = airflow("snapshot", "list", file, "--target", "three")
    assert answer.code == 2
    assert "There is no target 'three'; the targets are one, two." in answer.err
    answer = airflow("snapshot", "list", file, "--sync", "without", "--target", "three")
    assert answer.code == 2
    assert "There is no target 'three'; none of these syncs has targets." in answer.err
    answer = airflow("snapshot", "list", file, "--sync", "without")
    assert answer.code == 1
    assert "snapshot_path is not set" in answer.err


def test_a_storage_that_is_away(airflow: Any, write: Callable[..., str], s3: Any, monkeypatch: Any) -> None:
    away = {**s3.connection, "extra": {**s3.connection["extra"], "endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_S3_AWAY", json.dumps(away))
    answer = airflow("snapshot", "list", write({"snapshot_path": "s3://s3_away@bucket/cohorts"}))
    assert answer.code == 3
    assert "cannot be listed (EndpointConnectionError)" in answer.err
