from __future__ import annotations

import math
import time

import pytest

from airflow_provider_cio_cohort.hooks.retry import Policy


@pytest.mark.parametrize(
    ("age", "is_young"),
    [
        (0, True),
        (119, True),
        (121, False),
        (-60, True),  # the clock of another machine
        (-3600, False),  # no grace without end
        (-math.inf, False),
        (math.inf, False),
        (math.nan, False),
    ],
)
def test_how_long_an_export_may_be_unknown(age: float, is_young: bool) -> None:
    assert Policy().is_young(time.time() - age) is is_young


@pytest.mark.parametrize(
    ("age", "is_now"), [(0, True), (400, True), (-200, True), (440, False), (-400, False), (math.nan, False)]
)
def test_an_export_that_may_be_young_by_another_clock_counts_as_new(age: float, is_now: bool) -> None:
    dated = time.time() - age
    found = Policy().by_this_clock(dated)
    assert found is not None
    assert Policy().is_young(found) is is_now
    if not is_now:
        assert found is dated
    assert Policy().by_this_clock(None) is None


def test_an_export_of_unknown_age_is_not_young() -> None:
    assert not Policy().is_young(None)


def test_the_grace_can_be_set_and_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, is_young in (("600", True), ("0", False)):
        monkeypatch.setenv("AIRFLOW__CIO_COHORT__EXPORT_GRACE", seconds)
        assert Policy.from_config().is_young(time.time() - 300) is is_young
