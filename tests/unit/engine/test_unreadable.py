from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_cio_cohort.engine.diff import keep_unreadable
from airflow_provider_cio_cohort.engine.identifiers import collect
from airflow_provider_cio_cohort.engine.sorted_file import read_values, write_blocks
from airflow_provider_cio_cohort.engine.unreadable import is_readable, pattern_of


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
        (text(b"caf\xe9"), ["café", "caf", "cafX"], ["cafXX", "Café", "xcafé"]),
        (text(b"\xc3u-17\xc3"), ["u-17", "éu-17é"], ["u-1", "eeu-17"]),
        (text(b"a.b\xff\xff+"), ["a.b+", "a.b\n\n+"], ["aXb+", "a.b++++"]),
    ],
)
def test_whom_an_identifier_may_stand_for(value: str, fits: list[str], does_not: list[str]) -> None:
    pattern = pattern_of([value])
    assert pattern is not None
    assert [each for each in fits if not pattern.fullmatch(each)] == []
    assert [each for each in does_not if pattern.fullmatch(each)] == []


@pytest.mark.parametrize("value", [text(b"\xff"), text(b"a\xff\xff")])
def test_one_that_tells_too_little_may_be_anybodys(value: str) -> None:
    assert pattern_of([value]) is None
    pattern = pattern_of([value, text(b"ab\xff")])
    assert pattern is not None
    assert not pattern.fullmatch("zz")


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
    write_blocks(members, [["", "a", "b", "bé\tid=x", "c", "zz"]])
    found = collect([["a", "q", text(b"b\xe9"), text(b"\tz\xff")]], "id", tmp_path / "cohort")
    kept = keep_unreadable(found, members, "id")
    assert list(read_values(kept.path)) == ["a", "b", "bé", "q", "zz"]
    assert (kept.identifiers, kept.kept, kept.duplicates) == (5, 3, 0)


def test_addresses_are_compared_without_regard_to_case(tmp_path: Path) -> None:
    members = tmp_path / "members"
    write_blocks(members, [["rené@x.test", "someone@x.test"]])
    found = collect([[text(b"Ren\xe9@X.test")]], "email", tmp_path / "cohort")
    assert keep_unreadable(found, members, "email").kept == 1
    assert list(read_values(found.path)) == ["rené@x.test"]
