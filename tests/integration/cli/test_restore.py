"""What ``snapshot restore`` was allowed to do is what it does: the world may change while somebody reads."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from airflow_provider_cio_cohort.cli import asset_stores
from airflow_provider_cio_cohort.cli.select import in_file
from airflow_provider_cio_cohort.cli.snapshots import active_runs
from airflow_provider_cio_cohort.engine import guards
from airflow_provider_cio_cohort.hooks import membership
from tests.integration.cli.conftest import PERSON
from tests.integration.operator.test_snapshots import Run
from tests.places import Place

PEOPLE = [f"{PERSON}-{number:03}" for number in range(200)]
KEPT, NOW = PEOPLE[:40], PEOPLE[30:80]
BATCHES = 20


@pytest.fixture
def file(write: Callable[..., str], local_place: Place) -> str:
    return write({"snapshot_path": local_place.path, "deferrable": False})


@pytest.fixture
def run(file: str) -> Callable[[int], Any]:
    """Run the sync of the file on the 1st of February, at an hour; no guard stops it."""

    def run(hour: int) -> Any:
        (found,) = in_file(file, None)
        task: Any = found.task
        task.dry_run, task.limit, task.source, task.snapshot_at = False, None, "cohort", None
        for flag in (name for name in task.template_fields if name.startswith(("allow_", "adopt_"))):
            setattr(task, flag, flag != "allow_no_match")
        date = datetime(2026, 2, 1, hour, tzinfo=UTC)
        return task.execute({"dag": found.dag, "dag_run": Run(date, f"hour-{hour}"), "ti": None})

    return run


@pytest.fixture
def segment(sandbox: Any, run: Callable[[int], Any], cohort: Callable[..., Any]) -> Any:
    """A segment that has moved on since its snapshot of the 1st: going back adds 30 people and removes 40."""
    cohort(*KEPT)
    run(6)
    found = sandbox.workspace.find_segment("Power users")
    found.by_hand_remove(found.members)
    found.by_hand_add(named(sandbox, NOW))
    sandbox.reset_requests()
    return found


@pytest.fixture
def back(airflow: Any, file: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Go back to the 1st at a terminal; something happens before the question is answered with yes."""

    def back(meanwhile: Callable[[], object] = lambda: None, *flags: str) -> Any:
        def readline() -> str:
            meanwhile()
            return "y\n"

        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, readline=readline))
        flags = ("--allow-large-removal", *flags)
        return airflow("snapshot", "restore", file, "--at", "2026-02-01", *flags, "-o", "json")

    return back


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A database that tells of active runs, and keeps what a later run is to know."""
    runs: list[str] = []
    kept: dict[tuple[str, str], Any] = {}
    monkeypatch.setattr(active_runs, "_active_run", lambda dag_id, task_id: runs[0] if runs else None)
    monkeypatch.setattr(asset_stores, "_read", lambda uri, key: kept.get((uri, key)))
    monkeypatch.setattr(
        asset_stores, "_write", lambda uri, key, value: kept.__setitem__((uri, key), json.loads(value))
    )
    return runs


def members(segment: Any) -> set[str]:
    return {person.id for person in segment.members}


def writes(sandbox: Any) -> int:
    return int(sandbox.count(path_regex="(add|remove)_customers$"))


def named(sandbox: Any, names: Sequence[str]) -> list[Any]:
    return [sandbox.workspace.add_person(id=name, email=f"{name}@example.com") for name in names]


def test_what_was_shown_is_done(segment: Any, back: Callable[..., Any]) -> None:
    answer = back()
    assert (answer.code, answer.row["status"]) == (0, "restored")
    assert (answer.row["added"], answer.row["removed"]) == (30, 40)
    assert members(segment) == {*KEPT}


#: Who joins the segment, and who leaves it, after the plan was shown.
CHANGES: dict[str, tuple[list[str], list[str]]] = {
    "sixty more would be removed": (PEOPLE[80:140], []),
    "one more would be removed": (PEOPLE[80:81], []),
    "as many, but others, would be removed": (PEOPLE[80:81], PEOPLE[70:71]),
    "one fewer would be removed": ([], PEOPLE[70:71]),
    "one more would be added": ([], PEOPLE[35:36]),
}


def test_a_flag_lets_many_people_come_back(
    segment: Any, back: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "UNGUARDED_ADDITIONS", 5)
    segment.by_hand_remove(segment.members[5:])
    answer = back()
    assert (answer.code, answer.row["status"], answer.row["guards"]) == (1, "refused", ["large_addition"])
    assert (back(lambda: None, "--allow-large-addition").row["added"], members(segment)) == (35, {*KEPT})


def test_who_may_not_be_removable_is_told_before_the_question(
    sandbox: Any, segment: Any, back: Callable[..., Any]
) -> None:
    segment.by_hand_add([sandbox.workspace.add_person(email=f"{PERSON}@example.com")])
    sandbox.configure(removal_needs_id=True)
    answer = back()
    assert "removes 41 (1 of them may stay: Customer.io's API removes nobody without an id);" in answer.err
    assert (answer.code, answer.row["status"]) == (0, "restored")
    assert (answer.row["removed"], answer.row["not_removable"]) == (40, 1)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_another_change_than_the_one_that_was_shown_is_refused(
    sandbox: Any, segment: Any, back: Callable[..., Any], change: tuple[list[str], list[str]]
) -> None:
    came, went = change

    def meanwhile() -> None:
        segment.by_hand_add(named(sandbox, came))
        segment.by_hand_remove(named(sandbox, went))

    answer = back(meanwhile)
    assert (answer.code, answer.row["status"], answer.row["guards"]) == (1, "refused", ["changed_plan"])
    assert "have changed since the plan was shown" in answer.err
    assert "Run the command again" in answer.err
    assert members(segment) == {*NOW, *came} - {*went}
    assert writes(sandbox) == 0
    assert PERSON not in answer.out + answer.err
    again = back()
    assert (again.code, again.row["status"]) == (0, "restored")
    assert members(segment) == {*KEPT}


def test_another_snapshot_than_the_one_that_was_shown_is_refused(
    sandbox: Any, segment: Any, back: Callable[..., Any], run: Callable[[int], Any], cohort: Any
) -> None:
    cohort(*PEOPLE[100:140])

    def meanwhile() -> None:
        run(20)  # it keeps a snapshot, and the date that was asked for means that one now
        segment.by_hand_remove(segment.members)
        segment.by_hand_add(named(sandbox, NOW))
        sandbox.reset_requests()

    answer = back(meanwhile)
    assert (answer.code, answer.row["guards"]) == (1, ["changed_plan"])
    assert members(segment) == {*NOW}
    assert writes(sandbox) == 0


def test_a_run_that_starts_after_the_question_is_seen(
    sandbox: Any, segment: Any, back: Callable[..., Any], active: list[str]
) -> None:
    there = members(segment)
    answer = back(lambda: active.append("scheduled__2026-02-04"))
    assert (answer.code, answer.out) == (1, "")
    assert "The run scheduled__2026-02-04 of the DAG cohort_sync__sync is active" in answer.err
    assert members(segment) == there
    assert writes(sandbox) == 0


def test_a_run_that_starts_while_the_segment_is_read_again_is_seen(
    sandbox: Any, segment: Any, back: Callable[..., Any], active: list[str]
) -> None:
    there = members(segment)

    def meanwhile() -> None:
        sandbox.at_request(lambda request: active.append("manual__1"), api="app", path="/membership$")

    answer = back(meanwhile)
    assert answer.code == 1
    assert "The run manual__1 of the DAG cohort_sync__sync is active" in answer.err
    assert "Nothing was written." in answer.err
    assert members(segment) == there
    assert writes(sandbox) == 0


def test_a_restore_that_cannot_tell_later_runs_of_it_writes_nothing(
    sandbox: Any, segment: Any, back: Callable[..., Any], active: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(uri: str, key: str, value: str) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(asset_stores, "_write", away)
    there = members(segment)
    answer = back()
    assert answer.code == 3
    assert "nothing was sent to Customer.io" in answer.err
    assert members(segment) == there
    assert writes(sandbox) == 0


def test_without_the_database_a_sync_that_skips_is_refused(
    airflow: Any,
    write: Callable[..., str],
    local_place: Place,
    sandbox: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(dag_id: str, task_id: str) -> None:
        raise OperationalError("select", {}, Exception("it is away"))

    monkeypatch.setattr(active_runs, "_active_run", away)
    file = write({"snapshot_path": local_place.path, "skip_unchanged": True})
    answer = airflow("snapshot", "restore", file, "--at", "2026-02-01", "--yes")
    assert answer.code == 1
    assert "could treat the restored segment as unchanged" in answer.err
    assert not sandbox.requests


def test_ctrl_c_stops_at_once(
    sandbox: Any, segment: Any, airflow: Any, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "IDENTIFIERS_PER_BATCH", 1)
    connection = sandbox.connections()["customer_io_default"]
    connection["extra"]["requests_per_second"] = 20
    monkeypatch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(connection))
    before = signal.getsignal(signal.SIGINT)
    sandbox.at_request(
        lambda request: os.kill(os.getpid(), signal.SIGINT), api="track", path="add_customers", after=4
    )
    flags = ("--at", "2026-02-01", "--allow-large-removal", "--yes")
    answer = airflow("snapshot", "restore", file, *flags)
    assert answer.code == 130
    assert "Interrupted. People may have been added or removed already" in answer.err
    sent = writes(sandbox)
    assert sent < BATCHES
    time.sleep(0.3)  # what is not stopped would go on at twenty a second
    assert writes(sandbox) <= sent + 1
    assert signal.getsignal(signal.SIGINT) is before
    again = airflow("snapshot", "restore", file, *flags, "-o", "json")
    assert (again.code, again.row["status"]) == (0, "restored")
    assert members(segment) == {*KEPT}


def test_ctrl_c_before_the_first_write_says_so(sandbox: Any, segment: Any, airflow: Any, file: str) -> None:
    there = members(segment)
    sandbox.at_request(
        lambda request: os.kill(os.getpid(), signal.SIGINT), api="app", path="/membership$", after=1
    )
    flags = ("--at", "2026-02-01", "--allow-large-removal", "--yes")
    answer = airflow("snapshot", "restore", file, *flags)
    assert answer.code == 130
    assert "Interrupted. Nothing was written." in answer.err
    assert members(segment) == there
    assert writes(sandbox) == 0
