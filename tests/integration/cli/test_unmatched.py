"""``unmatched list``, ``show`` and ``diff``, on files that real runs have kept."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_cio_cohort.cli.select import in_file
from tests.integration.cli.conftest import PERSON
from tests.integration.operator.test_snapshots import Run
from tests.places import Place


@pytest.fixture
def file(write: Callable[..., str], place: Place) -> str:
    """A file with one sync, which keeps whom it does not match."""
    return write({"unmatched_path": place.path, "deferrable": False, "timezone": "Europe/Berlin"})


@pytest.fixture
def two_days(file: str, cohort: Callable[..., Any], sandbox: Any) -> None:
    """On the second day, one of three is a person, one has left, and one is new."""
    for day, people in ((1, ("a", "b", "c")), (2, ("b", "c", "d"))):
        rows = [{"amplitude_id": str(n), "user_id": f"{PERSON}-{who}"} for n, who in enumerate(people)]
        rows.append({"amplitude_id": "9", "user_id": ""})
        sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
        run(file, day)
        sandbox.workspace.add_person(id=f"{PERSON}-c")


def run(file: str, day: int) -> dict[str, Any]:
    """Run the sync of a file as on a day in February."""
    (found,) = in_file(file, None)
    task: Any = found.task
    usual = {"dry_run": False, "limit": None, "source": "cohort", "snapshot_at": None}
    flags = ("adopt_segment", "allow_large_removal", "allow_empty_cohort", "allow_short_cohort")
    more = ("allow_low_match", "allow_no_match", "allow_large_addition")
    for key, value in {**usual, **dict.fromkeys((*flags, *more), False)}.items():
        setattr(task, key, value)
    date = datetime(2026, 2, day, 6, tzinfo=UTC)
    report: dict[str, Any] = task.execute({"dag": found.dag, "dag_run": Run(date, f"day-{day}"), "ti": None})
    return report


@pytest.mark.usefixtures("two_days")
@pytest.mark.parametrize("call", [("list",), ("show",), ("diff",)], ids=lambda call: call[0])
def test_nobody_is_printed_who_is_not_asked_for(airflow: Any, file: str, call: tuple[str, ...]) -> None:
    answer = airflow("unmatched", *call, file, "-v")
    assert answer.code == 0
    assert answer.out
    assert PERSON not in answer.out + answer.err


@pytest.mark.usefixtures("two_days")
def test_list_counts_the_reasons_of_each_run(airflow: Any, file: str) -> None:
    rows = airflow("unmatched", "list", file, "-o", "json").rows
    assert [(row["moment"], row["unknown"], row["no_identifier"], row["run_id"]) for row in rows] == [
        ("2026-02-02T06:00:00Z", 2, 1, "day-2"),
        ("2026-02-01T06:00:00Z", 3, 1, "day-1"),
    ]
    assert {(row["rejected"], row["too_long"], row["problem"]) for row in rows} == {(0, 0, None)}


@pytest.mark.usefixtures("two_days")
def test_show_names_them_only_if_asked(airflow: Any, file: str) -> None:
    row = airflow("unmatched", "show", file, "--at", "2026-02-01", "-o", "json").row
    assert (row["sync"], row["unknown"], row["no_identifier"]) == ("sync", 3, 1)
    people = airflow("unmatched", "show", file, "--identifiers")
    assert people.out.splitlines() == [f"{PERSON}-b\tunknown\tid", f"{PERSON}-d\tunknown\tid"]
    people = airflow("unmatched", "show", file, "--identifiers", "-o", "json")
    assert people.rows[0] == {"identifier": f"{PERSON}-b", "reason": "unknown", "id_type": "id"}


@pytest.mark.usefixtures("two_days")
def test_diff_compares_the_newest_two(airflow: Any, file: str) -> None:
    row = airflow("unmatched", "diff", file, "-o", "json").row
    assert (row["from"], row["to"]) == ("2026-02-01T06:00:00Z", "2026-02-02T06:00:00Z")
    assert (row["joined"], row["left"], row["same"]) == (1, 2, 1)
    changes = airflow("unmatched", "diff", file, "--identifiers")
    assert changes.out.splitlines() == [f"- {PERSON}-a", f"- {PERSON}-c", f"+ {PERSON}-d"]
    same = airflow("unmatched", "diff", file, "--from", "2026-02-01", "--to", "2026-02-01", "-o", "json").row
    assert (same["joined"], same["left"], same["same"]) == (0, 0, 3)


@pytest.mark.usefixtures("two_days")
def test_a_damaged_file_is_named(airflow: Any, file: str, place: Place) -> None:
    name = max(name for name in place.files() if name.endswith(".json"))
    place.put(name, b"{}")
    answer = airflow("unmatched", "list", file, "-o", "json")
    assert (answer.code, answer.rows[0]["unknown"]) == (1, None)
    assert "2026-02-02T06:00:00Z is damaged" in answer.rows[0]["problem"]


def test_where_there_is_nothing(airflow: Any, file: str, write: Callable[..., str]) -> None:
    answer = airflow("unmatched", "show", file)
    assert (answer.code, "has no snapshot of unmatched identifiers yet" in answer.err) == (1, True)
    answer = airflow("unmatched", "diff", file)
    assert (answer.code, "has only 0 files of unmatched identifiers" in answer.err) == (1, True)
    answer = airflow("unmatched", "list", write({}, name="none.yaml"))
    assert (answer.code, "unmatched_path is not set" in answer.err) == (1, True)


def test_rows_of_several_identifiers(
    airflow: Any, write: Callable[..., str], place: Place, sandbox: Any
) -> None:
    both = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]
    file = write({"unmatched_path": place.path, "deferrable": False, "identifiers": both})
    mail = f"{PERSON}@example.com"
    sandbox.workspace.add_person(id="1", email=mail)
    sandbox.workspace.add_person(id="2")
    rows = [("1", mail), ("2", ""), ("3", "x@example.com"), ("", f"x-{mail}"), ("2", mail.upper())]
    table = [{"amplitude_id": str(n), "user_id": id, "mail": mail} for n, (id, mail) in enumerate(rows)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=table)
    run(file, 1)
    report = run(file, 2)  # now that both are members, it is seen that a row leads to two
    row = airflow("unmatched", "show", file, "-o", "json").row
    assert (row["unknown"], row["conflicting"]) == (2, 1) == (report["unmatched"], report["conflicting"])
    people = airflow("unmatched", "show", file, "--identifiers").out.splitlines()
    assert people == ["2\tconflicting\tid", "3\tunknown\tid", f"x-{mail}\tunknown\temail"]
    assert airflow("forget", f"X-{mail}", "--file", file, "--yes").code == 0
    row = airflow("unmatched", "show", file, "-o", "json").row
    assert (row["unknown"], row["conflicting"]) == (1, 1)
