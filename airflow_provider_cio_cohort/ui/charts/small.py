"""The chart in a row of the table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from airflow_provider_cio_cohort.overview import Report
from airflow_provider_cio_cohort.ui.charts.svg import Counts, Scale, bars, element, in_words, line, span_of

_SLOTS = 30
_STEP = 5.0
_WIDTH, _HEIGHT = _SLOTS * _STEP, 38.0
_ZERO, _BAR = 31.0, 6.0


def small_chart(reports: Sequence[Report]) -> Markup:
    """
    Draw a sync's last reports: the segment's size as a line, people added and removed as bars.

    :param reports: the reports, oldest first.
    """
    shown = tuple([(one.size, one.added, one.removed) for one in reports[-_SLOTS:]])
    return _drawn(shown) if len(shown) > 1 else Markup("")  # one point is no line


# When the page is shown again, most charts are the same.
@lru_cache(maxsize=2048)
def _drawn(counts: tuple[tuple[int | None, int | None, int | None], ...]) -> Markup:
    shown = [Counts(*one) for one in counts]
    first = _SLOTS - len(shown)  # the newest is always at the right edge
    places = [(first + number + 0.5) * _STEP for number in range(len(shown))]
    size = Scale(*span_of(one.size for one in shown), bottom=20, top=3)
    points = [(x, size.y(one.size)) for x, one in zip(places, shown, strict=True) if one.size is not None]
    most = max((max(one.added or 0, one.removed or 0) for one in shown), default=0)
    added = [(x, _ZERO - _length(one.added, most)) for x, one in zip(places, shown, strict=True)]
    removed = [(x, _ZERO + _length(one.removed, most)) for x, one in zip(places, shown, strict=True)]
    return element(
        "svg",
        element("path", class_="zero", d=f"M0 {_ZERO:.0f}H{_WIDTH:.0f}"),
        element("path", class_="bar added", d=bars(added, _ZERO)),
        element("path", class_="bar removed", d=bars(removed, _ZERO)),
        element("path", class_="line", d=line(points)),
        class_="small-chart",
        role="img",
        aria_label=in_words(shown),
        viewBox=f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}",
        width=_WIDTH,
        height=_HEIGHT,
    )


def _length(number: int | None, most: int) -> float:
    """Return the length of a bar; a single person must be visible."""
    return max(number / most * _BAR, 1) if number else 0
