"""``mode: tracked``: a sync removes only those whom it has added, beside members whom others have added."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.exceptions import GuardTrippedError
from airflow_provider_cio_cohort.snapshots.layout import Origin, folder_name
from airflow_provider_cio_cohort.snapshots.store import run_of
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.operator.conftest import AssetStores, Store
from tests.integration.operator.test_snapshots import DAYS, PEOPLE, contents, manifests, members, on
from tests.places import Place

HAND = ("vip-1", "vip-2")


class World:
    """A segment that marketing has filled by hand, and a sync that tracks whom it adds."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.sandbox = request.getfixturevalue("sandbox")
        self._cohort = request.getfixturevalue("cohort")
        self._sync = request.getfixturevalue("sync")
        self.place: Place = request.getfixturevalue("local_place")
        self.store: Store = request.getfixturevalue("store")
        self.assets: AssetStores = request.getfixturevalue("assets")
        self.caplog = request.getfixturevalue("caplog")
        self.day = 0
        by_hand = [self.sandbox.workspace.add_person(id=who) for who in HAND]
        self.segment = self.sandbox.workspace.add_segment(name="Power users", members=by_hand)

    def run(self, *people: str, **more: Any) -> dict[str, Any]:
        """Sync these people, or the cohort as it is."""
        if people:
            self._cohort(*people)
        self.day += 1
        usual = {"mode": "tracked", "snapshot_path": self.place.path, "context": on(DAYS[self.day])}
        return self._sync(**{**usual, **more})

    def fails(self, *people: str, **more: Any) -> exceptions.CohortSyncError:
        with pytest.raises(exceptions.CohortSyncError) as caught:
            self.run(*people, **more)
        self.store.kept = {}  # the next one is another run
        return caught.value

    def stopped(self, *people: str, **more: Any) -> GuardTrippedError:
        error = self.fails(*people, **more)
        assert isinstance(error, GuardTrippedError), error
        return error

    def by_hand(self, join: tuple[str, ...] = (), leave: tuple[str, ...] = ()) -> None:
        people = self.sandbox.workspace._by_id
        self.segment.by_hand_add(
            [people.get(who) or self.sandbox.workspace.add_person(id=who) for who in join]
        )
        self.segment.by_hand_remove([person for person in self.segment.members if person.id in leave])

    @property
    def members(self) -> set[str | None]:
        return members(self.sandbox)

    @property
    def newest(self) -> set[str]:
        """Whom the newest snapshot holds."""
        return set(contents(self.place)[-1])

    @property
    def pending(self) -> list[str]:
        return [name for name in self.place.files() if "/pending/" in f"/{name}"]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> World:
    return World(request)


def test_only_whom_the_sync_has_added_is_removed(world: World) -> None:
    report = world.run("a", "b", "vip-1")
    assert (report["mode"], report["added"], report["removed"], report["tracked"]) == ("tracked", 2, 0, 2)
    assert world.newest == {"a", "b"}
    # vip-1 was a member before the sync would have added her, so she stays when she leaves the cohort.
    report = world.run("b", "c")
    assert (report["added"], report["removed"], report["segment_after"], report["tracked"]) == (1, 1, 4, 2)
    assert world.members == {"b", "c", *HAND}
    assert world.newest == {"b", "c"}
    assert not world.pending
    assert manifests(world.place)[-1]["mode"] == "tracked"


def test_a_segment_that_no_sync_has_made_needs_no_adoption(world: World) -> None:
    world.run("a", "b")
    assert world.run("b")["removed"] == 1


def test_somebody_whom_others_remove_and_add_again_belongs_to_them(world: World) -> None:
    world.run("a", "b", "c")
    world.by_hand(leave=("a", "b"))
    # Of the cohort, so the sync adds her again; b is not, and is seen missing.
    report = world.run("a", "c")
    assert (report["added"], report["removed"], report["left_elsewhere"], report["joined_elsewhere"]) == (
        1,
        0,
        2,
        0,
    )
    world.by_hand(join=("b",))
    report = world.run("c")
    assert (report["removed"], report["joined_elsewhere"], report["left_elsewhere"]) == (1, 1, 0)
    assert world.members == {"b", "c", *HAND}


def test_a_run_that_dies_after_its_writes_has_not_forgotten_whom_it_added(world: World) -> None:
    world.run("a")
    world.sandbox.faults.add("status", api="app", path="membership", status=503, after=1, times=0)
    world.fails("a", "b", "c")
    assert world.members == {"a", "b", "c", *HAND}
    assert world.pending
    world.sandbox.faults.clear()
    # Somebody leaves the cohort before the next run, which adds others and dies as well.
    world.sandbox.faults.add("status", api="app", path="membership", status=503, after=1, times=0)
    world.fails("a", "b", "d")
    world.sandbox.faults.clear()
    report = world.run("a", "d", allow_large_removal=True)
    assert (report["added"], report["tracked"]) == (0, 2)
    assert world.members == {"a", "d", *HAND}
    assert world.newest == {"a", "d"}
    assert not world.pending


def test_pending_additions_count_no_more_after_a_later_snapshot(world: World) -> None:
    world.run("a")
    world.sandbox.faults.add("status", api="app", path="membership", status=503, after=1, times=0)
    world._cohort("a", "b", "ghost", known=False)
    world.sandbox.workspace.add_person(id="b")
    world.fails()
    world.sandbox.faults.clear()
    pending = {name: data for name, data in world.place.files().items() if name in world.pending}
    assert pending
    assert world.run()["tracked"] == 2
    # As if the run had been killed before it could delete them.
    for name, data in pending.items():
        world.place.put(name, data)
    world.by_hand(join=("ghost",))
    assert world.run("a")["removed"] == 1
    assert world.members == {"a", "ghost", *HAND}


def test_a_member_who_is_not_to_leave_is_not_tracked_because_a_run_has_failed(world: World) -> None:
    world.run("a")
    world.stopped(*(f"new-{n}" for n in range(600)), "a")
    world.by_hand(join=("new-1",))
    assert not world.pending
    assert world.run("a")["removed"] == 0


def test_what_a_limited_run_adds_is_tracked(world: World) -> None:
    report = world.run("a", "b", "c", limit=2)
    assert (report["added"], report["tracked"], report["left_to_add"]) == (2, 2, 1)
    added = world.members - {*HAND}
    assert world.run("c", "vip-1", allow_large_removal=True)["tracked"] == 1
    assert added - {"c"}
    assert world.members == {"c", *HAND}


def test_on_guard_add_only_tracks_whom_it_adds(world: World) -> None:
    world.run(*PEOPLE[:40])
    error = world.stopped(*PEOPLE[:10], "new", on_guard="add_only")
    assert error.trips == ("large_removal", "short_cohort")
    assert "new" in world.members
    report = world.run(*PEOPLE[:40])
    assert (report["removed"], report["tracked"]) == (1, 40)


def test_guards_measure_by_whom_the_sync_has_added(world: World) -> None:
    world.by_hand(join=tuple(f"hand-{n}" for n in range(300)))
    world.run(*PEOPLE[:60])
    error = world.stopped(*PEOPLE[:25], max_shortfall_percent=None)
    assert error.trips == ("large_removal",)
    assert "35 of 60 members whom this sync has added would be removed" in str(error)
    error = world.stopped(*(f"new-{n}" for n in range(600)), *PEOPLE[:60])
    assert error.trips == ("large_addition",)
    assert "60 members whom this sync has added" in str(error)
    world._cohort()
    assert world.stopped().trips == ("empty_cohort",)
    report = world.run(allow_empty_cohort=True)
    assert (report["removed"], report["segment_after"], report["tracked"]) == (60, 302, 0)


def test_a_snapshot_that_cannot_be_read_stops_a_run(world: World) -> None:
    world.run("a", "b")
    name = next(name for name in world.place.files() if name.endswith(".gz"))
    world.place.put(name, b"x")
    before = world.members
    error = world.stopped("b", "c")
    assert error.trips == ("lost_tracking",)
    assert "the snapshot of 2026-02-01T06:00:00Z is damaged" in str(error)
    assert world.members == before
    report = world.run(allow_lost_tracking=True)
    assert (report["added"], report["removed"], report["tracked"]) == (1, 0, 1)
    assert world.run("a")["removed"] == 1  # c, whom it has added since; not b


@pytest.mark.parametrize("remembers", [True, False])
def test_a_deleted_snapshot_stops_a_run_where_it_is_remembered(world: World, remembers: bool) -> None:
    world.run("a", "b")
    for name in world.place.files():
        world.place.delete(name)
    if remembers:
        error = world.stopped("b")
        assert error.trips == ("lost_tracking",)
        assert "has no snapshot of this segment any more" in str(error)
        report = world.run(allow_lost_tracking=True)
    else:
        world.assets.clear()
        report = world.run("b")
    assert (report["removed"], report["tracked"]) == (0, 0)


def test_an_older_snapshot_does_not_stand_in_for_the_last(world: World) -> None:
    world.run("a", "b")
    world.run("b", "c")
    newest = manifests(world.place)[-1]["moment"]
    for name in world.place.files():
        if name.split("/")[-2].startswith(newest[:10].replace("-", "")):
            world.place.delete(name)
    error = world.stopped("c")
    assert error.trips == ("lost_tracking",)
    assert "the snapshot of the last good sync is gone" in str(error)


def test_the_snapshot_of_another_sync_or_segment_is_not_used(world: World) -> None:
    world.run("a", "b")
    world._cohort("x", id="other1")
    other = {"cohort_id": "other1", "task_id": "other"}
    error = world.stopped(**other)
    assert "was taken by another sync, task sync of DAG" in str(error)
    # The same sync with another cohort removes whom it has added for the former one.
    report = world.run(cohort_id="other1", allow_large_removal=True, allow_large_addition=True)
    assert (report["added"], report["removed"]) == (1, 2)
    # The segment is made anew, and others fill it with the same people.
    world.sandbox.workspace.delete_segment(world.segment)
    people = world.sandbox.workspace._by_id
    world.segment = world.sandbox.workspace.add_segment(
        name="Power users", members=[people["a"], people["b"], people["x"]]
    )
    report = world.run("b")
    assert (report["removed"], report["tracked"]) == (0, 0)


def test_another_kind_of_identifier_is_no_reason_to_forget(world: World) -> None:
    world.run("a", "b")
    rows = [{"user_id": "a@example.com"}]
    world.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    error = world.stopped(id_type="email")
    assert error.trips == ("lost_tracking",)
    assert "has identifiers of the type id, and the sync uses email" in str(error)


def test_a_snapshot_of_a_workspace_that_may_be_another_one_is_not_used(world: World) -> None:
    world.run("a", "b")
    world.sandbox.workspace.environment_id = None
    error = world.stopped("b")
    assert error.trips == ("lost_tracking",)
    assert "the workspace of the connection is unknown" in str(error)
    assert world.members == {"a", "b", *HAND}


@pytest.mark.parametrize("is_made", [True, False])
def test_from_mirror_to_tracked(world: World, is_made: bool) -> None:
    if is_made:
        world.segment.description = describe("a1b2c3d", "Power users", "mirror", "Power users")
    world.run("a", "b", "c", mode="mirror", adopt_segment=True)
    assert world.members == {"a", "b", "c"}
    world.by_hand(join=HAND)
    report = world.run("b", "c", allow_large_removal=True)
    assert report["removed"] == is_made
    assert report["tracked"] == (2 if is_made else 0)
    assert ("count as added by others" in world.caplog.text) is not is_made


def test_a_restored_snapshot_brings_back_only_whom_the_sync_had_added(world: World) -> None:
    world.run("a", "b", "vip-1")
    world.run("b", "c")
    world.by_hand(leave=("vip-1",), join=("vip-3",))
    report = world.run(source="snapshot", snapshot_at="2026-02-01T12:00:00Z")
    assert (report["added"], report["removed"], report["tracked"]) == (1, 1, 2)
    assert world.members == {"a", "b", "vip-2", "vip-3"}
    report = world.run("b", "c")
    assert (report["added"], report["removed"], report["left_elsewhere"]) == (1, 1, 0)
    assert world.members == {"b", "c", "vip-2", "vip-3"}


def test_a_mirror_does_not_restore_what_only_holds_whom_the_sync_had_added(world: World) -> None:
    world.run("a", "b")
    error = world.fails(mode="mirror", source="snapshot", snapshot_at="2026-02-01", adopt_segment=True)
    assert isinstance(error, exceptions.SnapshotMismatchError)
    assert "holds only the members whom the sync had added" in str(error)
    assert world.members == {"a", "b", *HAND}


def test_a_dry_run_tells_and_writes_nothing(world: World) -> None:
    world.run("a", "b")
    files = world.place.files()
    report = world.run("b", "c", "vip-1", dry_run=True)
    assert (report["to_add"], report["to_remove"], report["tracked"]) == (1, 1, 2)
    assert world.place.files() == files


def test_a_run_whose_snapshot_cannot_be_stored_has_not_forgotten_whom_it_added(world: World) -> None:
    world.run("a")
    taken = manifests(world.place)[0]
    of_next = Origin(**{**taken["origin"], "run_id": f"run of {DAYS[2]}"})
    name = folder_name(DAYS[2], taken["workspace_id"], run_of(of_next))
    folder = next(iter(world.place.files())).rsplit("/", 2)[0]
    in_the_way = f"{folder}/{name}/manifest.json/x"
    world.place.put(in_the_way, b"")
    assert "snapshots could not be stored" in str(world.fails("a", "b"))
    assert world.run("a")["removed"] == 1


def test_people_who_cannot_be_removed_stay_tracked(world: World) -> None:
    world.sandbox.configure(removal_needs_id=True)
    for mail in ("x@example.com", "y@example.com"):
        world.sandbox.workspace.add_person(id=None, email=mail)
    mapped = {"user_id_property": "mail", "id_type": "email"}

    def rows(*mails: str) -> None:
        world.sandbox.project.add_cohort(
            id="a1b2c3d", name="Power users", rows=[{"mail": one} for one in mails]
        )

    rows("x@example.com", "y@example.com")
    assert world.run(**mapped)["tracked"] == 2
    rows("y@example.com")
    report = world.run(**mapped)
    assert (report["removed"], report["not_removable"], report["tracked"]) == (0, 1, 2)
    person = next(p for p in world.segment.members if p.email == "x@example.com")
    world.sandbox.workspace.rename_person(person, id="x")
    report = world.run(**mapped)
    assert (report["removed"], report["not_removable"], report["tracked"]) == (1, 0, 1)


def test_several_identifiers(world: World) -> None:
    world.sandbox.workspace.add_person(id="p", email="p@example.com")
    world.sandbox.workspace.add_person(id=None, email="q@example.com")
    world.sandbox.configure(removal_needs_id=False)
    both = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]

    def rows(*people: tuple[str, str]) -> None:
        given = [{"user_id": who, "mail": mail} for who, mail in people]
        world.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=given)

    rows(("p", ""), ("", "q@example.com"), ("vip-1", ""))
    assert world.run(identifiers=both)["tracked"] == 2
    rows(("p", ""))
    report = world.run(identifiers=both)
    assert (report["removed"], report["tracked"]) == (1, 1)
    assert world.members == {"p", *HAND}


def test_an_unchanged_cohort_ends_a_run_early(world: World) -> None:
    world.run("a", "b")
    report = world.run(skip_unchanged=True)
    assert (report["unchanged"], report["tracked"]) == (True, 2)
    world.by_hand(join=("vip-3",))
    assert "unchanged" not in world.run(skip_unchanged=True)


def test_the_newest_snapshot_is_always_kept(world: World) -> None:
    world.run("a", "b", snapshot_keep_days=1e-9, snapshot_keep_last=1)
    world.run("b", "c", snapshot_keep_days=1e-9, snapshot_keep_last=1)
    assert len(manifests(world.place)) == 1
    assert world.run("c")["removed"] == 1


def test_no_file_of_counts_names_anybody(world: World) -> None:
    world.run("a", "b")
    told = json.dumps([store.kept for store in world.assets.values()])
    assert '"a"' not in told
