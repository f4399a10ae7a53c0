from __future__ import annotations

import csv
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine import export_csv
from airflow_provider_cio_cohort.engine.export_csv import read_property
from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
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
        (HEADER + b'"1","a"', "user_id", ["a"]),
        (b"\xef\xbb\xbf" + HEADER + b'"1","a"\n', "amplitude_id", ["1"]),
        (b'"amplitude_id","user_id","gp:mail"\n"1","a","m"\n', "mail", ["m"]),
        (b'"amplitude_id","user_id","mail"\n"1","a","m"\n', "gp:mail", ["m"]),
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
        HEADER + b'"1","a',
        HEADER + b'"1"\n',
        HEADER + b'"1","a","b"\n',
        HEADER + b'"1","\xff"\n',
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
    with pytest.raises(MissingPropertyError, match=r"'mail' .*\nThe columns are amplitude_id, user_id"):
        values_of(write(tmp_path, HEADER), "mail")


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
        (b"\n", "row 7 has 0 fields, not 2"),
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
