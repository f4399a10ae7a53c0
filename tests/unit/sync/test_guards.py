from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.sync.guards import UNGUARDED_REMOVALS, Limits, Observation, check

USUAL = Observation(cohort_rows=1000, identifiers=900, segment_before=1000, to_remove=100, owned=True)

observations = st.builds(
    Observation,
    cohort_rows=st.integers(0, 10**7),
    identifiers=st.integers(0, 10**7),
    segment_before=st.integers(0, 10**7),
    to_remove=st.integers(0, 10**7),
    owned=st.booleans(),
)
limits = st.builds(
    Limits,
    max_removal_percent=st.none() | st.floats(0, 100),
    adopt_segment=st.booleans(),
    allow_large_removal=st.booleans(),
    allow_empty_cohort=st.booleans(),
)


def names(seen: Observation, allowed: Limits | None = None) -> list[str]:
    return [trip.guard for trip in check(seen, allowed or Limits())]


def test_a_usual_change_passes() -> None:
    assert names(USUAL) == []


@given(observations, limits)
def test_nothing_trips_when_nobody_is_removed(seen: Observation, allowed: Limits) -> None:
    assert check(replace(seen, to_remove=0), allowed) == []


@given(observations, limits)
def test_more_removals_never_pass_where_fewer_trip(seen: Observation, allowed: Limits) -> None:
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


def test_a_limit_of_nought_lets_nobody_go() -> None:
    assert names(replace(USUAL, to_remove=1), Limits(max_removal_percent=0)) == ["large_removal"]


def test_overrides() -> None:
    large = replace(USUAL, to_remove=900)
    assert names(large) == ["large_removal"]
    assert names(large, Limits(allow_large_removal=True)) == []
    assert names(large, Limits(max_removal_percent=None)) == []
    assert names(large, Limits(max_removal_percent=90)) == []


def test_an_empty_cohort_asks_for_its_own_permission_and_for_no_other() -> None:
    empty = Observation(cohort_rows=0, identifiers=0, segment_before=1000, to_remove=1000, owned=True)
    assert names(empty) == ["empty_cohort"]
    assert names(empty, Limits(allow_large_removal=True, max_removal_percent=None)) == ["empty_cohort"]
    assert names(empty, Limits(allow_empty_cohort=True)) == []


def test_a_cohort_whose_rows_have_no_identifier_counts_as_empty_and_says_so() -> None:
    seen = Observation(cohort_rows=1234, identifiers=0, segment_before=5, to_remove=5, owned=True)
    (trip,) = check(seen, Limits())
    assert trip.guard == "empty_cohort"
    assert "1,234 rows has an identifier" in trip.reason


def test_a_foreign_segment_loses_nobody_unless_adopted() -> None:
    foreign = replace(USUAL, owned=False, to_remove=1)
    assert names(foreign) == ["foreign_segment"]
    assert names(foreign, Limits(adopt_segment=True)) == []


@pytest.mark.parametrize(
    "guard", ["allow_large_removal", "max_removal_percent", "allow_empty_cohort", "adopt_segment"]
)
def test_every_trip_names_the_setting_that_allows_it(guard: str) -> None:
    seen = replace(USUAL, owned=False, to_remove=1000)
    reasons = " ".join(
        t.reason for t in [*check(seen, Limits()), *check(replace(seen, identifiers=0), Limits())]
    )
    assert guard in reasons
