from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pendulum
import pytest
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables import trigger
from airflow.timetables.base import DataInterval, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.dag_generation.schedule import (
    NAMED_CADENCES,
    check_cadence,
    check_timezone,
    in_words,
    localize,
    slot,
)

SPRING = pendulum.datetime(2027, 3, 28, tz="Europe/Berlin")
AUTUMN = pendulum.datetime(2026, 10, 25, tz="Europe/Berlin")


def runs(dag, start: pendulum.DateTime, end: pendulum.DateTime) -> list[pendulum.DateTime]:
    """The times of a DAG's runs, by Airflow's timetable as the scheduler loads it from the database."""
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    times, last = [], None
    limits = TimeRestriction(earliest=start.in_timezone("UTC"), latest=end.in_timezone("UTC"), catchup=True)
    while info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits):
        assert info.data_interval.start == info.data_interval.end == info.run_after
        times.append(info.run_after.in_timezone(start.timezone))
        last = info.data_interval
    return times


@pytest.mark.parametrize(
    ("cadence", "cron"),
    [
        ("realtime", "* * * * *"),
        ("hourly", "0 * * * *"),
        ("daily", "0 0 * * *"),
        ("weekly", "0 0 * * 1"),
        ("monthly", "0 0 1 * *"),
        ("'15  6 * * mon-fri'", "15 6 * * mon-fri"),
    ],
)
def test_without_spread_a_cadence_is_at_the_full_hour(dag_with, cadence: str, cron: str) -> None:
    timetable = dag_with(f"cadence: {cadence}", "spread: false", "timezone: Europe/Berlin").timetable
    assert (timetable.expression, str(timetable.timezone)) == (cron, "Europe/Berlin")


def test_spread_gives_a_name_its_own_minute_and_hour(dag_with) -> None:
    # Literal times: a change of the formula would move every user's syncs.
    assert slot("power_users") == (47, 12)
    crons = {cadence: dag_with(f"cadence: {cadence}", name="power_users").timetable.expression
             for cadence in ("realtime", "hourly", "daily", "weekly", "monthly")}  # fmt: skip
    assert crons == {
        "realtime": "* * * * *",
        "hourly": "47 * * * *",
        "daily": "47 12 * * *",
        "weekly": "47 12 * * 1",
        "monthly": "47 12 1 * *",
    }
    assert dag_with("cadence: '5 4 * * *'", name="power_users").timetable.expression == "5 4 * * *"


@given(st.text())
def test_a_slot_is_a_time_of_the_day_and_stays_the_same(name: str) -> None:
    minute, hour = slot(name)
    assert 0 <= minute <= 59
    assert 0 <= hour <= 23
    assert slot(name) == (minute, hour)


def test_300_syncs_do_not_start_together() -> None:
    slots = Counter(slot(f"sync_{number}") for number in range(300))
    assert max(slots.values()) <= 4
    assert len({hour for _, hour in slots}) == 24
    assert max(Counter(minute for minute, _ in slots).values()) <= 15


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("hour", range(5))
@pytest.mark.parametrize("minute", [0, 30, 59])
def test_a_daily_sync_runs_once_on_each_local_day(dag_with, change, hour: int, minute: int) -> None:
    dag = dag_with(f"cadence: '{minute} {hour} * * *'", "timezone: Europe/Berlin")
    times = runs(dag, change.subtract(days=2), change.add(days=3, minutes=-1))
    assert [time.date() for time in times] == [change.add(days=day).date() for day in range(-2, 3)]
    usual = [(time.hour, time.minute) for time in times if time.date() != change.date()]
    assert usual == [(hour, minute)] * 4


def test_a_time_that_the_clock_skips_comes_an_hour_later(dag_with) -> None:
    dag = dag_with("cadence: '30 2 * * *'", "timezone: Europe/Berlin")
    assert [time.isoformat() for time in runs(dag, SPRING, SPRING.add(days=1))] == [
        "2027-03-28T03:30:00+02:00"
    ]


def test_a_time_that_the_clock_repeats_comes_once(dag_with) -> None:
    dag = dag_with("cadence: '30 2 * * *'", "timezone: Europe/Berlin")
    assert [time.isoformat() for time in runs(dag, AUTUMN, AUTUMN.add(days=1))] == [
        "2026-10-25T02:30:00+01:00"
    ]


@pytest.mark.parametrize(("change", "hours"), [(SPRING, 23), (AUTUMN, 25)], ids=["spring", "autumn"])
def test_an_hourly_sync_runs_every_real_hour(dag_with, change, hours: int) -> None:
    dag = dag_with("cadence: hourly", "timezone: Europe/Berlin")
    times = runs(dag, change, change.add(days=1))
    assert len(times) == hours
    assert {later.timestamp() - earlier.timestamp() for earlier, later in pairwise(times)} == {3600}


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("cadence", ["'30 2 * * *'", "hourly"])
def test_the_scheduler_makes_the_same_runs_while_the_clock_changes(
    dag_with, monkeypatch: pytest.MonkeyPatch, change, cadence: str
) -> None:
    """As the scheduler asks: without catch-up, with the clock going on five minutes at a time."""
    dag = dag_with(f"cadence: {cadence}", "timezone: Europe/Berlin")
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    start, end = change.subtract(days=1), change.add(days=2)
    limits = TimeRestriction(earliest=start.in_timezone("UTC"), latest=None, catchup=False)
    made: list[pendulum.DateTime] = []
    for now in _five_minutes(start, end):
        monkeypatch.setattr(trigger, "utcnow", lambda now=now: now.in_timezone("UTC"))
        last = DataInterval.exact(made[-1]) if made else None
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)
        if info.run_after <= now:
            made.append(info.run_after)
    # As seconds: Python never holds an hour that comes twice for equal to the same moment in UTC.
    expected = runs(dag, start, end.subtract(minutes=5))
    assert [time.timestamp() for time in made] == [time.timestamp() for time in expected]


def _five_minutes(start: pendulum.DateTime, end: pendulum.DateTime) -> Iterator[pendulum.DateTime]:
    return iter(pendulum.interval(start.in_timezone("UTC"), end.in_timezone("UTC")).range("minutes", 5))


def test_a_backfill_has_one_run_for_each_time_of_the_schedule(dag_with) -> None:
    dag = DagSerialization.from_dict(
        DagSerialization.to_dict(dag_with("cadence: '0 6 * * *'", "timezone: UTC"))
    )
    assert dag.timetable.periodic
    infos = dag.iter_dagrun_infos_between(pendulum.datetime(2026, 11, 1), pendulum.datetime(2026, 11, 4))
    assert [info.logical_date.to_datetime_string() for info in infos] == [
        "2026-11-01 06:00:00",
        "2026-11-02 06:00:00",
        "2026-11-03 06:00:00",
    ]


@pytest.mark.parametrize("cadence", ["manual", "once"])
def test_airflow_refuses_a_backfill_of_what_has_no_past_times(dag_with, cadence: str) -> None:
    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_with(f"cadence: {cadence}")))
    assert not dag.timetable.periodic
    assert dag.timetable.can_be_scheduled == (cadence == "once")


@pytest.mark.parametrize(
    ("written", "start"),
    [
        ("2026-03-01", "2026-03-01T00:00:00+01:00"),
        ("2026-07-01 06:30:00", "2026-07-01T06:30:00+02:00"),
        ("'2026-07-01T06:30'", "2026-07-01T06:30:00+02:00"),
        ("2026-07-01T06:30:00Z", "2026-07-01T08:30:00+02:00"),
        ("'2026-07-01T06:30:00-05:00'", "2026-07-01T13:30:00+02:00"),
    ],
)
def test_a_date_without_a_timezone_is_in_that_of_the_sync(dag_with, written: str, start: str) -> None:
    dag = dag_with(f"start_date: {written}", "end_date: 2027-01-01", "timezone: Europe/Berlin")
    assert dag.start_date == datetime.fromisoformat(start)
    assert dag.end_date == datetime.fromisoformat("2027-01-01T00:00:00+01:00")
    assert dag.timezone.name == "Europe/Berlin"


def test_the_default_start_is_fixed_and_there_is_no_end(dag_with) -> None:
    dag = dag_with("timezone: Asia/Tokyo")
    assert dag.start_date == datetime.fromisoformat("2025-01-01T00:00:00+09:00")
    assert dag.end_date is None


@pytest.mark.parametrize(
    ("cadence", "message"),
    [
        ("dayly", "Did you mean daily"),
        ("@hourly", "Did you mean hourly"),
        ("sometimes", "is no cadence"),
        ("0 6 * *", "has 4 fields"),
        ("0 0 6 * * *", "has 6 fields"),
        ("60 * * * *", "no cron expression"),
        ("*/0 * * * *", "no cron expression"),
        ("a b c d e", "no cron expression"),
        ("R * * * *", "no cron expression"),
        ("R(0-5) * * * *", "no cron expression"),
        ("H * * * *", "no cron expression"),
        ("0 0 31 2 *", "never comes"),
    ],
)
def test_what_is_no_cadence(cadence: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_cadence(cadence)


@pytest.mark.parametrize(
    ("words", "cadence"),
    [
        ("every day", "daily"),
        ("Every Day", "daily"),
        ("everyday", "daily"),
        ("once a week", "weekly"),
        ("every hour", "hourly"),
        ("each minute", "realtime"),
        ("every month", "monthly"),
        ("nightly", "daily"),
        ("every 15 minutes", '"*/15 * * * *"'),
        ("every 6 hours", '"0 */6 * * *"'),
        ("every weekday", '"0 6 * * 1-5"'),
        ("on Mondays", '"0 6 * * mon"'),
    ],
)
def test_a_cadence_in_words_is_refused_with_the_cadence(words: str, cadence: str) -> None:
    with pytest.raises(ValueError, match="is no cadence") as caught:
        check_cadence(words)
    assert f"Did you mean {cadence}?" in str(caught.value)
    assert check_cadence(cadence.strip('"'))


@given(st.text(alphabet="0123456789*/,-#?LRHW@ abcmonju", max_size=20))
def test_a_cadence_is_taken_or_refused_with_a_reason(cadence: str) -> None:
    try:
        taken = check_cadence(cadence)
    except ValueError as error:
        assert str(error).endswith((".", "?"))  # noqa: PT017
    else:
        assert taken in NAMED_CADENCES or len(taken.split(" ")) == 5
        assert in_words(taken, "UTC", "power_users", spread=True)


@pytest.mark.parametrize(
    ("name", "place"),
    [("CET", "Europe/Berlin"), ("est", "America/New_York"), ("PST8PDT", "America/Los_Angeles")],
)
def test_an_abbreviation_is_refused_with_a_place(name: str, place: str) -> None:
    with pytest.raises(ValueError, match=f"is no timezone but an abbreviation; .* such as {place}"):
        check_timezone(name)
    assert check_timezone(place) == place


@pytest.mark.parametrize("name", ["GMT+1", "UTC+01:00", "-5"])
def test_an_offset_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no timezone but an offset; use the name of a place"):
        check_timezone(name)


@pytest.mark.parametrize("name", ["UTC", "GMT", "Etc/GMT-1", "Europe/Berlin", "Asia/Ho_Chi_Minh"])
def test_what_is_a_timezone(name: str) -> None:
    assert check_timezone(name) == name


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "europe/berlin", "+02:00", "CEST", "Europe", "../etc/passwd", ""]
)
def test_what_is_no_timezone(name: str) -> None:
    with pytest.raises(ValueError, match="is no timezone"):
        check_timezone(name)


@pytest.mark.parametrize(
    ("cadence", "spread", "words"),
    [
        ("manual", True, "Only when triggered"),
        ("once", True, "Once, when the DAG is unpaused"),
        ("realtime", True, "Every minute (realtime, Europe/Berlin)"),
        ("hourly", True, "At 47 minutes past the hour (hourly, Europe/Berlin)"),
        ("hourly", False, "Every hour (hourly, Europe/Berlin)"),
        ("daily", True, "At 12:47 (daily, Europe/Berlin)"),
        ("daily", False, "At 00:00 (daily, Europe/Berlin)"),
        ("weekly", True, "At 12:47, only on Monday (weekly, Europe/Berlin)"),
        ("monthly", True, "At 12:47, on day 1 of the month (monthly, Europe/Berlin)"),
        ("0 6 * * 1-5", True, "At 06:00, Monday through Friday (0 6 * * 1-5, Europe/Berlin)"),
        (
            "0 18 l jul ?",
            True,
            "At 18:00, on the last day of the month, only in July (0 18 l jul ?, Europe/Berlin)",
        ),
        ("0 6 1 * 1", True, "At the times of the cron expression (0 6 1 * 1, Europe/Berlin)"),
        ("0 6 * * 1#2,3#1", True, "At the times of the cron expression (0 6 * * 1#2,3#1, Europe/Berlin)"),
    ],
)
def test_words(cadence: str, spread: bool, words: str) -> None:
    assert in_words(cadence, "Europe/Berlin", "power_users", spread=spread) == words


def test_the_words_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getlocale", lambda: ("de_DE", "UTF-8"))
    assert in_words("0 15 * * 1", "UTC", "a", spread=True) == "At 15:00, only on Monday (0 15 * * 1, UTC)"


def test_what_cannot_be_described_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise ValueError

    monkeypatch.setattr("cron_descriptor.ExpressionDescriptor.get_description", fail)
    words = in_words("0 15 * * 1", "UTC", "a", spread=True)
    assert words == "At the times of the cron expression (0 15 * * 1, UTC)"


def test_localize_keeps_the_moment_of_an_aware_time() -> None:
    aware = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    assert localize(aware, "Asia/Tokyo") == aware
