from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.sync.lines import escape, read_lines, sort_distinct, unescape

anything = st.text(st.characters(exclude_categories=()))


@given(anything)
def test_escape_can_be_undone_and_fits_a_field(value: str) -> None:
    field = escape(value)
    assert unescape(field) == value
    assert not set(field) & set("\t\n\r\x00")


@given(anything, anything)
def test_escape_keeps_different_values_apart(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(st.lists(anything), st.integers(1, 5))
def test_sort_distinct_is_what_a_set_says(values: list[str], chunk_lines: int) -> None:
    lines = [escape(value) for value in values]
    with TemporaryDirectory() as name:
        path = Path(name) / "sorted"
        count = sort_distinct(lines, path, chunk_lines=chunk_lines)
        assert list(read_lines(path)) == sorted(set(lines))
        assert count == len(set(lines))
        assert [entry.name for entry in Path(name).iterdir()] == ["sorted"]


@given(st.lists(st.tuples(anything, anything)), st.integers(1, 5))
def test_a_file_sorted_by_line_is_sorted_by_its_first_field(pairs: list[tuple[str, str]], chunk: int) -> None:
    lines = [f"{escape(key)}\t{escape(value)}" for key, value in pairs]
    with TemporaryDirectory() as name:
        path = Path(name) / "sorted"
        sort_distinct(lines, path, chunk_lines=chunk)
        keys = [line.partition("\t")[0] for line in read_lines(path)]
    assert keys == sorted(keys)


@pytest.mark.parametrize("value", ["line\u2028separator", "next\x85line", "vertical\x0btab", "form\x0cfeed"])
def test_only_a_newline_ends_a_line(tmp_path: Path, value: str) -> None:
    sort_distinct([escape(value)], tmp_path / "sorted")
    assert [unescape(line) for line in read_lines(tmp_path / "sorted")] == [value]
