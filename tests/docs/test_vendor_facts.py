"""The vendors' facts are all that the doctor asks; each answer that is not published has its reason."""

from __future__ import annotations

import re

from airflow_provider_cio_cohort.doctor.facts import FACTS
from tests.conformance import UNPUBLISHED
from tests.docs.vendor_facts import CONFORMANCE, named, rows_of
from tests.docs.vendor_facts import FACTS as ON_THE_PAGE

#: The rows about schemas, see ``tests/vendor_files.py``.
SCHEMAS = {"lists", "members", "a cohort's numbers", "errors", "empty answer", "formats"}


def test_the_facts_are_those_of_the_doctor() -> None:
    assert {fact for fact, _ in named()} == {fact.key for fact in FACTS}


def test_each_fact_has_a_source_and_what_syncs_do() -> None:
    rows = [row for row in rows_of(ON_THE_PAGE) if len(row) == 4]
    assert len(rows) > 50
    assert [row for row in rows if not all(row)] == []


def test_what_is_not_published_has_its_reason() -> None:
    rows = {re.fullmatch(r"`(.+)`|.*", row[0])[1] for row in rows_of(CONFORMANCE)} - {None}  # type: ignore[index]
    assert rows == SCHEMAS | {each.row for each in UNPUBLISHED}
