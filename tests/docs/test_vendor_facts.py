"""The vendors' facts are all that the doctor asks; each answer that is not published has its reason."""

from __future__ import annotations

import re

from airflow_provider_cio_cohort.doctor.facts import FACTS
from tests.conformance import UNPUBLISHED
from tests.docs.pages import DOCS

#: The rows about schemas, see ``tests/vendor_files.py``.
SCHEMAS = {"lists", "members", "a cohort's numbers", "errors", "empty answer", "formats"}
_FACTS, _CONFORMANCE = (DOCS / "vendor-facts.md").read_text(encoding="utf-8").split("## Conformance")


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def named() -> set[tuple[str, str]]:
    """Return the doctor's facts that the page names, each with the line that answers it."""
    found = set()
    for row in rows_of(_FACTS):
        for part in row[-1].split(";") if len(row) == 4 else ():
            line, *facts = re.findall(r"`([a-z_.]+)`", part) or [""]
            found |= {(fact, line) for fact in facts}
    return found


def test_the_facts_are_those_of_the_doctor() -> None:
    assert named() == {(fact.key, line) for fact in FACTS for line in (fact.line, fact.also) if line}


def test_each_fact_has_a_source_and_what_syncs_do() -> None:
    rows = [row for row in rows_of(_FACTS) if len(row) == 4]
    assert len(rows) > 50
    assert [row for row in rows if not all(row)] == []


def test_what_is_not_published_has_its_reason() -> None:
    rows = {re.fullmatch(r"`(.+)`|.*", row[0])[1] for row in rows_of(_CONFORMANCE)} - {None}  # type: ignore[index]
    assert rows == SCHEMAS | {each.row for each in UNPUBLISHED}
