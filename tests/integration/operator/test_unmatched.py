"""Whom a run has not matched, and why: a file that it keeps beside the snapshots."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from tests.integration.operator.test_snapshots import DAYS, PEOPLE, contents, manifests, members, on
from tests.places import Place

LONG = "l" * 151
NO_ID = "zqz@example.com"


def reasons(place: Place, number: int = -1) -> dict[str, int]:
    return {reason: count for reason, count in manifests(place)[number]["reasons"].items() if count}


@pytest.fixture
def mixed(sandbox: Any, cohort: Callable[..., Any]) -> Any:
    """A segment and a cohort with a person for each reason."""
    sandbox.configure(removal_needs_id=True, track_refuses=r"^bad")
    people = [sandbox.workspace.add_person(email=NO_ID), sandbox.workspace.add_person(id="old")]
    segment = sandbox.workspace.add_segment(name="Power users", members=people)
    cohort("a", "b")
    cohort("a", "b", "unknown-1", "unknown-2", LONG, "typo ", "bad-1", "", known=False)
    return segment


def test_each_identifier_has_its_reason(
    mixed: Any, sandbox: Any, sync: Callable[..., Any], place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    report = sync(unmatched_path=place.path, adopt_segment=True, context=on(DAYS[1]))
    assert members(sandbox) == {"a", "b", None}
    assert contents(place) == [
        sorted(
            [
                "bad-1\trejected\tid",
                f"{LONG}\ttoo_long\tid",
                "typo \tmistyped\tid",
                "unknown-1\tunknown\tid",
                "unknown-2\tunknown\tid",
                f"{NO_ID}\tnot_removable\temail",
            ]
        )
    ]
    once = dict.fromkeys(("too_long", "mistyped", "rejected", "not_removable", "no_identifier"), 1)
    assert reasons(place) == {"unknown": 2, **once}
    assert (report["unmatched"], report["rejected"], report["not_removable"]) == (4, 1, 1)
    names = "".join(place.files())
    assert "/unmatched/" in names
    secrets = ("unknown-1", NO_ID, "bad-1", LONG)
    assert not [secret for secret in secrets if secret in names + str(manifests(place)) + caplog.text]


def test_a_run_with_nothing_to_write_says_the_same(
    mixed: Any, sync: Callable[..., Any], local_place: Place
) -> None:
    sync(unmatched_path=local_place.path, adopt_segment=True, context=on(DAYS[1]))
    sync(unmatched_path=local_place.path, adopt_segment=True, context=on(DAYS[2]))
    first, second = contents(local_place)
    assert first == second
    assert reasons(local_place, 0) == reasons(local_place, 1)


def test_nobody_is_written_and_everybody_is_unknown(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("x", "y", known=False)
    sync(unmatched_path=local_place.path, context=on(DAYS[1]))
    assert contents(local_place) == [["x\tunknown\tid", "y\tunknown\tid"]]
    cohort("x")
    sync(unmatched_path=local_place.path, context=on(DAYS[2]))
    assert contents(local_place)[1] == []
    assert reasons(local_place) == {}


def test_snapshots_and_unmatched_share_a_storage_and_their_retention(
    cohort: Callable[..., Any], sync: Callable[..., Any], place: Place
) -> None:
    cohort(*PEOPLE[:5])
    cohort(*PEOPLE[:5], "nobody", known=False)
    both = {"snapshot_path": place.path, "unmatched_path": place.path, "snapshot_keep_last": 1}
    for day in (1, 2):
        sync(**both, snapshot_keep_days=1e-9, context=on(DAYS[day]))
    assert contents(place) == [sorted([*PEOPLE[:5], "nobody"]), ["nobody\tunknown\tid"]]
    assert [manifest["moment"][:10] for manifest in manifests(place)] == ["2026-02-02"] * 2
    report = sync(**both, source="snapshot", snapshot_at="2026-02-02", context=on(DAYS[3]))
    assert (report["identifiers"], report["segment_after"]) == (6, 5)
    assert len(contents(place)) == 2  # a restored segment keeps none


def test_runs_that_do_not_make_the_segment_equal_keep_nothing(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a", "b")
    sync(unmatched_path=local_place.path, dry_run=True, context=on(DAYS[1]))
    sync(unmatched_path=local_place.path, limit=1, context=on(DAYS[2]))
    assert contents(local_place) == []


def test_a_storage_that_cannot_be_written_costs_no_export(
    sandbox: Any, cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a")
    with pytest.raises(exceptions.SnapshotStorageError) as caught:
        sync(unmatched_path=f"{local_place.path}/missing/folder", context=on(DAYS[1]))
    assert caught.value.headline.startswith("The storage of the unmatched identifiers cannot be written")
    assert sandbox.project.used == 0


def test_a_sync_that_is_unchanged_runs_once_to_keep_its_first_file(
    cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place
) -> None:
    cohort("a").last_computed = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
    sync(skip_unchanged=True, context=on(DAYS[1]))
    assert "unchanged" in sync(skip_unchanged=True, context=on(DAYS[2]))
    kept = {"skip_unchanged": True, "unmatched_path": local_place.path}
    assert "unchanged" not in sync(**kept, context=on(DAYS[3]))
    assert "unchanged" in sync(**kept, context=on(DAYS[4]))
    assert len(contents(local_place)) == 1


# ---- several identifiers a row

TWO = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]


@pytest.fixture
def rows_of_two(sandbox: Any) -> Any:
    """A segment, and rows of an id and an address, with a row for each reason."""
    sandbox.configure(removal_needs_id=True, lookup_refuses="^odd", track_refuses="^refused")
    people = [sandbox.workspace.add_person(id=f"u{n}", email=f"{n}@example.com") for n in range(4)]
    nobodys = sandbox.workspace.add_person(email=NO_ID)
    segment = sandbox.workspace.add_segment(name="Power users", members=[*people[:2], nobodys])
    sandbox.workspace.add_person(id="u9", email="nine@example.com")
    rows = [
        ("u0", "0@example.com"),
        ("u1", "0@example.com"),  # of two people
        ("u2", "nobody@example.com"),
        ("x3", "3@Example.com"),  # found by the second
        ("x4", "X4@example.com"),
        ("x5", "x4@example.com"),
        ("", "X6@Example.com"),
        (LONG, ""),
        ("typo ", "x7@example.com"),
        ("odd1", "nine@example.com"),
        ("x8", "odd2@example.com"),
        ("", ""),
        ("x\udcff", "x9@example.com"),
        *((f"u{n}", "") for n in range(20, 60)),
    ]
    for n in range(20, 60):
        sandbox.workspace.add_person(id=f"u{n}")
    table = [{"amplitude_id": str(n), "user_id": id, "mail": mail} for n, (id, mail) in enumerate(rows)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=table)
    return segment


EACH = [
    "odd1\trejected\tid",
    "odd2@example.com\trejected\temail",
    "typo \tmistyped\tid",
    "u1\tconflicting\tid",
    "x4\tunknown\tid",
    "x5\tunknown\tid",
    "x6@example.com\tunknown\temail",
    f"{LONG}\ttoo_long\tid",
]


def test_a_row_of_several_identifiers_is_named_by_one(
    rows_of_two: Any, sandbox: Any, sync: Callable[..., Any], place: Place
) -> None:
    (stays,) = (person.cio_id for person in rows_of_two.members if person.id is None)
    given = {"identifiers": TWO, "unmatched_path": place.path, "adopt_segment": True}
    report = sync(**given, context=on(DAYS[1]))
    stays = f"{stays.removeprefix('cio_')}\tnot_removable\tcio_id"
    assert contents(place) == [sorted([*EACH, stays])]
    counts = reasons(place)
    assert counts["unknown"] + counts["too_long"] + counts["mistyped"] == report["unmatched"] == 5
    assert counts["rejected"] == report["rejected"] == 2
    names = {"conflicting", "not_removable"}
    assert {name: counts[name] for name in names} == {name: report[name] for name in names}
    assert {counts[name] for name in names} == {1}
    assert counts["no_identifier"] == report["without_identifier"] == 1
    assert counts["unreadable"] == report["unreadable"] == 1
    assert manifests(place)[0]["identifiers"] == 9
    sync(**given, context=on(DAYS[2]))  # nothing to write, and the same file
    assert contents(place)[1] == contents(place)[0]


def test_who_was_found_and_is_refused_is_named_by_the_cio_id(
    sandbox: Any, sync: Callable[..., Any], local_place: Place
) -> None:
    people = [sandbox.workspace.add_person(id=f"u{n}") for n in range(2)]
    sandbox.configure(track_refuses=people[0].cio_id.removeprefix("cio_"))
    rows = [{"amplitude_id": str(n), "user_id": f"u{n}", "mail": ""} for n in range(2)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    report = sync(identifiers=TWO, unmatched_path=local_place.path, context=on(DAYS[1]))
    named = people[0].cio_id.removeprefix("cio_")
    assert contents(local_place) == [[f"{named}\trejected\tcio_id"]]
    assert reasons(local_place) == {"rejected": report["rejected"] == 1}
