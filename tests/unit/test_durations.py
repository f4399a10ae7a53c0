from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_cio_cohort.durations import in_short, in_words

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 second"),
        (0, "1 second"),
        (3.4, "3 seconds"),
        (MINUTE, "1 minute"),
        (119, "1 minute 59 seconds"),
        (150 * MINUTE + 29, "2 hours 30 minutes"),
        (5 * HOUR, "5 hours"),
        (26 * HOUR + 20 * MINUTE, "1 day 2 hours"),
        (10 * DAY + 13 * HOUR, "1 week 4 days"),
        (400 * DAY, "57 weeks 1 day"),
    ],
)
def test_a_length_of_time_in_words_has_at_most_two_units(seconds: float, words: str) -> None:
    assert in_words(seconds) == in_words(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (75, "75 s"),
        (2 * MINUTE, "2 min"),
        (90 * MINUTE, "90 min"),
        (3 * HOUR + 20 * MINUTE, "3 h"),
        (47 * HOUR, "47 h"),
        (50 * DAY, "50 d"),
        (75 * DAY, "2 months"),
    ],
)
def test_a_length_of_time_in_short_has_one_unit(seconds: float, words: str) -> None:
    assert in_short(seconds) == in_short(timedelta(seconds=seconds)) == words
