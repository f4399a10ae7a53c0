"""Which moment a snapshot has, and which one somebody means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.snapshots.layout import Origin, folder_name, read_entries, stamp
from airflow_provider_cio_cohort.snapshots.run import moment_of, parse_moment

BERLIN = pendulum.timezone("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-02-02T06:00:00Z", "2026-02-02T06:00:00"),
        ("2026-02-02T06:00:00+05:30", "2026-02-02T00:30:00"),
        (" 2026-02-02 06:00 ", "2026-02-02T05:00:00"),
        ("2026-02-02", "2026-02-02T22:59:59.999999"),
        ("20260202", "2026-02-02T22:59:59.999999"),
        # The days of the clock's changes have 23 and 25 hours.
        ("2026-03-29", "2026-03-29T21:59:59.999999"),
        ("2026-10-25", "2026-10-25T22:59:59.999999"),
        # An hour that there is twice is the second one, an hour that there is not comes after the gap.
        ("2026-10-25T02:30", "2026-10-25T01:30:00"),
        ("2026-03-29T02:30", "2026-03-29T01:30:00"),
        ("2026-07-01T06:00", "2026-07-01T04:00:00"),
    ],
)
def test_what_somebody_has_written(text: str, utc: str) -> None:
    assert parse_moment(text, BERLIN) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_a_day_ends_at_the_first_midnight_where_the_clock_shows_it_twice() -> None:
    end = parse_moment("2026-10-31", pendulum.timezone("America/Havana"))
    assert end == datetime(2026, 11, 1, 3, 59, 59, 999_999, tzinfo=UTC)


def test_without_a_timezone_it_is_utc() -> None:
    assert parse_moment("2026-02-02T06:00", None) == datetime(2026, 2, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "9999-12-31", "0001-01-01T00:00+10:00", "5"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ConfigurationError, match="it must be a date or a time"):
        parse_moment(text, BERLIN)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_name_holds_every_moment_and_sorts_by_it(moment: datetime) -> None:
    (entry,) = read_entries([f"{folder_name(moment, 7, '0123456789ab')}/manifest.json"])
    assert entry.moment == moment
    if moment.year < 9999:
        assert stamp(moment) < stamp(moment + timedelta(microseconds=1))


NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
THEN = NOW - timedelta(hours=5)


def entries(*moments: datetime, run: str = "other") -> list:
    run = {"other": "aaaaaaaaaaaa", "own": "0123456789ab"}[run]
    return read_entries(
        file
        for moment in moments
        for name in [folder_name(moment, 7, run)]
        for file in (f"{name}/manifest.json", f"{name}/identifiers.{stamp(moment)}.gz")
    )


@pytest.mark.parametrize(
    ("origin", "others", "moment"),
    [
        (Origin("d", "t", run_type="scheduled", logical_date=THEN, run_after=NOW), [], THEN),
        (Origin("d", "t", run_type="manual", run_after=THEN), [], THEN),
        (Origin("d", "t"), [], NOW),
        (Origin("d", "t", run_type="backfill", logical_date=THEN), [], NOW),
        (Origin("d", "t", run_type="scheduled", logical_date=NOW - timedelta(days=2)), [], NOW),
        (
            Origin("d", "t", run_type="manual", logical_date=NOW - timedelta(days=2)),
            [],
            NOW - timedelta(days=2),
        ),
        (Origin("d", "t", run_type="scheduled", logical_date=THEN), entries(NOW), NOW),
        (Origin("d", "t", run_type="scheduled", logical_date=THEN), entries(THEN), THEN),
        (Origin("d", "t", run_type="scheduled", logical_date=THEN), entries(NOW + timedelta(hours=1)), THEN),
        (Origin("d", "t", run_type="scheduled", logical_date=THEN), entries(NOW, run="own"), THEN),
    ],
    ids=[
        "scheduled",
        "by hand",
        "no run",
        "backfill",
        "late",
        "by hand for a date",
        "after a later one",
        "beside another",
        "beside one from the future",
        "after its own",
    ],
)
def test_the_moment_of_a_run(origin: Origin, others: list, moment: datetime) -> None:
    assert moment_of(origin, others, "0123456789ab", NOW) == moment
