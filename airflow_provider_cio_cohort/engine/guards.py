"""
Decides what is too dangerous to write: counts and limits in, a list of trips out.

Pure decisions, made before the first write. Each trip names the guard, what was observed, the limit, and
the setting that allows it. Percentages are compared exactly, by cross-multiplication; rounding is for
display alone. :func:`check_mapping` finds a comparison that cannot be right: where a whole side lacks the
identifier, or nothing matches, the mapping is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

#: What a run makes of the segment; what it does when a guard trips, and when people cannot be removed.
Mode = Literal["mirror", "add_only", "tracked"]
OnGuard = Literal["fail", "add_only"]
OnNotRemovable = Literal["warn", "fail"]
#: Up to this many removals are allowed whatever their share is: a segment of a dozen people may lose most of
#: them on any day, without a fault.
UNGUARDED_REMOVALS = 20
#: Up to this many additions are allowed whatever the growth is: below some hundreds of members, a percentage
#: says little, for a campaign that has just begun may grow tenfold in a day.
UNGUARDED_ADDITIONS = 500


#: The parameter that lets a run pass a guard, by the guard's name.
PASSES = {
    "empty_cohort": "allow_empty_cohort",
    "large_removal": "allow_large_removal",
    "large_addition": "allow_large_addition",
    "short_cohort": "allow_short_cohort",
    "low_match": "allow_low_match",
    "unmanaged_segment": "adopt_segment",
    "lost_tracking": "allow_lost_tracking",
}
#: The guards that are about people to remove, and have nothing against those to add.
OF_REMOVALS = frozenset({"empty_cohort", "large_removal", "short_cohort", "unmanaged_segment"})


@dataclass(frozen=True)
class Baseline:
    """
    The segment at an earlier good sync, against which later runs measure its growth.

    :param members: its members then.
    :param sent: people whom later runs have begun to add.
    :param since: when it was, in words.
    """

    members: int
    sent: int
    since: str


#: Of which members a guard gives numbers: of all, or of those whom the sync itself has added.
_MEMBERS, _TRACKED = "members", "members whom this sync has added"


@dataclass(frozen=True)
class Counts:
    """
    The counts that the guards look at.

    :param cohort_rows: rows in the export.
    :param identifiers: distinct identifiers in the cohort.
    :param segment_before: members of the segment before the run.
    :param to_add: identifiers that would be sent.
    :param to_remove: members that would be removed.
    :param not_removable: how many of these the last good sync has tried to remove in vain, because they have
        no ``id``: they are not removed again, so no limit counts them.
    :param owned: whether the segment says that a sync made it for this cohort.
    :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
    :param previous: identifiers at the last good sync; ``None`` if that is not known.
    :param matched: identifiers that exist in Customer.io; ``None`` if that is not known.
    :param of: what the change is between: cohort, segment, mapping, connections.
    :param mapping: the parameters that map the identifiers, in words.
    :param cohort_digest: of the cohort's identifiers.
    :param removal_digest: of the members that would be removed.
    :param joining: how many of the identifiers to add exist in Customer.io; ``None`` if that is not known.
    :param unmatched_before: identifiers that did not exist there at the last good sync.
    :param first_fill: whether a sync has made the segment for this cohort, and none has filled it yet.
    :param baseline: the segment at an earlier good sync; ``None`` if that is not known.
    :param tracked: members whom the sync itself has added, where it removes no others; ``None`` where it may
        remove everybody.
    :param tracking_problem: why it is unknown whom the sync has added; empty if it is known.
    """

    cohort_rows: int
    identifiers: int
    segment_before: int
    to_add: int
    to_remove: int
    owned: bool
    announced: int | None = None
    previous: int | None = None
    matched: int | None = None
    of: Mapping[str, str] = field(default_factory=dict)
    mapping: str = "user_id_property and id_type, or identifiers"
    cohort_digest: str = ""
    removal_digest: str = ""
    not_removable: int = 0
    joining: int | None = None
    unmatched_before: int = 0
    first_fill: bool = False
    baseline: Baseline | None = None
    tracked: int | None = None
    tracking_problem: str = ""

    @property
    def base(self) -> int:
        """
        The members that percentages are of: the sync's own part of the segment.

        Members whom others have added say nothing about the cohort: beside 100,000 of them, the loss of all
        1,000 people of a cohort would be 1 %.
        """
        return self.segment_before if self.tracked is None else self.tracked

    @property
    def base_name(self) -> str:
        """What these members are, in words."""
        return _MEMBERS if self.tracked is None else _TRACKED

    @property
    def removals(self) -> int:
        """Members to remove whose removal has not been tried in vain."""
        return self.to_remove - self.not_removable

    @property
    def joiners(self) -> int:
        """People who would join, at most: identifiers that do not exist are sent by every run, in vain."""
        if self.joining is not None:
            return min(self.joining, self.to_add)
        return max(self.to_add - self.unmatched_before, 0)

    @property
    def joiners_since(self) -> int:
        """People who would have joined since the baseline, but those whom others have added."""
        if self.baseline is None:
            return self.joiners
        grown = self.base - self.to_remove - self.baseline.members
        return self.joiners + max(min(grown, self.baseline.sent), 0)


@dataclass(frozen=True)
class Approval:
    """
    A change that was shown to a person and approved.

    :param guards: the guards that had tripped.
    :param to_add: identifiers that it was to add.
    :param to_remove: members that it was to remove.
    :param of: what the change is between: cohort, segment, mapping, connections.
    :param cohort_digest: of the cohort's identifiers.
    :param removal_digest: of the members that it was to remove.
    :param strict: refuse any other change, even where no guard trips.
    """

    guards: tuple[str, ...]
    to_add: int
    to_remove: int
    of: Mapping[str, str] = field(default_factory=dict)
    cohort_digest: str = ""
    removal_digest: str = ""
    strict: bool = False

    def covers(self, seen: Counts) -> bool:
        """
        Say whether a change is the one that was approved.

        It must be for the same cohort, and remove exactly the same people or nobody.

        :param seen: the change.
        """
        same_removal = self.removal_digest == seen.removal_digest or not seen.to_remove
        same_cohort = self.of == seen.of and self.cohort_digest == seen.cohort_digest
        return same_cohort and same_removal and seen.to_add <= self.to_add


@dataclass(frozen=True)
class Limits:
    """
    What a sync allows.

    :param max_removal_percent: of the segment before the run, or of the members whom the sync has added if it
        removes no others, 0 to 100; ``None`` turns the guard off.
    :param max_shortfall_percent: by which the cohort may fall short of what was announced, or of the last
        good sync, 0 to 100; ``None`` turns the guard off.
    :param max_growth_percent: of the same members, by which the segment may grow; ``None`` turns this off.
    :param max_removals: members that a run may remove; ``None`` for no such limit.
    :param max_additions: people that a run may add; ``None`` for no such limit.
    :param min_match_rate: of the identifiers that exist in Customer.io, 0 to 1; ``None`` turns the guard off.
    :param adopt_segment: remove people from a segment that no sync created.
    :param allow_large_removal: let this run remove more than ``max_removal_percent`` and ``max_removals``.
    :param allow_large_addition: let this run add more than ``max_growth_percent`` and ``max_additions``.
    :param allow_empty_cohort: let this run empty the segment.
    :param allow_short_cohort: let this run remove people for a cohort that fell short.
    :param allow_low_match: let this run write although few of the cohort exist in Customer.io.
    :param allow_lost_tracking: let this run begin anew although it is unknown whom the sync has added.
    :param allow_no_match: let this run write although cohort and segment cannot be compared, see
        :func:`check_mapping`.
    :param approved: the change that a person has approved.
    """

    max_removal_percent: float | None = 50
    max_shortfall_percent: float | None = 30
    max_growth_percent: float | None = 200
    max_removals: int | None = None
    max_additions: int | None = None
    min_match_rate: float | None = None
    adopt_segment: bool = False
    allow_large_removal: bool = False
    allow_large_addition: bool = False
    allow_empty_cohort: bool = False
    allow_short_cohort: bool = False
    allow_low_match: bool = False
    allow_lost_tracking: bool = False
    allow_no_match: bool = False
    approved: Approval | None = None


@dataclass(frozen=True)
class Trip:
    """
    A guard that refuses the change.

    :param guard: its name.
    :param reason: what was observed, the limit, and what allows it, in a sentence.
    :param short: what was observed, short enough for a pager.
    """

    guard: str
    reason: str
    short: str = ""


def check(seen: Counts, limits: Limits) -> list[Trip]:
    """Return a trip for each guard that refuses the change; an empty list allows it."""
    trips = [*_lost_tracking(seen, limits), *_low_match(seen, limits), *_large_addition(seen, limits)]
    if seen.to_remove > 0:
        trips += _empty_cohort(seen, limits)
        trips += _large_removal(seen, limits)
        trips += _short_cohort(seen, limits)
        trips += _unmanaged_segment(seen, limits)
    return list(_not_approved(trips, seen, limits.approved))


def depends_on_matches(seen: Counts, limits: Limits) -> bool:
    """
    Say whether a decision depends on how many identifiers exist in Customer.io, so that they are looked up.

    :param seen: the counts, as far as they are known without a look-up.
    :param limits: what the sync allows.
    """
    if limits.min_match_rate is not None:
        return True
    return any(_large_addition(replace(seen, joining=None, unmatched_before=0), limits))


def _not_approved(trips: list[Trip], seen: Counts, approved: Approval | None) -> Iterator[Trip]:
    """Leave out what was approved, unless the change is a different one by now."""
    if approved is None:
        yield from trips
        return
    is_covered = approved.covers(seen)
    another = (
        f"Another change was approved: adding {approved.to_add:,} and removing {approved.to_remove:,} "
        f"people. Now {seen.to_add:,} would be added and {seen.to_remove:,} "
        f"removed{'' if seen.to_remove != approved.to_remove else ', not the same people'}"
    )
    if approved.strict and not is_covered:
        yield Trip(
            "changed_plan",
            f"{another}. Review the change and approve it again",
            "the change is not the one that was approved",
        )
    for trip in trips:
        if trip.guard not in approved.guards:
            yield trip
        elif not is_covered:
            yield Trip(
                trip.guard,
                f"{trip.reason}. {another}. Clear the task plan to be asked again",
                "the change is not the one that was approved",
            )


def _empty_cohort(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if seen.identifiers > 0 or not seen.removals or limits.allow_empty_cohort:
        return
    observed = (
        f"none of the cohort's {seen.cohort_rows:,} rows has an identifier"
        if seen.cohort_rows
        else "the cohort is empty"
    )
    yield Trip(
        "empty_cohort",
        f"{observed}, so the segment would lose all its {seen.to_remove:,} {seen.base_name}; "
        "allow_empty_cohort allows it for one run",
        f"no identifier in {seen.cohort_rows:,} rows" if seen.cohort_rows else observed,
    )


def _large_removal(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if limits.allow_large_removal or not seen.removals:
        return
    if seen.identifiers == 0:
        return  # an empty cohort removes everybody by definition: its own guard has checked that
    way_out = "allow_large_removal allows it for one run"
    short = f"{seen.removals:,} of {seen.base:,} {seen.base_name} would be removed"
    if limits.max_removals is not None and seen.removals > limits.max_removals:
        yield Trip(
            "large_removal",
            f"{short}, more than max_removals allows ({limits.max_removals:,}); {way_out}",
            short,
        )
    elif _is_large(seen.removals, seen.base, limits.max_removal_percent, UNGUARDED_REMOVALS):
        share = f"{100 * seen.removals / seen.base:.1f} %" if seen.base else "all"
        yield Trip(
            "large_removal",
            f"{seen.removals:,} of {seen.base:,} {seen.base_name} ({share}) would be removed, more than "
            f"max_removal_percent allows ({limits.max_removal_percent:g} %); {way_out}",
            short,
        )


def _large_addition(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if limits.allow_large_addition or seen.first_fill or not seen.joiners:
        return
    way_out = "allow_large_addition allows it for one run"
    about = "up to " if seen.joining is None else ""
    short = f"{about}{seen.joiners:,} people would join {seen.base:,} {seen.base_name}"
    if limits.max_additions is not None and seen.joiners > limits.max_additions:
        yield Trip(
            "large_addition",
            f"{short}, more than max_additions allows ({limits.max_additions:,}); {way_out}",
            short,
        )
        return
    percent, base = limits.max_growth_percent, seen.baseline
    if _is_large(seen.joiners, seen.base, percent, UNGUARDED_ADDITIONS):
        share = f" (+{100 * seen.joiners / seen.base:.1f} %)" if seen.base else ""
        yield Trip(
            "large_addition",
            f"{short}{share}, more than max_growth_percent allows ({percent:g} %); {way_out}",
            short,
        )
    elif base is not None and _is_large(seen.joiners_since, base.members, percent, UNGUARDED_ADDITIONS):
        since = f"{about}{seen.joiners_since:,} people would have joined {base.members:,} {seen.base_name}"
        yield Trip(
            "large_addition",
            f"with this run, {since} since the good sync of {base.since}, more than max_growth_percent "
            f"allows ({percent:g} %); {way_out}",
            f"{since} since {base.since}",
        )


def _is_large(people: int, members: int, percent: float | None, unguarded: int) -> bool:
    """Say whether so many people are more than a percentage of the members; a few are only for 0 %."""
    if percent is None or (people <= unguarded and percent > 0):
        return False
    # By its decimal digits: as a binary float, 33.3 would already be a little less than the user wrote.
    return people * 100 > Fraction(str(percent)) * members


def _short_cohort(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if limits.allow_short_cohort or limits.max_shortfall_percent is None:
        return
    way_out = "allow_short_cohort allows it for one run"
    compared = [(seen.cohort_rows, seen.announced, "members that Amplitude's list reports")]
    if seen.identifiers > 0:  # an empty cohort falls short by definition: its own guard has checked that
        compared.append((seen.identifiers, seen.previous, "identifiers of the last good sync"))
    known = [(now, then, what) for now, then, what in compared if then is not None]
    if not known and seen.identifiers > 0 and seen.removals > UNGUARDED_REMOVALS:
        yield Trip(
            "short_cohort",
            f"{seen.to_remove:,} members would be removed, and neither Amplitude's list nor an earlier sync "
            f"tells how large the cohort should be; {way_out}",
            "the expected size of the cohort is unknown",
        )
    allowed = Fraction(str(limits.max_shortfall_percent))
    for now, then, what in known:
        shortfall = then - now
        if shortfall > UNGUARDED_REMOVALS and shortfall * 100 > allowed * then:
            yield Trip(
                "short_cohort",
                f"the cohort has only {now:,} of the {then:,} {what}, and max_shortfall_percent is "
                f"{limits.max_shortfall_percent:g} %, so {seen.to_remove:,} members would be removed "
                f"although the cohort may be incomplete; {way_out}",
                f"the cohort has {now:,} instead of {then:,}",
            )
            return


def _low_match(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if limits.allow_low_match or limits.min_match_rate is None or seen.identifiers == 0:
        return
    way_out = "allow_low_match allows it for one run"
    if seen.matched is None:
        untold = "Customer.io does not say how many people would match"
        yield Trip("low_match", f"{untold}; {way_out}", untold)
    elif seen.matched < Fraction(str(limits.min_match_rate)) * seen.identifiers:
        yield Trip(
            "low_match",
            f"only {seen.matched:,} of {seen.identifiers:,} identifiers "
            f"({100 * seen.matched / seen.identifiers:.1f} %) are people in Customer.io, less than "
            f"min_match_rate asks for ({100 * limits.min_match_rate:g} %); check {seen.mapping}; {way_out}",
            f"only {seen.matched:,} of {seen.identifiers:,} identifiers match",
        )


def _unmanaged_segment(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if seen.owned or limits.adopt_segment or seen.tracked is not None:
        return  # whom the sync itself has added, it may remove from any segment
    yield Trip(
        "unmanaged_segment",
        f"{seen.to_remove:,} members would be removed from a segment that no sync created for this cohort; "
        "adopt_segment allows it",
        f"no sync created it, and {seen.to_remove:,} members would be removed",
    )


def _lost_tracking(seen: Counts, limits: Limits) -> Iterator[Trip]:
    if not seen.tracking_problem or limits.allow_lost_tracking:
        return
    short = "it is unknown whom this sync has added"
    yield Trip(
        "lost_tracking",
        f"{short}: {seen.tracking_problem}. Those people would never be removed; allow_lost_tracking allows "
        "it for one run, and later runs then remove only whom they have added themselves",
        short,
    )


#: Up to this many identifiers without a match, a run that removes nobody continues with a warning: a small
#: cohort of new visitors may consist of people whom Customer.io does not know yet.
FLOOR = 20


@dataclass(frozen=True)
class Sides:
    """
    Both sides of a comparison, in counts.

    :param user_id_property: the Amplitude property that is mapped.
    :param id_type: the identifier of Customer.io that it is mapped to.
    :param cohort_rows: rows in the export.
    :param identifiers: distinct identifiers in the cohort.
    :param members: members of the segment.
    :param have_keys: whether any member has the identifier.
    :param same: identifiers that some member has.
    :param to_remove: members that would be removed.
    :param looked_up: identifiers that were looked up in Customer.io.
    :param exist: how many of those exist there; ``None`` if the key may not look people up.
    :param setting: the parameter that maps the property, for messages.
    """

    user_id_property: str
    id_type: str
    cohort_rows: int
    identifiers: int
    members: int
    have_keys: bool
    same: int
    to_remove: int
    looked_up: int = 0
    exist: int | None = None
    setting: str = "user_id_property"


@dataclass(frozen=True)
class Mismatch:
    """
    Cohort and segment that cannot be compared.

    :param headline: what is wrong, short enough for a pager.
    :param details: what each side looks like, in counts.
    :param is_fatal: whether the run must not write; otherwise it is a warning.
    """

    headline: str
    details: str
    is_fatal: bool


def check_mapping(sides: Sides) -> Mismatch | None:
    """
    Return what is wrong with the mapping, ``None`` if nothing is.

    :param sides: what both sides look like.
    """
    wrong = _wrong(sides)
    if wrong is None:
        return None
    size = sides.identifiers or sides.cohort_rows
    return Mismatch(f"{wrong}.", _details(sides), sides.to_remove > 0 or size > FLOOR)


def _wrong(sides: Sides) -> str | None:
    name = f"{sides.setting} {sides.user_id_property!r}"
    if not sides.identifiers:
        if not sides.cohort_rows:
            return None  # an empty cohort, which has a guard of its own
        return f"None of the cohort's {sides.cohort_rows:,} rows has a value of {name}"
    if sides.same:
        return None
    if sides.exist == 0:
        which = f"{sides.looked_up:,} of " if 0 < sides.looked_up < sides.identifiers else ""
        return (
            f"None of {which}the cohort's {sides.identifiers:,} identifiers ({name}) exists in Customer.io "
            f"as {sides.id_type}"
        )
    if not sides.have_keys and (sides.to_remove or sides.exist is None):
        return f"None of the segment's {sides.members:,} members has the identifier {sides.id_type}"
    if sides.exist is None and sides.to_remove:
        return (
            f"None of the segment's {sides.members:,} members is in the cohort, and Customer.io does not "
            f"say whether the cohort's identifiers ({name}) exist"
        )
    return None


def _details(sides: Sides) -> str:
    if sides.exist is None:
        known = "it is not known how many of them exist in Customer.io"
    else:
        known = f"{sides.exist:,} of {sides.looked_up:,} that were looked up exist in Customer.io"
    keys = "some" if sides.have_keys and sides.members else "none"
    return (
        f"{sides.setting} {sides.user_id_property!r} is mapped to {sides.id_type}. The cohort has "
        f"{sides.cohort_rows:,} rows and {sides.identifiers:,} identifiers ({known}); the "
        f"segment has {sides.members:,} members, {keys} of them with the identifier {sides.id_type}, "
        f"{sides.same:,} in both; {sides.to_remove:,} members would be removed."
    )
