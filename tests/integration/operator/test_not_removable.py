"""People without an id, whom Customer.io's API does not remove: the run says how many, and is done."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.assets import known_segment
from tests.integration.operator.conftest import prove_keys
from tests.integration.operator.test_sync import members, writes

MAIL = "zqz-{}@example.com"


@pytest.fixture
def segment(sandbox) -> Any:
    """A segment with one person who is in the cohort, one who is not, and two who have no id."""
    sandbox.configure(removal_needs_id=True)
    people = [sandbox.workspace.add_person(id=name) for name in ("a", "b")]
    people += [sandbox.workspace.add_person(email=MAIL.format(number)) for number in range(2)]
    return sandbox.workspace.add_segment(name="Power users", members=people)


def test_the_run_succeeds_and_says_how_many_are_left_and_what_to_do(
    sandbox, segment, cohort, sync, caplog
) -> None:
    cohort("a", "c")
    with caplog.at_level(logging.INFO):
        report = sync(adopt_segment=True)
    assert [person.id for person in segment.members] == ["a", None, None, "c"]
    assert (report["to_remove"], report["removed"], report["not_removable"]) == (3, 1, 2)
    assert (report["added"], report["segment_after"]) == (1, 4)
    (warning,) = [
        record.getMessage() for record in caplog.records if "they have no id" in record.getMessage()
    ]
    assert warning.startswith("2 people who are not in the cohort stay in the segment")
    assert "Remove them by hand in Customer.io, or give them an id." in warning
    assert "2 could not be removed" in caplog.text
    assert "zqz" not in caplog.text
    again = sync(adopt_segment=True)
    assert (again["to_remove"], again["removed"], again["not_removable"]) == (2, 0, 2)


def test_a_parameter_makes_it_an_error_that_no_retry_mends(sandbox, segment, cohort, sync) -> None:
    cohort("a", "c")
    with pytest.raises(exceptions.NotRemovableError) as caught:
        sync(adopt_segment=True, on_not_removable="fail")
    assert isinstance(caught.value, exceptions.PermanentError)
    assert caught.value.segment_touched is True
    assert caught.value.headline == f"2 people without an id cannot be removed from segment {segment.id}."
    assert "on_not_removable: warn" in str(caught.value)
    assert "zqz" not in str(caught.value)
    assert [person.id for person in segment.members] == ["a", None, None, "c"]  # all else is done
    segment.by_hand_remove([person for person in segment.members if person.id is None])
    assert sync(adopt_segment=True, on_not_removable="fail")["not_removable"] == 0


@pytest.mark.parametrize("wrong", ["ignore", "", True])
def test_the_parameter_is_checked(wrong: Any, sync) -> None:
    with pytest.raises(exceptions.ConfigurationError, match="on_not_removable"):
        sync(on_not_removable=wrong)


def test_where_the_api_removes_them_nobody_is_left(sandbox, segment, cohort, sync) -> None:
    sandbox.configure(removal_needs_id=False)
    cohort("a", "c")
    report = sync(adopt_segment=True)
    assert (report["removed"], report["not_removable"]) == (3, 0)
    assert members(sandbox) == {"a", "c"}


def test_slowness_is_not_taken_for_it(sandbox, segment, cohort, sync, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "20")
    sandbox.configure(removal_needs_id=False, visible_after=0.5)
    cohort("a", "c")
    assert sync(adopt_segment=True)["not_removable"] == 0


def test_a_removal_that_was_dropped_is_not_taken_for_it(sandbox, segment, cohort, sync, assets) -> None:
    sandbox.configure(removal_needs_id=False)
    cohort("a", "b")
    prove_keys(assets, segment)
    dropped = sandbox.faults.add("drop", path="remove_customers")
    report = sync(adopt_segment=True)
    assert (dropped.met, report["removed"], report["not_removable"]) == (1, 2, 0)


def test_whoever_has_an_id_is_an_error_as_before(sandbox, segment, cohort, sync, assets) -> None:
    cohort("a")
    prove_keys(assets, segment)
    sandbox.faults.add("drop", path="remove_customers", times=0)
    with pytest.raises(exceptions.VerificationError) as caught:
        sync(adopt_segment=True)
    assert "3 members could not be removed (2 of them have no id, so they never can)" in str(caught.value)


def test_it_does_not_take_the_whole_timeout(sandbox, segment, cohort, sync, assets, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "600")
    cohort("a", "b")
    prove_keys(assets, segment)
    assert sync(adopt_segment=True)["not_removable"] == 2
    assert sandbox.count(api="app", path_regex="/membership$") < 40
    assert len(writes(sandbox)) < 10


def test_where_nothing_else_is_to_be_written_the_keys_stay_unproven(
    sandbox, segment, cohort, sync, assets
) -> None:
    """With keys of two workspaces, at most one person of an unrelated segment is changed."""
    cohort("a", "b", known=False)
    report = sync(adopt_segment=True)
    assert (report["to_remove"], report["not_removable"]) == (2, 2)
    assert {count for _, count in writes(sandbox)} == {1}
    assert len({name for name, _ in writes(sandbox)}) == 1
    store = assets[known_segment("customer_io_default", "Power users", None)]
    assert not any(kept.get("proven") for kept in store.kept.values() if isinstance(kept, dict))


def test_a_dry_run_says_it_in_advance(sandbox, segment, cohort, sync) -> None:
    cohort("a")
    report = sync(dry_run=True)
    assert (report["to_remove"], report["not_removable"], report["removed"]) == (3, 2, 0)
    assert writes(sandbox) == []


def test_where_nobody_is_removed_nobody_is_left_over(sandbox, segment, cohort, sync) -> None:
    cohort("a", "c")
    report = sync(mode="add_only", on_not_removable="fail")
    assert (report["to_remove"], report["not_removable"], report["segment_after"]) == (0, 0, 5)


def test_an_unchanged_cohort_costs_no_export_unless_they_have_become_an_error(
    sandbox, segment, cohort, sync
) -> None:
    cohort("a", "b")
    sync(adopt_segment=True, skip_unchanged=True)
    report = sync(adopt_segment=True, skip_unchanged=True)
    assert (report["unchanged"], report["not_removable"]) == (True, 2)
    with pytest.raises(exceptions.NotRemovableError):
        sync(adopt_segment=True, skip_unchanged=True, on_not_removable="fail")


def test_a_snapshot_is_kept_and_restored_all_the_same(sandbox, segment, cohort, sync, tmp_path) -> None:
    keep = {"snapshot_path": f"file://{tmp_path}", "adopt_segment": True}
    cohort("a", "c")
    sync(**keep)
    oldest = min(each.name.partition("__")[0] for each in tmp_path.glob("*/*/*"))
    moment = f"{oldest[:4]}-{oldest[4:6]}-{oldest[6:11]}:{oldest[11:13]}:{oldest[13:-1]}+00:00"
    segment.by_hand_remove([sandbox.workspace.person("c")])
    report = sync(**keep, source="snapshot", snapshot_at=moment)
    assert (report["added"], report["not_removable"], report["segment_after"]) == (1, 2, 4)


# ---- guards


def crowd(sandbox, with_id: int, without: int) -> Any:
    sandbox.configure(removal_needs_id=True)
    people = [sandbox.workspace.add_person(id=f"u-{number}") for number in range(with_id)]
    people += [sandbox.workspace.add_person(email=MAIL.format(number)) for number in range(without)]
    return sandbox.workspace.add_segment(name="Power users", members=people)


def test_they_count_as_a_large_removal_until_their_removal_was_tried(sandbox, cohort, sync) -> None:
    crowd(sandbox, 20, 40)
    users = [f"u-{number}" for number in range(20)]
    cohort(*users, "new", known=False)
    sandbox.workspace.add_person(id="new")
    with pytest.raises(exceptions.GuardTrippedError) as caught:
        sync(adopt_segment=True)
    assert caught.value.trips == ("large_removal",)
    assert sync(adopt_segment=True, allow_large_removal=True)["not_removable"] == 40
    # The guard has let them through once: from then on, they are no reason to stop each run.
    assert sync(adopt_segment=True)["not_removable"] == 40


def test_more_of_them_than_before_are_a_large_removal(sandbox, cohort, sync) -> None:
    segment = crowd(sandbox, 20, 30)
    cohort(*(f"u-{number}" for number in range(20)), known=False)
    sync(adopt_segment=True, allow_large_removal=True)
    segment.by_hand_add([sandbox.workspace.add_person(email=f"late-{number}@x.test") for number in range(60)])
    with pytest.raises(exceptions.GuardTrippedError, match="60 of 110 members"):
        sync(adopt_segment=True)
