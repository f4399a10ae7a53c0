from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.engine.identifiers import can_exist, collect, looks_mistyped, may_be_too_long
from airflow_provider_cio_cohort.engine.sorted_file import read_lines, unescape


def identifiers(path: Path) -> list[str]:
    return [unescape(line) for line in read_lines(path)]


def test_rows_become_distinct_identifiers_and_counts(tmp_path: Path) -> None:
    found = collect([["b", " a ", ""], ["b", "\t", "\ta", "a"]], "id", tmp_path / "cohort")
    assert identifiers(found.path) == [" a ", "a", "b"]
    assert (found.cohort_rows, found.without_identifier, found.duplicates, found.identifiers) == (7, 2, 2, 3)
    assert (found.mistyped, found.long) == (1, 0)


@pytest.mark.parametrize(
    ("value", "id_type", "expected"),
    [
        ("u-1", "id", False),
        ("John Smith", "id", False),
        ("u-1 ", "id", True),
        ("\u00a0u-1", "id", True),
        ("u-1\u3000", "id", True),
        ("u-1\n", "id", True),
        ("u\u200b-1", "id", True),
        (" ", "id", True),
        ("e\u0301@x.test", "id", False),
        ("e\u0301@x.test", "email", True),
        ("é@x.test", "email", False),
    ],
)
def test_what_looks_mistyped(tmp_path: Path, value: str, id_type, expected: bool) -> None:
    assert looks_mistyped(value, id_type) is expected
    assert collect([["a", value]], id_type, tmp_path / "cohort").mistyped == expected


def test_no_rows_at_all(tmp_path: Path) -> None:
    found = collect([], "id", tmp_path / "cohort")
    assert (found.cohort_rows, found.without_identifier, found.duplicates, found.identifiers) == (0, 0, 0, 0)
    assert identifiers(found.path) == []


@pytest.mark.parametrize(
    ("id_type", "values", "expected"),
    [
        ("id", ["U-1", "u-1"], ["U-1", "u-1"]),
        ("email", ["Ann+x@Example.com", "ann+X@example.COM"], ["ann+x@example.com"]),
        ("email", ["a@x.test", "a@x.test "], ["a@x.test", "a@x.test "]),
        ("id", ["u-1 ", "u-1", "\tu-1"], ["u-1", "u-1 "]),
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
        ("é" * 150, "id", True),
        ("é" * 151, "id", False),
        ("x" * 151, "email", True),
    ],
)
def test_ids_longer_than_150_characters_cannot_exist(identifier, id_type, expected) -> None:
    assert can_exist(identifier, id_type) is expected


@pytest.mark.parametrize(
    ("identifier", "expected"), [("é" * 75, False), ("é" * 76, True), ("x" * 150, False)]
)
def test_ids_that_may_be_too_long(tmp_path: Path, identifier: str, expected: bool) -> None:
    assert may_be_too_long(identifier, "id") is expected
    assert not may_be_too_long(identifier, "email")
    assert collect([[identifier]], "id", tmp_path / "cohort").long == expected
