from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sync.identifiers import can_exist, collect
from airflow_provider_cio_cohort.sync.lines import read_lines, unescape


def identifiers(path: Path) -> list[str]:
    return [unescape(line) for line in read_lines(path)]


def test_rows_become_distinct_identifiers_and_counts(tmp_path: Path) -> None:
    found = collect([["b", " a ", ""], ["b", "\t", "a"]], "id", tmp_path / "cohort")
    assert identifiers(found.path) == ["a", "b"]
    assert (found.cohort_rows, found.without_identifier, found.duplicates, found.identifiers) == (6, 2, 2, 2)


def test_no_rows_at_all(tmp_path: Path) -> None:
    found = collect([], "id", tmp_path / "cohort")
    assert (found.cohort_rows, found.without_identifier, found.duplicates, found.identifiers) == (0, 0, 0, 0)
    assert identifiers(found.path) == []


@pytest.mark.parametrize(
    ("id_type", "values", "expected"),
    [
        ("id", ["U-1", "u-1"], ["U-1", "u-1"]),
        ("email", ["Ann+x@Example.com", "ann+X@example.COM "], ["ann+x@example.com"]),
        ("cio_id", ["cio_a1", "a1"], ["a1"]),
        ("id", ["007", "7"], ["007", "7"]),
        ("id", ["null", "None", "0"], ["0", "None", "null"]),
        ("id", ["é", "e\u0301"], ["e\u0301", "é"]),
        ("id", ['say "hi", you\nthere'], ['say "hi", you\nthere']),
    ],
)
def test_how_identifiers_compare(tmp_path: Path, id_type, values, expected) -> None:
    assert identifiers(collect([values], id_type, tmp_path / "cohort").path) == expected


@pytest.mark.parametrize(
    ("identifier", "id_type", "expected"),
    [
        ("x" * 150, "id", True),
        ("x" * 151, "id", False),
        ("é" * 75, "id", True),
        ("é" * 76, "id", False),
        ("x" * 151, "email", True),
    ],
)
def test_ids_longer_than_150_bytes_cannot_exist(identifier, id_type, expected) -> None:
    assert can_exist(identifier, id_type) is expected
