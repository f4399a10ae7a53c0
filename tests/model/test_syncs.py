"""
Sequences of runs, retries, edits and faults, held against a model of what syncs may do.

``MODEL_EXAMPLES=2000 pytest tests/model`` looks longer, with another seed each time, which it prints.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from airflow_provider_cio_cohort.engine import guards, sync
from airflow_provider_cio_cohort.hooks import customer_io, membership, people
from airflow_provider_cio_cohort.sandbox.settings import Settings
from airflow_provider_cio_cohort.sync import download
from tests.model.oracle import OVERRIDES, UNGUARDED, UNGUARDED_ADDITIONS, Oracle, Plan
from tests.model.world import (
    BOTH,
    COHORTS,
    EMAILS,
    EVERYBODY,
    IDS,
    KEEPING,
    NOBODY,
    PAIRS,
    SEGMENTS,
    TRACKED,
    Away,
    Event,
    Run,
    Try,
    World,
)

LONG = int(os.environ.get("MODEL_EXAMPLES", "0"))
SETTINGS = settings(
    max_examples=LONG or 20,
    stateful_step_count=30 if LONG else 20,
    derandomize=not LONG,
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
)
syncs = st.integers(0, TRACKED)
cohorts = st.sampled_from(COHORTS)
names = st.sampled_from(SEGMENTS)
persons = st.integers(0, len(IDS) + len(EMAILS) - 1)
flags = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys([*OVERRIDES.values(), "dry_run", "deferrable", "skip_unchanged"], st.just(True)),
        "max_removal_percent": st.just(0),
        "max_growth_percent": st.sampled_from([0, 50]),
        "max_removals": st.sampled_from([0, 1]),
        "max_additions": st.sampled_from([0, 2]),
        "on_guard": st.just("add_only"),
        "min_match_rate": st.sampled_from([0.01, 0.5]),
        "people_segment_id": st.just(EVERYBODY),
    },
)
rows = st.integers(0, len(IDS) + len(NOBODY) + len(PAIRS) - 1)
pairs = st.integers(len(IDS) + len(NOBODY), len(IDS) + len(NOBODY) + len(PAIRS) - 1)
members = st.lists(rows | pairs, unique=True, max_size=10)
#: What happens to the vendors, between two runs or between two requests.
events: st.SearchStrategy[Event] = st.one_of(
    st.tuples(st.just("cohort"), cohorts, members, st.booleans()),
    st.tuples(st.just("by_hand"), names, persons, st.booleans()),
    st.tuples(st.just("takes_a_place"), names, persons),
    st.tuples(st.just("comes_or_goes"), persons),
    st.tuples(st.just("merge"), persons, persons),
    st.tuples(st.just("rename"), persons, st.sampled_from(["id", "email"]), persons),
    st.tuples(st.just("compute")),
    st.tuples(st.just("segment"), names, st.sampled_from(["renamed", "deleted", "anew"])),
)
#: Switches for what the vendors leave open, in positions that change between runs.
SWITCHES = {
    "lookup_allowed": st.booleans(),
    "lookup_wrapped": st.booleans(),
    "lookup_refuses": st.sampled_from(["", "zqz2"]),
    "null_when_empty": st.booleans(),
    "last_next": st.sampled_from(["empty", "null", "absent", "empty_page"]),
    "identifiers_trimmed": st.booleans(),
    "email_identifies": st.booleans(),
    "removal_needs_id": st.booleans(),
    "track_refuses": st.sampled_from(["", "zqz2"]),
    "track_refuses_status": st.sampled_from([400, 413, 422]),
    "answers_cohort_id": st.booleans(),
    "visible_after": st.sampled_from([0, 0.05]),
    "count_after": st.sampled_from([-1, 0, 0.05]),
    "fresh_share": st.sampled_from([0, 0.5]),
    "endless_next": st.booleans(),
    "name_limit": st.sampled_from([0, 5]),
    "ids_as_numbers": st.booleans(),
    "leading_tab": st.booleans(),
    "cio_prefix": st.booleans(),
    "id_limit": st.sampled_from(["bytes", "characters"]),
    "numbers_per_workspace": st.booleans(),
    "empty_export": st.sampled_from(["header", "nothing", "newline", "list", "no_content", "not_found"]),
    "encoding": st.sampled_from(["", "UTF-8", "aws-chunked", "gzip, gzip"]),
    "blank_last_line": st.booleans(),
    "last_line_end": st.booleans(),
}
USUAL = {name: getattr(Settings(), name) for name in SWITCHES}
FAULTS: list[dict[str, Any]] = [
    {"action": "drop", "path": "add_customers"},
    {"action": "drop", "path": "remove_customers"},
    {"action": "reset_after", "path": "add_customers"},
    {"action": "reset_after", "path": "remove_customers"},
    {"action": "reset_after", "api": "app", "method": "POST", "path": "/v1/segments$"},
    {"action": "reset_before", "api": "app", "method": "POST", "path": "/v1/segments$"},
    {"action": "status", "api": "track", "status": 500, "times": 3},
    {"action": "status", "api": "track", "status": 503, "path": "customers", "times": 0},
    {"action": "status", "api": "track", "status": 400},
    {"action": "status", "api": "track", "status": 409},
    {"action": "empty_after", "api": "track", "path": "customers", "times": 0},
    {"action": "status", "api": "app", "path": "membership", "status": 503, "times": 2},
    {"action": "status", "api": "app", "path": "attributes", "status": 503, "times": 0},
    {"action": "end_early"},
    {"action": "end_early", "times": 0},
    {"action": "no_identifiers"},
    {"action": "other_cohort"},
    {"action": "cut_rows", "path": "/file$"},
    {"action": "cut_rows", "path": "/file$", "times": 0},
    {"action": "cut_trailer", "path": "/file$"},
    {"action": "job_failed", "api": "amplitude", "path": "status"},
    {"action": "html", "api": "app", "status": 200},
    {"action": "null_lists", "api": "app"},
]


def mapped(which: int, column: str) -> dict[str, Any]:
    """Return the parameters that map a column as the only identifier, or as the first of two."""
    if which != BOTH:
        return {"user_id_property": column}
    mail = {"property": "mail", "id_type": "email"}
    return {"identifiers": [{"property": column, "id_type": "id"}, mail]}


class Syncs(RuleBasedStateMachine):
    """Syncs of four kinds, and everything that can happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="model-")
        self.world = World(self.folder)
        self.oracle = Oracle(self.world)
        self.plans: list[Plan] = []
        self.exports: list[dict[str, Any]] = []

    def teardown(self) -> None:
        self.world.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def attempt(self, run: Run, plan: Plan | None = None, **how: Any) -> Try:
        self.oracle.before_a_try(run)
        done = self.world.attempt(run, **how)
        try:
            self.oracle.check(done, plan)
        except AssertionError as error:
            error.add_note(self.described())
            raise
        return done

    def described(self) -> str:
        """Return what was done, for whoever reads of a failure."""
        settings = vars(self.world.sandbox.settings)
        switched = {name: settings[name] for name, usual in USUAL.items() if settings[name] != usual}
        asked = [(each.method, each.path, each.status, each.ids) for each in self.world.sandbox.requests]
        history = "\n".join(self.world.history[-40:])
        return f"{history}\nsettings: {switched}\nrequests: {asked}"

    def during(self, run: Run, act: Callable[[Try], object], **when: Any) -> None:
        """Act just before a request of a run is served."""

        def met(request: Any) -> None:
            if self.world.now is not None and self.world.now.run is run:
                act(self.world.now)

        self.world.sandbox.at_request(met, **when)

    # ---- runs

    @rule(which=syncs, given=flags)
    def run(self, which: int, given: dict[str, Any]) -> None:
        self.attempt(self.world.new_run(which, given))

    @rule(which=syncs)
    def run_as_scheduled(self, which: int) -> None:
        self.attempt(self.world.new_run(which))

    @rule(which=syncs, limit=st.integers(1, 4), kill=st.none() | st.integers(5, 20), given=flags)
    def limited_run(self, which: int, limit: int, kill: int | None, given: dict[str, Any]) -> None:
        run = self.world.new_run(which, {**given, "limit": limit})
        if kill is not None:
            self.during(run, self._kill, after=kill)
        self.attempt(run)
        self.attempt(run)

    @rule(which=syncs, cohort_size=st.integers(6, 10))
    def run_after_a_flood(self, which: int, cohort_size: int) -> None:
        cohort = self.world.syncs[which].parameters["cohort_id"]
        self.world.set_cohort(cohort, range(2))
        self.attempt(self.world.new_run(which, dict.fromkeys(OVERRIDES.values(), True)))
        self.world.set_cohort(cohort, range(cohort_size))
        self.attempt(self.world.new_run(which))

    @rule(which=syncs)
    def run_that_skips_the_unchanged(self, which: int) -> None:
        self.attempt(self.world.new_run(which, {"skip_unchanged": True}))

    @rule(back=st.integers(1, 8), given=flags)
    def retry_or_clear(self, back: int, given: dict[str, Any]) -> None:
        if not self.world.runs:
            return
        run = self.world.runs[-min(back, len(self.world.runs))]
        self.attempt(run, **(given if run.failed else {}))

    @rule(which=syncs, cohort=cohorts, column=st.sampled_from(["user_id", "mail", "empty"]), event=events)
    def run_that_is_edited_while_it_waits(self, which: int, cohort: str, column: str, event: Event) -> None:
        run = self.world.new_run(which, {"deferrable": True})
        run.may_spend += 2
        self.world.sandbox.configure(export_seconds=0.05)
        edit = {"cohort_id": cohort, **mapped(which, column)}
        self.attempt(run, edit=edit, meanwhile=lambda: self.world.happen(event))
        self.world.sandbox.configure(export_seconds=0)

    @rule(which=syncs, event=events, other=syncs)
    def run_that_is_overtaken_while_it_waits(self, which: int, event: Event, other: int) -> None:
        run = self.world.new_run(which, {"deferrable": True})
        run.may_spend += 1

        def meanwhile() -> None:
            self.world.sandbox.configure(export_seconds=0)
            self.world.happen(event)
            spent = self.world.sandbox.project.used
            self.attempt(self.world.new_run(other, dict.fromkeys(OVERRIDES.values(), True)))
            run.spent -= self.world.sandbox.project.used - spent

        self.world.sandbox.configure(export_seconds=0.05)
        self.attempt(run, meanwhile=meanwhile)
        self.world.sandbox.configure(export_seconds=0)

    @rule(
        joins=members,
        stays=members,
        kill=st.integers(5, 20),
        between=st.none() | events,
        limit=st.none() | st.integers(1, 4),
    )
    def somebody_leaves_whom_a_dying_tracked_run_has_added(
        self, joins: list[int], stays: list[int], kill: int, between: Event | None, limit: int | None
    ) -> None:
        self.world.sandbox.configure(**USUAL)
        cohort = self.world.syncs[TRACKED].parameters["cohort_id"]
        self.world.set_cohort(cohort, joins)
        allowed = dict.fromkeys(OVERRIDES.values(), True)
        run = self.world.new_run(TRACKED, {**allowed, **({"limit": limit} if limit else {})})
        self.during(run, self._kill, after=kill)
        self.attempt(run)
        if between is not None:
            self.world.happen(between)
        self.world.set_cohort(cohort, stays)
        self.attempt(self.world.new_run(TRACKED, allowed))

    @rule(cohort=cohorts)
    def export_for_others(self, cohort: str) -> None:
        self.exports.append(self.world.shared_export(cohort))

    @rule(which=syncs, back=st.integers(1, 4), given=flags)
    def run_with_a_given_export(self, which: int, back: int, given: dict[str, Any]) -> None:
        if not self.exports:
            return
        run = self.world.new_run(which, given)
        run.export = self.exports[-min(back, len(self.exports))]
        self.attempt(run)

    @rule(which=syncs, given=flags)
    def plan(self, which: int, given: dict[str, Any]) -> None:
        run = self.world.new_run(which, {**given, "max_removal_percent": 0, "dry_run": False})
        run.export = self.world.shared_export(run.sync.parameters["cohort_id"])
        done = self.attempt(run, dry_run=True)
        job = self.world.job_used()
        if done.plan is None or done.report is None or job is None:
            return
        values = self.world.values_of(self.world.rows_of(job), done.parameters)
        place = (self.world.reads.site_id, done.report["segment_id"])
        wanted = self.oracle.wanted(done, values, place, self.world.reads)
        approved = wanted if run.sync.name == "both" else values
        self.plans.append(Plan(run, done.plan, approved, done.before.get(place, set()) - wanted))

    @rule(
        strict=st.booleans(),
        before=st.none() | events,
        kill=st.none() | st.integers(5, 20),
        between=st.none() | events,
    )
    def write_what_was_approved(
        self, strict: bool, before: Event | None, kill: int | None, between: Event | None
    ) -> None:
        if not self.plans:
            return
        plan = self.plans.pop()
        if before is not None:
            self.world.happen(before)
        approval = {**plan.approval, "strict": strict}
        if kill is not None:
            self.during(plan.run, self._kill, after=kill)
        done = self.attempt(plan.run, plan, approved_plan=approval)
        if done.error is not None:
            if between is not None:
                self.world.happen(between)
            self.attempt(plan.run, plan, approved_plan=approval)

    @rule(
        which=st.sampled_from(KEEPING),
        given=flags,
        back=st.integers(1, 5),
        kill=st.none() | st.integers(1, 20),
    )
    def back_to_a_snapshot(self, which: int, given: dict[str, Any], back: int, kill: int | None) -> None:
        segment = self.world.syncs[which].parameters["segment_name"]
        snapshots = [each for each in self.oracle.snapshots if each.segment == segment]
        if not snapshots:
            return
        moment = snapshots[-min(back, len(snapshots))].moment.isoformat()
        run = self.world.new_run(which, {**given, "source": "snapshot", "snapshot_at": moment})
        run.may_spend = 0
        if kill is not None:
            self.during(run, self._kill, after=kill)
        self.attempt(run)

    @rule(which=syncs, column=st.sampled_from(["empty", "amplitude_id", "nosuch", "mail"]))
    def run_with_a_wrong_mapping(self, which: int, column: str) -> None:
        # Only the mapping stands between such a run and the loss of everybody.
        others = {name: True for name in OVERRIDES.values() if name != "allow_no_match"}
        self.attempt(self.world.new_run(which, {**others, **mapped(which, column)}))

    @rule(
        which=st.sampled_from(KEEPING),
        moves=st.lists(st.tuples(persons, st.booleans()), min_size=1, max_size=5),
        given=flags,
    )
    def others_move_people_between_two_runs(
        self, which: int, moves: list[tuple[int, bool]], given: dict[str, Any]
    ) -> None:
        first = self.attempt(self.world.new_run(which, dict.fromkeys(OVERRIDES.values(), True)))
        name = self.world.syncs[which].parameters["segment_name"]
        for person, joins in moves:
            self.world.happen(("by_hand", name, person, joins))
        now = self.attempt(self.world.new_run(which, {**given, "skip_unchanged": False}))
        if first.error or first.report is None or now.report is None:
            return
        place = (self.world.reads.site_id, now.report["segment_id"])
        then, before = first.after.get(place, set()), now.before.get(place, set())
        if not first.report["not_removable"] and first.report["segment_id"] == place[1]:
            told = (now.report["joined_elsewhere"], now.report["left_elsewhere"])
            assert told == (len(before - then), len(then - before)), self.described()

    @rule(which=syncs, after=st.integers(0, 25), given=flags)
    def kill_a_run_between_two_requests(self, which: int, after: int, given: dict[str, Any]) -> None:
        run = self.world.new_run(which, given)
        self.during(run, self._kill, after=after)
        self.attempt(run)

    def _kill(self, now: Try) -> None:
        assert self.world.operator is not None
        if now.killed_at is None:
            now.killed_at = len(self.world.sandbox.requests)
            self.world.operator.on_kill()

    @rule(which=syncs, event=events, after=st.integers(0, 25), given=flags)
    def something_happens_during_a_run(
        self, which: int, event: Event, after: int, given: dict[str, Any]
    ) -> None:
        run = self.world.new_run(which, given)
        self.during(run, lambda now: self.world.happen(event), after=after)
        self.attempt(run)

    @rule(which=syncs, name=names, person=persons, joins=st.booleans(), after=st.integers(0, 4))
    def somebody_moves_while_pages_are_read(
        self, which: int, name: str, person: int, joins: bool, after: int
    ) -> None:
        run = self.world.new_run(which)
        event = ("by_hand", name, person, joins)
        self.during(run, lambda now: self.world.happen(event), api="app", path="/membership$", after=after)
        self.attempt(run)

    @rule(fault=st.sampled_from(FAULTS), after=st.integers(0, 3), which=syncs, given=flags)
    def run_into_a_fault(self, fault: dict[str, Any], after: int, which: int, given: dict[str, Any]) -> None:
        if "drop" in fault["action"]:
            # Where nobody can be looked up, a loss cannot be told from a person who does not exist.
            self.world.sandbox.configure(lookup_allowed=True, lookup_refuses="")
        self.world.history.append(f"{fault} after {after}")
        met = self.world.sandbox.faults.add(after=0 if "file" in fault.get("path", "") else after, **fault)
        self.world.cut = met if fault["action"] == "cut_rows" else None
        self.attempt(self.world.new_run(which, given))
        self.world.cut = None
        self.world.sandbox.faults.clear()

    @rule(
        which=syncs,
        store=st.sampled_from(["task", "asset"]),
        reads=st.booleans(),
        after=st.integers(0, 6),
        given=flags,
    )
    def run_while_a_state_store_is_away(
        self, which: int, store: str, reads: bool, after: int, given: dict[str, Any]
    ) -> None:
        self.world.history.append(f"the {store} store is away, reads: {reads}, after {after}")
        self.world.away.__dict__.update(Away(store, reads, after).__dict__)
        self.attempt(self.world.new_run(which, given))
        self.world.away.__dict__.update(Away().__dict__)

    @rule(which=syncs, writes=st.booleans(), given=flags)
    def run_with_keys_of_two_workspaces(self, which: int, writes: bool, given: dict[str, Any]) -> None:
        other = self.world.others
        self.world.history.append(f"keys of two workspaces: {'Track' if writes else 'App'} of another one")
        self.world.connect(**({"writes": other} if writes else {"reads": other}))
        self.attempt(self.world.new_run(which, given))
        self.world.connect()

    @rule(which=syncs, given=flags)
    def run_with_the_connection_of_another_workspace(self, which: int, given: dict[str, Any]) -> None:
        self.world.history.append("the connection of another workspace")
        self.world.connect(self.world.others, self.world.others)
        self.attempt(self.world.new_run(which, given))
        self.world.connect()

    # ---- the world

    @rule(event=events)
    def something_happens(self, event: Event) -> None:
        self.world.happen(event)

    @rule(cohort=cohorts, ids=members)
    def cohort_changes(self, cohort: str, ids: list[int]) -> None:
        self.world.set_cohort(cohort, ids)

    @rule(changes=st.fixed_dictionaries({}, optional=SWITCHES))
    def vendors_are_otherwise(self, changes: dict[str, Any]) -> None:
        self.world.history.append(f"{changes}")
        self.world.sandbox.configure(**changes)

    @rule(which=syncs, reads=st.booleans())
    def all_is_well_again(self, which: int, reads: bool) -> None:
        """Whatever has happened, a run that is allowed everything is a good one where nothing is wrong."""
        self.world.sandbox.configure(**USUAL)
        given = {**dict.fromkeys(OVERRIDES.values(), True), "people_segment_id": EVERYBODY if reads else None}
        done = self.attempt(self.world.new_run(which, given))
        assert done.error is None, f"a run fails without a reason: {done.error}"


def test_syncs_do_what_they_may_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    # A small world for what else takes thousands of people.
    monkeypatch.setattr(customer_io, "APP_REQUESTS_PER_SECOND", 10_000)
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 3)
    monkeypatch.setattr(people, "IDENTIFIERS_PER_LOOKUP", 4)
    monkeypatch.setattr(guards, "UNGUARDED_REMOVALS", UNGUARDED)
    monkeypatch.setattr(guards, "UNGUARDED_ADDITIONS", UNGUARDED_ADDITIONS)
    monkeypatch.setattr(guards, "FLOOR", 2)
    monkeypatch.setattr(sync, "FLOOR", 2)
    monkeypatch.setattr(download, "TOLERATED_ROWS", 0)
    monkeypatch.setattr(download, "FEW_PEOPLE", 0)
    for name, value in {
        "VERIFY_TIMEOUT": "0.3",
        "VERIFY_STABLE_SECONDS": "0.005",
        "VERIFY_INTERVAL": "0.005",
        "RETRY_TIMEOUT": "0.1",
        "RETRY_WAIT_INITIAL": "0.001",
        "RETRY_WAIT_MAX": "0.01",
    }.items():
        monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)
    for conn_id in ("AMPLITUDE_DEFAULT", "CUSTOMER_IO_DEFAULT"):
        # The model sets them; they are put back afterwards.
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", "{}")
    run_state_machine_as_test(Syncs, settings=SETTINGS)
