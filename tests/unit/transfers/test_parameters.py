from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.ownership import describe, is_owned


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        ("True", True),
        ("true", True),
        ("1", True),
        (False, False),
        ("False", False),
        ("", False),
        (None, False),
    ],
)
def test_flags_as_templates_render_them(value, expected: bool) -> None:
    assert parameters.as_flag(value, "dry_run") is expected


def test_a_flag_that_is_none_names_itself() -> None:
    with pytest.raises(ConfigurationError, match=r"dry_run is 'maybe'"):
        parameters.as_flag("maybe", "dry_run")


@pytest.mark.parametrize(("value", "expected"), [(7, 7), ("7", 7), (" 7 ", 7)])
def test_segment_ids_as_templates_render_them(value, expected) -> None:
    assert parameters.as_segment_id(value) == expected


@pytest.mark.parametrize("value", ["seven", "7.0", "-7", 0, True, "\u0667", "", " "])
def test_what_is_no_segment_id(value) -> None:
    with pytest.raises(ConfigurationError, match=r"number of a Customer\.io segment"):
        parameters.as_segment_id(value)


@pytest.mark.parametrize("value", [-1, 100.1, True, "50", float("nan")])
def test_numbers_out_of_bounds(value) -> None:
    with pytest.raises(ConfigurationError, match="max_removal_percent is"):
        parameters.check_number(value, "max_removal_percent", upto=100)


def test_a_segment_is_owned_by_the_sync_of_its_cohort_alone() -> None:
    description = describe("a1b2c3d", "Power users", "mirror")
    assert "equal to the Amplitude cohort “Power users”" in description
    assert "removes nobody" in describe("a1b2c3d", None, "add_only")
    assert is_owned(description, "a1b2c3d")
    assert not is_owned(description, "a1b2c3")
    assert not is_owned(description, "z9y8x7w")
    assert not is_owned("made by hand", "a1b2c3d")
