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
                "bad-1\trejected",
                f"{LONG}\ttoo_long",
                "typo \tmistyped",
                "unknown-1\tunknown",
                "unknown-2\tunknown",
                f"{NO_ID}\tnot_removable",
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
    assert contents(local_place) == [["x\tunknown", "y\tunknown"]]
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
    assert contents(place) == [sorted([*PEOPLE[:5], "nobody"]), ["nobody\tunknown"]]
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
