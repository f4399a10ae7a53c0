"""Rows of several identifiers, against what sets say, in files that are far larger than what is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine import members, sorted_file
from airflow_provider_cio_cohort.engine.identifiers import CohortIdentifiers, Identifier, IdType, collect_rows
from airflow_provider_cio_cohort.engine.sorted_file import escape, read_lines, read_values
from airflow_provider_cio_cohort.exceptions import MappingError
from airflow_provider_cio_cohort.hooks.membership import MemberPage
from airflow_provider_cio_cohort.hooks.people import FoundPeople
from airflow_provider_cio_cohort.sync import download
from airflow_provider_cio_cohort.sync.download import PeopleSegment, RowMatching

MAPPING = (Identifier("a", "id"), Identifier("b", "email"), Identifier("c", "id"))


class Person(NamedTuple):
    id: str | None
    email: str | None
    cio_id: str


class Everybody:
    """A workspace that looks people up, two at a time, and has a segment of everybody, or of many."""

    def __init__(self, people: list[Person], refused: set[str], listed: list[Person]) -> None:
        self.people = people
        self.refused = refused
        self.listed = listed
        self.asked: list[tuple[str, str]] = []
        self.pages = 0

    def count_members(self, segment_id: int) -> int:
        return len(self.listed)

    def stream_member_pages(self, segment_id: int, *, total: int | None = None) -> Iterator[MemberPage]:
        for start in range(0, len(self.listed), 2):
            self.pages += 1
            ids, emails, cio_ids = zip(*self.listed[start : start + 2], strict=True)
            yield MemberPage(ids, emails, cio_ids)

    def find_people(
        self, values: Iterable[str], id_type: IdType, *, until_found: bool = False
    ) -> FoundPeople:
        [(_, found)] = self._blocks(list(values), id_type, 10**6)
        return found

    def find_people_in_blocks(
        self, values: Iterable[str], id_type: IdType, *, total: int
    ) -> Iterator[tuple[list[str], FoundPeople]]:
        asked = list(values)
        assert len(set(asked)) == len(asked) == total
        self.asked += ((id_type, value) for value in asked)
        yield from self._blocks(asked, id_type, 2)

    def _blocks(
        self, asked: list[str], id_type: IdType, size: int
    ) -> Iterator[tuple[list[str], FoundPeople]]:
        for start in range(0, len(asked), size):
            block = asked[start : start + size]
            known = [each for each in self.people if key(each, id_type) in {*block} - self.refused]
            shown = [str(each.email if id_type == "email" else each.id) for each in known]
            refused = [value for value in block if value in self.refused]
            cio_ids = [f"cio_{each.cio_id}" for each in known]
            yield block, FoundPeople(len(known), shown, len(refused), len(block), cio_ids, refused)


def ended(cohort: CohortIdentifiers) -> list[tuple[str, ...]]:
    """Return the rows that match nobody or two people: an identifier, the reason, and its kind."""
    assert cohort.rows_path is not None
    return [tuple(line.split("\t")) for line in read_lines(cohort.rows_path)]


def key(person: Person, id_type: str) -> str | None:
    return (person.email or "").lower() if id_type == "email" else person.id


def match(
    rows: list[tuple[str, ...]],
    people: list[Person],
    present: list[Person],
    refused: set[str],
    path: Path,
    listed: list[Person] | None = None,
) -> tuple[CohortIdentifiers, set[str], Everybody]:
    pages = (MemberPage([p.id], [p.email], [p.cio_id]) for p in present)
    members.collect(pages, "cio_id", path / "members")
    blocks = (rows[start : start + 3] for start in range(0, len(rows), 3))
    columns = [list(map(list, zip(*block, strict=True))) for block in blocks]
    found = collect_rows(columns, [each.id_type for each in MAPPING], path / "rows")
    store: Any = Everybody(people, refused, listed or [])
    segment = None if listed is None else PeopleSegment(store, 7, path)
    cohort = RowMatching(store, MAPPING, path / "members", segment).run(found)
    left = {each.name for each in path.iterdir()}
    assert left == {"members", "cohort", "unmatched_rows"}
    return cohort, set(read_values(cohort.path)), store


ids = st.sampled_from(["", "p", "q", "r", "\u00e9", "a\\b"])
mails = st.sampled_from(["", "p@x", "Q@x", "q@X", "r@x"])
everybody = st.lists(
    st.builds(Person, st.none() | ids.filter(bool), st.none() | mails.filter(bool), st.uuids().map(str)),
    unique_by=(lambda p: p.id or p.cio_id, lambda p: (p.email or p.cio_id).lower(), lambda p: p.cio_id),
    max_size=6,
)


class Wanted(NamedTuple):
    """Who should be found, by the number of which identifier, who should stay, and how other rows end."""

    found: dict[str, int]
    kept: set[str]
    reasons: set[tuple[str, str, str]]


def wanted_of(
    rows: list[tuple[str, ...]], people: list[Person], present: list[Person], refused: set[str]
) -> Wanted:
    found: dict[str, int] = {}
    kept, reasons = set(), set()
    for row in rows:
        undecided = person = None
        first, conflicts = None, False
        for place, (value, mapped) in enumerate(zip(row, MAPPING, strict=True)):
            value = value.lower() if mapped.id_type == "email" else value
            owner = next((each for each in people if value and key(each, mapped.id_type) == value), None)
            if not value:
                continue
            named = (escape(value), mapped.id_type)
            first = first or named
            if person is not None:
                conflicts |= owner in present and owner.cio_id != person
            elif owner in present and undecided:
                kept.add(owner.cio_id)
            elif owner in present or (owner and value not in refused and not undecided):
                person = owner.cio_id
                found[person] = min(place, found.get(person, 9))
            elif value in refused:
                undecided = undecided or named
        if undecided:
            reasons.add((undecided[0], "rejected", undecided[1]))
        elif first and (conflicts or person is None):
            reasons.add((first[0], "conflicting" if conflicts else "unknown", first[1]))
    return Wanted(found, kept, reasons)


all_rows = st.lists(st.tuples(ids, mails, ids), max_size=12)
places = st.sets(st.integers(0, 5))


@given(all_rows, everybody, places, st.sets(ids))
def test_matching_is_what_sets_say(rows, people, inside, refused) -> None:
    present = [each for place, each in enumerate(people) if place in inside]
    found, kept, reasons = wanted_of(rows, people, present, refused)
    with TemporaryDirectory() as name:
        cohort, matched, store = match(rows, people, present, refused, Path(name))
        assert ended(cohort) == sorted(reasons)
    assert matched == found.keys() | kept
    assert cohort.kept == len(kept - found.keys())
    assert [each.people for each in cohort.tallies] == [list(found.values()).count(n) for n in range(3)]
    counts = Counter(reason for _, reason, _ in reasons)
    assert (cohort.unmatched, cohort.undecided) == (counts["unknown"], counts["rejected"])
    assert cohort.conflicting == counts["conflicting"]
    assert cohort.without_identifier == rows.count(("", "", ""))
    assert not {("id", p.id) for p in present} & set(store.asked)
    assert cohort.duplicates >= 0


# ---- with a segment of everybody


@pytest.fixture
def always_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the segment of everybody for a single identifier."""
    monkeypatch.setattr(download, "FEW_PEOPLE", 0)


@pytest.mark.usefixtures("always_read")
@given(all_rows, everybody, places, places)
def test_a_segment_of_everybody_changes_nothing(rows, people, inside, missing) -> None:
    """Where it lacks people, and a look-up shows that, everybody is looked up."""
    present = [each for place, each in enumerate(people) if place in inside]
    listed = [each for place, each in enumerate(people) if place not in missing]
    found, _, reasons = wanted_of(rows, people, present, set())
    with TemporaryDirectory() as name:
        cohort, matched, store = match(rows, people, present, set(), Path(name), listed)
        assert ended(cohort) == sorted(reasons)
    assert matched == found.keys()
    assert [each.people for each in cohort.tallies] == [list(found.values()).count(n) for n in range(3)]
    if listed == people:
        assert not {(kind, key(each, kind)) for each in people for kind in ("id", "email")} & {*store.asked}


@pytest.mark.usefixtures("always_read")
@given(all_rows, everybody, places, places, st.sets(ids))
def test_whom_it_lacks_unnoticed_is_missing_and_never_another_person(
    rows, people, inside, missing, refused
) -> None:
    present = [each for place, each in enumerate(people) if place in inside]
    listed = [each for place, each in enumerate(people) if place not in missing]
    asked = refused - {each.id for each in listed}
    found, kept, _ = wanted_of(rows, people, present, asked)
    certain = wanted_of(rows, people, present, set()).found
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as name:
        patch.setattr(download, "TOLERATED_PERCENT", 100)
        _, matched, _ = match(rows, people, present, refused, Path(name), listed)
    members_now = {each.cio_id for each in present}
    assert matched - members_now <= certain.keys()
    assert matched >= (found.keys() | kept) & members_now


@pytest.mark.usefixtures("always_read")
@given(all_rows, everybody, places, st.sets(ids))
def test_refusals_keep_the_same_members(rows, people, inside, refused) -> None:
    """Whom a segment lacks may be somebody whom Customer.io refuses to look up."""
    present = [each for place, each in enumerate(people) if place in inside]
    listed = [each for each in people if each.id not in refused]
    found, kept, _ = wanted_of(rows, people, present, refused)
    with TemporaryDirectory() as name:
        _, matched, _ = match(rows, people, present, refused, Path(name), listed)
    assert matched == found.keys() | kept


@pytest.mark.usefixtures("always_read")
def test_two_members_of_a_row_stay_if_a_look_up_before_them_is_refused(tmp_path: Path) -> None:
    people = [Person(None, "p@x", "1"), Person("q", None, "2"), Person("v", None, "3")]
    rows = [("u", "p@x", "q"), *((f"n{n}", "", "") for n in range(9))]
    cohort, matched, _ = match([*rows, ("v", "", "")], people, people, {"u"}, tmp_path, people)
    assert matched == {"1", "2", "3"}
    assert ("u", "rejected", "id") in ended(cohort)


@pytest.mark.usefixtures("always_read")
def test_two_members_of_a_row_are_a_conflict_if_nobody_is_before_them(tmp_path: Path) -> None:
    people = [Person(None, "p@x", "1"), Person("q", None, "2"), Person("v", None, "3")]
    rows = [("u", "p@x", "q"), ("v", "", "")]
    cohort, matched, _ = match(rows, people, people, set(), tmp_path, people)
    assert matched == {"1", "3"}
    assert ended(cohort) == [("u", "conflicting", "id")]


def test_rows_that_share_an_identifier_are_matched_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ROWS_A_BLOCK", 7)
    rows = [(f"u{n}", "p@x" if n % 2 else "z@x", "") for n in range(100)]
    cohort, matched, _ = match(rows, [Person(None, "p@x", "1")], [], set(), tmp_path)
    assert (matched, cohort.unmatched) == ({"1"}, 50)
    assert [(each.looked_up, each.exist) for each in cohort.tallies] == [(100, 0), (2, 1), (0, 0)]


def test_a_few_are_looked_up(tmp_path: Path) -> None:
    people = [Person(f"u{n}", None, f"{n:04}") for n in range(3_000)]
    _, matched, store = match([(p.id, "", "") for p in people[:2_000]], people, [], set(), tmp_path, people)
    assert (len(matched), store.pages, len(store.asked)) == (2_000, 0, 2_000)
    _, matched, store = match([(p.id, "", "") for p in people], people, [], set(), tmp_path, people)
    assert (len(matched), store.pages, len(store.asked)) == (3_000, 1_500, 0)


def test_a_workspace_that_is_far_larger_than_the_cohort_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [Person(f"u{n}", None, f"{n:04}") for n in range(2_001)]
    monkeypatch.setattr(Everybody, "count_members", lambda *_: 2_001 * 100 + 1)
    _, matched, store = match([(p.id, "", "") for p in people], people, [], set(), tmp_path, people)
    assert (len(matched), store.pages, len(store.asked)) == (2_001, 0, 2_001)


# ---- files, and how rows end


def test_files_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few lines, and reads that end within a group of rows with one identifier."""
    monkeypatch.setattr(sorted_file.sort_distinct, "__kwdefaults__", {"chunk_bytes": 500})
    monkeypatch.setattr(sorted_file.read_blocks, "__defaults__", (64,))
    people = [Person(f"u{n}" if n % 3 else None, f"{n}@x", f"{n:04}") for n in range(300)]
    rows = [(f"u{n}", f"{n}@X", "") for n in range(400)] * 2 + [("none", f"{n}@x", "") for n in range(50)]
    cohort, matched, _ = match(rows, people, people[::2], set(), tmp_path)
    assert matched == {each.cio_id for each in people}
    assert [each.people for each in cohort.tallies] == [200, 100, 0]
    assert (cohort.unmatched, cohort.identifiers, cohort.duplicates) == (100, 400, 450)
    assert ended(cohort) == sorted((f"u{n}", "unknown", "id") for n in range(300, 400))


def test_members_outside_the_cohort_are_passed_over(tmp_path: Path) -> None:
    people = [Person(name, f"{name}@x", name) for name in "abcdefgh"]
    rows = [("d", "", ""), ("none", "G@x", ""), ("none", "", "h")]
    _, matched, store = match(rows, people, people, set(), tmp_path)
    assert matched == {"d", "g", "h"}
    assert store.asked == [("id", "none")]


def test_conflicts_are_counted_where_they_are_seen(tmp_path: Path) -> None:
    """One for each first identifier, however many rows have it."""
    people = [Person("p", "p@x", "1"), Person("q", "q@x", "2"), Person("r", "r@x", "3")]
    rows = [("p", "q@x", ""), ("p", "p@x", "q"), ("p", "q@x", "q"), ("q", "r@x", ""), ("p", "p@x", "p")]
    cohort, matched, _ = match([*rows, ("", "q@X", "p")], people, people[:2], set(), tmp_path)
    assert (cohort.conflicting, matched) == (2, {"1", "2"})
    assert ended(cohort) == [("p", "conflicting", "id"), ("q@x", "conflicting", "email")]


def test_a_row_is_named_by_its_first_identifier_and_its_reason_is_about_that_one(tmp_path: Path) -> None:
    long = "l" * 151
    rows = [("x", "p@x", ""), ("x", "q@x", ""), ("y", "p@x", ""), ("", "", "z"), (long, "p@x", "")]
    rows += [(long, "", ""), ("\u00e9" * 76, "", ""), ("typo ", "p@x", ""), ("p", "odd@x", "odd")]
    cohort, _, _ = match(rows, [], [], {"odd@x", "odd"}, tmp_path)
    assert ended(cohort) == [
        (long, "too_long", "id"),
        ("odd@x", "rejected", "email"),
        ("typo ", "mistyped", "id"),
        ("x", "unknown", "id"),
        ("y", "unknown", "id"),
        ("z", "unknown", "id"),
        ("\u00e9" * 76, "too_long", "id"),
    ]
    assert (cohort.unmatched, cohort.undecided, cohort.identifiers) == (6, 1, 7)


def test_members_without_a_cio_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="does not show everybody's cio_id"):
        match([("p", "", "")], [], [Person("p", None, "")], set(), tmp_path)
