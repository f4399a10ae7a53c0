from __future__ import annotations

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sync.target import describe, is_owned

FIELDS = [
    "cohort_id",
    "segment_id",
    "segment_name",
    "mode",
    "source",
    "snapshot_at",
    "dry_run",
    "limit",
    "cohort_rows",
    "without_identifier",
    "unreadable",
    "mistyped",
    "duplicates",
    "identifiers",
    "segment_before",
    "joined_elsewhere",
    "left_elsewhere",
    "to_add",
    "to_remove",
    "left_to_add",
    "left_to_remove",
    "added",
    "removed",
    "not_removable",
    "segment_after",
    "tracked",
    "unmatched",
    "rejected",
    "match_rate",
    "matched_by",
    "conflicting",
]


def members(sandbox, name: str = "Power users") -> set[str | None]:
    return {person.id for person in sandbox.workspace.find_segment(name).members}


def writes(sandbox) -> list[tuple[str, int]]:
    return [
        (record.path.rpartition("/")[2], record.ids)
        for record in sandbox.requests
        if record.path.endswith("_customers")
    ]


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_cohort_reaches_a_new_segment(sandbox, cohort, sync, deferrable: bool) -> None:
    sandbox.configure(export_seconds=0.2)
    sandbox.workspace.add_person(id="c")
    cohort("a", "b", "b", "", "\tc")
    report = sync(deferrable=deferrable)
    assert members(sandbox) == {"a", "b", "c"}
    assert list(report) == FIELDS
    segment = sandbox.workspace.find_segment("Power users")
    assert segment.type == "manual"
    assert is_owned(segment.description, "a1b2c3d")
    assert (report["segment_id"], report["segment_name"]) == (segment.id, "Power users")
    assert (report["cohort_rows"], report["without_identifier"], report["duplicates"]) == (5, 1, 1)
    assert (report["identifiers"], report["segment_before"], report["to_add"]) == (3, 0, 3)


def test_counts_of_people_who_are_not_in_customer_io(sandbox, cohort, sync) -> None:
    cohort("a", "b", "c")
    sandbox.project.add_cohort(
        id="a1b2c3d",
        name="Power users",
        rows=[
            {"amplitude_id": str(n), "user_id": user_id} for n, user_id in enumerate(["a", "b", "c", "ghost"])
        ],
    )
    report = sync()
    assert members(sandbox) == {"a", "b", "c"}
    assert (report["added"], report["removed"], report["segment_after"]) == (3, 0, 3)
    assert (report["unmatched"], report["match_rate"]) == (1, 0.75)


def test_running_again_changes_nothing_and_sends_only_the_unmatched(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    sandbox.reset_requests()
    report = sync()
    assert (report["to_add"], report["to_remove"], report["segment_before"]) == (0, 0, 2)
    assert writes(sandbox) == []
    assert len([r for r in sandbox.requests if r.path.endswith("/membership")]) == 1
    sandbox.project.add_cohort(
        id="a1b2c3d",
        name="x",
        rows=[{"amplitude_id": "1", "user_id": user_id} for user_id in ("a", "b", "ghost")],
    )
    sync()
    assert writes(sandbox) == [("add_customers", 1)]
    sandbox.workspace.add_person(id="ghost")
    report = sync()
    assert writes(sandbox) == [("add_customers", 1)] * 2
    assert (report["added"], report["unmatched"]) == (1, 0)


def test_people_who_were_unknown_last_time_are_looked_up_before_they_are_sent(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    cohort("a", "b", "ghost", known=False)
    sync()
    sandbox.reset_requests()
    report = sync()
    assert writes(sandbox) == []
    assert (report["to_add"], report["added"], report["unmatched"]) == (1, 0, 1)
    assert sandbox.count("app", "/attributes$") == 1
    sandbox.workspace.add_person(id="ghost")
    assert sync()["added"] == 1
    assert members(sandbox) == {"a", "b", "ghost"}


def test_somebody_whom_a_look_up_refuses_is_sent_all_the_same(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    cohort("a", "b", "ghost", known=False)
    sync()
    sandbox.configure(lookup_refuses="^ghost$")
    sandbox.workspace.add_person(id="ghost")
    assert sync()["added"] == 1
    assert members(sandbox) == {"a", "b", "ghost"}


def test_mirror_removes_who_left_the_cohort_and_adds_come_first(sandbox, cohort, sync) -> None:
    cohort("a", "b", "c")
    sync()
    cohort("b", "c", "d")
    sandbox.reset_requests()
    report = sync()
    assert members(sandbox) == {"b", "c", "d"}
    assert writes(sandbox) == [("add_customers", 1), ("remove_customers", 1)]
    assert (report["to_add"], report["to_remove"], report["added"], report["removed"]) == (1, 1, 1, 1)
    assert (report["segment_before"], report["segment_after"]) == (3, 3)


def test_add_only_removes_nobody(sandbox, cohort, sync) -> None:
    guest = sandbox.workspace.add_person(id="guest")
    sandbox.workspace.add_segment(name="Power users", members=[guest])
    cohort("a", "b")
    report = sync(mode="add_only")
    assert members(sandbox) == {"a", "b", "guest"}
    assert (report["mode"], report["to_remove"], report["removed"]) == ("add_only", 0, 0)
    assert (report["segment_before"], report["segment_after"]) == (1, 3)


def test_a_dry_run_writes_nothing_and_creates_nothing(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    report = sync(dry_run="True")
    assert sandbox.workspace.find_segment("Power users") is None
    assert writes(sandbox) == []
    assert (report["dry_run"], report["segment_id"], report["to_add"], report["added"]) == (True, None, 2, 0)
    assert (report["unmatched"], report["match_rate"]) == (0, 1.0)
    sync()
    cohort("b")
    report = sync(dry_run=True)
    assert members(sandbox) == {"a", "b"}
    assert (report["to_remove"], report["removed"], report["segment_after"]) == (1, 0, 2)
    assert (report["unmatched"], report["match_rate"]) == (0, 1.0)


def test_identifiers_of_all_kinds_survive(sandbox, cohort, sync) -> None:
    strange = ['say "hi", you', "two\nlines", "ключ-é", "a,b", "tab\tbed", "back\\slash", "A", "x" * 150]
    cohort(*strange)
    report = sync()
    assert members(sandbox) == set(strange)
    assert report["match_rate"] == 1.0
    report = sync()
    assert (report["to_add"], report["to_remove"]) == (0, 0)


def test_ids_of_more_than_150_bytes_are_not_sent(sandbox, cohort, sync) -> None:
    cohort("b")
    sync()
    sandbox.reset_requests()
    cohort("b", "a", "x" * 151)
    report = sync()
    assert writes(sandbox) == [("add_customers", 1)]
    assert (report["identifiers"], report["to_add"], report["unmatched"]) == (3, 1, 1)


def test_email_is_compared_without_case(sandbox, sync) -> None:
    sandbox.workspace.add_person(id="1", email="Ann+x@Example.com")
    sandbox.workspace.add_person(id=None, email="bob@example.com")
    rows = [
        {"amplitude_id": "1", "user_id": "", "mail": "ann+X@example.COM"},
        {"amplitude_id": "2", "user_id": "", "mail": "BOB@example.com"},
        {"amplitude_id": "3", "user_id": "", "mail": "bob@EXAMPLE.com"},
    ]
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    report = sync(user_id_property="mail", id_type="email")
    assert (report["identifiers"], report["duplicates"], report["added"]) == (2, 1, 2)
    report = sync(user_id_property="mail", id_type="email")
    assert (report["to_add"], report["to_remove"], report["segment_before"]) == (0, 0, 2)


def test_members_who_cannot_be_matched_leave_by_another_identifier(sandbox, cohort, sync) -> None:
    people = [
        sandbox.workspace.add_person(id="a", email=None),
        sandbox.workspace.add_person(id=None, email="no-id@example.com"),
        sandbox.workspace.add_person(id=None, email=None),
    ]
    sandbox.workspace.add_segment(name="Power users", members=people)
    cohort("a", known=False)
    report = sync(adopt_segment=True)
    assert members(sandbox) == {"a"}
    assert (report["segment_before"], report["removed"], report["segment_after"]) == (3, 2, 1)


def test_where_a_removal_needs_an_id_those_without_one_are_counted(sandbox, cohort, sync) -> None:
    sandbox.configure(removal_needs_id=True)
    people = [
        sandbox.workspace.add_person(id="b", email="b@example.com"),
        sandbox.workspace.add_person(id=None, email="no-id@example.com"),
    ]
    sandbox.workspace.add_segment(name="Power users", members=people)
    cohort("a")
    report = sync(adopt_segment=True)
    assert (report["to_remove"], report["removed"], report["not_removable"]) == (2, 1, 1)
    assert members(sandbox) == {"a", None}


@pytest.mark.parametrize("prefix", [False, True])
def test_a_cio_id_with_or_without_its_prefix(sandbox, cohort, sync, prefix: bool) -> None:
    sandbox.configure(cio_prefix=prefix)
    without_id = sandbox.workspace.add_person(id=None, email=None)
    with_id = sandbox.workspace.add_person(id="a")
    sandbox.workspace.add_segment(name="Power users", members=[without_id, with_id])
    cohort("a")
    assert sync(adopt_segment=True)["removed"] == 1
    assert members(sandbox) == {"a"}


def test_a_segment_by_its_id(sandbox, cohort, sync) -> None:
    segment = sandbox.workspace.add_segment(name="Chosen")
    cohort("a")
    report = sync(segment_id=str(segment.id))
    assert members(sandbox, "Chosen") == {"a"}
    assert (report["segment_id"], report["segment_name"]) == (segment.id, "Chosen")


def test_an_empty_cohort_into_an_empty_segment_is_no_danger(sandbox, cohort, sync) -> None:
    cohort()
    report = sync()
    assert (report["identifiers"], report["segment_after"], report["match_rate"]) == (0, 0, None)


@pytest.mark.parametrize("visible_after", [0.4, 1.5])
def test_writes_that_show_late_are_waited_for(sandbox, cohort, sync, visible_after: float) -> None:
    cohort("a", "b")
    sync()
    cohort("b", "c")
    sandbox.configure(visible_after=visible_after)
    report = sync()
    assert members(sandbox) == {"b", "c"}
    assert (report["added"], report["removed"], report["segment_after"]) == (1, 1, 2)


def test_a_removal_that_never_shows_fails_and_says_how_many(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    cohort("b")
    sandbox.faults.add("drop", api="track", path="remove_customers", times=0)
    with pytest.raises(exceptions.VerificationError, match="1 members could not be removed"):
        sync()
    assert [name for name, _ in writes(sandbox)].count("remove_customers") == 4


def trip(sync, **parameters) -> exceptions.GuardTrippedError:
    with pytest.raises(exceptions.GuardTrippedError) as caught:
        sync(**parameters)
    return caught.value


def test_a_large_removal_is_refused_before_the_first_write(sandbox, cohort, sync) -> None:
    cohort(*(f"u-{n:03}" for n in range(100)))
    sync()
    cohort(*(f"u-{n:03}" for n in range(60, 140)))
    sandbox.reset_requests()
    error = trip(sync)
    assert error.trips == ("large_removal",)
    assert "60 of 100 members (60.0 %)" in str(error)
    assert "allow_large_removal" in str(error)
    assert writes(sandbox) == []
    report = sync(dry_run=True)
    assert report["to_remove"] == 60
    assert sync(allow_large_removal="True")["removed"] == 60


def test_an_empty_cohort_does_not_empty_the_segment(sandbox, cohort, sync) -> None:
    cohort("a", "b")
    sync()
    cohort()
    assert trip(sync).trips == ("empty_cohort",)
    assert members(sandbox) == {"a", "b"}
    assert sync(allow_empty_cohort="true")["removed"] == 2


def test_people_are_removed_from_a_foreign_segment_only_if_it_is_adopted(sandbox, cohort, sync) -> None:
    guest = sandbox.workspace.add_person(id="guest", email=None)
    sandbox.workspace.add_segment(name="Power users", description="by hand", members=[guest])
    cohort("a")
    assert trip(sync).trips == ("unmanaged_segment",)
    assert members(sandbox) == {"guest"}
    assert sync(adopt_segment=True)["removed"] == 1


def test_a_segment_that_was_made_for_another_cohort_is_foreign(sandbox, cohort, sync) -> None:
    guest = sandbox.workspace.add_person(id="guest", email=None)
    sandbox.workspace.add_segment(
        name="Power users", description=describe("z9y8x7w", None, "mirror"), members=[guest]
    )
    cohort("a")
    assert trip(sync).trips == ("unmanaged_segment",)


@pytest.mark.parametrize("group", ["User", "user", "USER "])
def test_a_cohort_of_people_is_known_by_its_group_in_any_case(sandbox, cohort, sync, group: str) -> None:
    cohort("u-1").group = group
    assert sync()["added"] == 1
