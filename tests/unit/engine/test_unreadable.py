from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.engine.diff import keep_unreadable
from airflow_provider_cio_cohort.engine.identifiers import collect
from airflow_provider_cio_cohort.engine.sorted_file import read_values, write_blocks
from airflow_provider_cio_cohort.engine.unreadable import is_readable, matcher_of


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
