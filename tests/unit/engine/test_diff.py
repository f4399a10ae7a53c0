from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cio_cohort.engine import identifiers, members
from airflow_provider_cio_cohort.engine.diff import (
    Change,
    LastMembers,
    common_lines,
    compare,
    drift,
    limited,
    of_any,
    only_tracked,
    present,
)
from airflow_provider_cio_cohort.engine.sorted_file import (
    escape,
    read_blocks,
    read_lines,
    sort_distinct,
    unescape,
    write_blocks,
)
from airflow_provider_cio_cohort.hooks.membership import MemberPage


class Person(NamedTuple):
    id: str | None
    email: str | None
    cio_id: str | None


def pages(people: list[Person]) -> Iterator[MemberPage]:
    """Yield the people as Customer.io does, two on a page."""
    for start in range(0, len(people), 2):
        page = people[start : start + 2]
        yield MemberPage([p.id for p in page], [p.email for p in page], [p.cio_id for p in page])


names = st.text("ab\\\n\t\x01 é", min_size=1, max_size=4).filter(str.strip)
people = st.lists(
    st.builds(Person, st.none() | names, st.none() | names, st.text("0123", min_size=1, max_size=3)),
    unique_by=lambda person: person.cio_id,
)


some = st.sets(st.sampled_from([f"u-{number}" for number in range(12)]))


@given(some, some, some, some)
def test_drift_is_what_sets_say(
    synced: set[str], unknown: set[str], left: set[str], joined: set[str]
) -> None:
    then = synced - unknown
    now = (then - left) | (joined - synced)
    with TemporaryDirectory() as name:
        path, members_path = Path(name) / "last", Path(name) / "members"
        sort_distinct([list(synced)], path)
        members.collect(pages([Person(who, None, f"c{who}") for who in now]), "id", members_path)
        seen = drift(LastMembers(path, len(then), len(then)), members_path, len(now))
    assert seen == (len(now - then), len(then - now))


@given(some, some, st.integers(0, 5), st.integers(0, 5))
def test_drift_counts_those_who_were_never_in_the_cohort(
    synced: set[str], left: set[str], others: int, more: int
) -> None:
    now = [Person(who, None, f"c{who}") for who in synced - left]
    now += [Person(None, f"{number}@x", f"c-{number}") for number in range(others + more)]
    with TemporaryDirectory() as name:
        path, members_path = Path(name) / "last", Path(name) / "members"
        sort_distinct([list(synced)], path)
        members.collect(pages(now), "id", members_path)
        seen = drift(LastMembers(path, len(synced) + others, len(synced)), members_path, len(now))
    assert seen == (more, len(synced & left))


@given(st.lists(names), people, st.sampled_from(["id", "email"]))
def test_compare_is_what_sets_say(values: list[str], present: list[Person], id_type) -> None:
    normalise = identifiers.normaliser(id_type)
    wanted = {normalise(value.lstrip("\t")) for value in values} - {""}

    def key(person: Person) -> str:
        return person.id or "" if id_type == "id" else normalise(person.email or "")

    keys = {key(person) for person in present}
    outsiders = {person for person in present if key(person) not in wanted}
    with TemporaryDirectory() as name:
        directory = Path(name)
        cohort = identifiers.collect([values], id_type, directory / "cohort")
        members.collect(pages(present), id_type, directory / "members")
        change = compare(cohort.path, directory / "members", directory / "c", id_type=id_type, remove=True)
        adds = [unescape(line) for line in read_lines(change.add_path)]
        removes = list(read_lines(change.remove_path))
    assert set(adds) == wanted - keys
    assert len(adds) == change.to_add
    assert change.to_remove == len(removes)
    # Everybody outside is removed by an identifier of his own, an id if he has one.
    first = {members.handles(line)[0] for line in removes}
    expected = {
        ("id", p.id) if p.id else ("email", p.email) if p.email else ("cio_id", p.cio_id) for p in outsiders
    }
    assert first == expected


def test_add_only_removes_nobody_and_impossible_ids_are_not_sent(tmp_path: Path) -> None:
    cohort = identifiers.collect([["a", "x" * 151]], "id", tmp_path / "cohort")
    members.collect(pages([Person("b", None, "1")]), "id", tmp_path / "members")
    change = compare(cohort.path, tmp_path / "members", tmp_path / "c", id_type="id", remove=False)
    assert (change.to_add, change.to_remove, change.impossible) == (1, 0, 1)
    assert list(read_lines(change.remove_path)) == []


def test_a_member_without_the_mapped_identifier_is_removed_by_another(tmp_path: Path) -> None:
    present = [Person(None, "a@x.test", "1"), Person("b", "b@x.test", "2"), Person(None, None, "3")]
    count = members.collect(pages(present), "id", tmp_path / "members")
    lines = list(read_lines(tmp_path / "members"))
    assert count == members.Members(3, have_keys=True)
    assert sorted(map(tuple, map(members.handles, lines))) == [
        (("cio_id", "3"), ("cio_id", "cio_3")),
        (("email", "a@x.test"), ("cio_id", "1"), ("cio_id", "cio_1")),
        (("id", "b"),),
    ]


def test_a_person_met_twice_while_paging_counts_once(tmp_path: Path) -> None:
    twice = [Person("a", None, "1"), Person("a", None, "1")]
    assert members.collect(pages(twice), "id", tmp_path / "members").count == 1


@pytest.mark.parametrize(
    ("id_type", "present", "expected"),
    [
        ("email", [Person("a", None, "1"), Person("b", None, "2")], False),
        ("email", [Person("a", None, "1"), Person("b", "b@x.test", "2")], True),
        ("id", [Person(None, "a@x.test", "1")], False),
        ("id", [], True),
    ],
)
def test_whether_any_member_has_the_mapped_identifier(
    tmp_path: Path, id_type, present: list[Person], expected: bool
) -> None:
    assert members.collect(pages(present), id_type, tmp_path / "members").have_keys is expected


@given(st.sets(names), st.sets(names))
def test_common_lines_are_an_intersection(one: set[str], other: set[str]) -> None:
    with TemporaryDirectory() as name:
        left, right = Path(name) / "left", Path(name) / "right"
        sort_distinct([list(map(escape, one))], left)
        sort_distinct([list(map(escape, other))], right)
        common = [unescape(line) for block in common_lines(left, right) for line in block]
    assert sorted(common) == sorted(one & other)


@given(st.sets(names), people, st.sets(names), st.sampled_from(["id", "email"]))
def test_only_whom_the_sync_has_added_is_removed(
    values: set[str], there: list[Person], added: set[str], id_type
) -> None:
    normalise = identifiers.normaliser(id_type)
    wanted, own = ({normalise(value) for value in some} - {""} for some in (values, added))

    def key(person: Person) -> str:
        return normalise((person.id if id_type == "id" else person.email) or "")

    with TemporaryDirectory() as name:
        directory = Path(name)
        sort_distinct([list(map(escape, wanted))], directory / "cohort")
        sort_distinct([list(map(escape, own))], directory / "tracked")
        members.collect(pages(there), id_type, directory / "members")
        paths = (directory / "cohort", directory / "members", directory / "c")
        everybody = compare(*paths, id_type=id_type, remove=True)
        all_others = list(read_lines(everybody.remove_path))
        change = only_tracked(everybody, directory / "tracked")
        removes = list(read_lines(change.remove_path))
        still = present(read_blocks(directory / "tracked"), directory / "members")
        still_there = [unescape(line) for block in still for line in block]
    leavers = [line for line in all_others if unescape(members.key_of(line)) in own]
    assert removes == leavers
    assert (change.to_remove, change.without_id) == (len(leavers), members.without_id(leavers))
    assert change.to_add == everybody.to_add
    assert still_there == sorted({key(person) for person in there} & own)


@given(st.lists(st.sets(names), max_size=4))
def test_lines_of_any_file_come_once_and_in_order(files: list[set[str]]) -> None:
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}" for number in range(len(files))]
        for path, lines in zip(paths, files, strict=True):
            sort_distinct([list(map(escape, lines))], path)
        found = [line for block in of_any(paths) for line in block]
    assert found == sorted({escape(line) for lines in files for line in lines})


def to_add(folder: Path, values: list[str]) -> Change:
    folder.mkdir(exist_ok=True)
    add, remove = folder / "add", folder / "remove"
    count = write_blocks(add, [sorted(values)])
    write_blocks(remove, [["somebody"]])
    return Change(add, remove, count, 1, 0, 0, without_id=1)


@given(st.sets(names.map(escape), max_size=30), st.integers(1, 40), st.data())
def test_a_limited_run_chooses_the_same_people_each_time_and_no_more_after_a_part_of_them(
    values: set[str], most: int, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        change = to_add(Path(folder), list(values))
        part, cutoff = limited(change, most, b"key")
        chosen = set(read_lines(part.add_path))
        assert (part.to_add, part.to_remove, part.without_id) == (len(chosen), 0, 0)
        assert len(chosen) == min(most, len(values))
        assert chosen <= values
        assert list(read_lines(part.remove_path)) == []
        again, _ = limited(change, most, b"key")
        assert set(read_lines(again.add_path)) == chosen
        added = data.draw(st.sets(st.sampled_from(sorted(chosen)))) if chosen else set()
        rest = to_add(Path(folder) / "retry", list(values - added))
        retry, _ = limited(rest, most, b"key", cutoff)
        assert set(read_lines(retry.add_path)) == chosen - added


def test_another_key_chooses_other_people(tmp_path: Path) -> None:
    change = to_add(tmp_path, [f"u-{n}" for n in range(100)])
    first = {*read_lines(limited(change, 10, b"one")[0].add_path)}
    assert first != {*read_lines(limited(change, 10, b"other")[0].add_path)}
