from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine.guards import (
    OF_REMOVALS,
    UNGUARDED_ADDITIONS,
    UNGUARDED_REMOVALS,
    Approval,
    Baseline,
    Counts,
    Limits,
    check,
    depends_on_matches,
)
from airflow_provider_cio_cohort.engine.identifiers import mapping_in_words

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
    joining=st.none() | st.integers(0, 10**7),
    unmatched_before=st.integers(0, 10**7),
    first_fill=st.booleans(),
    baseline=st.none() | st.builds(Baseline, st.integers(0, 10**7), st.integers(0, 10**7), st.just("Monday")),
    tracked=st.none() | st.integers(0, 10**7),
    tracking_problem=st.sampled_from(["", "the snapshot is damaged"]),
)
limits = st.builds(
    Limits,
    max_removal_percent=st.none() | st.floats(0, 100),
    max_shortfall_percent=st.none() | st.floats(0, 100),
    max_growth_percent=st.none() | st.floats(0, 1000),
    max_removals=st.none() | st.integers(0, 10**7),
    max_additions=st.none() | st.integers(0, 10**7),
    min_match_rate=st.none() | st.floats(0, 1),
    adopt_segment=st.booleans(),
    allow_large_removal=st.booleans(),
    allow_large_addition=st.booleans(),
    allow_empty_cohort=st.booleans(),
    allow_short_cohort=st.booleans(),
    allow_low_match=st.booleans(),
    allow_lost_tracking=st.booleans(),
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
    equal = replace(equal, tracking_problem="")
    assert check(equal, allowed) == []


@given(observations, limits)
def test_no_guard_of_removals_trips_when_nobody_is_removed(seen: Counts, allowed: Limits) -> None:
    assert set(names(replace(seen, to_remove=0), allowed)) <= {"low_match", "large_addition", "lost_tracking"}


@given(observations, limits)
def test_no_guard_of_additions_trips_when_nobody_is_added(seen: Counts, allowed: Limits) -> None:
    assert set(names(replace(seen, to_add=0), allowed)) <= {"low_match", "lost_tracking", *OF_REMOVALS}


@given(observations, limits, st.integers(1, 10**7))
def test_more_additions_never_pass_where_fewer_trip(seen: Counts, allowed: Limits, more: int) -> None:
    joining = None if seen.joining is None else seen.joining + more
    larger = replace(seen, to_add=seen.to_add + more, joining=joining)
    if "large_addition" in names(seen, allowed):
        assert "large_addition" in names(larger, allowed)


@given(observations, limits)
def test_a_wider_limit_never_trips_where_a_narrower_one_passes(seen: Counts, allowed: Limits) -> None:
    for wider in (
        {"max_growth_percent": None},
        {"max_growth_percent": (allowed.max_growth_percent or 0) + 1},
        {"max_additions": None},
        {"max_additions": (allowed.max_additions or 0) + 1},
        {"max_removals": None},
        {"max_removals": (allowed.max_removals or 0) + 1},
    ):
        if getattr(allowed, *wider) is not None:
            assert set(names(seen, replace(allowed, **wider))) <= set(names(seen, allowed))


@given(observations, limits)
def test_a_first_fill_and_a_few_people_are_never_a_large_addition(seen: Counts, allowed: Limits) -> None:
    assert "large_addition" not in names(replace(seen, first_fill=True), allowed)
    few = replace(seen, to_add=UNGUARDED_ADDITIONS, baseline=None)
    relative = replace(allowed, max_additions=None)
    if allowed.max_growth_percent != 0:
        assert "large_addition" not in names(few, relative)


@given(observations, limits)
def test_nobody_needs_to_be_looked_up_where_the_matches_decide_nothing(seen: Counts, allowed: Limits) -> None:
    if not depends_on_matches(seen, allowed):
        told = {tuple(names(replace(seen, joining=joining), allowed)) for joining in (None, 0, seen.to_add)}
        assert len(told) == 1


@given(observations, limits)
def test_growth_since_the_last_good_sync_counts_only_what_runs_have_sent(
    seen: Counts, allowed: Limits
) -> None:
    seen, members = replace(seen, tracked=None), seen.segment_before
    for others_alone in (Baseline(members, seen.to_add, "Monday"), Baseline(0, 0, "Monday"), None):
        here = replace(seen, baseline=others_alone, segment_before=max(members, 1))
        if others_alone is None or others_alone.members >= here.segment_before:
            assert here.joiners_since == here.joiners
        assert here.joiners_since >= here.joiners


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


def test_a_low_match_names_the_whole_mapping() -> None:
    one, two = [("customer_id", "id")], [("customer_id", "id"), ("mail", "email")]
    words = []
    for mapping in (one, two):
        seen = replace(USUAL, matched=1, mapping=mapping_in_words(mapping))
        (trip,) = check(seen, Limits(min_match_rate=0.9))
        words.append(trip.reason)
    assert "check user_id_property 'customer_id' and id_type id (identifiers takes several);" in words[0]
    assert "check identifiers: 'customer_id' as id, 'mail' as email;" in words[1]


def test_a_limit_of_nought_lets_nobody_go() -> None:
    assert names(replace(USUAL, to_remove=1), Limits(max_removal_percent=0)) == ["large_removal"]


def test_overrides() -> None:
    large = replace(USUAL, to_remove=900)
    assert names(large) == ["large_removal"]
    assert names(large, Limits(allow_large_removal=True)) == []
    assert names(large, Limits(max_removal_percent=None)) == []
    assert names(large, Limits(max_removal_percent=90)) == []


FLOOD = replace(USUAL, to_add=2001, joining=2001)


@pytest.mark.parametrize(("joining", "tripped"), [(2000, []), (2001, ["large_addition"])])
def test_the_border_of_the_growth_is_exact(joining: int, tripped: list[str]) -> None:
    assert names(replace(FLOOD, joining=joining)) == tripped


@pytest.mark.parametrize(("joining", "tripped"), [(UNGUARDED_ADDITIONS, []), (501, ["large_addition"])])
@pytest.mark.parametrize("before", [0, 1, 250])
def test_a_small_segment_may_grow_manifold(before: int, joining: int, tripped: list[str]) -> None:
    assert names(replace(FLOOD, segment_before=before, joining=joining, to_remove=0)) == tripped


def test_people_whom_customer_io_does_not_know_are_no_growth() -> None:
    assert names(replace(FLOOD, to_add=90_000, joining=1200)) == []
    # Where nobody can be looked up, the last good sync tells how many of them did not exist.
    untold = replace(FLOOD, to_add=90_000, joining=None)
    assert names(replace(untold, unmatched_before=88_000)) == []
    assert names(replace(untold, unmatched_before=87_999)) == ["large_addition"]
    (trip,) = check(untold, Limits())
    assert "up to 90,000 people" in trip.reason


@pytest.mark.parametrize(
    ("before", "sent", "tripped"),
    [
        (2500, 1500, ["large_addition"]),  # a failed or limited run has added 1,500 since
        (2500, 1000, []),  # others have added the rest
        (2499, 9000, []),  # a run has begun to add 9,000, of whom few have come
        (1000, 9000, []),
    ],
)
def test_a_slow_flood_shows_beside_the_last_good_sync(before: int, sent: int, tripped: list[str]) -> None:
    seen = replace(
        FLOOD, segment_before=before, to_add=501, joining=501, to_remove=0, baseline=Baseline(1000, sent, "x")
    )
    assert names(seen) == tripped


def test_those_who_leave_are_no_growth_since_the_last_good_sync() -> None:
    seen = replace(
        FLOOD, segment_before=2500, to_add=501, joining=501, to_remove=100, baseline=Baseline(1000, 1500, "x")
    )
    assert names(seen) == []


@pytest.mark.parametrize(("most", "tripped"), [(100, []), (99, ["large_removal"]), (0, ["large_removal"])])
def test_an_absolute_limit_of_removals(most: int, tripped: list[str]) -> None:
    assert names(USUAL, Limits(max_removals=most)) == tripped
    assert names(USUAL, Limits(max_removals=most, max_removal_percent=None)) == tripped


@pytest.mark.parametrize(("most", "tripped"), [(50, []), (49, ["large_addition"]), (0, ["large_addition"])])
def test_an_absolute_limit_of_additions(most: int, tripped: list[str]) -> None:
    seen = replace(USUAL, joining=50)
    assert names(seen, Limits(max_additions=most)) == tripped
    assert names(seen, Limits(max_additions=most, max_growth_percent=None)) == tripped


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
        ({"to_add": 2001}, "large_addition", "allow_large_addition"),
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


# ---- members whom others have added


@given(observations, limits, st.integers(0, 10**7))
def test_members_whom_others_have_added_change_no_decision(seen: Counts, limits: Limits, others: int) -> None:
    seen = replace(seen, tracked=seen.segment_before)
    more = replace(seen, segment_before=seen.segment_before + others)
    assert names(more, limits) == names(seen, limits)


@given(observations, limits)
def test_where_all_members_are_its_own_a_sync_is_guarded_like_a_mirror(seen: Counts, limits: Limits) -> None:
    mirror = replace(seen, tracked=None, tracking_problem="", owned=True)
    tracked = replace(mirror, tracked=mirror.segment_before, owned=False)
    assert names(tracked, limits) == names(mirror, limits)


def test_percentages_are_of_those_whom_the_sync_has_added() -> None:
    seen = replace(USUAL, segment_before=100_000, tracked=1000, to_remove=501, identifiers=899, owned=False)
    (trip,) = check(seen, Limits())
    assert trip.guard == "large_removal"
    assert trip.reason.startswith("501 of 1,000 members whom this sync has added (50.1 %) would be removed")
    assert names(replace(seen, to_remove=500)) == []
    grows = replace(seen, to_add=2001, to_remove=0, joining=2001)
    (trip,) = check(grows, Limits())
    assert trip.reason.startswith("2,001 people would join 1,000 members whom this sync has added (+200.1 %)")
    assert names(replace(grows, joining=2000)) == []


def test_a_slow_flood_is_measured_by_those_whom_the_sync_has_added() -> None:
    base = Baseline(1000, 1500, "Monday")
    seen = replace(
        USUAL, segment_before=90_000, tracked=2500, to_add=600, joining=600, to_remove=0, baseline=base
    )
    assert names(seen) == ["large_addition"]
    assert names(replace(seen, joining=500)) == []


@pytest.mark.parametrize("to_remove", [0, 10])
def test_lost_tracking_stops_every_run(to_remove: int) -> None:
    seen = replace(USUAL, tracked=0, tracking_problem="the snapshot is damaged", to_remove=to_remove)
    (trip,) = check(seen, Limits())
    assert trip.guard == "lost_tracking"
    assert "it is unknown whom this sync has added: the snapshot is damaged" in trip.reason
    assert names(seen, Limits(allow_lost_tracking=True)) == []
    assert "lost_tracking" not in OF_REMOVALS
