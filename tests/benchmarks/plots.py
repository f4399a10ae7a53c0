"""
Plots for the page, as SVG that reads on light and dark paper.

A section only says what is to be drawn: its text needs no matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.record import RECORDS

Series = dict[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class _Plot:
    name: str
    title: str
    x_label: str
    y_label: str
    series: Series
    log: bool


_wanted: list[_Plot] = []
_GREY = "#808080"
_COLOURS = ("#3b82d6", "#e07b39", "#3fa66b", "#c05299", "#9a7fd1", "#b59b2a", "#5bb5c5", "#d05a5a")
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "performance",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _GREY,
    "axes.labelcolor": _GREY,
    "axes.edgecolor": _GREY,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "grid.color": _GREY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
}


def lines(name: str, title: str, x_label: str, y_label: str, series: Series, log: bool = True) -> str:
    """
    Have a plot drawn as ``docs/performance/<name>.svg``, and return the Markdown that shows it.

    :param name: the file's name.
    :param title: what it shows.
    :param x_label: what runs to the right, with its unit.
    :param y_label: what runs up, with its unit.
    :param series: the lines by their names in the legend, each a list of points; those whose names begin with
        ``floor`` or ``goal`` are dashed.
    :param log: whether both axes are logarithmic.
    """
    drawn = {label: points for label, points in series.items() if points}
    _wanted.append(_Plot(name, title, x_label, y_label, drawn, log))
    return f"![{title}: {y_label} by {x_label}](performance/{name}.svg)"


def clear() -> None:
    """Forget what was asked for so far."""
    _wanted.clear()


def draw() -> None:
    """Draw all that was asked for since the last time."""
    for plot in _wanted:
        _draw(plot, RECORDS / f"{plot.name}.svg")
    _wanted.clear()


def _draw(plot: _Plot, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    style: Any = _STYLE
    with mpl.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
        for colour, (label, points) in zip(_COLOURS * 2, plot.series.items(), strict=False):
            dashes = "--" if label.startswith(("floor", "goal")) else "-"
            axes.plot(*zip(*points, strict=True), dashes, marker="o", color=colour, label=label)
        if plot.log:
            axes.set(xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            if plot.log:
                low, high = axis.get_view_interval()
                axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 200 * low else (1,)))
                axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
        axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
        axes.grid(visible=True)
        axes.legend()
        vector = path.suffix == ".svg"
        figure.savefig(path, transparent=True, metadata={"Date": None} if vector else None)
        pyplot.close(figure)


def _tick(value: float) -> str:
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
