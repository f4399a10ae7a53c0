"""``docs/performance.md`` says what the records say, and nothing else."""

from __future__ import annotations

from tests.benchmarks import capacity, page
from tests.benchmarks.pace import most_at_once
from tests.benchmarks.phases import phases
from tests.benchmarks.vendors import Served


def test_the_page_is_what_the_records_make_of_it() -> None:
    text = page.render(page.found())
    assert page.PAGE.read_text(encoding="utf-8") == text, "run: python -m tests.benchmarks.page"


def test_the_page_of_capacity_is_reckoned_from_the_records() -> None:
    text = capacity.render(page.found())
    assert capacity.PAGE.read_text(encoding="utf-8") == text, "run: python -m tests.benchmarks.page"


def served(api: str, path: str, began: float, at: float) -> Served:
    return Served(api, "GET", path, 200, 0, began, at, 1, 0, 0)


def test_phases_are_told_from_both_sides() -> None:
    requests = [
        served("amplitude", "/api/5/cohorts/request/1/file", 1, 1.1),
        served("app", "/v1/segments/11/membership", 2, 4),
        served("app", "/v1/segments/11/membership", 4, 7),
        served("track", "/api/v1/segments/11/add_customers", 9, 10),
        served("track", "/api/v1/segments/11/remove_customers", 10, 12),
        served("app", "/v1/segments/11/membership", 13, 14),
    ]
    spans = {"parse, sort": (3, 6), "diff": (7, 8)}
    found = phases({"began": 0, "ended": 15, "result": {"spans": spans}}, requests)
    assert list(found.values()) == [1, 2, 3, 5, 1, 3, 3]


def test_a_run_without_writes_has_no_time_for_them() -> None:
    found = phases({"began": 0, "ended": 1, "result": {"spans": {}}}, [])
    assert set(found.values()) == {None}


def test_requests_at_once_are_those_that_overlap() -> None:
    assert most_at_once([served("track", "", *span) for span in ((0, 3), (1, 2), (2, 4), (5, 6))]) == 2
