"""The chart of one sync: the segment's size, people added and removed below, and failed runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta

from markupsafe import Markup

from airflow_provider_cio_cohort.overview import Moment, Report, State
from airflow_provider_cio_cohort.ui import words
from airflow_provider_cio_cohort.ui.charts.svg import Scale, bars, element, in_words, line, span_of, ticks

#: The width in user units, and how many of the newest runs fit: on a wide screen, and on a phone.
_WIDE, _NARROW = (1280.0, 100), (400.0, 20)
_LEFT, _MARGIN = 56.0, 8.0
_SIZE_TOP, _SIZE_BOTTOM = 22.0, 182.0
_BARS_TOP, _BARS_BOTTOM = 218.0, 318.0
_HEIGHT = 346.0
_WIDEST_BAR = 16.0
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**4, "k"))


class _Slots:
    """The runs of a chart, each with its x coordinate."""

    def __init__(self, moments: Sequence[Moment], width: float) -> None:
        self.moments = moments
        self.right = width - _MARGIN
        self.step = (self.right - _LEFT) / max(len(moments), 12)
        self.places = [_LEFT + (number + 0.5) * self.step for number in range(len(moments))]

    def reports(self) -> Iterator[tuple[float, Report]]:
        for x, one in zip(self.places, self.moments, strict=True):
            if one.report is not None:
                yield x, one.report

    def failed(self) -> Iterator[float]:
        for x, one in zip(self.places, self.moments, strict=True):
            if _has_failed(one):
                yield x


def large_chart(moments: Sequence[Moment], zone: str = "UTC", *, narrow: bool = False) -> Markup:
    """
    Draw a sync's history; nothing where there is only one report.

    :param moments: its history, newest first.
    :param zone: the name of its timezone.
    :param narrow: whether it is for a narrow screen, where it shows only the newest runs.
    """
    width, most = _NARROW if narrow else _WIDE
    shown = [one for one in moments if one.report or _has_failed(one)][:most]
    slots = _Slots(shown[::-1], width)
    reports = [report for _, report in slots.reports()]
    if len(reports) < 2:  # one point is no line
        return Markup("")
    return element(
        "svg",
        *_size_panel(slots),
        *_bars_panel(slots),
        *_dates(slots, zone),
        *_hovers(slots, zone),
        class_="narrow-chart" if narrow else "large-chart",
        role="img",
        aria_label=in_words(reports),
        viewBox=f"0 0 {width:.0f} {_HEIGHT:.0f}",
    )


def _has_failed(one: Moment) -> bool:
    return one.report is None and one.run is not None and one.run.state is State.FAILED


def _size_panel(slots: _Slots) -> Iterator[Markup]:
    sizes = [(x, report.size) for x, report in slots.reports() if report.size is not None]
    marks = ticks(*span_of(size for _, size in sizes), about=4)
    scale = Scale(marks[0], marks[-1], _SIZE_BOTTOM, _SIZE_TOP)
    points = [(x, scale.y(size)) for x, size in sizes]
    yield element("text", "Members", class_="axis-title", x=0, y=10)
    yield from _axis(marks, scale, slots.right)
    # Failed runs have no size, so the line continues to the next good run.
    yield element("path", class_="line", d=line(points))
    if slots.step > 8:
        yield from (element("circle", class_="dot", cx=x, cy=y, r=2.5) for x, y in points)


def _bars_panel(slots: _Slots) -> Iterator[Markup]:
    added = [(x, report.added or 0) for x, report in slots.reports()]
    removed = [(x, report.removed or 0) for x, report in slots.reports()]
    most, least = max(number for _, number in added), -max(number for _, number in removed)
    marks = ticks(least, most or (0 if least else 1), about=4)
    scale = Scale(marks[0], marks[-1], _BARS_BOTTOM, _BARS_TOP)
    zero, width = scale.y(0), max(min(slots.step * 0.7, _WIDEST_BAR), 1)
    yield element("text", "Added and removed", class_="axis-title", x=0, y=_BARS_TOP - 12)
    yield from _axis(marks, scale, slots.right)
    for numbers, sign, name in ((added, 1, "added"), (removed, -1, "removed")):
        ends = [(x, scale.y(sign * number)) for x, number in numbers]
        yield element("path", class_=f"bar {name}", d=bars(ends, zero), stroke_width=width)
    yield element("path", class_="zero", d=f"M{_LEFT:.0f} {zero:.1f}H{slots.right:.0f}")
    crosses = "".join(f"M{x - 3:.1f} {zero - 3:.1f}l6 6m0 -6l-6 6" for x in slots.failed())
    yield element("path", class_="failed", d=crosses)


def _axis(marks: Sequence[float], scale: Scale, right: float) -> Iterator[Markup]:
    for mark in marks:
        y = scale.y(mark)
        yield element("path", class_="grid", d=f"M{_LEFT:.0f} {y:.1f}H{right:.0f}")
        yield element("text", _rounded(abs(mark)), class_="tick", x=_LEFT - 8, y=y + 4, text_anchor="end")


def _dates(slots: _Slots, zone: str) -> Iterator[Markup]:
    """Yield the times below the chart, starting with the newest."""
    moments = slots.moments
    of_a_day = moments[-1].at - moments[0].at < timedelta(days=2)
    every = max(1, math.ceil(64 / slots.step))
    for number in range(len(moments) - 1, -1, -every):
        label = words.clock(moments[number].at, zone, "%H:%M" if of_a_day else "%-d %b")
        yield element(
            "text",
            label,
            class_="tick",
            x=min(slots.places[number], slots.right - 16),
            y=_HEIGHT - 6,
            text_anchor="middle",
        )


def _hovers(slots: _Slots, zone: str) -> Iterator[Markup]:
    for x, one in zip(slots.places, slots.moments, strict=True):
        yield element(
            "rect",
            element("title", _title(one, zone)),
            class_="hover",
            x=x - slots.step / 2,
            y=_SIZE_TOP - 6,
            width=slots.step,
            height=_BARS_BOTTOM - _SIZE_TOP + 12,
        )


def _title(one: Moment, zone: str) -> str:
    when = words.moment(one.at, zone)
    if one.report is None:
        return f"{when}\nThe run failed"
    report = one.report
    return (
        f"{when}\n{words.count(report.size)} members\n{words.count(report.added)} added\n"
        f"{words.count(report.removed)} removed\n{words.percent(report.match_rate)} matched\n"
        f"{words.count(report.unmatched)} unmatched"
    )


def _rounded(number: float) -> str:
    """Return a number in a few characters, such as ``12.5k``."""
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / (1000 if unit == 'k' else size):.4g}{unit}"
    return f"{number:,.0f}"
