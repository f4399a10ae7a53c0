"""What a connection with the keys of two workspaces leaves behind: nothing that a later run believes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine import customer_io
from airflow_provider_cio_cohort.engine.customer_io import MOST_LOOKUPS
from airflow_provider_cio_cohort.engine.proof import FIRST_BATCH
from tests.integration.operator.test_sync import writes

#: A context of Airflow before 3.3, where no asset has a store.
NO_STORE: dict[str, Any] = {"asset_state_store": None, "task_state_store": None}
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


def settled(sandbox, cohort, *unknown: str) -> Any:
    """A segment that holds everybody of its cohort who exists."""
    people = [sandbox.workspace.add_person(id=name) for name in ("a", "b")]
    segment = sandbox.workspace.add_segment(name="Power users", members=people)
    cohort("a", "b", *unknown, known=False)
    return segment


def test_where_no_person_is_found_to_prove_the_keys_by_nothing_is_sent(
    sandbox, cohort, sync, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__PROGRESS_INTERVAL", "0.001")
    caplog.set_level(logging.INFO)
    unknown = [f"unknown-{n}" for n in range(3 * MOST_LOOKUPS)]
    segment = settled(sandbox, cohort, *unknown)
    report = sync(adopt_segment=True)
    assert (report["to_add"], report["added"], report["unmatched"]) == (len(unknown), 0, len(unknown))
    assert writes(sandbox) == []
    assert f"looking up all {len(unknown):,}" in caplog.text
    assert f"of {len(unknown):,} identifiers, " in caplog.text
    for name in unknown:
        sandbox.workspace.add_person(id=name)
    assert sync(adopt_segment=True, allow_large_addition=True)["added"] == len(unknown)
    assert len(segment.members) == 2 + len(unknown)


def test_the_search_finds_a_person_whom_no_sample_holds(sandbox, cohort, sync, monkeypatch) -> None:
    monkeypatch.setattr(customer_io.random, "randrange", lambda start, end: start)
    unknown = [f"unknown-{n:05}" for n in range(2 * MOST_LOOKUPS)]
    segment = settled(sandbox, cohort, *unknown)
    hidden = sandbox.workspace.add_person(id=unknown[2 * 1234 + 1])
    report = sync(adopt_segment=True)
    assert (report["added"], report["unmatched"]) == (1, len(unknown) - 1)
    assert hidden in segment.members
    assert writes(sandbox)[0] == ("add_customers", 1)


def test_people_without_an_id_who_leave_are_no_reason_to_send_a_batch(
    sandbox, cohort, sync, monkeypatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "0.3")
    unknown = [f"unknown-{n}" for n in range(MOST_LOOKUPS + 100)]
    segment = settled(sandbox, cohort, *unknown)
    sandbox.configure(removal_needs_id=True)
    segment.by_hand_add([sandbox.workspace.add_person(email="no-id@example.com")])
    report = sync(adopt_segment=True)
    assert (report["not_removable"], report["unmatched"]) == (1, len(unknown))
    assert {action for action, _ in writes(sandbox)} == {"remove_customers"}


def test_before_airflow_3_3_the_task_keeps_the_proof_for_its_next_runs(
    sandbox, cohort, sync, xcoms, caplog, connect
) -> None:
    cohort("a", "b")
    sync(context=NO_STORE)
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 2)]
    kept = str(xcoms.pushed)
    for secret in (sandbox.workspace.site_id, sandbox.workspace.tracking_key, sandbox.workspace.app_key):
        assert secret not in kept
    sandbox.configure(lookup_allowed=False)
    cohort("a", "b", "c", "unknown", known=False)
    sandbox.workspace.add_person(id="c")
    sandbox.reset_requests()
    assert sync(context=NO_STORE)["added"] == 1
    assert writes(sandbox)[0] == ("add_customers", 2)
    # It holds for these keys and this segment.
    sandbox.reset_requests()
    sandbox.configure(lookup_allowed=True)
    sync(context=NO_STORE, segment_name="Second")
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 4)]
    sandbox.workspace.app_key = "a-new-app-key"
    sandbox.reset_requests()
    new = connect("customer_io_default", "customer_io_default")
    sync(context=NO_STORE, segment_name="Third", customer_io_conn_id=new)
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 4)]


@pytest.mark.parametrize("unknown", [3, FIRST_BATCH + 500])
def test_keys_that_cannot_be_proven_are_not_called_those_of_two_workspaces(
    sandbox, cohort, sync, unknown: int, monkeypatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "0.3")
    segment = settled(sandbox, cohort, *(f"unknown-{n}" for n in range(unknown)))
    sandbox.configure(lookup_allowed=False)
    with pytest.raises(exceptions.KeysNotProvenError) as caught:
        sync(adopt_segment=True, allow_large_addition=True)
    batch = min(unknown, FIRST_BATCH)
    assert f"A batch of {batch:,} identifiers" in str(caught.value)
    assert "Allow the App API key to look people up" in str(caught.value)
    assert set(writes(sandbox)) == {("add_customers", batch)}
    assert members(segment) == {"a", "b"}
    # What the message advises helps.
    sandbox.configure(lookup_allowed=True)
    assert sync(adopt_segment=True)["unmatched"] == unknown


def test_another_writer_at_that_moment_is_no_proof(sandbox, cohort, sync, other, lead, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "0.3")
    theirs = other.add_segment(name="Unrelated", members=["x"])
    for number in range(FIRST_BATCH + 500):
        other.add_person(id=f"unknown-{number}")
    segment = settled(sandbox, cohort, *(f"unknown-{n}" for n in range(FIRST_BATCH + 500)))
    sandbox.configure(lookup_allowed=False)
    joins = [sandbox.workspace.add_person(id="joins")]
    sandbox.at_request(lambda request: segment.by_hand_add(joins), path="add_customers")
    with pytest.raises(exceptions.KeysNotProvenError):
        sync(mode="add_only", allow_large_addition=True, customer_io_conn_id=lead(whole=False))
    assert len(theirs.members) == 1 + FIRST_BATCH


@pytest.mark.parametrize("spelt", [(False, "^cio_"), (True, "^(?!cio_)")])
def test_a_first_batch_of_cio_ids_is_sent_in_each_spelling(sandbox, sync, spelt: tuple[bool, str]) -> None:
    prefix, refuses = spelt
    sandbox.configure(cio_prefix=prefix, track_refuses=refuses, lookup_allowed=False)
    cio_ids = [sandbox.workspace.add_person(id=f"u-{n}").cio_id for n in range(50)]
    rows = [{"amplitude_id": each, "user_id": each} for each in cio_ids]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    assert sync(id_type="cio_id", user_id_property="user_id")["added"] == 50
