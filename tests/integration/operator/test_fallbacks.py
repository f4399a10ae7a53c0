"""Several identifiers a row: who is found by which of them; docs/how-it-works.md shows them."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ConfigurationError,
    GuardTrippedError,
    MappingError,
)
from airflow_provider_cio_cohort.sandbox.segments import Person

TWO = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]


@pytest.fixture
def rows(sandbox):
    """Make (or change) the cohort ``a1b2c3d`` so that it has these rows of an id and an address."""

    def make(*rows: tuple[str, str]) -> Any:
        return sandbox.project.add_cohort(
            id="a1b2c3d",
            name="Power users",
            rows=[
                {"amplitude_id": str(n), "user_id": user_id, "mail": mail}
                for n, (user_id, mail) in enumerate(rows)
            ],
        )

    return make


@pytest.fixture
def person(sandbox):
    def make(id: str | None, email: str | None = None) -> Person:
        return sandbox.workspace.add_person(id=id, email=email)

    return make


def members(sandbox) -> set[tuple[str | None, str | None]]:
    segment = sandbox.workspace.find_segment("Power users")
    return {(each.id, each.email) for each in segment.members}


def looked_up(sandbox) -> int:
    return sandbox.count("app", "/customers/attributes$")


def test_the_first_that_exists_finds_a_person(sandbox, sync, rows, person) -> None:
    person("u1", "ann@example.com")
    person("u2")
    person(None, "cy@example.com")
    person("u9", "dee@example.com")
    rows(
        ("u1", "ann@example.com"),
        ("u2", ""),
        ("", "Cy@example.com"),
        ("u4", "dee@example.com"),
        ("u5", "nobody@example.com"),
        ("", ""),
    )
    report = sync(identifiers=TWO)
    assert members(sandbox) == {
        ("u1", "ann@example.com"),
        ("u2", None),
        (None, "cy@example.com"),
        ("u9", "dee@example.com"),
    }
    assert report["matched_by"] == {"id": 2, "email": 2}
    assert (report["identifiers"], report["unmatched"], report["without_identifier"]) == (5, 1, 1)
    assert (report["duplicates"], report["conflicting"], report["match_rate"]) == (0, 0, 0.8)
    again = sync(identifiers=TWO)
    assert (again["to_add"], again["to_remove"], again["matched_by"]) == (0, 0, {"id": 2, "email": 2})


def test_the_order_is_that_of_the_list(sandbox, sync, rows, person) -> None:
    person("u1", "one@example.com")
    person("u2", "two@example.com")
    rows(("u1", "two@example.com"))
    sync(identifiers=TWO)
    assert members(sandbox) == {("u1", "one@example.com")}
    report = sync(identifiers=TWO[::-1], max_removal_percent=None)
    assert members(sandbox) == {("u2", "two@example.com")}
    assert report["matched_by"] == {"email": 1, "id": 0}


def test_a_fallback_adds_nobody_whose_first_identifier_exists(sandbox, sync, rows, person) -> None:
    """The first person is no member yet, the other is: what counts is who exists."""
    person("u1")
    other = person("u2", "two@example.com")
    sandbox.workspace.add_segment(name="Power users", members=[other])
    rows(("u1", "two@example.com"))
    report = sync(identifiers=TWO, adopt_segment=True)
    assert members(sandbox) == {("u1", None)}
    assert (report["added"], report["removed"], report["matched_by"]) == (1, 1, {"id": 1, "email": 0})


def test_rows_of_one_person_are_one(sandbox, sync, rows, person) -> None:
    person("u1", "ann@example.com")
    rows(("u1", ""), ("", "ANN@example.com"), ("unknown", "ann@example.com"), ("u1", ""))
    report = sync(identifiers=TWO)
    assert members(sandbox) == {("u1", "ann@example.com")}
    assert (report["identifiers"], report["duplicates"]) == (1, 3)
    assert report["matched_by"] == {"id": 1, "email": 0}


def test_a_conflict_follows_the_first_and_is_counted(sandbox, sync, rows, person) -> None:
    people = [person(f"u{n}", f"{n}@example.com") for n in (1, 2)]
    sandbox.workspace.add_segment(name="Power users", members=people)
    rows(("u1", "2@example.com"), ("u2", "2@example.com"))
    report = sync(identifiers=TWO, adopt_segment=True)
    assert members(sandbox) == {("u1", "1@example.com"), ("u2", "2@example.com")}
    assert (report["conflicting"], report["identifiers"]) == (1, 2)


def test_a_person_who_appears_later_takes_the_place_of_a_fallback(sandbox, sync, rows, person) -> None:
    person("u9", "ann@example.com")
    rows(("u1", "ann@example.com"))
    assert sync(identifiers=TWO)["matched_by"] == {"id": 0, "email": 1}
    person("u1", "ann@elsewhere.example")
    assert sync(identifiers=TWO)["matched_by"] == {"id": 1, "email": 0}
    assert members(sandbox) == {("u1", "ann@elsewhere.example")}


def test_members_need_no_look_up(sandbox, sync, rows, person) -> None:
    people = [(f"u{n}", f"{n}@example.com") for n in range(300)]
    for each in people:
        person(*each)
    rows(*people)
    sync(identifiers=TWO)
    sandbox.reset_requests()
    assert sync(identifiers=TWO)["to_add"] == 0
    assert looked_up(sandbox) == 2  # the checks of the key, and that an address identifies people


def test_a_dry_run_is_exact(sandbox, sync, rows, person) -> None:
    person("u1")
    person(None, "ann@example.com")
    rows(("u1", ""), ("u2", "ann@example.com"), ("u3", "x@example.com"))
    report = sync(identifiers=TWO, dry_run=True)
    assert (report["to_add"], report["unmatched"]) == (2, 1)
    assert report["matched_by"] == {"id": 1, "email": 1}
    assert sandbox.workspace.find_segment("Power users") is None


@pytest.mark.parametrize("wanted", [True, False])
def test_any_spelling_of_a_cio_id_is_found(sandbox, sync, rows, person, wanted: bool) -> None:
    sandbox.configure(cio_prefix=wanted)
    person(None, "ann@example.com")
    person("u2")
    rows(("u1", "ann@example.com"), ("u2", ""))
    sync(identifiers=TWO)
    assert members(sandbox) == {(None, "ann@example.com"), ("u2", None)}


def test_a_fallback_lifts_the_match_rate(sandbox, sync, rows, person) -> None:
    person("u1")
    for n in range(3):
        person(None, f"{n}@example.com")
    rows(("u1", ""), *((f"x{n}", f"{n}@example.com") for n in range(3)))
    with pytest.raises(GuardTrippedError, match="low_match"):
        sync(min_match_rate=0.9)
    assert sync(identifiers=TWO, min_match_rate=0.9)["match_rate"] == 1


# ---- what is not certain


def test_a_key_that_may_not_look_people_up_costs_no_export(sandbox, sync, rows) -> None:
    sandbox.configure(lookup_allowed=False)
    rows(("u1", "a@example.com"))
    with pytest.raises(ConfigurationError, match="may not look people up"):
        sync(identifiers=TWO)
    assert sandbox.project.used == 0
    assert sandbox.workspace.find_segment("Power users") is None


def test_a_refused_look_up_adds_nobody_by_a_fallback(sandbox, sync, rows, person) -> None:
    """Whether the first person exists is not known; a member who may be meant stays."""
    sandbox.configure(lookup_refuses="^odd")
    stays = person("u8", "stays@example.com")
    person("u9", "not@example.com")
    sandbox.workspace.add_segment(name="Power users", members=[stays])
    person("u1")
    rows(("odd1", "stays@example.com"), ("odd2", "not@example.com"), ("u1", ""))
    report = sync(identifiers=TWO, adopt_segment=True)
    assert members(sandbox) == {("u8", "stays@example.com"), ("u1", None)}
    assert (report["rejected"], report["unmatched"], report["removed"]) == (2, 0, 0)
    assert report["matched_by"] == {"id": 1, "email": 0}


def test_an_identifier_that_cannot_be_read_adds_nobody(sandbox, sync, rows, person) -> None:
    stays = person("u8", "caf\u00e9@example.com")
    sandbox.workspace.add_segment(name="Power users", members=[stays])
    person("u9", "nine@example.com")
    people = [(f"u{n}", "") for n in range(10, 40)]
    for each in people:
        person(each[0])
    rows(("x", "caf\udce9@example.com"), ("y\udcff", "nine@example.com"), *people)
    report = sync(identifiers=TWO, adopt_segment=True)
    assert ("u8", "caf\u00e9@example.com") in members(sandbox)
    assert ("u9", "nine@example.com") not in members(sandbox)
    assert (report["unreadable"], report["removed"], report["unmatched"]) == (2, 0, 0)
    assert report["duplicates"] == 0


def test_an_id_that_is_too_long_falls_back(sandbox, sync, rows, person) -> None:
    person("u1", "ann@example.com")
    rows(("x" * 151, "ann@example.com"))
    assert sync(identifiers=TWO)["matched_by"] == {"id": 0, "email": 1}


def test_white_space_makes_another_id(sandbox, sync, rows, person) -> None:
    person("u1")
    rows(("u1 ", "nobody@example.com"))
    report = sync(identifiers=TWO)
    assert (members(sandbox), report["unmatched"], report["mistyped"]) == (set(), 1, 1)


# ---- a wrong mapping


def test_a_first_identifier_that_finds_nobody_is_refused(sandbox, sync, rows, person) -> None:
    people = [(f"x{n}", f"{n}@example.com") for n in range(30)]
    for n, (_, email) in enumerate(people):
        person(f"u{n}", email)
    rows(*people)
    with pytest.raises(MappingError, match=r"property 'user_id'.* exists in Customer.io as id"):
        sync(identifiers=TWO)
    assert sync(identifiers=TWO, allow_no_match=True)["added"] == 30


def test_identifiers_that_find_nobody_are_refused(sandbox, sync, rows) -> None:
    rows(*((f"x{n}", f"{n}@example.com") for n in range(30)))
    with pytest.raises(MappingError, match=r"'user_id, mail'.* exists in Customer.io as id or email"):
        sync(identifiers=TWO)


def test_a_fallback_that_finds_nobody_is_a_warning(sandbox, sync, rows, person, caplog) -> None:
    for n in range(30):
        person(f"u{n}")
    rows(*((f"u{n}", "") for n in range(30)))
    assert sync(identifiers=TWO)["added"] == 30
    assert re.search("None of the cohort's 30 rows has a value of property 'mail'", caplog.text)


# ---- faults


@pytest.mark.parametrize("lag", ["visible_after", "count_after"])
def test_late_reads(sandbox, sync, rows, person, lag: str) -> None:
    sandbox.configure(**{lag: 1})
    person("u1")
    person(None, "ann@example.com")
    rows(("u1", ""), ("u2", "ann@example.com"))
    report = sync(identifiers=TWO)
    assert members(sandbox) == {("u1", None), (None, "ann@example.com")}
    assert (report["added"], report["unmatched"]) == (2, 0)


def test_a_dropped_batch_is_sent_again(sandbox, sync, rows, person) -> None:
    person("u1")
    person(None, "ann@example.com")
    rows(("u1", ""), ("u2", "ann@example.com"))
    sandbox.faults.add("drop", api="track", times=1)
    report = sync(identifiers=TWO)
    assert (report["added"], len(members(sandbox))) == (2, 2)


@pytest.mark.parametrize("status", [403, 500])
def test_a_look_up_that_fails_writes_nothing(sandbox, sync, rows, person, monkeypatch, status: int) -> None:
    """An answer that fails for good must not look like people who do not exist."""
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.1")
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_WAIT_INITIAL", "0.01")
    person("u1")
    person("u9", "ann@example.com")
    rows(("u1", "ann@example.com"))
    sandbox.faults.add("status", api="app", path="/customers/attributes", status=status, after=2, times=0)
    with pytest.raises(CohortSyncError, match="looking people up"):
        sync(identifiers=TWO)
    assert sandbox.project.used == 1
    assert sandbox.count("track", "add_customers") == 0


# ---- any world

FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "drop": {"action": "drop", "api": "track"},
    "a page that ends early": {"action": "end_early", "api": "app"},
    "a look-up that fails": {"action": "status", "api": "app", "path": "/customers/attributes$", "after": 2},
    "a cut export": {"action": "cut", "api": "storage"},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(3))
def test_any_world_is_as_the_rows_say(sandbox, sync, rows, seed: int, fault: str) -> None:
    """The vendors' own state decides; people appear and disappear between runs, and others write."""
    dice = random.Random(f"{seed} {fault}")  # noqa: S311
    workspace = sandbox.workspace
    for run in range(3):
        for _ in range(8):
            id, email = f"u{dice.randrange(25)}", f"{dice.randrange(25)}@example.com"
            if not workspace.look_up([id], "id") and not workspace.look_up([email], "email"):
                workspace.add_person(id=id, email=dice.choice([email, None]))
        for n in dice.sample(range(25), 4):
            if not workspace.look_up([f"{n}@example.com"], "email"):
                workspace.add_person(id=None, email=f"{n}@example.com")
        table = [
            (
                dice.choice(["", f"u{dice.randrange(30)}"]),
                dice.choice(["", f"{dice.randrange(30)}@Example.com"]),
            )
            for _ in range(25)
        ]
        rows(*table)
        wanted, by = set(), {}
        for id, email in table:
            first = workspace.look_up([id], "id") if id else []
            found = first or (workspace.look_up([email], "email") if email else [])
            wanted |= {person.cio_id for person in found}
            by.update({person.cio_id: "id" for person in first})
            by.update({person.cio_id: by.get(person.cio_id, "email") for person in found})
        if run:
            segment = workspace.find_segment("Power users")
            segment.by_hand_add(list(workspace.people.values())[:2])
            segment.by_hand_remove(segment.members[:2])
        if FAULTS[fault]:
            sandbox.faults.clear()
            sandbox.faults.add(**FAULTS[fault])
        allowed = dict.fromkeys(("allow_large_removal", "allow_short_cohort", "allow_no_match"), True)
        report = sync(identifiers=TWO, **allowed)
        members_now = workspace.find_segment("Power users").members
        stay = {person.cio_id for person in members_now if person.cio_id not in wanted}
        assert stay <= {person.cio_id for person in members_now if person.id is None}
        assert {person.cio_id for person in members_now} - stay == wanted
        assert len(stay) == report["not_removable"]
        assert report["matched_by"] == {kind: list(by.values()).count(kind) for kind in ("id", "email")}
        assert report["segment_after"] == len(members_now)


# ---- snapshots


def test_a_snapshot_restores_the_people(sandbox, sync, rows, person, tmp_path) -> None:
    person("u1", "ann@example.com")
    person(None, "bo@example.com")
    rows(("u1", "ann@example.com"), ("u2", "bo@example.com"))
    sync(identifiers=TWO, snapshot_path=f"file://{tmp_path}")
    segment = sandbox.workspace.find_segment("Power users")
    segment.by_hand_remove(segment.members)
    segment.by_hand_add([person("u7")])
    report = sync(
        identifiers=TWO,
        snapshot_path=f"file://{tmp_path}",
        source="snapshot",
        snapshot_at="2999-01-01",
        max_removal_percent=None,
    )
    assert members(sandbox) == {("u1", "ann@example.com"), (None, "bo@example.com")}
    assert (report["identifiers"], report["matched_by"]) == (2, {})


# ---- the parameter


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"identifiers": TWO, "id_type": "email"}, "id_type: identifiers is given too"),
        ({"identifiers": TWO, "user_id_property": "x"}, "user_id_property: identifiers is given too"),
        ({"identifiers": []}, "identifiers"),
        ({"identifiers": [TWO[0], TWO[0]]}, "two of them are equal"),
        ({"identifiers": [{"property": "x"}]}, "id_type is missing"),
        ({"identifiers": [{"property": "x", "id_type": "phone"}]}, "id_type is 'phone'"),
    ],
)
def test_wrong_identifiers(sync, wrong, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sync(**wrong)


def test_a_list_of_one_is_as_one(sandbox, sync, rows, person) -> None:
    person("u1")
    rows(("u1", ""))
    report = sync(identifiers=TWO[:1])
    assert (report["added"], report["matched_by"], looked_up(sandbox)) == (1, {}, 1)
    assert sync()["to_add"] == 0
