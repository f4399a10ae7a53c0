"""How guards, limits and modes act together: each row of the table in ``docs/guards.md`` has a case here."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine import guards
from airflow_provider_cio_cohort.transfers import context
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import PLAN_KEY

PAGE = (Path(__file__).parents[3] / "docs" / "guards.md").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("## How they act together") :]
ROWS = re.findall(r"^\| (.+?) \| .+ \|$", TABLE[: TABLE.index("\n## ", 1)], re.MULTILINE)[1:]
#: Additions that no guard looks at, few enough for small cohorts.
UNGUARDED = 5


class World:
    """A sync of the cohort ``a1b2c3d`` to the segment ``Power users``, and what a test asks of it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.sandbox = request.getfixturevalue("sandbox")
        self.sync: Callable[..., dict[str, Any]] = request.getfixturevalue("sync")
        self.cohort = request.getfixturevalue("cohort")
        self.xcoms = request.getfixturevalue("xcoms")
        self.store = request.getfixturevalue("store")
        self.folder = request.getfixturevalue("tmp_path")
        self.caplog = request.getfixturevalue("caplog")

    def people(self, count: int, first: int = 0) -> None:
        self.cohort(*(f"u-{n:03}" for n in range(first, first + count)))

    @property
    def members(self) -> set[str]:
        return {person.id for person in self.sandbox.workspace.find_segment("Power users").members}

    @property
    def writes(self) -> int:
        return self.sandbox.count("track", "_customers")

    def stopped(self, *trips: str, writes: bool = False, **parameters: Any) -> exceptions.GuardTrippedError:
        """Make a run that guards stop, and return its error."""
        self.sandbox.reset_requests()
        with pytest.raises(exceptions.GuardTrippedError) as caught:
            self.sync(**parameters)
        assert caught.value.trips == trips
        assert (self.writes > 0) is writes
        assert caught.value.segment_touched is writes
        self.store.kept = {}  # the next one is another run
        return caught.value

    def plan(self, **parameters: Any) -> dict[str, Any]:
        """Make a dry run, and return what a person would have to approve."""
        self.sandbox.reset_requests()
        self.sync(dry_run=True, **parameters)
        assert self.writes == 0
        plan: dict[str, Any] = self.xcoms.pushed[PLAN_KEY]
        return plan

    def events(self, **parameters: Any) -> list[Any]:
        """Make a run, and return what the segment's asset events hold."""
        extras: dict[Any, Any] = {}

        class Events(dict[Any, Any]):
            def __missing__(self, asset: Any) -> Any:
                return extras.setdefault(asset.uri, SimpleNamespace(extra=None))

        self.sync(context={"outlet_events": Events()}, **parameters)
        return [event.extra for event in extras.values()]


@pytest.fixture
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(guards, "UNGUARDED_ADDITIONS", UNGUARDED)
    return World(request)


# ---- large_addition


def first_fill(world: World) -> None:
    world.people(30)
    world.sync(limit=2)
    world.sandbox.faults.add("drop", path="add_customers", times=0)
    with pytest.raises(exceptions.VerificationError):
        world.sync.attempt()  # type: ignore[attr-defined]
    world.sandbox.faults.clear()
    assert world.sync(max_additions=3)["added"] == 28
    world.people(120)
    world.stopped("large_addition")


def fill_of_a_segment_made_by_hand(world: World) -> None:
    world.sandbox.workspace.add_segment(name="Power users")
    world.people(30)
    error = world.stopped("large_addition")
    assert "30 people would join 0 members" in error.headline
    assert world.sync(allow_large_addition="True")["added"] == 30


def growth_and_an_approval(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(40)
    plan = world.plan()
    assert (plan["guards"], plan["to_add"]) == (["large_addition"], 30)
    world.people(41)
    world.stopped("large_addition", approved_plan=plan)
    world.people(40)
    assert world.sync(approved_plan=plan)["added"] == 30
    world.people(80)
    assert world.sync()["added"] == 40


def growth_that_was_allowed(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(40)
    world.stopped("large_addition")
    assert world.sync(allow_large_addition=True)["added"] == 30
    world.people(100)
    assert world.sync()["added"] == 60


def growth_over_several_runs(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    world.sync()
    world.people(40)
    error = world.stopped("large_addition")
    assert "30 people would have joined 10 members since" in str(error)


def growth_and_a_limit(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(60)
    assert world.sync(limit=20)["added"] == 20
    world.stopped("large_addition", limit=20)
    assert world.sync(limit=20, allow_large_addition=True)["added"] == 20


def growth_of_others(world: World) -> None:
    world.people(10)
    world.sync(mode="add_only")
    guests = [world.sandbox.workspace.add_person(id=f"g-{n}") for n in range(90)]
    world.sandbox.workspace.find_segment("Power users").by_hand_add(guests)
    world.people(20)
    assert world.sync(mode="add_only")["added"] == 10


def growth_of_people_unknown(world: World) -> None:
    world.people(10)
    world.sync()
    world.cohort(*(f"u-{n:03}" for n in range(10)), *(f"x-{n}" for n in range(90)), known=False)
    assert world.sync()["unmatched"] == 90
    world.sandbox.configure(lookup_allowed=False)
    assert world.sync()["unmatched"] == 90
    world.cohort(*(f"u-{n:03}" for n in range(10)), *(f"y-{n}" for n in range(111)), known=False)
    error = world.stopped("large_addition")
    assert "up to 21 people would join 10 members" in str(error)


def growth_and_a_restore(world: World) -> None:
    keeps = {"snapshot_path": f"file://{world.folder}"}
    world.people(30)
    world.sync(**keeps)
    world.people(5)
    world.sync(allow_large_removal=True, allow_short_cohort=True)
    back = {**keeps, "source": "snapshot", "snapshot_at": "2100-01-01"}
    world.stopped("large_addition", **back)
    assert world.sync(**back, allow_large_addition=True)["added"] == 25


# ---- absolute limits


def absolute_limits_and_the_shares(world: World) -> None:
    world.people(30)
    world.sync()
    world.people(30, first=4)
    world.stopped("large_addition", max_additions=3)
    world.stopped("large_removal", max_removals=3)
    assert world.sync(max_additions=4, max_removals=4)["removed"] == 4


def max_removals_and_an_empty_cohort(world: World) -> None:
    world.people(30)
    world.sync()
    world.cohort()
    world.stopped("empty_cohort", max_removals=1)
    assert world.sync(max_removals=1, allow_empty_cohort=True)["removed"] == 30


# ---- on_guard: add_only

ADDS = {"on_guard": "add_only"}


def cut(world: World) -> None:
    """Let 30 of 40 members leave the cohort, and 5 join it."""
    world.people(40)
    world.sync(snapshot_path=f"file://{world.folder}")
    world.people(15, first=30)


def add_only_and_removals(world: World) -> None:
    cut(world)
    world.caplog.set_level("INFO")
    error = world.stopped("large_removal", writes=True, max_shortfall_percent=None, **ADDS)
    assert "5 added, 0 removed, 45 members now, 0 left to add and 30 to remove" in world.caplog.text
    assert error.headline.startswith("Guard large_removal stopped the removals from segment 'Power users' (")
    assert "5 people were added, and 30 members stay who would be removed" in str(error)
    assert "this try removed nobody" in str(error)
    failure = world.xcoms.pushed["failure"]
    assert (failure["error"], "removed nobody" in failure["segment"]) == ("GuardTrippedError", True)
    counts = ("added", "removed", "to_remove", "left_to_remove", "segment_after")
    assert [failure["report"][name] for name in counts] == [5, 0, 0, 30, 45]
    assert len(world.members) == 45
    world.sandbox.reset_requests()
    with pytest.raises(exceptions.GuardTrippedError):  # again, with nobody left to add
        world.sync(max_shortfall_percent=None, **ADDS)
    assert world.writes == 0
    assert world.sync(max_shortfall_percent=None, allow_large_removal=True, **ADDS)["removed"] == 30
    assert len(world.members) == 15


def add_only_and_large_addition(world: World) -> None:
    world.people(40)
    world.sync()
    world.people(150, first=30)
    world.stopped("large_addition", "large_removal", **ADDS)
    assert len(world.members) == 40


def add_only_and_low_match(world: World) -> None:
    cut(world)
    world.cohort(*(f"u-{n:03}" for n in range(30, 45)), *(f"x-{n}" for n in range(85)), known=False)
    world.stopped("low_match", "large_removal", min_match_rate=0.5, **ADDS)


def add_only_and_an_empty_cohort(world: World) -> None:
    world.people(40)
    world.sync()
    world.cohort()
    error = world.stopped("empty_cohort", **ADDS)
    assert "0 people were added, and 40 members stay" in str(error)
    assert "Nothing was written" in str(error)


def add_only_and_the_mode_add_only(world: World) -> None:
    cut(world)
    assert world.sync(mode="add_only", **ADDS)["added"] == 5


def add_only_and_a_restore(world: World) -> None:
    keeps = {"snapshot_path": f"file://{world.folder}"}
    world.people(10)
    world.sync(**keeps)
    world.people(60, first=5)
    world.sync(allow_large_addition=True)
    back = {**keeps, "source": "snapshot", "snapshot_at": "2100-01-01"}
    world.stopped("large_removal", **back, **ADDS)


def add_only_and_a_dry_run(world: World) -> None:
    cut(world)
    plan = world.plan(max_shortfall_percent=None, **ADDS)
    assert (plan["guards"], plan["to_add"], plan["to_remove"]) == (["large_removal"], 5, 30)


def add_only_and_an_approval(world: World) -> None:
    cut(world)
    given = {"max_shortfall_percent": None, **ADDS}
    plan = world.plan(**given)
    world.people(14, first=31)
    world.stopped("large_removal", writes=True, **given, approved_plan=plan)
    world.stopped("changed_plan", "large_removal", **given, approved_plan={**plan, "strict": True})
    world.people(15, first=30)
    assert world.sync(**given, approved_plan=plan)["removed"] == 30


# ---- limit


def limit_and_guards_of_removals(world: World) -> None:
    cut(world)
    report = world.sync(limit=3)
    assert (report["added"], report["removed"], len(world.members)) == (3, 0, 43)
    assert (report["to_add"], report["to_remove"]) == (3, 0)
    assert (report["left_to_add"], report["left_to_remove"]) == (2, 30)


def limit_and_low_match(world: World) -> None:
    world.people(10)
    world.cohort(*(f"u-{n:03}" for n in range(10)), *(f"x-{n}" for n in range(90)), known=False)
    world.stopped("low_match", min_match_rate=0.2, limit=5)
    report = world.sync(min_match_rate=0.1, limit=5)
    assert (report["unmatched"], report["match_rate"]) == (None, None)


def limit_and_a_retry(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    chosen: set[str] = set()

    def partly(request: Any) -> None:
        segment = world.sandbox.workspace.find_segment("Power users")
        joined = sorted(person.id for person in segment.members if person.id >= "u-010")
        chosen.update(joined)
        if len(joined) == 6:  # one half is lost
            segment.by_hand_remove([person for person in segment.members if person.id in joined[:3]])

    world.sandbox.at_request(partly, api="app", path="/membership$", after=1)
    world.sandbox.faults.add("status", api="app", path="/membership$", status=503, times=0, after=1)
    with pytest.raises(exceptions.RetryableError):
        world.sync.attempt(limit=6)  # type: ignore[attr-defined]
    world.sandbox.faults.clear()
    assert len(world.members) == 13
    world.xcoms.try_number = 2
    report = world.sync.attempt(limit=6)  # type: ignore[attr-defined]
    assert (report["added"], len(world.members)) == (3, 16)
    assert {each for each in world.members if each >= "u-010"} == chosen
    cleared = world.sync.attempt(limit=6)  # type: ignore[attr-defined]
    assert (cleared["added"], len(world.members)) == (0, 16)


def limit_and_a_later_run(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    assert world.sync(limit=6)["added"] == 6
    assert world.sync(limit=6)["added"] == 6
    assert world.sync()["added"] == 3


def limit_and_skip_unchanged(world: World) -> None:
    world.people(10)
    assert world.sync()["added"] == 10
    world.people(12)
    world.sync(limit=1)
    report = world.sync(skip_unchanged=True)
    assert ("unchanged" in report, report["added"]) == (False, 1)
    assert world.sync(skip_unchanged=True)["unchanged"] is True


def limit_and_what_a_good_sync_leaves(world: World) -> None:
    keeps = {"snapshot_path": f"file://{world.folder}"}
    world.people(10)
    assert world.events(limit=4, **keeps) == []
    assert list(world.folder.rglob("manifest.json")) == []
    (event,) = world.events(**keeps)
    assert (event["added"], event["limit"]) == (6, None)
    assert len(list(world.folder.rglob("manifest.json"))) == 1


def limit_and_a_dry_run(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    report = world.sync(limit=6, dry_run=True)
    assert (report["to_add"], report["left_to_add"], report["added"]) == (6, 9, 0)
    assert len(world.members) == 10


def limit_and_an_approval(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(60)
    plan = world.plan(limit=30)
    assert (plan["guards"], plan["to_add"], plan["to_remove"]) == (["large_addition"], 30, 0)
    world.stopped("large_addition", approved_plan=plan)
    assert world.sync(approved_plan=plan, limit=30)["added"] == 30


def limit_and_a_restore(world: World) -> None:
    keeps = {"snapshot_path": f"file://{world.folder}"}
    world.people(30)
    world.sync(**keeps)
    world.people(10)
    world.sync(allow_large_removal=True, allow_short_cohort=True)
    back = {**keeps, "source": "snapshot", "snapshot_at": "2100-01-01"}
    report = world.sync(**back, limit=5)
    assert (report["added"], report["left_to_add"], len(world.members)) == (5, 15, 15)


# ---- mode: tracked


def tracked_of(world: World, own: int, others: int) -> dict[str, Any]:
    """Let a tracked sync add people beside members whom others have added; return its parameters."""
    made = [world.sandbox.workspace.add_person(id=f"hand-{n:03}") for n in range(others)]
    world.sandbox.workspace.add_segment(name="Power users", members=made)
    world.people(own)
    given = {"mode": "tracked", "snapshot_path": f"file://{world.folder}", "max_shortfall_percent": None}
    assert world.sync(**given, allow_large_addition=True)["tracked"] == own
    return given


def add_only_and_lost_tracking(world: World) -> None:
    given = tracked_of(world, 40, 0)
    next(world.folder.rglob("identifiers*")).write_bytes(b"x")
    world.people(5, first=38)
    world.stopped("lost_tracking", **given, **ADDS)


def tracked_and_large_removal(world: World) -> None:
    given = tracked_of(world, 40, 100)
    world.people(10)
    world.stopped("large_removal", **given)
    report = world.sync(**given, allow_large_removal=True)
    assert (report["removed"], report["segment_after"], report["tracked"]) == (30, 110, 10)


def tracked_and_large_addition(world: World) -> None:
    given = tracked_of(world, 10, 100)
    world.people(40)
    world.stopped("large_addition", **given)
    assert world.sync(**given, max_growth_percent=300)["added"] == 30


def tracked_and_unmanaged_segment(world: World) -> None:
    given = tracked_of(world, 10, 5)
    world.people(8)
    assert world.sync(**given)["removed"] == 2


def tracked_and_an_approval(world: World) -> None:
    given = tracked_of(world, 40, 5)
    world.people(10)
    plan = world.plan(**given)
    assert (plan["guards"], plan["to_remove"]) == (["large_removal"], 30)
    world.people(11)  # one more stays than was approved
    world.stopped("large_removal", **given, approved_plan=plan)
    world.people(10)
    assert world.sync(**given, approved_plan=plan)["removed"] == 30


def tracked_and_add_only(world: World) -> None:
    given = tracked_of(world, 40, 5)
    world.people(12, first=35)
    world.stopped("large_removal", writes=True, **given, **ADDS)
    world.people(40)
    assert world.sync(**given)["removed"] == 7


def tracked_and_limit(world: World) -> None:
    given = tracked_of(world, 10, 5)
    world.people(13)
    assert world.sync(**given, limit=2)["tracked"] == 12
    assert len(list(world.folder.rglob("manifest.json"))) == 2  # of the first run, and pending
    world.people(10)
    report = world.sync(**given)
    assert (report["removed"], report["tracked"]) == (2, 10)


def tracked_and_skip_unchanged(world: World) -> None:
    given = {**tracked_of(world, 10, 5), "skip_unchanged": True}
    assert world.sync(**given)["unchanged"] is True
    segment = world.sandbox.workspace.find_segment("Power users")
    segment.by_hand_add([world.sandbox.workspace.add_person(id="vip")])
    assert "unchanged" not in world.sync(**given)


CASES: dict[str, Callable[[World], None]] = {
    "`large_addition`, first fill of a segment that the sync has created": first_fill,
    "`large_addition`, first fill of a segment made by hand": fill_of_a_segment_made_by_hand,
    "`large_addition`, approval": growth_and_an_approval,
    "`large_addition`, `allow_large_addition`": growth_that_was_allowed,
    "`large_addition`, several runs": growth_over_several_runs,
    "`large_addition`, `limit`": growth_and_a_limit,
    "`large_addition`, people whom others have added": growth_of_others,
    "`large_addition`, people unknown to Customer.io": growth_of_people_unknown,
    "`large_addition`, restored snapshot": growth_and_a_restore,
    "`max_additions`, `max_removals`, the percentages": absolute_limits_and_the_shares,
    "`max_removals`, empty cohort": max_removals_and_an_empty_cohort,
    "`add_only`, guards of removals": add_only_and_removals,
    "`add_only`, `large_addition`": add_only_and_large_addition,
    "`add_only`, `low_match`": add_only_and_low_match,
    "`add_only`, empty cohort": add_only_and_an_empty_cohort,
    "`add_only`, `mode: add_only`": add_only_and_the_mode_add_only,
    "`add_only`, restored snapshot": add_only_and_a_restore,
    "`add_only`, dry run": add_only_and_a_dry_run,
    "`add_only`, approval": add_only_and_an_approval,
    "`add_only`, `lost_tracking`": add_only_and_lost_tracking,
    "`mode: tracked`, `large_removal`": tracked_and_large_removal,
    "`mode: tracked`, `large_addition`": tracked_and_large_addition,
    "`mode: tracked`, `unmanaged_segment`": tracked_and_unmanaged_segment,
    "`mode: tracked`, approval": tracked_and_an_approval,
    "`mode: tracked`, `add_only`": tracked_and_add_only,
    "`mode: tracked`, `limit`": tracked_and_limit,
    "`mode: tracked`, `skip_unchanged`": tracked_and_skip_unchanged,
    "`limit`, guards of removals": limit_and_guards_of_removals,
    "`limit`, `low_match`": limit_and_low_match,
    "`limit`, retry or cleared task": limit_and_a_retry,
    "`limit`, later runs": limit_and_a_later_run,
    "`limit`, `skip_unchanged`": limit_and_skip_unchanged,
    "`limit`, snapshot, asset, freshness, page": limit_and_what_a_good_sync_leaves,
    "`limit`, dry run": limit_and_a_dry_run,
    "`limit`, approval": limit_and_an_approval,
    "`limit`, restored snapshot": limit_and_a_restore,
}


def test_every_row_of_the_table_has_a_case() -> None:
    assert list(CASES) == ROWS


@pytest.mark.parametrize("row", CASES)
def test_what_the_table_says(world: World, row: str) -> None:
    CASES[row](world)


def test_before_airflow_3_3_another_try_of_a_limited_run_adds_nobody(world: World) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    no_store = {"context": {"task_state_store": None, "asset_state_store": None}}
    world.sandbox.reset_requests()
    world.xcoms.try_number = 2
    with pytest.raises(exceptions.ConfigurationError, match="an earlier try of it may have added people"):
        world.sync(limit=6, **no_store)
    assert world.writes == 0
    world.xcoms.try_number = 1
    assert world.sync(limit=6, **no_store)["added"] == 6


@pytest.mark.parametrize("broken", ["get", "set"])
def test_a_limited_run_that_cannot_keep_its_choice_adds_nobody(
    world: World, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.people(10)
    world.sync()
    world.people(25)
    world.sandbox.reset_requests()
    usual = getattr(type(world.store), broken)

    def away(store: Any, key: str, *values: Any, **how: Any) -> Any:
        if key == "limited":
            raise RuntimeError("the API server is away")
        return usual(store, key, *values, **how)

    monkeypatch.setattr(type(world.store), broken, away)
    with pytest.raises(exceptions.StateStoreError, match="so nothing was sent"):
        world.sync(limit=6)
    assert world.writes == 0


def test_a_part_of_the_change_is_counted_but_not_as_the_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, Any] = {}

    def note(name: str, value: Any, **more: Any) -> None:
        sent[name.removeprefix("cio_cohort.")] = value

    monkeypatch.setattr(context, "stats", SimpleNamespace(incr=note, gauge=note, timing=note))
    cut(world)
    assert {"not_removable", "match_rate"} < sent.keys()
    sent.clear()
    world.sync(limit=3)
    assert (sent["members_added"], sent["segment_size"]) == (3, 43)
    assert not {"not_removable", "rejected", "match_rate", "unmatched"} & sent.keys()
    sent.clear()
    world.stopped("large_removal", writes=True, max_shortfall_percent=None, **ADDS)
    assert (sent["members_added"], sent["members_removed"], sent["segment_size"]) == (2, 0, 45)
    assert "not_removable" not in sent
