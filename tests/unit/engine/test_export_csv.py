from __future__ import annotations

import csv
import logging
import tracemalloc
from contextlib import suppress
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine import export_csv
from airflow_provider_cio_cohort.engine.export_csv import MOST_CHARACTERS, read_property
from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ExportEncodingError,
    ExportTooLargeError,
    IncompleteExportError,
    MissingPropertyError,
)

HEADER = b'"amplitude_id","user_id"\n'


def values_of(path: Path, name: str) -> list[str]:
    return [value for block in read_property(path, name) for value in block]


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "export.csv"
    path.write_bytes(content)
    return path


def test_the_sample_of_the_reference(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + b'"356896327775",""\n"356893815359","u-42"\n')
    assert values_of(path, "user_id") == ["", "u-42"]
    assert values_of(path, "amplitude_id") == ["356896327775", "356893815359"]


@pytest.mark.parametrize(
    ("content", "name", "expected"),
    [
        (HEADER, "user_id", []),
        (HEADER.replace(b"\n", b"\r\n") + b'"1","a"\r\n', "user_id", ["a"]),
        (HEADER + b'"1","a"\n\n', "user_id", ["a"]),
        (HEADER + b'"1","a"\r\n\r\n\n', "user_id", ["a"]),
        (HEADER + b"\n", "user_id", []),
        (HEADER + b'"\xff","a"\n', "user_id", ["a"]),
        (HEADER + b'"1","a\xff"\n', "user_id", ["a\udcff"]),
        (b"\xef\xbb\xbf" + HEADER + b'"1","a"\n', "amplitude_id", ["1"]),
        (b'"amplitude_id","user_id","gp:mail"\n"1","a","m"\n', "mail", ["m"]),
        (b'"amplitude_id","user_id","mail"\n"1","a","m"\n', "gp:mail", ["m"]),
        (b'"amplitude_id","user_id","mail","gp:mail"\n"1","a","m","p"\n', "mail", ["m"]),
        (b'"amplitude_id","user_id","mail","gp:mail"\n"1","a","m","p"\n', "gp:mail", ["p"]),
        (b'"amplitude_id","gp:user_id","user_id"\n"1","p","a"\n', "user_id", ["a"]),
        (b'"amplitude_id","user_id","gp:user_id"\n"1","a","p"\n', "gp:user_id", ["p"]),
        (b'"\tamplitude_id","\tuser_id","\tgp:user_id"\n"1","a","p"\n', "gp:user_id", ["p"]),
        (b'"amplitude_id","amplitude_id","user_id"\n"1","1","a"\n', "user_id", ["a"]),
        (b'"\tamplitude_id","\tuser_id"\n"\t1","\ta"\n', "user_id", ["\ta"]),
        (HEADER + '"1","say ""hi"", \ntwo lines é"\n'.encode(), "user_id", ['say "hi", \ntwo lines é']),
    ],
)
def test_what_exports_look_like(tmp_path: Path, content: bytes, name: str, expected: list[str]) -> None:
    assert values_of(write(tmp_path, content), name) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER.strip(),  # a further column may follow
        HEADER + b'"1","a"',  # a second quote may follow
        HEADER + b'"1","a',
        HEADER + b'"1"\n',
        HEADER + b'"1","a","b"\n',
        HEADER + b'"1",',
        HEADER + b"1,a",
        HEADER + b'\n"1","a"\n',
        HEADER + b'"1","a"\n\n"2","b"\n',
        b'"amplitude_id","user_',
        b"\n" + HEADER,
        b'"a" b\n',
    ],
)
def test_a_damaged_file_is_named_and_never_read_as_a_whole_one(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((IncompleteExportError, MissingPropertyError)) as caught:
        values_of(write(tmp_path, content), "user_id")
    assert "Amplitude's export" in str(caught.value)


def test_a_file_without_its_header_shows_nobody(tmp_path: Path) -> None:
    with pytest.raises(IncompleteExportError, match="is not the header of an export") as caught:
        values_of(write(tmp_path, b'"356","u-anna"\n'), "user_id")
    assert "u-anna" not in str(caught.value)


def test_a_missing_property_names_the_columns_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(MissingPropertyError, match=r"'mail'\.\nThe columns are amplitude_id, user_id"):
        values_of(write(tmp_path, HEADER), "mail")


@pytest.mark.parametrize("header", ['"amplitude_id","user_id"', '"amplitude_id","user_id","user_id"'])
def test_a_user_property_is_not_silently_the_built_in_column(tmp_path: Path, header: str) -> None:
    path = write(tmp_path, f'{header}\n"1","a"\n'.encode())
    with pytest.raises(MissingPropertyError, match="not the user property 'user_id', but Amplitude's own"):
        values_of(path, "gp:user_id")


def test_a_header_that_is_cut_does_not_miss_a_property(tmp_path: Path) -> None:
    with pytest.raises(IncompleteExportError, match="it ends within its header"):
        values_of(write(tmp_path, b'"amplitude_id","user_id"'), "mail")


def test_many_columns_are_not_all_shown(tmp_path: Path) -> None:
    names = ",".join(f'"p{n}"' for n in range(40)).encode()
    with pytest.raises(MissingPropertyError, match="and 22 more") as caught:
        values_of(write(tmp_path, b'"user_id","\xff",' + names + b"\n"), "mail")
    assert str(caught.value).isascii()


@pytest.mark.parametrize("where", range(1, 40))
def test_no_cut_within_a_row_passes_as_one(tmp_path: Path, where: int) -> None:
    rows = HEADER + b'"1","a""b"\n"2","c,""d"""\n'
    path = write(tmp_path, rows[:-where])
    found: list[str] = []
    with suppress(IncompleteExportError):
        found = values_of(path, "user_id")
    assert found == ['a"b', 'c,"d"'][: len(found)]


# ---- what cannot be read


def numbered(bad: set[int], rows: int = 1000, quote: str = "") -> bytes:
    """Write rows, some of which are not UTF-8; a quote at the beginning makes the parser read them."""
    lines = (
        f'"{n}","u-{n}{quote if n == 0 else ""}'.encode() + b"\xff" * (n in bad) + b'"\n' for n in range(rows)
    )
    return HEADER + b"".join(lines)


@pytest.mark.parametrize("characters", [50, 2**18])
@pytest.mark.parametrize("quote", ["", '""', "\n", '\n""'])
def test_identifiers_that_cannot_be_read_are_counted_with_their_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, quote: str, characters: int
) -> None:
    path = write(tmp_path, numbered({700, 701, 999}, quote=quote))
    with patch.object(export_csv, "CHARACTERS_AT_ONCE", characters), caplog.at_level(logging.WARNING):
        found = values_of(path, "user_id")
    assert [n for n, value in enumerate(found) if "\udcff" in value] == [700, 701, 999]
    line = 703 if "\n" in quote else 702
    assert (
        f"3 of the export's 1,000 rows have an identifier that cannot be read, the first in line {line}"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("bad", "rows", "is_refused"), [(5, 6, False), (6, 6, True), (10, 1000, False), (11, 1000, True)]
)
@pytest.mark.parametrize("quote", ["", '""'])
def test_too_many_of_them_are_refused_for_good(
    tmp_path: Path, quote: str, bad: int, rows: int, is_refused: bool
) -> None:
    path = write(tmp_path, numbered(set(range(1, bad + 1)) if bad < rows else set(range(rows)), rows, quote))
    if not is_refused:
        assert len(values_of(path, "user_id")) == rows
        return
    with pytest.raises(ExportEncodingError, match=r"The first is in line \d ") as caught:
        values_of(path, "user_id")
    assert "u-1" not in str(caught.value)


def test_a_file_of_which_nothing_can_be_read_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, numbered(set(range(100_000)), 100_000))
    with pytest.raises(ExportEncodingError, match="more than 1,000 identifiers"):
        values_of(path, "user_id")


# ---- bounds


@pytest.mark.parametrize("end", [b"", b'"\n', b'"\n"2","b"\n'])
@pytest.mark.parametrize(
    "start", [HEADER + b'"1","', HEADER + b'"0","""x"\n"1","', b'"', HEADER + b'"1","\n']
)
def test_a_row_without_an_end_takes_neither_time_nor_memory(tmp_path: Path, start: bytes, end: bytes) -> None:
    path = write(tmp_path, start + b"x" * 2**25 + end)
    tracemalloc.start()
    try:
        with pytest.raises(IncompleteExportError, match=r"a row has more than 65,536 characters"):
            values_of(path, "user_id")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_row_of_many_lines_has_the_same_bound(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + b'"1","""' + b"x\n" * MOST_CHARACTERS + b'"\n')
    with pytest.raises(IncompleteExportError, match=r"line [\d,]+: a row has more than 65,536 characters"):
        values_of(path, "user_id")


def test_a_row_of_the_longest_values_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + b'"1","' + b"x" * 60_000 + b'"\n' + b'"2","""' + b"x" * 60_000 + b'"\n')
    assert list(map(len, values_of(path, "user_id"))) == [60_000, 60_001]


@pytest.mark.parametrize("quote", ["", '""'])
def test_more_rows_than_there_can_be_are_refused(tmp_path: Path, quote: str) -> None:
    path = write(tmp_path, numbered(set(), 1000, quote))
    assert len(list(chain.from_iterable(read_property(path, "user_id", 1000)))) == 1000
    with pytest.raises(ExportTooLargeError, match="more than 999 rows"):
        list(read_property(path, "user_id", 999))


@given(st.binary())
def test_any_bytes_give_values_or_a_named_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("csv") / "export.csv"
    path.write_bytes(HEADER + content)
    problem = ""
    values = []
    try:
        values = values_of(path, "user_id")
    except CohortSyncError as error:
        problem = str(error)
    assert problem or all(isinstance(value, str) for value in values)


@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from('a1",\t\r\n é'), max_size=6)] * 2), max_size=12),
    line_end=st.sampled_from(["\n", "\r\n"]),
    characters=st.integers(1, 40),
)
def test_wherever_a_block_ends_the_values_are_those_that_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], line_end: str, characters: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "export.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=line_end)
        writer.writerows([("amplitude_id", "user_id"), *rows])
    with patch.object(export_csv, "CHARACTERS_AT_ONCE", characters):
        assert values_of(path, "user_id") == [value for _, value in rows]
        assert values_of(path, "amplitude_id") == [value for value, _ in rows]


@pytest.mark.parametrize("characters", [1, 16, 2**18])
@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (b'"7","g","h"\n', "row 7 has 3 fields, not 2"),
        (b'"7"\n', "row 7 has 1 fields, not 2"),
        (b'\n"7","g"\n', "line 8 is blank"),
        (b'"7",', "line 8 has no line end"),
        (b'"7","g', "line 8: unexpected end of data"),
        (b'"7","g"g\n', "line 8: "),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path: Path, characters: int, end: bytes, problem: str) -> None:
    whole = b"".join(f'"{n}","u-{n}"\n'.encode() for n in range(6))
    path = write(tmp_path, HEADER + whole + end)
    with (
        patch.object(export_csv, "CHARACTERS_AT_ONCE", characters),
        pytest.raises(IncompleteExportError) as caught,
    ):
        values_of(path, "user_id")
    assert problem in str(caught.value)
