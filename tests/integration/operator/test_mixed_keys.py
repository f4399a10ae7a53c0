"""What a connection with the keys of two workspaces leaves behind: nothing that a later run believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine.lookup import MOST_LOOKUPS

TRACK = {"login": "o-site", "password": "o-track"}


@pytest.fixture
def other(sandbox) -> Any:
    workspace = sandbox.add_workspace(site_id="o-site", tracking_key="o-track", app_key="o-app")
    for each in ("a", "b", "x", "y"):
        workspace.add_person(id=each)
    return workspace


@pytest.fixture
def lead(connect) -> Callable[..., str]:
    """Let the connection's Track keys, or all of its keys, lead to the other workspace."""

    def to(*, whole: bool) -> str:
        app = {"app_api_key": "o-app"} if whole else {}
        made: str = connect("customer_io_default", "mine", extra=app, **TRACK)
        return made

    return to


def members(segment: Any) -> set[str]:
    return {person.id for person in segment.members}


@pytest.mark.parametrize("mode", ["mirror", "add_only"])
def test_a_segment_of_the_same_number_is_not_taken_for_the_named_one(
    sandbox, cohort, sync, other, lead, mode: str
) -> None:
    unrelated = other.add_segment(name="Unrelated", members=["x"])
    sandbox.workspace.add_segment(name="Power users")
    cohort("a", "b")
    with pytest.raises(exceptions.WorkspaceMismatchError):
        sync(customer_io_conn_id=lead(whole=False), mode=mode)
    before = members(unrelated)
    report = sync(customer_io_conn_id=lead(whole=True), mode=mode)
    assert report["segment_name"] == "Power users"
    assert members(unrelated) == before
    assert members(other.find_segment("Power users")) == {"a", "b"}


def test_a_segment_of_the_same_size_is_not_taken_for_unchanged(
    sandbox, cohort, sync, other, lead, connect
) -> None:
    theirs = other.add_segment(name="Power users", members=["x", "y"])
    cohort("a", "b")
    sync(customer_io_conn_id=connect("customer_io_default", "mine"))
    assert sync(customer_io_conn_id=lead(whole=False))["added"] == 0
    report = sync(customer_io_conn_id=lead(whole=True), skip_unchanged=True, adopt_segment=True)
    assert "unchanged" not in report
    assert members(theirs) == {"a", "b"}


def test_a_proof_by_a_removal_costs_one_person_at_most(sandbox, cohort, sync, other, lead) -> None:
    ghost = [sandbox.workspace.add_person(email=f"{n}@x.test") for n in range(3)][2]
    mine = sandbox.workspace.add_segment(name="Power users", members=[ghost])
    namesake = other.add_person(id="e", email="2@x.test")
    theirs = other.add_segment(name="Unrelated", members=["a", "b", "x", "y", namesake])
    assert mine.id == theirs.id
    assert ghost.cio_id in {person.cio_id for person in theirs.members} - {namesake.cio_id}
    cohort()
    report = sync(customer_io_conn_id=lead(whole=False), adopt_segment=True, allow_empty_cohort=True)
    assert report["not_removable"] == 1
    assert len(members(theirs)) >= 4


def test_identifiers_that_do_not_exist_are_no_proof_against_the_keys(sandbox, cohort, sync) -> None:
    for name in ("a", "b"):
        sandbox.workspace.add_person(id=name)
    segment = sandbox.workspace.add_segment(name="Power users", members=["a", "b"])
    unknown = [f"unknown-{n}" for n in range(MOST_LOOKUPS + 100)]
    cohort("a", "b", *unknown, known=False)
    report = sync(adopt_segment=True)
    assert (report["added"], report["unmatched"]) == (0, len(unknown))
    assert sandbox.count("track", "customers") == 0
    sandbox.workspace.add_person(id=unknown[-1])
    assert sync(adopt_segment=True)["added"] == 1
    assert members(segment) == {"a", "b", unknown[-1]}


def test_a_segment_that_only_one_workspace_has_tells_of_mixed_keys(
    sandbox, cohort, sync, other, lead
) -> None:
    cohort("a", "b")
    sandbox.workspace.add_segment(name="Power users")
    with pytest.raises(exceptions.WorkspaceMismatchError, match="Only one of the two APIs has segment"):
        sync(customer_io_conn_id=lead(whole=False), adopt_segment=True)
