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
    :param to_remove: members that would be removed.
    :param owned: whether the segment says that a sync made it for this cohort.
    """

    cohort_rows: int
    identifiers: int
    segment_before: int
    to_remove: int
    owned: bool


@dataclass(frozen=True)
class Limits:
    """
    What a sync allows.

    :param max_removal_percent: of the segment before the run, 0 to 100; ``None`` turns the guard off.
    :param adopt_segment: remove people from a segment that no sync made.
    :param allow_large_removal: let this run remove more than ``max_removal_percent``.
    :param allow_empty_cohort: let this run empty the segment.
    """

    max_removal_percent: float | None = 50
    adopt_segment: bool = False
    allow_large_removal: bool = False
    allow_empty_cohort: bool = False


@dataclass(frozen=True)
class Trip:
    """
    A guard that said no.

    :param guard: its name.
    :param reason: what was observed, the limit, and what allows it, in a sentence.
    """

    guard: str
    reason: str


def check(seen: Observation, limits: Limits) -> list[Trip]:
    """Return every guard that forbids the change; an empty list lets it through."""
    if seen.to_remove == 0:
        return []
    return [*_empty_cohort(seen, limits), *_large_removal(seen, limits), *_foreign_segment(seen, limits)]


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
        )


def _foreign_segment(seen: Observation, limits: Limits) -> Iterator[Trip]:
    if seen.owned or limits.adopt_segment:
        return
    yield Trip(
        "foreign_segment",
        f"{seen.to_remove:,} members would be removed from a segment that no sync made for this cohort; "
        "adopt_segment: true hands the segment over to the sync",
    )
