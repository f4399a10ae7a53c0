"""The work of a sync without the network, by its four steps: what :mod:`..child` measures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.engine import diff, export_csv, identifiers, members
from airflow_provider_cio_cohort.hooks.membership import MEMBERS_PER_PAGE, MemberPage


def prepare() -> Callable[[], Any]:
    return work


def work() -> dict[str, Any]:
    place = Path(os.environ["WORK"])
    moments = [time.perf_counter()]
    values = export_csv.read_property(place / "export.csv", "user_id")
    cohort = identifiers.collect(values, "id", place / "cohort")
    moments.append(time.perf_counter())
    before = members.collect(_pages(place / "ids"), "id", place / "members")
    moments.append(time.perf_counter())
    change = diff.compare(cohort.path, place / "members", place / "change", id_type="id", remove=True)
    moments.append(time.perf_counter())
    names = ("parse, map, sort", "sort the members", "diff")
    return {
        "steps": dict(zip(names, (b - a for a, b in pairwise(moments)), strict=True)),
        "members": before.count,
        "to_add": change.to_add,
        "to_remove": change.to_remove,
    }


def _pages(path: Path) -> Iterator[MemberPage]:
    with path.open(encoding="utf-8") as file:
        while lines := list(islice(file, MEMBERS_PER_PAGE)):
            nobody: list[str | None] = [None] * len(lines)
            yield MemberPage([line[:-1] for line in lines], nobody, nobody)
