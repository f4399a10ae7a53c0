from __future__ import annotations

import logging

import pytest

from airflow_provider_cio_cohort.hooks.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(clock: Clock, progress: Progress, steps: int, size: int, seconds: float) -> None:
    for _ in range(steps):
        clock.now += seconds
        progress.step(size)


def test_it_tells_how_far_how_fast_and_how_long_still(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO):
        progress = Progress("Adding to segment 7", "identifiers", "batches", 30, 10_000, clock)
        run(clock, progress, steps=4, size=1000, seconds=10)
    assert caplog.messages == [
        "Adding to segment 7: 3,000 of 10,000 identifiers in 3 batches, 100 a second, about 70 s left."
    ]


def test_what_nobody_knows_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO):
        run(clock, Progress("Downloading", "bytes", "", 30, clock=clock), steps=2, size=3000, seconds=30)
    assert caplog.messages == [
        "Downloading: 3,000 bytes, 100 a second.",
        "Downloading: 6,000 bytes, 100 a second.",
    ]


@pytest.mark.parametrize(("interval", "seconds"), [(30, 29.0), (0, 1000.0)])
def test_short_work_and_who_wants_silence_get_none(
    caplog: pytest.LogCaptureFixture, interval: float, seconds: float
) -> None:
    clock = Clock()
    with caplog.at_level(logging.INFO):
        run(clock, Progress("Reading", "members", "pages", interval, 1, clock), 1, 1, seconds)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("total", "left"), [(101, "1 s"), (100 + 120, "2 min"), (100 + 7200, "2 h"), (50, "0 s")]
)
def test_the_time_left_is_told_in_a_fitting_unit(total: int, left: str) -> None:
    clock = Clock()
    progress = Progress("Reading", "members", "pages", 30, total, clock)
    run(clock, progress, steps=100, size=1, seconds=1)
    assert str(progress).endswith(f", about {left} left.")
