from __future__ import annotations

import time
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort.engine.guards import Baseline
from airflow_provider_cio_cohort.exceptions import StateStoreError
from airflow_provider_cio_cohort.state import StateStore
from airflow_provider_cio_cohort.sync.memory import SegmentMemory

REPORT = {"segment_after": 7, "identifiers": 9, "added": 3, "to_add": 5, "removed": 1, "to_remove": 1}


class Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


class ReadOnly(Store):
    def set(self, key: str, value: Any) -> None:
        raise RuntimeError("away")


def memory(
    store: Any, segment_id: int = 11, workspace: str = "workspace 7", keys: str = "k1", **of: str
) -> SegmentMemory:
    of = {"cohort_id": "a", "mode": "mirror", **of}
    found = SegmentMemory(StateStore(store), workspace, keys, of)
    found.attach(segment_id, "Power users")
    return found


def test_what_is_kept_is_found_by_the_same_sync_of_the_same_segment_alone() -> None:
    store = Store()
    assert memory(store).load() is None
    memory(store).save(REPORT, 100, 50.0)
    kept = memory(store).load()
    assert kept is not None
    assert kept["report"] == REPORT
    for other in (
        memory(store, cohort_id="b"),
        memory(store, mode="add_only"),
        memory(store, segment_id=12),
        memory(store, workspace="workspace 8", keys="k8"),
    ):
        assert other.load() is None


def test_two_syncs_of_one_segment_do_not_overwrite_each_other() -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    other = memory(store, mode="add_only")
    other.save({**REPORT, "identifiers": 3}, 100, 60.0)
    kept = memory(store).load()
    assert kept is not None
    assert kept["report"]["identifiers"] == 9
    assert memory(store).synced_from == 60.0
    assert memory(store).unchanged(100, 7)  # the other had nothing to write
    other.void()
    other.save({**REPORT, "identifiers": 3}, 100, 70.0)
    assert memory(store).unchanged(100, 7) is None
    assert other.unchanged(100, 7)


@pytest.mark.parametrize(
    ("computed_at", "members", "unchanged"),
    [(100, 7, True), (101, 7, False), (100, 8, False), (None, 7, False)],
)
def test_unchanged(computed_at: int | None, members: int, unchanged: bool) -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    report = memory(store).unchanged(computed_at, members)
    assert (report is not None) is unchanged
    if report:
        assert {report[name] for name in ("added", "to_add", "removed", "to_remove")} == {0}
        assert (report["unchanged"], report["segment_before"], report["identifiers"]) == (True, 7, 9)


def test_what_was_voided_is_never_unchanged_but_still_tells_the_size() -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    memory(store).void()
    assert memory(store).unchanged(100, 7) is None
    kept = memory(store).load()
    assert kept is not None
    assert kept["report"]["identifiers"] == 9


def test_what_cannot_be_voided_stops_the_run() -> None:
    with pytest.raises(StateStoreError):
        memory(ReadOnly()).void()
    memory(None).void()  # where nothing is remembered, nothing can mislead


def test_where_airflow_does_not_know_the_asset_nothing_can_mislead() -> None:
    class Unknown(Store):
        def set(self, key: str, value: Any) -> None:
            error = RuntimeError("not found")
            error.error = SimpleNamespace(detail={"status_code": 404})  # type: ignore[attr-defined]
            raise error

    found = memory(Unknown())
    found.void()
    found.save(REPORT, 100, 50.0)
    assert not found.exists


def test_an_export_whose_time_is_not_known_is_never_unchanged() -> None:
    store = Store()
    memory(store).save(REPORT, None, None)
    assert memory(store).unchanged(None, 7) is None
    assert memory(store).unchanged(100, 7) is None


def test_a_store_that_fails_at_the_end_does_not_fail_the_sync() -> None:
    memory(ReadOnly()).save(REPORT, 100, 50.0)


def test_a_snapshot_does_not_make_an_older_export_good_again() -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    memory(store).save(REPORT, None, None)
    assert memory(store).synced_from == 50.0


def test_an_export_that_is_dated_in_the_future_counts_as_one_of_now() -> None:
    store, before = Store(), time.time()
    memory(store).save(REPORT, 100, before + 3600)
    synced_from = memory(store).synced_from
    assert synced_from is not None
    assert before <= synced_from <= time.time()


def test_a_time_in_the_future_tells_nothing() -> None:
    store = Store()
    memory(store).save(REPORT, 100, time.time())
    store[memory(store)._writes_key]["synced_from"] = time.time() + 3600
    assert memory(store).synced_from is None


def test_which_segment_it_is_holds_for_the_keys_that_have_found_it() -> None:
    store = Store()
    memory(store).note_segment(made_for="a")
    assert memory(store).remembered == (11, None)
    assert memory(store).is_made_for("a")
    assert not memory(store).is_made_for("b")
    assert not memory(store, segment_id=12).is_made_for("a")
    assert memory(store, workspace="workspace 8", keys="k8").remembered is None


def test_what_keys_of_two_workspaces_find_is_not_remembered_for_either() -> None:
    store = Store()
    mixed = memory(store, keys="mixed")
    mixed.note_segment(made_for="a")
    mixed.save(REPORT, 100, 50.0)
    mended = memory(store)
    assert mended.remembered is None
    assert not mended.is_made_for("a")
    assert mended.unchanged(100, 7) is None


def test_new_keys_of_a_workspace_know_the_segment_by_its_number_and_name() -> None:
    store = Store()
    memory(store).note_proof()
    memory(store).save(REPORT, 100, 50.0)
    new = memory(store, keys="k2")
    assert new.remembered == (11, "Power users")
    assert new.synced_from == 50.0
    assert new.load() is not None
    assert not new.keys_are_proven
    assert new.unchanged(100, 7) is None
    new.save(REPORT, 100, 60.0)
    assert new.unchanged(100, 7)


def test_a_proof_holds_for_its_keys_and_its_segment() -> None:
    store = Store()
    memory(store).note_proof()
    assert memory(store).keys_are_proven
    assert not memory(store, keys="k2").keys_are_proven
    assert not memory(store, segment_id=12).keys_are_proven
    assert not memory(None).keys_are_proven


def test_a_run_with_keys_of_another_workspace_makes_nothing_forgotten() -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    other = memory(store, workspace="workspace 8", keys="k8")
    other.note_segment()
    other.void()
    assert memory(store).synced_from == 50.0
    assert memory(store).unchanged(100, 7)


def test_growth_is_measured_from_a_good_sync_for_about_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = Store(), 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    assert memory(store).baseline is None
    memory(store).void(50)
    assert memory(store).baseline is None
    memory(store).save({**REPORT, "segment_after": 100}, 100, 50.0)
    assert memory(store).baseline == Baseline(100, 0, "1970-01-12 13:46 UTC")
    for hours, members, kept in ((1, 150, (100, 30)), (18, 200, (100, 60)), (2, 250, (250, 0))):
        now += hours * 3600
        memory(store, mode="add_only").void(30)
        memory(store, mode="add_only").save({**REPORT, "segment_after": members}, 100, 50.0)
        found = memory(store).baseline
        assert found is not None
        assert (found.members, found.sent) == kept
    assert memory(store, segment_id=12).baseline is None


def test_growth_that_was_allowed_is_not_counted_again() -> None:
    store = Store()
    memory(store).save({**REPORT, "segment_after": 100}, 100, 50.0)
    memory(store).void(900)
    memory(store).save({**REPORT, "segment_after": 1000}, 100, 50.0, growth_allowed=True)
    found = memory(store).baseline
    assert found is not None
    assert (found.members, found.sent) == (1000, 0)


def test_a_sync_that_fails_leaves_what_it_has_begun_to_add() -> None:
    store = Store()
    memory(store).save({**REPORT, "segment_after": 100}, 100, 50.0)
    for _ in range(2):
        memory(store).void(30)
    found = memory(store).baseline
    assert found is not None
    assert (found.members, found.sent) == (100, 60)


@pytest.mark.parametrize(
    "growth",
    [None, 7, "x", {}, {"members": "9", "sent": 0, "at": 1.0}, {"members": 9, "sent": 0, "at": 1e300}],
)
def test_a_size_that_makes_no_sense_is_replaced(growth: Any) -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0)
    (key,) = [key for key in store if key.startswith("writes.")]
    store[key] = {**store[key], "growth": growth}
    assert memory(store).baseline is None
    memory(store).void(3)
    memory(store).save(REPORT, 100, 60.0)
    found = memory(store).baseline
    assert found is not None
    assert (found.members, found.sent) == (7, 0)


def test_writes_are_unverified_until_a_sync_of_the_segment_succeeds() -> None:
    store = Store()
    assert not memory(store).has_unverified_writes
    memory(store).void()
    assert memory(store).has_unverified_writes
    assert not memory(store, segment_id=12).has_unverified_writes
    memory(store, mode="add_only").save(REPORT, 100, 50.0)
    assert not memory(store).has_unverified_writes


def test_the_slowest_write_counts_for_some_more_syncs() -> None:
    store = Store()
    assert memory(store).visible_after is None
    seen = []
    for seconds in (4.0, None, 0.1, 0.1, 3.0):
        memory(store).save(REPORT, 100, 50.0, seconds)
        seen.append(memory(store).visible_after)
    assert seen == [4.0, 4.0, 2.0, 1.0, 3.0]


@pytest.mark.parametrize("kept", ["0.1", True, -1.0, 1e9])
def test_a_lag_that_cannot_be_right_tells_nothing(kept: Any) -> None:
    store = Store()
    memory(store).save(REPORT, 100, 50.0, 0.5)
    (key,) = (key for key, value in store.items() if "visible_after" in value)
    store[key]["visible_after"] = kept
    assert memory(store).visible_after is None


class Counting(Store):
    """A store that counts what is read, and fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()
        self.failures = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.reads[key] += 1
        if self.failures:
            self.failures -= 1
            raise RuntimeError("away")
        return super().get(key, default)


def look_at_all(found: SegmentMemory) -> None:
    """Ask for all that a run asks for before it writes."""
    found.note_segment()
    _ = found.remembered, found.keys_are_proven, found.synced_from, found.baseline, found.snapshot
    _ = found.has_unverified_writes, found.visible_after, found.is_made_for("a"), found.unchanged(100, 7)


def test_each_value_is_read_once_until_a_run_looks_again() -> None:
    store = Counting()
    found = memory(store)
    look_at_all(found)
    look_at_all(found)
    assert set(store.reads.values()) == {1}
    found.refresh()
    look_at_all(found)
    assert set(store.reads.values()) == {2}


def test_a_run_looks_again_for_what_another_sync_has_stored() -> None:
    store = Store()
    found = memory(store)
    assert found.synced_from is None
    memory(store, cohort_id="b").save(REPORT, 100, 50.0)
    found.refresh()
    assert found.synced_from == 50.0


@pytest.mark.parametrize("step", ["void", "save", "note_proof"])
def test_what_another_sync_has_stored_meanwhile_is_not_overwritten(step: str) -> None:
    store = Store()
    found = memory(store)
    look_at_all(found)
    other = memory(store, mode="add_only")
    other.note_segment(made_for="a")
    other.save(REPORT, 100, 60.0)
    {
        "void": found.void,
        "save": lambda: found.save(REPORT, 100, 50.0),
        "note_proof": found.note_proof,
    }[step]()
    after = memory(store)
    assert (after.synced_from, after.is_made_for("a")) == (60.0, True)


def test_a_read_that_failed_is_tried_again_and_what_could_not_be_stored_is_not_believed() -> None:
    store = Counting()
    memory(store).save(REPORT, 100, 50.0)
    found = memory(store)
    store.failures = 1
    assert found.synced_from is None
    assert found.synced_from == 50.0
    read_only = ReadOnly(store)
    found = memory(read_only)
    assert not found.has_unverified_writes
    with pytest.raises(StateStoreError):
        found.void()
    assert not found.has_unverified_writes
