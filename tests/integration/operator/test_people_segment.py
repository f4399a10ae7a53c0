"""Several identifiers with a segment of everybody: faster, and nobody else than by look-ups."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.exceptions import ConfigurationError, MappingError, SyncStoppedError
from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

TWO = [{"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"}]


@pytest.fixture
def crowd(sandbox):
    """Return the rows of 3,000 people with an id, 50 with an address alone, and 2,500 who are unknown."""
    rows = [(f"u{n}", f"{n}@example.com") for n in range(3_000)]
    for user_id, mail in rows:
        sandbox.workspace.add_person(id=user_id, email=mail)
    for n in range(50):
        sandbox.workspace.add_person(id=None, email=f"lead{n}@example.com")
        rows.append((f"new{n}", f"lead{n}@example.com"))
    rows += [(f"x{n}", f"x{n}@example.com") for n in range(2_500)]
    return rows


@pytest.fixture
def cohort(sandbox):
    def make(rows: list[tuple[str, str]]) -> Any:
        people = [{"amplitude_id": str(n), "user_id": a, "mail": b} for n, (a, b) in enumerate(rows)]
        return sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=people)

    return make


@pytest.fixture
def everybody(sandbox):
    """Make a data-driven segment of those who are in the workspace now, except some."""

    def make(without: tuple[Any, ...] = ()) -> int:
        people = [each for each in sandbox.workspace.people.values() if each not in without]
        return sandbox.workspace.add_segment(name="Everybody", type="dynamic", members=people).id

    return make


def members(sandbox) -> set[str]:
    return {each.cio_id for each in sandbox.workspace.find_segment("Power users").members}


def looked_up(sandbox) -> int:
    return sandbox.count("app", "/customers/attributes$")


def test_it_takes_fewer_look_ups_and_finds_the_same_people(sandbox, sync, crowd, cohort, everybody) -> None:
    cohort(crowd)
    segment_id = everybody()
    report = sync(identifiers=TWO, people_segment_id=segment_id)
    assert report["matched_by"] == {"id": 3_000, "email": 50}
    assert (report["added"], report["unmatched"], report["segment_after"]) == (3_050, 2_500, 3_050)
    # two checks of the key; two samples of 2,000; and the ids of the 50
    assert looked_up(sandbox) == 2 + 20 + 20 + 1
    assert sandbox.count("app", f"/segments/{segment_id}/membership") == 1

    before = members(sandbox)
    sandbox.reset_requests()
    again = sync(identifiers=TWO, people_segment_id=segment_id)
    assert (again["to_add"], again["to_remove"], again["matched_by"]) == (0, 0, report["matched_by"])
    assert looked_up(sandbox) == 2 + 20 + 20
    sandbox.reset_requests()
    exact = sync(identifiers=TWO)
    assert (exact["to_add"], exact["to_remove"], exact["unmatched"]) == (0, 0, 2_500)
    assert looked_up(sandbox) == 2 + 26 + 25
    assert members(sandbox) == before


def test_a_fallback_adds_nobody_whose_first_identifier_exists_but_is_not_in_it(
    sandbox, sync, crowd, cohort, everybody
) -> None:
    """Somebody who was created a moment ago, of whom a sample shows nothing."""
    new = sandbox.workspace.add_person(id="new0")
    cohort(crowd)
    report = sync(identifiers=TWO, people_segment_id=everybody(without=(new,)))
    [lead] = sandbox.workspace.look_up(["lead0@example.com"], "email")
    assert new.cio_id in members(sandbox)
    assert lead.cio_id not in members(sandbox)
    assert report["matched_by"] == {"id": 3_001, "email": 49}


def test_a_look_up_that_is_refused_adds_nobody(sandbox, sync, crowd, cohort, everybody) -> None:
    sandbox.configure(lookup_refuses="^new")
    cohort(crowd)
    report = sync(identifiers=TWO, people_segment_id=everybody())
    assert report["matched_by"] == {"id": 3_000, "email": 0}
    assert (report["rejected"], report["unmatched"], report["segment_after"]) == (50, 2_500, 3_000)


def test_a_member_of_a_fallback_leaves_when_the_first_identifier_is_in_it(
    sandbox, sync, crowd, cohort, everybody
) -> None:
    cohort(crowd)
    sync(identifiers=TWO, people_segment_id=everybody())
    new = sandbox.workspace.add_person(id="new0", email="elsewhere@example.com")
    sandbox.configure(removal_needs_id=False)
    report = sync(identifiers=TWO, people_segment_id=everybody())
    assert (report["added"], report["removed"]) == (1, 1)
    assert new.cio_id in members(sandbox)


def test_a_segment_that_lacks_people_is_said_and_everybody_looked_up(
    sandbox, sync, crowd, cohort, everybody, caplog
) -> None:
    """A condition such as "email exists" leaves out those without one."""
    by_id = [sandbox.workspace.add_person(id=f"only{n}") for n in range(500)]
    cohort([*crowd, *((each.id, "") for each in by_id)])
    report = sync(identifiers=TWO, people_segment_id=everybody(without=tuple(by_id)))
    assert "does not contain everybody" in caplog.text
    assert report["matched_by"] == {"id": 3_500, "email": 50}
    assert {each.cio_id for each in by_id} <= members(sandbox)


def test_a_small_cohort_is_looked_up(sandbox, sync, crowd, cohort, everybody) -> None:
    cohort(crowd[:1_000])
    segment_id = everybody()
    assert sync(identifiers=TWO, people_segment_id=segment_id)["added"] == 1_000
    assert sandbox.count("app", f"/segments/{segment_id}/membership") == 0


@pytest.mark.parametrize("kind", ["missing", "manual"])
def test_a_wrong_one_costs_no_export(sandbox, sync, cohort, kind: str) -> None:
    cohort([("u1", "a@example.com")])
    segment_id = sandbox.workspace.add_segment(name="By hand").id if kind == "manual" else 4711
    with pytest.raises(ConfigurationError, match=f"{segment_id}.*people_segment_id"):
        sync(identifiers=TWO, people_segment_id=segment_id)
    assert sandbox.project.used == 0


def test_with_one_identifier_it_has_no_effect(sandbox, sync, cohort) -> None:
    """So that the defaults of a file can give it."""
    sandbox.workspace.add_person(id="u1")
    cohort([("u1", "a@example.com")])
    assert sync(people_segment_id=4711)["added"] == 1


def test_it_is_not_the_segment_that_is_filled(sync) -> None:
    with pytest.raises(ConfigurationError, match="segment_id is the same segment"):
        sync(identifiers=TWO, segment_name=None, segment_id=5, people_segment_id=5)


# ---- what it lacks, and what goes wrong with it


def test_a_few_whom_it_lacks_are_said(sandbox, sync, crowd, cohort, everybody, caplog) -> None:
    """No more than one in a hundred is tolerated, but never in silence."""
    by_id = [sandbox.workspace.add_person(id=f"only{n}") for n in range(15)]
    cohort([*crowd, *((each.id, "") for each in by_id)])
    sync(identifiers=TWO, people_segment_id=everybody(without=tuple(by_id)))
    assert "people are left out until they are in it" in caplog.text
    caplog.clear()
    sync(identifiers=TWO, people_segment_id=everybody())
    assert "does not contain everybody" not in caplog.text


def test_an_id_that_exists_in_another_spelling_is_nobody_it_lacks(
    sandbox, sync, crowd, cohort, everybody, caplog
) -> None:
    sandbox.configure(identifiers_trimmed=True)
    cohort([*crowd, *((f"u{n} ", "") for n in range(1_000))])
    report = sync(identifiers=TWO, people_segment_id=everybody())
    assert "does not contain everybody" not in caplog.text
    assert (report["added"], report["unmatched"]) == (3_050, 3_500)


def test_that_nobody_has_the_first_identifier_is_said_only_if_it_is_certain(
    sandbox, sync, cohort, everybody
) -> None:
    """Of 2,600 ids one exists, which neither the segment has nor every sample."""
    people = [sandbox.workspace.add_person(id=None, email=f"{n}@example.com") for n in range(50)]
    segment_id = everybody()
    rows = [(f"x{n}", people[n].email if n < 50 else "") for n in range(2_600)]
    cohort(rows)
    with pytest.raises(MappingError, match="None of the cohort's 2,600 identifiers"):
        sync(identifiers=TWO, people_segment_id=segment_id)
    sandbox.workspace.add_person(id="x1700")
    for _ in range(10):
        report = sync(identifiers=TWO, people_segment_id=segment_id, dry_run=True)
        assert report["matched_by"]["email"] == 50


def test_a_look_up_that_all_are_refused_proves_nothing(sandbox, sync, crowd, cohort, everybody) -> None:
    sandbox.configure(lookup_refuses="^(new|x)[0-9]+$")
    cohort(crowd)
    report = sync(identifiers=TWO, people_segment_id=everybody())
    assert (report["rejected"], report["unmatched"], report["segment_after"]) == (2_550, 0, 3_000)


def test_an_identifier_that_changes_hands_between_two_pages(
    sandbox, sync, crowd, cohort, everybody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 2_000)
    cohort(crowd)
    segment_id = everybody()
    [old, new] = sandbox.workspace.look_up(["u0", "u2999"], "id")

    def change_hands(_: Any) -> None:
        sandbox.workspace.rename_person(old, id="u0-old")
        sandbox.workspace.rename_person(new, id="u0")

    sandbox.at_request(change_hands, path=f"/segments/{segment_id}/membership", after=1)
    sync(identifiers=TWO, people_segment_id=segment_id)
    assert new.cio_id in members(sandbox)
    assert old.cio_id not in members(sandbox)


def test_it_is_deleted_after_the_checks(sandbox, sync, crowd, cohort, everybody, caplog) -> None:
    cohort(crowd)
    segment_id = everybody()
    path = f"/segments/{segment_id}/membership"
    sandbox.at_request(lambda _: sandbox.workspace.segments.pop(segment_id), path=path)
    report = sync(identifiers=TWO, people_segment_id=segment_id)
    assert f"Customer.io has no segment {segment_id}" in caplog.text
    assert report["matched_by"] == {"id": 3_000, "email": 50}


def test_the_disk_has_no_room_for_it(
    sandbox, sync, crowd, cohort, everybody, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort(crowd)
    usage = shutil.disk_usage("/")

    def after_the_rows(directory: Path) -> Any:
        return usage._replace(free=0) if (directory / "rows.asked").exists() else usage._replace(free=2**40)

    monkeypatch.setattr(shutil, "disk_usage", after_the_rows)
    report = sync(identifiers=TWO, people_segment_id=everybody())
    assert "too little space" in caplog.text
    assert report["matched_by"] == {"id": 3_000, "email": 50}


@pytest.mark.parametrize("action", ["end_early", "null_lists"])
def test_pages_that_lack_people(sandbox, sync, crowd, cohort, everybody, action: str) -> None:
    cohort(crowd)
    segment_id = everybody()
    sandbox.faults.add(action, path=f"/segments/{segment_id}/membership")
    assert sync(identifiers=TWO, people_segment_id=segment_id)["added"] == 3_050


def test_a_kill_while_it_is_read(sandbox, sync, crowd, cohort, everybody, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    cohort(crowd)
    segment_id = everybody()
    operator = AmplitudeCohortToCustomerIOOperator(
        task_id="sync",
        cohort_id="a1b2c3d",
        segment_name="Power users",
        identifiers=TWO,
        people_segment_id=segment_id,
        poll_interval=0.05,
    )
    sandbox.at_request(lambda _: operator.on_kill(), path=f"/segments/{segment_id}/membership")
    with pytest.raises(SyncStoppedError):
        sync(ready=operator)
    assert list(tmp_path.rglob("run-*")) == []
    assert sandbox.count("track", "_customers$") == 0


def test_rows_of_every_kind_come_to_the_same(sandbox, sync, cohort, everybody) -> None:
    workspace, rows = sandbox.workspace, []
    for n in range(3_000):
        person = workspace.add_person(id=f"u{n}", email=f"{n}@Example.com")
        user_id, mail = f"u{n}" if n % 3 else "", f"{n}@example.com" if n % 2 else ""
        rows.append((user_id, mail, f"u{n + 1}" if n % 7 == 0 else "", person.cio_id))
    for n in range(50):
        workspace.add_person(id=None, email=f"lead{n}@example.com")
        workspace.add_person(id=f"a\\b{n}")
        rows += [(f"new{n}", f"LEAD{n}@example.com", f"u{n}", ""), (f"a\\b{n}", f"a{n}@x", "q\x01", "cio_zz")]
        rows += [(f"no{n}", f"{n}@example.com", f"u{n + 1_600}", ""), (f" u{n}", "", "", "")]
        rows += [("k" * 160, f"{n}@example.com", "", ""), (f"bad{n}\udcff", f"{n}@example.com", "", "")]
    rows += [(f"x{n}", f"x{n}@example.com", f"y{n}", f"cio_f{n}") for n in range(2_500)]
    names = ("user_id", "mail", "other", "cio")
    people = [{"amplitude_id": str(n), **dict(zip(names, row, strict=True))} for n, row in enumerate(rows)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=people)
    sandbox.configure(lookup_refuses="^no[0-9]")
    segment_id = everybody()
    workspace.add_segment(name="Power users", members=list(workspace.people.values())[1_500:2_500])
    kinds = [("other", "id"), ("other", "email"), ("cio", "cio_id")]
    five = [*TWO, *({"property": name, "id_type": kind} for name, kind in kinds)]
    exact = sync(identifiers=five, dry_run=True)
    assert exact["conflicting"]
    assert exact["rejected"]
    assert exact["unreadable"]
    assert sync(identifiers=five, dry_run=True, people_segment_id=segment_id) == exact
