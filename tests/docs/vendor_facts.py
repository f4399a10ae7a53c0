"""The page of the vendors' facts, as its tables have them."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS

FACTS, CONFORMANCE = (DOCS / "vendor-facts.md").read_text(encoding="utf-8").split("## Conformance")


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named() -> set[tuple[str, str]]:
    """Return the doctor's facts that the page names, each with the line that answers it."""
    found = set()
    for row in rows_of(FACTS):
        for part in row[-1].split(";") if len(row) == 4 else ():
            line, *facts = re.findall(r"`([a-z_.]+)`", part) or [""]
            found |= {(fact, line) for fact in facts}
    return found
