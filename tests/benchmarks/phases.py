"""When a sync did what: from what the vendors saw, and from what it logged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.benchmarks.vendors import APP_PACE, Served

_DOWNLOADED = "Downloaded the export"
_COMPARED = "The cohort has"
NAMES = ("export", "download", "parse, sort", "membership", "diff", "writing", "verify")


def writes(served: Iterable[Served]) -> list[Served]:
    """Return the requests that change a membership."""
    return [each for each in served if each.path.endswith(("/add_customers", "/remove_customers"))]


def phases(child: dict[str, Any], served: Sequence[Served]) -> dict[str, float | None]:
    """
    Return how long each phase took, in seconds; two that overlap both count what they share.

    :param child: what the process said, see :mod:`.child`.
    :param served: the requests that the vendors saw.
    :return: by the names in :data:`NAMES`; ``None`` for what did not happen.
    """
    marks = {word: _mark(child["marks"], word) for word in (_DOWNLOADED, _COMPARED)}
    downloaded, compared = marks[_DOWNLOADED], marks[_COMPARED]
    file = _first(each.began for each in served if each.path.endswith(("/file", ".csv")))
    pages = [
        each for each in served if each.path.endswith("/membership") and each.at <= (compared or each.at)
    ]
    changes = writes(served)
    first_page, last_page = _first(each.began for each in pages), _last(each.at for each in pages)
    next_step = _first(each.began for each in served if each.api == "app" and each.began > (downloaded or 0))
    wrote = _last(each.at for each in changes)
    return {
        "export": _between(child["began"], file),
        "download": _between(file, downloaded),
        "parse, sort": _between(downloaded, next_step),
        "membership": _between(first_page, last_page),
        "diff": _between(last_page, compared),
        "writing": _between(_first(each.began for each in changes), wrote),
        "verify": _between(wrote, child["ended"]),
    }


def floors(served: Sequence[Served], pace: float) -> dict[str, float]:
    """
    Return how long the vendors' limits make a run take at least, in seconds.

    :param served: the requests that the vendors saw.
    :param pace: requests a second of the Track API.
    """
    reads = sum(each.api == "app" for each in served)
    return {"writing": len(writes(served)) / pace, "reading": reads / APP_PACE}


def _mark(marks: Iterable[Sequence[Any]], words: str) -> float | None:
    return _first(moment for moment, text in marks if text.startswith(words))


def _first(moments: Iterable[float]) -> float | None:
    return min(moments, default=None)


def _last(moments: Iterable[float]) -> float | None:
    return max(moments, default=None)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(end - start, 0.0)
