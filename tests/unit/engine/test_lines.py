from __future__ import annotations

import resource
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine.sorted_file import (
    escape,
    escape_all,
    read_blocks,
    read_lines,
    sort_distinct,
    unescape,
    write_blocks,
)

anything = st.text(st.characters(exclude_categories=()))


@given(anything)
def test_escape_can_be_undone_and_fits_a_field(value: str) -> None:
    field = escape(value)
    assert unescape(field) == value
    assert not set(field) & set("\t\n\r\x00")


@given(anything, anything)
def test_escape_keeps_different_values_apart(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(st.lists(st.lists(anything)), st.integers(1, 300))
def test_sort_distinct_is_what_a_set_says(values: list[list[str]], chunk_bytes: int) -> None:
    blocks = [escape_all(block) for block in values]
    lines = [escape(value) for block in values for value in block]
    with TemporaryDirectory() as name:
        path = Path(name) / "sorted"
        count = sort_distinct(blocks, path, chunk_bytes=chunk_bytes)
        assert list(read_lines(path)) == sorted(set(lines))
        assert count == len(set(lines))
        assert [entry.name for entry in Path(name).iterdir()] == ["sorted"]


def test_more_chunks_than_a_process_may_have_open(tmp_path: Path) -> None:
    numbers = [number * 7_919 % 10_007 for number in range(3_000)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, limits[1]))
    try:
        count = sort_distinct([[f"{number:05}"] for number in numbers], tmp_path / "sorted", chunk_bytes=300)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert count == 3_000
    assert list(read_lines(tmp_path / "sorted")) == [f"{number:05}" for number in sorted(numbers)]
    assert [entry.name for entry in tmp_path.iterdir()] == ["sorted"]


@given(st.lists(st.tuples(anything, anything)), st.integers(1, 300))
def test_a_file_sorted_by_line_is_sorted_by_its_first_field(pairs: list[tuple[str, str]], chunk: int) -> None:
    lines = [f"{escape(key)}\t{escape(value)}" for key, value in pairs]
    with TemporaryDirectory() as name:
        path = Path(name) / "sorted"
        sort_distinct([[line] for line in lines], path, chunk_bytes=chunk)
        keys = [line.partition("\t")[0] for line in read_lines(path)]
    assert keys == sorted(keys)


@pytest.mark.parametrize("value", ["line\u2028separator", "next\x85line", "vertical\x0btab", "form\x0cfeed"])
def test_only_a_newline_ends_a_line(tmp_path: Path, value: str) -> None:
    sort_distinct([[escape(value)]], tmp_path / "sorted")
    assert [unescape(line) for line in read_lines(tmp_path / "sorted")] == [value]


@given(st.lists(st.lists(anything, min_size=1)), st.integers(1, 20))
def test_a_file_reads_as_it_was_written_however_much_is_read_at_once(
    values: list[list[str]], characters: int
) -> None:
    blocks = [escape_all(block) for block in values]
    with TemporaryDirectory() as name:
        path = Path(name) / "lines"
        count = write_blocks(path, blocks)
        read = list(read_blocks(path, characters))
    assert [line for block in read for line in block] == [line for block in blocks for line in block]
    assert count == sum(map(len, blocks))
    assert all(read)
