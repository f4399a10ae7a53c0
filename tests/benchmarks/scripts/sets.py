"""Two Python sets: the export read by the csv module, the members from a file, and their differences."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def prepare() -> Callable[[], Any]:
    return compare


def compare() -> dict[str, Any]:
    place = Path(os.environ["WORK"])
    with (place / "export.csv").open(encoding="utf-8", newline="") as file:
        cohort = {row["user_id"] for row in csv.DictReader(file)}
    with (place / "ids").open(encoding="utf-8") as file:
        members = {line.rstrip("\n") for line in file}
    add, remove = cohort - members, members - cohort
    for name, people in (("add", add), ("remove", remove)):
        with (place / f"sets.{name}").open("w", encoding="utf-8") as file:
            file.writelines(f"{person}\n" for person in people)
    return {"to_add": len(add), "to_remove": len(remove)}
