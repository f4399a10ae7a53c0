"""SVG elements with escaped content, and the geometry that the charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from airflow_provider_cio_cohort.overview import Report


class Counts(NamedTuple):
    """What a small chart shows of a report."""

    size: int | None
    added: int | None
    removed: int | None


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """
    Return an element.

    :param name: the name of the element.
    :param children: its content; everything except markup is escaped.
    :param attributes: ``text_anchor`` becomes ``text-anchor``, and ``class_`` becomes ``class``.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_written(value))}"'
        for key, value in attributes.items()
    )
    inner = Markup("").join(children)
    return Markup(f"<{name}{said}>{inner}</{name}>")  # noqa: S704 (all of it is escaped above)


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else short(value)


def short(number: float) -> str:
    """Return a coordinate with one decimal, which is precise enough."""
    return f"{number:.1f}".removesuffix(".0")


@dataclass(frozen=True)
class Scale:
    """
    The vertical scale of a panel of a chart.

    :param low: the number at the bottom.
    :param high: the number at the top.
    :param bottom: the y of the bottom, which is greater than that of the top.
    :param top: the y of the top.
    """

    low: float
    high: float
    bottom: float
    top: float

    def y(self, value: float) -> float:
        """Return the y of a number."""
        return self.bottom - (value - self.low) / ((self.high - self.low) or 1) * (self.bottom - self.top)


def span_of(numbers: Iterable[int | None]) -> tuple[float, float]:
    """Return the minimum and maximum of some numbers, slightly apart if they are all equal."""
    known = [number for number in numbers if number is not None] or [0]
    low, high = min(known), max(known)
    return (low, high) if high > low else (max(low - 1, 0), high + 1)


def line(points: Iterable[tuple[float, float]]) -> str:
    """Return a path through points."""
    path = "L".join(f"{short(x)} {short(y)}" for x, y in points)
    # A line with a single point would be invisible.
    return f"M{path}h.1" if path else ""


def bars(ends: Iterable[tuple[float, float]], zero: float) -> str:
    """
    Return a path of vertical lines.

    :param ends: the end of each line.
    :param zero: the y of their start.
    """
    return "".join(f"M{short(x)} {short(zero)}V{short(y)}" for x, y in ends if y != zero)


def ticks(low: float, high: float, about: int) -> list[float]:
    """
    Return round whole numbers that divide a range, its ends included.

    :param low: the start of the range.
    :param high: the end of the range.
    :param about: the approximate number of parts.
    """
    rough = max((high - low) / about, 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough)
    return [number * step for number in range(math.floor(low / step), math.ceil(high / step) + 1)]


def in_words(reports: Sequence[Report | Counts]) -> str:
    """
    Describe a chart for screen readers.

    :param reports: the reports, oldest first.
    """
    sizes = [one.size for one in reports if one.size is not None]
    added, removed = (sum(getattr(one, what) or 0 for one in reports) for what in ("added", "removed"))
    size = f"{sizes[-1]:,} members, between {min(sizes):,} and {max(sizes):,}; " if sizes else ""
    syncs = "The last sync" if len(reports) == 1 else f"The last {len(reports)} syncs"
    return f"{syncs}: {size}{added:,} added and {removed:,} removed in all."
