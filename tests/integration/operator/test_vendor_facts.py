"""What the doctor has saved of a workspace saves a run its attempts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_cio_cohort.assets import workspace_asset
from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
from airflow_provider_cio_cohort.exceptions import SegmentNotCreatedError
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.state import VENDOR_FACTS, StateStore
from airflow_provider_cio_cohort.sync.memory import (
    CIO_FORMS,
    LAGS,
    LOOKS_UP,
    REMOVES_WITHOUT_ID,
    UNIQUE_NAMES,
    VendorFacts,
    merged_facts,
)
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.conftest import Store
from tests.integration.operator.test_sync import members


@pytest.fixture
def known(sandbox, assets) -> Any:
    """Save facts about the workspace, as the doctor does."""

    def save(**facts: Any) -> None:
        named = {
            "form": CIO_FORMS[0],
            "removes": REMOVES_WITHOUT_ID,
            "lag": LAGS[0],
            "counted": LAGS[1],
            "looks": LOOKS_UP,
            "unique": UNIQUE_NAMES,
        }
        seen = {named[name]: value for name, value in facts.items()}
        assets[workspace_asset("customer_io_default")].set(
            VENDOR_FACTS,
            merged_facts(None, seen, "2026-11-29T06:00:00Z", "1.0.0", CustomerIOHook().keys_fingerprint),
        )

    return save


@pytest.fixture
def sent(sandbox) -> list[str]:
    """The identifiers that were sent to the Track API."""
    found: list[str] = []
    sandbox.at_request(
        lambda request: found.extend(json.loads(request.body)["ids"]), api="track", path="customers$", times=0
    )
    return found


@pytest.mark.parametrize("prefix", [True, False])
def test_a_known_spelling_of_cio_ids_is_sent_alone(sandbox, sync, sent, known, prefix: bool) -> None:
    sandbox.configure(cio_prefix=prefix)
    stays, comes, goes = (sandbox.workspace.add_person() for _ in range(3))
    sandbox.workspace.add_segment(name="Power users", members=[stays, goes])
    rows = [{"amplitude_id": "1", "user_id": person.cio_id} for person in (stays, comes)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    known(form="prefixed" if prefix else "bare")
    report = sync(id_type="cio_id", adopt_segment=True)
    assert (report["added"], report["removed"], report["segment_after"]) == (1, 1, 2)
    assert {value.startswith("cio_") for value in sent} == {prefix}


def test_without_a_fact_both_spellings_are_tried(sandbox, sync, sent) -> None:
    sandbox.configure(cio_prefix=True, lookup_allowed=False)
    person = sandbox.workspace.add_person()
    rows = [{"amplitude_id": "1", "user_id": person.cio_id}]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    assert sync(id_type="cio_id")["added"] == 1
    assert {value.startswith("cio_") for value in sent} == {True, False}


@pytest.mark.parametrize(("facts", "attempts"), [({}, 4), ({"removes": False}, 1)])
def test_who_is_known_not_to_be_removable_is_not_removed_again_and_again(
    sandbox, cohort, sync, sent, known, facts: dict[str, Any], attempts: int
) -> None:
    sandbox.configure(removal_needs_id=True)
    person, other = (
        sandbox.workspace.add_person(email="planted@example.com"),
        sandbox.workspace.add_person("b"),
    )
    sandbox.workspace.add_segment(name="Power users", members=[person, other])
    cohort("a")
    known(**facts)
    report = sync(adopt_segment=True)
    assert (report["removed"], report["not_removable"]) == (1, 1)
    assert members(sandbox) == {"a", None}
    identifiers = ("planted@example.com", person.cio_id, f"cio_{person.cio_id}")
    assert sum(value in identifiers for value in sent) == attempts


def test_what_was_seen_of_another_workspace_is_not_used(sandbox, cohort, sync, known, connect) -> None:
    """The connection leads to another workspace now, where people without an ``id`` are removed."""
    known(removes=False)
    other = sandbox.add_workspace(site_id="o-site", tracking_key="o-track", app_key="o-app")
    stays = other.add_person(id="a")
    planted = [other.add_person(email=f"planted-{n}@example.com") for n in range(2)]
    segment = other.add_segment(name="Power users", members=[stays, *planted])
    cohort("a", known=False)
    connect(
        "customer_io_default",
        "customer_io_default",
        login="o-site",
        password="o-track",
        extra={"app_api_key": "o-app"},
    )
    sandbox.faults.add("drop", api="track", path="remove_customers$", after=1)
    report = sync(adopt_segment=True)
    assert (report["removed"], report["not_removable"]) == (2, 0)
    assert segment.members == [stays]


@pytest.mark.parametrize(("facts", "may_stay"), [({}, 1), ({"removes": True}, 0)])
def test_a_dry_run_expects_what_is_known_of_removals(
    sandbox, cohort, sync, known, facts: dict[str, Any], may_stay: int
) -> None:
    person, other = (
        sandbox.workspace.add_person(email="planted@example.com"),
        sandbox.workspace.add_person("b"),
    )
    sandbox.workspace.add_segment(name="Power users", members=[person, other])
    cohort("a")
    known(**facts)
    report = sync(adopt_segment=True, dry_run=True)
    assert (report["to_remove"], report["not_removable"]) == (2, may_stay)


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
@pytest.mark.parametrize("unique", [True, False, None])
def test_a_creation_whose_response_was_lost_is_repeated_where_names_are_unique(
    sandbox, cohort, sync, known, fault: str, unique: bool | None
) -> None:
    cohort("a")
    sandbox.configure(unique_names=bool(unique))
    sandbox.faults.add(fault, path="/v1/segments$", method="POST")
    known(unique=unique)
    if fault == "reset_before" and not unique:
        with pytest.raises(SegmentNotCreatedError):
            sync()
    else:
        assert sync()["added"] == 1
    created = fault == "reset_after" or unique
    assert len(sandbox.workspace.segments) == (1 if created else 0)


@pytest.mark.parametrize(
    ("unique", "stale", "requests", "found"),
    [(True, 2, 2, True), (True, 4, 2, False), (False, 2, 1, False)],
)
def test_a_segment_that_is_not_listed_yet_is_not_created_twice(
    sandbox, cohort, sync, known, unique: bool, stale: int, requests: int, found: bool
) -> None:
    """After the creation, the list shows the segment late."""
    cohort("a")
    sandbox.configure(unique_names=unique)
    sandbox.faults.add("reset_after", path="/v1/segments$", method="POST")
    empty = {"status": 200, "body": {"segments": []}, "times": stale}
    sandbox.at_request(
        lambda _: sandbox.faults.add("status", path="/v1/segments$", method="GET", **empty),
        path="/v1/segments$",
        method="POST",
    )
    known(unique=unique)
    if found:
        assert sync()["added"] == 1
    else:
        with pytest.raises(SegmentNotCreatedError):
            sync()
    assert len(sandbox.workspace.segments) == 1
    sent = [each for each in sandbox.requests if (each.method, each.path) == ("POST", "/v1/segments")]
    assert len(sent) == requests
    assert found or sync()["added"] == 1  # the retry finds it


@pytest.mark.parametrize(
    ("configured", "lag", "seconds"), [(None, 4.0, 8.0), (None, 0.1, 1.0), ("7", 4.0, 7.0), (None, None, 5.0)]
)
def test_the_measured_lag_replaces_the_default_alone(
    sandbox, assets, known, monkeypatch: pytest.MonkeyPatch, configured: str, lag: float, seconds: float
) -> None:
    option = "AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS"
    if configured is None:
        monkeypatch.delenv(option)
    else:
        monkeypatch.setenv(option, configured)
    if lag is not None:
        known(lag=lag, counted=0.05, looks=True)
    task = AmplitudeCohortToCustomerIOOperator(task_id="sync", cohort_id="a1b2c3d", segment_name="S")
    ports = task.cohort_sync({"asset_state_store": assets}).ports
    assert ports.verify_timeouts.stable_seconds == seconds


@pytest.mark.parametrize(
    "kept",
    [
        "text",
        [],
        {CIO_FORMS[0]: "prefixed"},
        {
            CIO_FORMS[0]: {"value": True, "keys": "keys"},
            REMOVES_WITHOUT_ID: {"value": 1, "keys": "keys"},
            LAGS[0]: {"value": True, "keys": "keys"},
            UNIQUE_NAMES: {"value": "yes", "keys": "keys"},
        },
        {
            CIO_FORMS[0]: {"value": "bare", "keys": "keys"},
            CIO_FORMS[1]: {"value": "prefixed", "keys": "keys"},
        },
        {LAGS[0]: {"value": -1, "keys": "keys"}, LAGS[1]: {"value": None, "keys": "keys"}},
        {REMOVES_WITHOUT_ID: {"value": False, "keys": "others"}, LAGS[0]: {"value": 4.0}},
    ],
)
def test_what_says_nothing_changes_nothing(kept: Any) -> None:
    store = Store({VENDOR_FACTS: kept})
    assert VendorFacts.read(StateStore(store), lambda: "keys") == VendorFacts()


def test_a_measured_lag_shortens_no_wait_of_a_run_that_cannot_look_people_up(assets, known) -> None:
    """Such a run would count those whose addition shows later as unknown, and succeed."""
    known(lag=0.1, looks=False)
    store = StateStore(assets[workspace_asset("customer_io_default")])
    facts = VendorFacts.read(store, lambda: CustomerIOHook().keys_fingerprint)
    assert facts.timeouts(VerifyTimeouts()).stable_seconds == VerifyTimeouts().stable_seconds


def test_facts_that_were_not_asked_for_again_are_kept() -> None:
    first = merged_facts(None, {"a": 1, "b": 2}, "2026-01-01T00:00:00Z", "1.0.0", "keys")
    second = merged_facts(first, {"b": 3}, "2026-02-01T00:00:00Z", "1.1.0", "keys")
    assert second == {
        "a": {"value": 1, "seen_at": "2026-01-01T00:00:00Z", "version": "1.0.0", "keys": "keys"},
        "b": {"value": 3, "seen_at": "2026-02-01T00:00:00Z", "version": "1.1.0", "keys": "keys"},
    }
