"""How many members others have added or removed since the last good sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.operator.conftest import AssetStores
from tests.integration.operator.test_snapshots import DAYS, PEOPLE, on
from tests.places import Place

UNKNOWN = (None, None)


def drift(report: dict[str, Any]) -> tuple[int | None, int | None]:
    return report["joined_elsewhere"], report["left_elsewhere"]


@pytest.fixture
def run(cohort: Callable[..., Any], sync: Callable[..., Any], local_place: Place) -> Callable[..., Any]:
    """Sync a cohort of some people on a day."""

    def on_day(day: int, *people: str, **more: Any) -> dict[str, Any]:
        if people:
            cohort(*people)
        return sync(**{"snapshot_path": local_place.path, "context": on(DAYS[day]), **more})

    return on_day


@pytest.fixture
def segment(sandbox: Any) -> Callable[[], Any]:
    return lambda: sandbox.workspace.find_segment("Power users")


def by_hand(sandbox: Any, segment: Any, join: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> None:
    segment.by_hand_add([sandbox.workspace.add_person(id=who) for who in join])
    segment.by_hand_remove([person for person in segment.members if person.id in leave])


@pytest.mark.parametrize("mode", ["mirror", "add_only"])
def test_members_whom_others_add_and_remove_are_counted(
    sandbox: Any, run: Callable[..., Any], segment: Any, mode: str
) -> None:
    assert drift(run(1, *PEOPLE[:20], mode=mode)) == UNKNOWN  # the first
    assert drift(run(2, *PEOPLE[2:22], mode=mode)) == (0, 0)
    by_hand(sandbox, segment(), ("vip-1", "vip-2"), tuple(PEOPLE[5:10]))
    dry = run(3, *PEOPLE[2:23], mode=mode, dry_run=True)
    report = run(3, mode=mode)
    assert drift(report) == drift(dry) == (2, 5)
    assert drift(run(4, mode=mode)) == (0, 0)


def test_people_whom_customer_io_did_not_know_have_not_left(
    cohort: Callable[..., Any], run: Callable[..., Any], sandbox: Any, segment: Any
) -> None:
    cohort(*PEOPLE[:10])
    cohort(*PEOPLE[:10], "nobody-1", "nobody-2", known=False)
    assert run(1)["unmatched"] == 2
    by_hand(sandbox, segment(), leave=(PEOPLE[0],))
    assert drift(run(2)) == (0, 1)


def test_a_person_who_was_deleted_has_left(sandbox: Any, run: Callable[..., Any], segment: Any) -> None:
    run(1, *PEOPLE[:10])
    sandbox.workspace.delete_person(segment().members[0])
    assert drift(run(2)) == (0, 1)


def test_what_a_limited_run_has_added_was_not_added_elsewhere(run: Callable[..., Any]) -> None:
    run(1, *PEOPLE[:10])
    assert run(2, *PEOPLE[:15], limit=2)["added"] == 2
    assert drift(run(3)) == UNKNOWN
    assert drift(run(4)) == (0, 0)


def test_a_restored_segment_is_what_the_next_run_is_compared_with(
    sandbox: Any, run: Callable[..., Any], segment: Any
) -> None:
    run(1, *PEOPLE[:10])
    run(2, *PEOPLE[5:15])
    by_hand(sandbox, segment(), ("vip",))
    assert drift(run(1, source="snapshot")) == (1, 0)
    by_hand(sandbox, segment(), leave=(PEOPLE[0],))
    assert drift(run(3)) == (0, 1)


def test_without_a_snapshot_nothing_is_known(
    run: Callable[..., Any], local_place: Place, sandbox: Any, segment: Any
) -> None:
    run(1, *PEOPLE[:10], snapshot_path=None)
    assert drift(run(2)) == UNKNOWN
    by_hand(sandbox, segment(), ("vip",))
    for name in local_place.files():
        local_place.delete(name)
    report = run(3)
    assert (report["removed"], *drift(report)) == (1, *UNKNOWN)


def test_a_damaged_snapshot_stops_no_sync(
    run: Callable[..., Any], local_place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    run(1, *PEOPLE[:10])
    name = next(name for name in local_place.files() if name.endswith(".gz"))
    local_place.put(name, b"x")
    assert drift(run(2)) == UNKNOWN
    assert "its last snapshot cannot be read. The snapshot of 2026-02-01T06:00:00Z is damaged" in caplog.text


def test_without_a_state_store_nothing_is_known(run: Callable[..., Any], assets: AssetStores) -> None:
    run(1, *PEOPLE[:10])
    assets.clear()
    assert drift(run(2)) == UNKNOWN
