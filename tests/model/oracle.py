"""What must be true after each try of a run, computed from the vendors' own state alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from airflow_provider_cio_cohort.exceptions import ExportFailedError, GuardTrippedError
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from tests.model.matching import Led, lead, mapping_of
from tests.model.world import MARKS, Place, Run, Snapshot, Try, World, moment_now

#: Removals that no guard looks at: as the machine sets it, few enough for a small world.
UNGUARDED = 2
#: Additions, likewise.
UNGUARDED_ADDITIONS = 3
#: Requests that can be on their way when a task is stopped.
UNDER_WAY = 5
OVERRIDES = {
    "large_removal": "allow_large_removal",
    "large_addition": "allow_large_addition",
    "empty_cohort": "allow_empty_cohort",
    "short_cohort": "allow_short_cohort",
    "low_match": "allow_low_match",
    "no_match": "allow_no_match",
    "unmanaged_segment": "adopt_segment",
    "lost_tracking": "allow_lost_tracking",
}


@dataclass
class Plan:
    """A change that was looked at: for which identifiers, who was to be removed, and how it is approved."""

    run: Run
    approval: dict[str, Any]
    values: set[str]
    removals: set[str]


@dataclass
class Last:
    """
    A segment after the last good run of a sync that keeps snapshots.

    :param values: the identifiers that were synced.
    :param members: how many members there were.
    :param matched: how many of the identifiers some member had.
    :param certain: whether no try was made since, so that the next one must know of it.
    """

    values: set[str]
    members: int
    matched: int
    certain: bool


@dataclass
class Good:
    """The last good run of a segment: by which export, of which identifiers, and since when."""

    job: int
    changes: int


class Oracle:
    """
    Holds each try of a run against what must be true.

    :param world: the vendors.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.good: dict[Place, Good] = {}
        #: The latest export of a good run, whether a later run can know of it or not.
        self.latest_job = 0
        #: Identifiers of the last good run, by segment and sync.
        self.previous: dict[tuple[Any, ...], int] = {}
        #: People whom the last good run could not remove, likewise.
        self.not_removable: dict[tuple[Any, ...], int] = {}
        #: The cohort for which a sync has made a segment.
        self.made_for: dict[Place, str] = {}
        #: Segments of which a good run is known to later ones.
        self.filled: set[Place] = set()
        #: Segments that had the name which a try looked for, also one that has failed.
        self.named: set[Place] = set()
        self.snapshots: list[Snapshot] = []
        #: What the last good run has left, for what others change afterwards; ``None`` if that is unknown.
        self.last: dict[tuple[Any, ...], Last | None] = {}
        #: Whom a tracked sync may have added, by segment: nobody else may ever leave by it.
        self.may_be_tracked: dict[Place, set[str]] = {}
        #: Whom it has added for sure, and how much the world had changed then.
        self.tracked: dict[Place, dict[str, int]] = {}

    def check(self, done: Try, plan: Plan | None = None) -> None:
        """
        Hold everything that must be true after a try.

        :param done: the try.
        :param plan: what a person has approved.
        """
        self._nobody_is_named(done)
        self._exports_are_few(done)
        if done.killed_at is not None:
            sent = len(self.world.sandbox.requests) - done.killed_at
            assert sent <= UNDER_WAY, f"{sent} requests after a stop"
        for place in done.after.keys() - done.before.keys():
            if "[managed" in self._workspace(place).segments[place[1]].description:
                self.made_for[place] = done.parameters["cohort_id"]
        self.named |= {
            (self.world.reads.site_id, segment.id)
            for segment in self.world.reads.segments.values()
            if segment.name == done.parameters["segment_name"]
        }
        values = self._values(done)
        changed = self._changes(done)
        self._only_the_cohort_was_added(done, values)
        self._nobody_left_whom_it_must_keep(done, changed)
        if done.is_tracked and not self.world.mixed:
            self._only_its_own_have_left(done, changed)
            self._track(done, changed, values)
        if self.world.mixed:
            self._hardly_anything_was_written(done, changed)
        self._tells_what_others_did(done)
        if done.report is not None:
            self._counts_are_right(done, (self.world.reads.site_id, done.report["segment_id"]), values)
        if done.is_green:
            self._is_right(done, values, plan)
        else:
            self._says_what_it_did(done, changed)
        done.run.failed = not done.is_green
        done.run.wrote = not done.is_green and (done.run.wrote or bool(changed))

    # ---- what was done

    def _changes(self, done: Try) -> set[tuple[Place, str]]:
        """Return who joined or left a segment, but those whom others have changed."""
        return {
            (place, person)
            for place, people in done.after.items()
            for person in people ^ done.before.get(place, set())
            if person not in self.world.changed_since(done.began, place[0])
        }

    def _values(self, done: Try) -> set[str]:
        """Return the identifiers that a try was about."""
        if done.parameters.get("source") == "snapshot":
            snapshot = self._snapshot(done)
            return snapshot.values if snapshot else set()
        job = self.world.job_used()
        return set() if job is None else self.world.values_of(self.world.rows_of(job), done.parameters)

    def _snapshot(self, done: Try) -> Snapshot | None:
        wanted = str(done.parameters["snapshot_at"])
        mine = [each for each in self.snapshots if each.segment == done.parameters["segment_name"]]
        older = [each for each in mine if each.moment.isoformat() <= wanted]
        return older[-1] if older else None

    def _only_the_cohort_was_added(self, done: Try, values: set[str]) -> None:
        for place, people in done.after.items():
            workspace = self._workspace(place)
            added = people - done.before.get(place, set())
            added -= self.world.changed_since(done.began, place[0])
            led = self.led(done, values, place)
            # Whom a row led to is not known, where people have come or gone meanwhile.
            allowed = led.anyone if led and done.events else self.wanted(done, values, place, workspace)
            outside = added - allowed
            assert not outside, f"{len(outside)} people were added who are not in the cohort"

    def led(self, done: Try, values: set[Any], place: Place) -> Led | None:
        """Return whom rows of several identifiers lead to; ``None`` for what is compared by one."""
        mapping = mapping_of(done.parameters)
        if not mapping or done.parameters.get("source") == "snapshot":
            return None
        members = done.before.get((self.world.reads.site_id, place[1]), set())
        return lead(values, [kind for _, kind in mapping], self.world.reads, members)

    def wanted(self, done: Try, values: set[Any], place: Place, workspace: Workspace) -> set[str]:
        """Return who of a workspace belongs in a segment."""
        led = self.led(done, values, place)
        if led is None and not mapping_of(done.parameters):
            return self.world.matches(values, done.parameters, workspace)
        return (values if led is None else led.wanted) & workspace.people.keys()

    def _nobody_left_whom_it_must_keep(self, done: Try, changed: set[tuple[Place, str]]) -> None:
        """A limited run removes nobody and adds few; a guard lets at most people in."""
        removed = {(place, person) for place, person in changed if person in done.before.get(place, set())}
        limit = done.parameters.get("limit")
        if limit is not None:
            assert not removed, "a limited run has removed somebody"
            of_one_export = done.run.limited.setdefault(self._source(done), set())
            of_one_export |= changed
            assert done.run.disturbed or len(of_one_export) <= limit, "more people were added than the limit"
        if isinstance(done.error, GuardTrippedError):
            adds_only = done.parameters.get("on_guard") == "add_only"
            assert not removed, "a guard has stopped it, and somebody was removed"
            assert adds_only or not changed, "a guard has stopped it, and somebody was added"

    def _only_its_own_have_left(self, done: Try, changed: set[tuple[Place, str]]) -> None:
        for place, person in changed:
            if person in done.before.get(place, set()) and person not in self.world.renamed:
                own = self.may_be_tracked.get(place, set())
                assert person in own, "a tracked sync has removed somebody whom it has not added"

    def _track(self, done: Try, changed: set[tuple[Place, str]], values: set[str]) -> None:
        """Note whom a try has added, whether it was a good one or was killed after that."""
        wrote = self.world.sandbox.count("track", "_customers") > 0
        for place in done.after:
            was = done.before.get(place, set())
            added = {person for where, person in changed if where == place and person not in was}
            self.tracked.setdefault(place, {}).update(dict.fromkeys(added, len(self.world.changes)))
            if wrote and place[0] == self.world.reads.site_id:
                # It was about to add them: if others have done so since, nobody can tell.
                about = self.world.matches(values, done.parameters, self.world.reads) - was
                self.may_be_tracked.setdefault(place, set()).update(about, added)

    def _source(self, done: Try) -> str:
        job = self.world.job_used()
        return f"{job.id if job else None} {done.parameters['cohort_id']}"

    def _hardly_anything_was_written(self, done: Try, changed: set[Any]) -> None:
        settings = self.world.sandbox.settings
        # Where no look-up tells who exists, a first batch is what the keys are proven by.
        if settings.lookup_allowed and not settings.lookup_refuses:
            assert len(changed) <= 1, "more than one person of an unrelated segment was changed"
        # Where there is nothing to write, the keys that write are of no account.
        sent = self.world.sandbox.count("track", "_customers")
        if done.is_green and sent:
            # Only of people who cannot be written at all, nothing can show that the keys belong together.
            assert done.report is not None
            excuse = done.report["not_removable"] or done.report["rejected"]
            assert excuse, "green with the keys of two workspaces"

    def _says_what_it_did(self, done: Try, changed: set[Any]) -> None:
        error = done.error
        if error is None:
            assert not changed, "a dry run has written"
            created = done.after.keys() - done.before.keys()
            assert done.events or not created, "a dry run has created a segment"
            return
        if changed:
            assert error.segment_touched is True, "a segment was changed, and the error does not say so"
        elif done.run.wrote and not self.world.away.failed:
            assert error.segment_touched is not False, "an earlier try has written, and the error denies it"

    def _nobody_is_named(self, done: Try) -> None:
        told = done.told.lower()
        assert not any(mark in told for mark in MARKS), "somebody is named"

    def _exports_are_few(self, done: Try) -> None:
        run, world = done.run, self.world
        run.spent += world.sandbox.project.used - done.used_before
        if isinstance(done.error, ExportFailedError) or world.away.which == "task":
            run.may_spend += 1
        assert run.spent <= (0 if run.export is not None else run.may_spend), "an export too many"
        job = world.job_used()
        run.last_job = int(job.id) if job else run.last_job

    def before_a_try(self, run: Run) -> None:
        """
        Note that a run may spend another export: it was cleared, or its segment was synced meanwhile.

        :param run: the run.
        """
        overtaken = self.latest_job > run.last_job
        if run.tries and (overtaken or not run.failed):
            run.may_spend += 1

    # ---- what is counted

    def _counts_are_right(self, done: Try, place: Place, values: set[Any]) -> None:
        """Of several identifiers, the report and the kept file count what each row has come to."""
        led, report = self.led(done, values, place), done.report
        if led is None or report is None or report.get("unchanged") or done.events or self.world.mixed:
            return
        assert report["matched_by"] == led.matched_by([kind for _, kind in mapping_of(done.parameters)])
        assert report["conflicting"] == led.count("conflicting"), "conflicts are not counted right"
        assert report["identifiers"] == led.identifiers, "identifiers are not counted right"
        assert report["rejected"] == led.count("rejected"), "refused look-ups are not counted right"
        if done.parameters.get("limit") is not None and not report["dry_run"]:
            assert report["unmatched"] is None
            return
        assert report["unmatched"] == led.unmatched, "rows that lead to nobody are not counted right"
        if not report["dry_run"]:
            manifest, lines = self.world.kept(done.parameters["segment_name"], "unmatched")
            kept = [tuple(line.split("\t")) for line in lines]
            assert {each for each in kept if each[1] != "not_removable"} == led.ended
            counts = {reason: number for reason, number in manifest["reasons"].items() if number}
            counts.pop("no_identifier", None)
            assert counts == Counter(reason for _, reason, _ in kept)
            assert counts.get("not_removable", 0) == report["not_removable"]

    def _tells_what_others_did(self, done: Try) -> None:
        """Hold what a report says of others' changes since the last good run."""
        report, told = done.report, ("joined_elsewhere", "left_elsewhere")
        if report is not None and not report.get("unchanged") and not done.events:
            place = (self.world.reads.site_id, report["segment_id"])
            key, before = self._key(done, place), done.before.get(place, set())
            self._tells_since(self.last.get(key), before, done, [report[name] for name in told])
            if key not in self.last:
                assert [report[name] for name in told] == [None, None], "nobody has looked before"
        if self.world.away.failed or self.world.mixed:
            self.last = {**dict.fromkeys(self.last), **self._of_any_place(done)}
        for last in filter(None, self.last.values()):
            last.certain = False

    def _tells_since(self, last: Last | None, before: set[str], done: Try, seen: list[int | None]) -> None:
        if last is None:
            return
        if None in seen:
            # What is remembered belongs to the workspace that is written to.
            is_known = last.certain and not self.world.mixed
            assert not is_known, "it does not say what others have changed"
            return
        still = self._had(last.values, done, before)
        joined = len(before) - still - (last.members - last.matched)
        assert seen == [max(joined, 0), max(last.matched - still, 0)], "others have changed something else"

    def _of_any_place(self, done: Try) -> dict[tuple[Any, ...], Last | None]:
        return {self._key(done, place): None for place in done.after}

    def _had(self, values: set[str], done: Try, members: set[str]) -> int:
        """Return how many identifiers some member has."""
        if mapping_of(done.parameters):
            return len(values & members)
        return len(values & {p.id for p in self.world.reads.people.values() if p.cio_id in members})

    # ---- what a good run has come to

    def _is_right(self, done: Try, values: set[str], plan: Plan | None) -> None:
        assert done.report is not None
        place = (self.world.reads.site_id, done.report["segment_id"])
        if place not in done.after:
            assert done.events, "green, and there is no such segment"
            return
        wanted = self.wanted(done, values, place, self.world.reads)
        self._is_the_segment_that_was_named(done, place)
        if done.report.get("unchanged"):
            self._is_unchanged(done, place)
            return
        is_limited = done.parameters.get("limit") is not None
        if not is_limited:
            self._holds_the_cohort(done, place, wanted, self.led(done, values, place))
        if done.is_tracked and not is_limited and not self.world.mixed:
            self._has_no_leaver(done, place, wanted)
        if done.parameters.get("source") != "snapshot":
            self._is_of_the_newest_export(done, place)
        elif snapshot := self._snapshot(done):
            assert snapshot.site == self.world.reads.site_id, "the snapshot of another workspace was used"
        else:
            raise AssertionError("green, and there is no snapshot")
        if not done.events:
            self._limits_were_kept(done, place, values, wanted, plan)
        if not self.world.mixed and not is_limited:
            self._remember(done, place, values, wanted)

    def _is_the_segment_that_was_named(self, done: Try, place: Place) -> None:
        """A segment of another name is one that a sync has filled before, or made: it was renamed since."""
        name, limit = done.parameters["segment_name"], self.world.sandbox.settings.name_limit
        called = self._workspace(place).segments[place[1]].name
        is_known = place in self.good or place in self.made_for or place in self.named or done.events
        assert is_known or called in (name, name[:limit]), "another segment was filled than the one named"

    def _holds_the_cohort(self, done: Try, place: Place, wanted: set[str], led: Led | None) -> None:
        assert done.report is not None
        if led and done.events:
            self._holds_whom_it_can_be_sure_of(done, place, led, done.began)
            return
        people, others = done.after[place], self.world.changed_since(done.began, place[0])
        was = done.before.get(place, set())
        away = set()
        if not mapping_of(done.parameters):
            refused = self.world.refused(done.parameters, self.world.reads)
            away = (self.world.out_of_reach(self.world.reads) | refused) - was
        reachable = wanted - away - others
        assert reachable <= people, f"green, and {len(reachable - people)} of the cohort are missing"
        if done.is_mirror:
            outside = people - wanted - others
            left = outside & self._not_removable() if done.report["not_removable"] else set()
            assert outside <= left, f"green, and {len(outside - left)} are in it who are not in the cohort"
            assert done.events or len(left) <= done.report["not_removable"], "more are left than it says"

    def _holds_whom_it_can_be_sure_of(self, done: Try, place: Place, led: Led, since: int) -> None:
        """Hold what must be true of rows of several identifiers while people come and go."""
        assert done.report is not None
        people, others = done.after[place], self.world.changed_since(since, place[0])
        missing = led.sure - people - others
        assert len(missing) <= done.report["rejected"], "green, and somebody of the cohort is missing"
        if done.is_mirror:
            left = len(people - led.anyone - others)
            assert left <= done.report["not_removable"], (
                "green, and somebody is left who is not in the cohort"
            )

    def _has_no_leaver(self, done: Try, place: Place, wanted: set[str]) -> None:
        """Nobody whom the sync has added is still in, unless others have had to do with them since."""
        others = self.world.changed_since
        leavers = {
            person
            for person, since in self.tracked.get(place, {}).items()
            if person in done.after[place] - wanted and person not in others(since, place[0])
        }
        assert not leavers, f"green, and {len(leavers)} have not left whom the sync has added"
        # What others have done to somebody is seen by now; of another segment, the snapshot tells nothing.
        people = done.after[place]
        self.may_be_tracked = {**self.may_be_tracked, place: self.may_be_tracked.get(place, set()) & people}
        known = {person: since for person, since in self.tracked.get(place, {}).items() if person in people}
        self.tracked = {place: known}

    def _not_removable(self) -> set[str]:
        """Return people whom Customer.io's API does not remove from a segment."""
        if self.world.sandbox.settings.removal_needs_id or self.world.mixed:
            return self.world.without_id(self.world.reads)
        return set()

    def _is_unchanged(self, done: Try, place: Place) -> None:
        """Nothing is looked at but a count and a time, so what others have changed since may be missed."""
        cohort = self.world.sandbox.project.cohorts[done.parameters["cohort_id"]]
        values = self.world.values_of(cohort.rows, done.parameters)
        assert place in self.good, "unchanged, and there was no good run"
        if led := self.led(done, values, place):
            self._holds_whom_it_can_be_sure_of(done, place, led, self.good[place].changes)
            return
        wanted = self.world.matches(values, done.parameters, self.world.reads, once=True)
        others = self.world.changed_since(self.good[place].changes, place[0])
        people = done.after[place]
        assert done.report is not None
        missing = wanted - self.world.out_of_reach(self.world.reads) - people - others
        assert len(missing) <= done.report["rejected"], "unchanged, and somebody of the cohort is missing"
        if done.is_mirror:
            left = len(people - wanted - others)
            assert left <= done.report["not_removable"], "unchanged, and somebody is left who is not in it"

    def _is_of_the_newest_export(self, done: Try, place: Place) -> None:
        job = self.world.job_used()
        assert job is not None, "green without an export"
        assert job.cohort_id == done.parameters["cohort_id"], "the export of another cohort was used"
        good = self.good.get(place)
        wrote = self.world.sandbox.count("track", "_customers")
        if good and (wrote or not self.world.away.failed):
            assert int(job.id) >= good.job, "an older export was used after a later one"

    def _limits_were_kept(
        self, done: Try, place: Place, values: set[str], wanted: set[str], plan: Plan | None
    ) -> None:
        was = done.before.get(place, set())
        gone = was - done.after[place]
        trips = self._trips(done, place, values, wanted, len(was), len(gone))
        trips = {trip for trip in trips if not done.parameters.get(OVERRIDES[trip])}
        if plan is None or not done.parameters.get("approved_plan"):
            assert not trips, f"no guard has stopped it: {sorted(trips)}"
            return
        assert trips <= set(plan.approval["guards"]), f"it was not approved: {sorted(trips)}"
        if trips or done.parameters["approved_plan"]["strict"]:
            assert gone <= plan.removals, "people were removed who were not in what was approved"
            compared = wanted if mapping_of(done.parameters) else values
            assert compared == plan.values, "another cohort was approved"

    def _trips(
        self, done: Try, place: Place, values: set[str], wanted: set[str], before: int, gone: int
    ) -> set[str]:
        """Return which guards must have looked at a change; computed anew, and for small numbers."""
        given = done.parameters
        trips = set()
        rate = given.get("min_match_rate")
        identifiers = self._count(done, place, values)
        if rate is not None and len(wanted) < Fraction(str(rate)) * identifiers:
            trips.add("low_match")
        if self._is_flooded(done, place, before):
            trips.add("large_addition")
        if not gone:
            return trips
        percent = given.get("max_removal_percent", 50)
        before = self._base(done, place, before)
        if not values:
            trips.add("empty_cohort")
        else:
            # The removal of some was tried before, and let through then.
            anew = gone - self.not_removable.get(self._key(done, place), 0)
            is_large = (anew > UNGUARDED or percent == 0) and anew * 100 > percent * before
            if anew > 0 and (is_large or anew > given.get("max_removals", anew)):
                trips.add("large_removal")
        if values and not wanted:
            trips.add("no_match")
        if self.made_for.get(place) != given["cohort_id"] and not done.is_tracked:
            trips.add("unmanaged_segment")
        if self._is_short(done, place, identifiers, gone):
            trips.add("short_cohort")
        return trips

    def _count(self, done: Try, place: Place, values: set[Any]) -> int:
        led = self.led(done, values, place)
        return len(values) if led is None else led.identifiers

    def _base(self, done: Try, place: Place, before: int) -> int:
        """Return the members that percentages are of, at most."""
        if not done.is_tracked:
            return before
        return len(
            done.before.get(place, set()) & (self.may_be_tracked.get(place, set()) | self.world.renamed)
        )

    def _is_flooded(self, done: Try, place: Place, before: int) -> bool:
        settings, given = self.world.sandbox.settings, done.parameters
        joined = len(done.after[place] - done.before.get(place, set()))
        if self.made_for.get(place) == given["cohort_id"] and place not in self.filled:
            return False
        if not settings.lookup_allowed or settings.lookup_refuses:
            return False  # then the last good run tells how many do not exist, and some may by now
        percent, before = given.get("max_growth_percent", 200), self._base(done, place, before)
        is_large = (joined > UNGUARDED_ADDITIONS or percent == 0) and joined * 100 > percent * before
        return joined > 0 and (is_large or joined > given.get("max_additions", joined))

    def _is_short(self, done: Try, place: Place, identifiers: int, gone: int) -> bool:
        job, previous = self.world.job_used(), self.previous.get(self._key(done, place))
        if job is None:
            return False  # a snapshot is never short
        cohort = self.world.sandbox.project.cohorts[job.cohort_id]
        pairs = [(len(self.world.rows_of(job)), cohort.size if cohort.listed else None)]
        pairs += [(identifiers, previous)] if identifiers else []
        known = [(now, then) for now, then in pairs if then is not None]
        if not known:
            return identifiers > 0 and gone > UNGUARDED  # an empty cohort has a guard of its own
        return any(then - now > UNGUARDED and (then - now) * 100 > 30 * then for now, then in known)

    def _key(self, done: Try, place: Place) -> tuple[Any, ...]:
        defaults = {"user_id_property": "user_id", "id_type": "id", "mode": "mirror"}
        names = ("segment_name", "cohort_id", *defaults)
        mapped = tuple(mapping_of(done.parameters))
        return (place, *(done.parameters.get(name, defaults.get(name)) for name in names), mapped)

    def _remember(self, done: Try, place: Place, values: set[Any], wanted: set[str]) -> None:
        key, before = self._key(done, place), self.good.get(place)
        job = self.world.job_used()
        newest = max(int(job.id) if job else 0, before.job if before else 0)
        self.latest_job = max(self.latest_job, newest)
        if self.world.away.failed:
            # What could not be kept, no later run can know.
            newest = 0
            self.previous.pop(key, None)
            self.not_removable.pop(key, None)
        else:
            self.previous[key] = self._count(done, place, values)
            assert done.report is not None
            self.not_removable[key] = done.report["not_removable"]
            self.filled.add(place)
        self.good[place] = Good(newest, len(self.world.changes))
        if not done.parameters.get("snapshot_path"):
            return
        segment = done.parameters["segment_name"]
        led = self.led(done, values, place)
        in_file = led is not None or done.is_tracked
        synced = set(self.world.kept(segment, "snapshot")[1]) if in_file else values
        if led and not done.events:
            assert synced == wanted, "the snapshot holds others than those who were matched"
        if done.parameters.get("source") != "snapshot" and not done.is_tracked:
            self.snapshots.append(Snapshot(moment_now(), synced, segment, place[0]))
        self.last[key] = None
        if not self.world.away.failed and not done.events:
            members, known = done.after[place], "tracked" if done.is_tracked else "unmatched"
            is_known = done.report is not None and done.report[known] is not None
            self.last[key] = Last(synced, len(members), self._had(synced, done, members), is_known)

    def _workspace(self, place: Place) -> Workspace:
        return next(each for each in self.world.sandbox.workspaces if each.site_id == place[0])
