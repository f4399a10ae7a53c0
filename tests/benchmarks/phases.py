"""When a sync did what: from what the vendors saw, and from two functions that are timed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.benchmarks.vendors import APP_PACE, Served

NAMES = ("export", "download", "parse, sort", "membership", "diff", "writing", "verify")


def writes(served: Iterable[Served]) -> list[Served]:
    """Return the requests that change a membership."""
    return [each for each in served if each.path.endswith(("/add_customers", "/remove_customers"))]


def phases(child: dict[str, Any], served: Sequence[Served]) -> dict[str, float | None]:
    """
    Return how long each phase took, in seconds; two that overlap both count what they share.

    :param child: what the process said, see :mod:`.scripts.task`.
    :param served: the requests that the vendors saw.
    :return: by the names in :data:`NAMES`; ``None`` for what did not happen.
    """
    spans = child["result"]["spans"]
    parse, diff = spans.get("parse, sort"), spans.get("diff")
    file = _first(each.began for each in served if each.path.endswith(("/file", ".csv")))
    pages = [
        each for each in served if each.path.endswith("/membership") and (not diff or each.began < diff[0])
    ]
    changes = writes(served)
    wrote = _last(each.at for each in changes)
    return {
        "export": _between(child["began"], file),
        "download": _between(file, parse and parse[0]),
        "parse, sort": parse and _between(*parse),
        "membership": _between(_first(each.began for each in pages), _last(each.at for each in pages)),
        "diff": diff and _between(*diff),
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


def _first(moments: Iterable[float]) -> float | None:
    return min(moments, default=None)


def _last(moments: Iterable[float]) -> float | None:
    return max(moments, default=None)


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else max(end - start, 0.0)
