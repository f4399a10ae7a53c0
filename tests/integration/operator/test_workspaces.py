"""Both halves of a Customer.io connection are proven to lead to one workspace before much is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sandbox.server import APP_KEY
from tests.integration.operator.test_sync import writes


@pytest.fixture
def mixed(sandbox, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set the default connection to the Track keys of one workspace and the App key of another."""
    other = sandbox.add_workspace(site_id="other-site", tracking_key="other-key", app_key="other-app-key")
    connection = sandbox.connections()["customer_io_default"]
    connection |= {"login": "other-site", "password": "other-key"}
    assert connection["extra"]["app_api_key"] == APP_KEY
    monkeypatch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "0.3")
    people = [other.add_person(id=f"u-{n}") for n in range(40)]
    return other.add_segment(name="Unrelated", members=people[:5])


@pytest.mark.parametrize("lookup_allowed", [True, False])
def test_keys_of_two_workspaces_reach_at_most_one_person_of_an_unrelated_segment(
    sandbox, sync, cohort, mixed, lookup_allowed: bool
) -> None:
    sandbox.configure(lookup_allowed=lookup_allowed)
    cohort(*(f"u-{n}" for n in range(10, 30)))
    leaving = [sandbox.workspace.add_person(id=f"u-{n}") for n in range(5)]
    segment = sandbox.workspace.add_segment(name="Power users", members=leaving)
    assert segment.id == mixed.id
    before = set(mixed.members)
    for _ in range(2):  # a second run is no worse: it is refused for the same reason
        with pytest.raises(exceptions.PermanentError) as caught:
            sync(adopt_segment=True, allow_no_match=True)
        assert "two workspaces" in str(caught.value)
        assert len(before ^ set(mixed.members)) <= 1
    assert sum(ids for _, ids in writes(sandbox)) <= 4
    assert set(segment.members) == set(leaving)


def test_where_nobody_can_be_looked_up_or_removed_a_first_batch_is_the_proof(
    sandbox, sync, cohort, mixed
) -> None:
    sandbox.configure(lookup_allowed=False)
    cohort(*(f"u-{n}" for n in range(30)))
    sandbox.workspace.add_segment(name="Power users")
    with pytest.raises(exceptions.KeysNotProvenError, match="A batch of 30 identifiers"):
        sync()
    assert max(ids for _, ids in writes(sandbox)) == 30


def test_the_proof_is_remembered_for_the_keys_and_the_segment(sandbox, sync, cohort) -> None:
    cohort("a", "b")
    sync()
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 2)]
    sandbox.reset_requests()
    cohort("a", "b", "c")
    sync()
    assert writes(sandbox) == [("add_customers", 1)]
    sandbox.reset_requests()
    sync(segment_name="Second")
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 3)]


def test_other_keys_need_a_proof_of_their_own(sandbox, sync, cohort, connect, monkeypatch) -> None:
    cohort("a", "b")
    sync()
    sandbox.reset_requests()
    # The same workspace with a second App API key.
    sandbox.workspace.app_key = "a-new-app-key"
    connection = sandbox.connections()["customer_io_default"]
    monkeypatch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(connection))
    cohort("a", "b", "c", "d")
    sync()
    assert writes(sandbox) == [("add_customers", 1), ("add_customers", 2)]


def test_new_keys_find_a_segment_that_was_renamed(sandbox, sync, cohort, connect) -> None:
    segment = sandbox.workspace.add_segment(name="Power users")  # made by hand: nothing marks it
    cohort("a", "b")
    sync()
    segment.name = "Champions"
    sync()
    sandbox.workspace.app_key = "a-new-app-key"
    cohort("a", "b", "c")
    report = sync(customer_io_conn_id=connect("customer_io_default", "customer_io_default"))
    assert report["segment_id"] == segment.id
    assert len(segment.members) == 3


def test_a_removal_that_proves_the_keys_is_of_a_person_with_an_id(sandbox, sync, cohort) -> None:
    sandbox.configure(removal_needs_id=True)
    people = [sandbox.workspace.add_person(email=f"{n}@example.com") for n in range(3)]
    people.append(sandbox.workspace.add_person(id="leaving"))
    sandbox.workspace.add_segment(name="Power users", members=people)
    cohort()
    report = sync(adopt_segment=True, allow_empty_cohort=True)
    assert writes(sandbox)[0] == ("remove_customers", 1)
    assert (report["removed"], report["not_removable"]) == (1, 3)


def test_a_single_person_is_the_proof_and_is_not_sent_twice(sandbox, sync, cohort) -> None:
    cohort("a")
    assert sync()["added"] == 1
    assert writes(sandbox) == [("add_customers", 1)]


def test_a_proof_that_shows_late_is_waited_for(sandbox, sync, cohort) -> None:
    sandbox.configure(visible_after=0.3)
    cohort("a", "b")
    assert sync()["added"] == 2


def test_a_proof_that_was_dropped_is_sent_again(sandbox, sync, cohort, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "1")
    sandbox.faults.add("drop", path="add_customers")
    cohort("a", "b")
    assert sync()["added"] == 2


def test_no_key_and_no_fingerprint_that_tells_one_is_stored(sandbox, sync, cohort, assets) -> None:
    cohort("a")
    sync()
    kept = json.dumps([store.kept for store in assets.values()])
    assert "keys" in kept
    for secret in (sandbox.workspace.site_id, sandbox.workspace.tracking_key, APP_KEY):
        assert secret not in kept
