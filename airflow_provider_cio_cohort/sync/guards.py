"""
What is too dangerous to write: counts and limits in, a list of trips out.

Pure decisions, made before the first write. Each trip names the guard, what was observed, the limit, and
the setting that allows it. Percentages are compared exactly, by cross-multiplication; rounding is for
display alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

#: Up to so many removals are let through whatever their share is: a segment of a dozen people may lose
#: most of them on any day, and nobody wants to be woken for that.
UNGUARDED_REMOVALS = 20


@dataclass(frozen=True)
class Observation:
    """
    The counts that the guards look at.

    :param cohort_rows: rows in the export.
    :param identifiers: distinct identifiers in the cohort.
    :param segment_before: members of the segment before the run.
    :param to_add: identifiers that would be sent.
    :param to_remove: members that would be removed.
    :param owned: whether the segment says that a sync made it for this cohort.
    :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
    :param previous: identifiers at the last good sync; ``None`` if that is not known.
    :param matched: identifiers that are somebody's; ``None`` if that is not known.
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


@dataclass(frozen=True)
class Approval:
    """
    A change that somebody was shown and let through.

    :param guards: the guards that had tripped.
    :param to_add: identifiers that it was to add.
    :param to_remove: members that it was to remove.
    """

    guards: tuple[str, ...]
    to_add: int
    to_remove: int


@dataclass(frozen=True)
class Limits:
    """
    What a sync allows.

    :param max_removal_percent: of the segment before the run, 0 to 100; ``None`` turns the guard off.
    :param max_shortfall_percent: by which the cohort may fall short of what was announced, or of the last
        good sync, 0 to 100; ``None`` turns the guard off.
    :param min_match_rate: of the identifiers that are somebody's, 0 to 1; ``None`` turns the guard off.
    :param adopt_segment: remove people from a segment that no sync made.
    :param allow_large_removal: let this run remove more than ``max_removal_percent``.
    :param allow_empty_cohort: let this run empty the segment.
    :param allow_short_cohort: let this run remove people for a cohort that fell short.
    :param allow_low_match: let this run write although few of the cohort are somebody.
    :param approved: what somebody has let through.
    """

    max_removal_percent: float | None = 50
    max_shortfall_percent: float | None = 30
    min_match_rate: float | None = None
    adopt_segment: bool = False
    allow_large_removal: bool = False
    allow_empty_cohort: bool = False
    allow_short_cohort: bool = False
    allow_low_match: bool = False
    approved: Approval | None = None


@dataclass(frozen=True)
class Trip:
    """
    A guard that said no.

    :param guard: its name.
    :param reason: what was observed, the limit, and what allows it, in a sentence.
    :param short: what was observed, in so few words that they fit on a pager.
    """

    guard: str
    reason: str
    short: str = ""


def check(seen: Observation, limits: Limits) -> list[Trip]:
    """Return every guard that forbids the change; an empty list lets it through."""
    trips = list(_low_match(seen, limits))
    if seen.to_remove > 0:
        trips += _empty_cohort(seen, limits)
        trips += _large_removal(seen, limits)
        trips += _short_cohort(seen, limits)
        trips += _foreign_segment(seen, limits)
    return [*_not_approved(trips, seen, limits.approved)]


def _not_approved(trips: list[Trip], seen: Observation, approved: Approval | None) -> Iterator[Trip]:
    """Take out what was approved, unless the change has grown meanwhile."""
    for trip in trips:
        if approved is None or trip.guard not in approved.guards:
            yield trip
        elif seen.to_remove > approved.to_remove or seen.to_add > approved.to_add:
            yield Trip(
                trip.guard,
                f"{trip.reason}. It was approved to add {approved.to_add:,} and remove "
                f"{approved.to_remove:,}, but now it would add {seen.to_add:,} and remove "
                f"{seen.to_remove:,}: clear the task plan to be asked again",
                "the change has grown since it was approved",
            )


def _empty_cohort(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if seen.identifiers > 0 or limits.allow_empty_cohort:
        return
    observed = (
        f"none of the cohort's {seen.cohort_rows:,} rows has an identifier"
        if seen.cohort_rows
        else "the cohort is empty"
    )
    yield Trip(
        "empty_cohort",
        f"{observed}, so the segment would lose all its {seen.to_remove:,} members; "
        "allow_empty_cohort lets one run do so",
        f"no identifier in {seen.cohort_rows:,} rows" if seen.cohort_rows else observed,
    )


def _large_removal(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if limits.allow_large_removal or limits.max_removal_percent is None:
        return
    if seen.identifiers == 0:
        return  # an empty cohort removes everybody by definition: its own guard has asked
    if seen.to_remove <= UNGUARDED_REMOVALS and limits.max_removal_percent > 0:
        return
    # By its decimal digits: as a binary float, 33.3 would already be a little less than the user wrote.
    allowed = Fraction(str(limits.max_removal_percent))
    if seen.to_remove * 100 > allowed * seen.segment_before:
        share = f"{100 * seen.to_remove / seen.segment_before:.1f} %" if seen.segment_before else "all"
        yield Trip(
            "large_removal",
            f"{seen.to_remove:,} of {seen.segment_before:,} members ({share}) would be removed, more than "
            f"max_removal_percent allows ({limits.max_removal_percent:g} %); "
            "allow_large_removal lets one run do so",
            f"{seen.to_remove:,} of {seen.segment_before:,} members would go",
        )


def _short_cohort(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if limits.allow_short_cohort or limits.max_shortfall_percent is None:
        return
    way_out = "allow_short_cohort lets one run remove people all the same"
    compared = [(seen.cohort_rows, seen.announced, "members that Amplitude's list announces")]
    if seen.identifiers > 0:  # an empty cohort is less than ever by definition: its own guard has asked
        compared.append((seen.identifiers, seen.previous, "identifiers of the last good sync"))
    known = [(now, then, what) for now, then, what in compared if then is not None]
    if not known and seen.identifiers > 0 and seen.to_remove > UNGUARDED_REMOVALS:
        yield Trip(
            "short_cohort",
            f"{seen.to_remove:,} members would be removed, and neither Amplitude's list nor an earlier sync "
            f"tells how large the cohort should be; {way_out}",
            "nothing tells how large the cohort should be",
        )
    allowed = Fraction(str(limits.max_shortfall_percent))
    for now, then, what in known:
        shortfall = then - now
        if shortfall > UNGUARDED_REMOVALS and shortfall * 100 > allowed * then:
            yield Trip(
                "short_cohort",
                f"the cohort has only {now:,} of the {then:,} {what}, and max_shortfall_percent is "
                f"{limits.max_shortfall_percent:g} %, so {seen.to_remove:,} members would be removed for a "
                f"cohort that may not be whole; {way_out}",
                f"the cohort came with {now:,} instead of {then:,}",
            )
            return


def _low_match(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if limits.allow_low_match or limits.min_match_rate is None or seen.identifiers == 0:
        return
    way_out = "allow_low_match lets one run write all the same"
    if seen.matched is None:
        untold = "Customer.io does not tell how many people would match"
        yield Trip("low_match", f"{untold}; {way_out}", untold)
    elif seen.matched < Fraction(str(limits.min_match_rate)) * seen.identifiers:
        yield Trip(
            "low_match",
            f"only {seen.matched:,} of {seen.identifiers:,} identifiers "
            f"({100 * seen.matched / seen.identifiers:.1f} %) are people in Customer.io, less than "
            f"min_match_rate asks for ({100 * limits.min_match_rate:g} %); check user_id_property and "
            f"id_type; {way_out}",
            f"only {seen.matched:,} of {seen.identifiers:,} identifiers match",
        )


def _foreign_segment(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if seen.owned or limits.adopt_segment:
        return
    yield Trip(
        "foreign_segment",
        f"{seen.to_remove:,} members would be removed from a segment that no sync made for this cohort; "
        "adopt_segment lets the sync do so",
        f"no sync made it, and {seen.to_remove:,} members would go",
    )
