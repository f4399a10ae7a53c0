"""Tables in Markdown, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

#: A cell for what did not happen.
NONE = "—"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, words: bool = False) -> list[str]:
    """
    Return the lines of a table; the first column is text, the others are numbers.

    :param titles: the columns' titles.
    :param rows: the cells.
    :param words: whether all columns are text.
    """
    rule = ["---", *["---" if words else "---:"] * (len(titles) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (titles, rule, *rows)]


def number(value: float | None, digits: int = 0) -> str:
    """
    Return a number with so many digits behind the point; a dash for none.

    :param value: the number.
    :param digits: how many.
    """
    return NONE if value is None else f"{value:,.{digits}f}"


def seconds(value: float | None) -> str:
    """Return seconds with as many digits as tell something."""
    return number(value, 0 if value is not None and value >= 100 else 1)


def people(value: int) -> str:
    """Return a number of people in few letters: 10 k, 2 M."""
    if value >= 1_000_000:
        return f"{value / 1e6:g} M"
    return f"{value / 1000:g} k" if value >= 1000 else str(value)
