from __future__ import annotations

from airflow_provider_cio_cohort.sync.target import describe, is_owned


def test_a_segment_is_owned_by_the_sync_of_its_cohort_alone() -> None:
    description = describe("a1b2c3d", "Power users", "mirror")
    assert "equal to the Amplitude cohort “Power users”" in description
    assert "removes nobody" in describe("a1b2c3d", None, "add_only")
    assert is_owned(description, "a1b2c3d")
    assert not is_owned(description, "a1b2c3")
    assert not is_owned(description, "z9y8x7w")
    assert not is_owned("made by hand", "a1b2c3d")
