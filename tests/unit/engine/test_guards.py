from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine.guards import UNGUARDED_REMOVALS, Approval, Counts, Limits, check

USUAL = Counts(
    cohort_rows=1000,
    identifiers=900,
    segment_before=1000,
    to_add=50,
    to_remove=100,
    owned=True,
    announced=1000,
    previous=900,
    matched=900,
)

observations = st.builds(
    Counts,
    cohort_rows=st.integers(0, 10**7),
    identifiers=st.integers(0, 10**7),
    segment_before=st.integers(0, 10**7),
    to_add=st.integers(0, 10**7),
    to_remove=st.integers(0, 10**7),
    owned=st.booleans(),
    announced=st.none() | st.integers(0, 10**7),
    previous=st.none() | st.integers(0, 10**7),
    matched=st.none() | st.integers(0, 10**7),
)
limits = st.builds(
    Limits,
    max_removal_percent=st.none() | st.floats(0, 100),
    max_shortfall_percent=st.none() | st.floats(0, 100),
    min_match_rate=st.none() | st.floats(0, 1),
    adopt_segment=st.booleans(),
    allow_large_removal=st.booleans(),
    allow_empty_cohort=st.booleans(),
    allow_short_cohort=st.booleans(),
    allow_low_match=st.booleans(),
)


def approval(seen: Counts, guards: list[str]) -> Approval:
    return Approval(
        ("large_removal", *guards),
        seen.to_add,
        seen.to_remove,
        seen.of,
        seen.cohort_digest,
        seen.removal_digest,
    )


def names(seen: Counts, allowed: Limits | None = None) -> list[str]:
    return [trip.guard for trip in check(seen, allowed or Limits())]


def test_a_usual_change_passes() -> None:
    assert names(USUAL) == []


@given(observations, limits)
def test_nothing_trips_when_the_segment_is_the_cohort(seen: Counts, allowed: Limits) -> None:
    equal = replace(seen, to_add=0, to_remove=0, segment_before=seen.identifiers, matched=seen.identifiers)
    assert check(equal, allowed) == []


@given(observations, limits)
def test_only_a_low_match_trips_when_nobody_is_removed(seen: Counts, allowed: Limits) -> None:
    assert set(names(replace(seen, to_remove=0), allowed)) <= {"low_match"}


@given(observations, limits, st.integers(1, 10**7), st.integers(0, 10**7))
def test_a_smaller_cohort_never_passes_where_a_larger_one_trips(
    seen: Counts, allowed: Limits, rows: int, less: int
) -> None:
    larger = replace(seen, cohort_rows=rows + less, identifiers=rows + less)
    if "short_cohort" in names(larger, allowed):
        assert "short_cohort" in names(replace(seen, cohort_rows=rows, identifiers=rows), allowed)


@given(observations, limits, st.integers(0, 10**7))
def test_fewer_matches_never_pass_where_more_trip(seen: Counts, allowed: Limits, less: int) -> None:
    if seen.matched is not None and "low_match" in names(seen, allowed):
        assert "low_match" in names(replace(seen, matched=max(0, seen.matched - less)), allowed)


@given(observations)
def test_a_guard_that_cannot_be_evaluated_trips(seen: Counts) -> None:
    blind = replace(seen, announced=None, previous=None, matched=None, identifiers=seen.identifiers + 1)
    assert "low_match" in names(blind, Limits(min_match_rate=0.1))
    assert "short_cohort" in names(replace(blind, to_remove=seen.to_remove + UNGUARDED_REMOVALS + 1))


@given(observations, limits)
def test_an_approval_lets_the_very_change_through_that_was_shown(seen: Counts, allowed: Limits) -> None:
    tripped = names(seen, allowed)
    seen = replace(
        seen, of={"cohort_id": "a"}, cohort_digest="c1", removal_digest="r1", to_remove=seen.to_remove + 1
    )
    tripped = names(seen, allowed)
    shown = approval(seen, tripped)
    assert names(seen, replace(allowed, approved=shown)) == []
    for other in (
        replace(seen, to_add=seen.to_add + 1),
        replace(seen, removal_digest="r2"),
        replace(seen, cohort_digest="c2"),
        replace(seen, of={"cohort_id": "b"}),
    ):
        assert names(other, replace(allowed, approved=shown)) == names(other, allowed)
        strict = names(other, replace(allowed, approved=replace(shown, strict=True)))
        assert strict == ["changed_plan", *names(other, allowed)]


def test_what_is_left_of_an_approved_change_is_another_change_unless_nobody_is_to_go() -> None:
    seen = replace(USUAL, to_remove=600, cohort_digest="c1", removal_digest="r1", announced=20_000)
    limits = Limits(max_removal_percent=None)
    assert names(seen, limits) == ["short_cohort"]
    shown = replace(limits, approved=approval(seen, names(seen, limits)))
    assert names(seen, shown) == []
    assert names(replace(seen, to_remove=10, removal_digest="r2"), shown) == ["short_cohort"]
    assert names(replace(seen, to_remove=0, removal_digest="r0"), shown) == []


@given(observations, limits)
def test_more_removals_never_pass_where_fewer_trip(seen: Counts, allowed: Limits) -> None:
    if names(seen, allowed):
        assert names(replace(seen, to_remove=seen.to_remove + 1), allowed)


@pytest.mark.parametrize(("to_remove", "tripped"), [(500, []), (501, ["large_removal"])])
def test_the_border_of_the_share_is_exact(to_remove: int, tripped: list[str]) -> None:
    assert names(replace(USUAL, to_remove=to_remove)) == tripped


@pytest.mark.parametrize(("to_remove", "tripped"), [(333, []), (334, ["large_removal"])])
def test_a_share_that_floats_cannot_hold_is_compared_exactly(to_remove: int, tripped: list[str]) -> None:
    assert names(replace(USUAL, to_remove=to_remove), Limits(max_removal_percent=33.3)) == tripped


@pytest.mark.parametrize(("to_remove", "tripped"), [(UNGUARDED_REMOVALS, []), (21, ["large_removal"])])
def test_small_segments_need_no_babysitting(to_remove: int, tripped: list[str]) -> None:
    assert names(replace(USUAL, segment_before=22, to_remove=to_remove)) == tripped


@pytest.mark.parametrize(
    ("rows", "announced", "tripped"),
    [
        (700, 1000, []),
        (699, 1000, ["short_cohort"]),
        (10, 30, []),  # small cohorts need no babysitting either
        (9, 30, ["short_cohort"]),
        (1000, 10, []),
        (1000, None, []),  # the last good sync tells
    ],
)
def test_a_cohort_that_is_smaller_than_announced(
    rows: int, announced: int | None, tripped: list[str]
) -> None:
    assert names(replace(USUAL, cohort_rows=rows, announced=announced)) == tripped


@pytest.mark.parametrize(("previous", "tripped"), [(1285, []), (1286, ["short_cohort"]), (None, [])])
def test_a_cohort_that_is_smaller_than_last_time(previous: int | None, tripped: list[str]) -> None:
    assert names(replace(USUAL, previous=previous)) == tripped


@pytest.mark.parametrize(("matched", "tripped"), [(810, []), (809, ["low_match"]), (None, ["low_match"])])
def test_a_low_match(matched: int | None, tripped: list[str]) -> None:
    seen = replace(USUAL, matched=matched)
    assert names(seen, Limits(min_match_rate=0.9)) == tripped
    assert names(seen) == []
    assert names(seen, Limits(min_match_rate=0.9, allow_low_match=True)) == []


def test_a_limit_of_nought_lets_nobody_go() -> None:
    assert names(replace(USUAL, to_remove=1), Limits(max_removal_percent=0)) == ["large_removal"]


def test_overrides() -> None:
    large = replace(USUAL, to_remove=900)
    assert names(large) == ["large_removal"]
    assert names(large, Limits(allow_large_removal=True)) == []
    assert names(large, Limits(max_removal_percent=None)) == []
    assert names(large, Limits(max_removal_percent=90)) == []


def test_an_empty_cohort_asks_for_its_own_permission_and_for_no_other() -> None:
    empty = replace(USUAL, cohort_rows=0, identifiers=0, to_remove=1000, announced=0, previous=900)
    assert names(empty) == ["empty_cohort"]
    assert names(empty, Limits(allow_large_removal=True, max_removal_percent=None)) == ["empty_cohort"]
    assert names(empty, Limits(allow_empty_cohort=True)) == []


def test_an_empty_export_of_a_cohort_that_is_not_empty_does_not_pass_as_an_empty_cohort() -> None:
    empty = replace(USUAL, cohort_rows=0, identifiers=0, to_remove=1000, announced=900)
    assert names(empty, Limits(allow_empty_cohort=True)) == ["short_cohort"]


def test_a_cohort_whose_rows_have_no_identifier_counts_as_empty_and_says_so() -> None:
    seen = replace(USUAL, cohort_rows=1234, identifiers=0, segment_before=5, to_remove=5)
    (trip,) = check(seen, Limits())
    assert trip.guard == "empty_cohort"
    assert "1,234 rows has an identifier" in trip.reason


def test_a_foreign_segment_loses_nobody_unless_adopted() -> None:
    foreign = replace(USUAL, owned=False, to_remove=1)
    assert names(foreign) == ["unmanaged_segment"]
    assert names(foreign, Limits(adopt_segment=True)) == []


@pytest.mark.parametrize(
    ("changes", "guard", "allowed_by"),
    [
        ({"to_remove": 1000}, "large_removal", "allow_large_removal"),
        ({"identifiers": 0}, "empty_cohort", "allow_empty_cohort"),
        ({"announced": 9000}, "short_cohort", "allow_short_cohort"),
        ({"owned": False}, "unmanaged_segment", "adopt_segment"),
        ({"matched": 0}, "low_match", "allow_low_match"),
    ],
)
def test_every_trip_names_its_limit_and_the_field_that_lets_one_run_through(
    changes, guard: str, allowed_by: str
) -> None:
    seen, allowed = replace(USUAL, **changes), Limits(min_match_rate=0.5)
    (trip,) = check(seen, allowed)
    assert (trip.guard, allowed_by in trip.reason) == (guard, True)
    assert check(seen, replace(allowed, **{allowed_by: True})) == []


@pytest.mark.parametrize(
    ("to_remove", "tried", "tripped"),
    [(600, 0, ["large_removal"]), (600, 100, []), (600, 600, []), (700, 100, ["large_removal"])],
)
def test_a_removal_that_was_tried_in_vain_is_not_large_again(
    to_remove: int, tried: int, tripped: list[str]
) -> None:
    seen = replace(USUAL, to_remove=to_remove, not_removable=tried)
    assert [trip.guard for trip in check(seen, Limits())] == tripped
    none_tried = Limits(max_removal_percent=0)
    assert bool(check(seen, none_tried)) is (to_remove > tried)


@pytest.mark.parametrize(("to_remove", "tripped"), [(50, []), (51, ["empty_cohort"])])
def test_an_empty_cohort_is_told_as_long_as_somebody_can_be_removed(
    to_remove: int, tripped: list[str]
) -> None:
    seen = replace(USUAL, cohort_rows=0, identifiers=0, to_remove=to_remove, not_removable=50, announced=0)
    assert [trip.guard for trip in check(seen, Limits())] == tripped
