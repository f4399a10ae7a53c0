from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.engine.diff import keep_unreadable
from airflow_provider_cio_cohort.engine.identifiers import (
    can_exist,
    collect,
    is_readable,
    looks_mistyped,
    matcher_of,
    may_be_too_long,
)
from airflow_provider_cio_cohort.engine.sorted_file import read_lines, read_values, unescape, write_blocks


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


# ---- identifiers that are not valid UTF-8


def text(content: bytes) -> str:
    """Decode as the reader of an export does."""
    return content.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("value", "is_fine"),
    [("u-1", True), ("é\U0001f600", True), (text(b"u\xff"), False), ("", True)],
)
def test_what_can_be_read(value: str, is_fine: bool) -> None:
    assert is_readable(value) is is_fine


@pytest.mark.parametrize(
    ("value", "fits", "does_not"),
    [
        (b"caf\xe9", ["café", "caf"], ["cafX", "caféé", "Café", "écaf"]),
        (b"\xc3u-17\xc3", ["u-17", "éu-17é"], ["u-1", "eeu-17", "u-é17"]),
        (b"a.b\xff\xff+", ["a.b+", "a.bé+", "a.béé+"], ["aéb+", "a.bééé+", "a.b\n+"]),
        ("日本\xff-1".encode("latin-1", "ignore") + b"\xff", ["ÿ-1é", "-1"], ["日本-1", "-"]),
        ("日".encode() + b"\xff-1", ["日-1", "日é-1", "é日-1"], ["é-1", "-1", "本-1", "日éé-1"]),
        # Hardly anything can be read.
        (b"\xff", ["é"], ["a", "éé"]),
        (b"a\xff\xff", ["a", "aé", "aéé"], ["b", "aééé", "ab"]),
        ("Иван".encode("cp1251"), ["Иван", "Анна"], ["Ivan", "Иванна", "Иван-1"]),
        # A character may have a byte of ASCII in it.
        ("ソ-1".encode("cp932"), ["ソ-1"], ["é-1"]),
        ("功-1".encode("big5hkscs"), ["功-1"], ["é-1"]),
        ("丂-1".encode("gb18030"), ["丂-1"], ["é-1"]),
    ],
)
def test_whom_an_identifier_may_stand_for(value: bytes, fits: list[str], does_not: list[str]) -> None:
    may_be = matcher_of([text(value)])
    assert [each for each in fits if not may_be(each)] == []
    assert [each for each in does_not if may_be(each)] == []


def test_many_of_them_are_as_if_each_were_alone() -> None:
    values = [text(each) for each in (b"a\xff", b"a\xff\xff", b"\xffa", b"b\xff", "aé".encode() + b"\xff")]
    identifiers = ["a", "aé", "aéé", "aééé", "éa", "ééa", "éaé", "b", "bé", "béé", "c", ""]
    together = matcher_of(values)
    for each in identifiers:
        assert together(each) is any(matcher_of([value])(each) for value in values), each
    assert not matcher_of([])("a")


def test_what_hardly_differs_takes_no_time_without_end() -> None:
    may_be = matcher_of([text(b"\xffa" * 60), text("\xffé".encode("latin-1") * 60)])
    assert not may_be("a" * 80)
    assert not may_be("é" * 80 + "a")


def test_unreadable_rows_are_kept_apart(tmp_path: Path) -> None:
    found = collect([["a", text(b"b\xff"), "", "é", "a"], [text(b"b\xff"), "\tc"]], "id", tmp_path / "cohort")
    assert list(read_values(found.path)) == ["a", "c", "é"]
    assert (found.cohort_rows, found.without_identifier, found.identifiers, found.duplicates) == (7, 1, 3, 1)
    assert found.unreadable == (text(b"b\xff"),) * 2
    assert (
        "b"
        not in repr(found).replace("tmp", "").partition("cohort_rows")[2].replace("duplicates", "").split()
    )


def test_members_who_may_be_meant_are_kept(tmp_path: Path) -> None:
    members = tmp_path / "members"
    write_blocks(members, [["", "a", "b", "bé\tid=x", "c", "zz", "zé"]])
    found = collect([["a", "q", text(b"b\xe9"), text(b"\tz\xff")]], "id", tmp_path / "cohort")
    kept = keep_unreadable(found, members, "id")
    assert list(read_values(kept.path)) == ["a", "b", "bé", "q", "zé"]
    assert (kept.identifiers, kept.kept, kept.duplicates) == (5, 3, 0)


def test_addresses_are_compared_without_regard_to_case(tmp_path: Path) -> None:
    members = tmp_path / "members"
    write_blocks(members, [["rené@x.test", "someone@x.test"]])
    found = collect([[text(b"Ren\xe9@X.test")]], "email", tmp_path / "cohort")
    assert keep_unreadable(found, members, "email").kept == 1
    assert list(read_values(found.path)) == ["rené@x.test"]
