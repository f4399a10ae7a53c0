"""An export, and an approval, are of one cohort at one time: what they are not of, they do not change."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.assets import known_segment
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    PLAN_KEY,
    AmplitudeCohortToCustomerIOOperator,
)
from tests.integration.operator.conftest import Store, resume
from tests.integration.operator.test_export import exports
from tests.integration.operator.test_sync import members, writes


def make_cohort(sandbox, cohort_id: str, *ids: str, **more: Any) -> Any:
    for each in ids:
        sandbox.workspace.add_person(id=each, email=f"{each}@x.test")
    rows = [{"amplitude_id": str(n), "user_id": each, "mail": f"{each}@x.test"} for n, each in enumerate(ids)]
    return sandbox.project.add_cohort(id=cohort_id, name=cohort_id, rows=rows, **more)


def operator(**parameters: Any) -> AmplitudeCohortToCustomerIOOperator:
    usual = {"task_id": "sync", "cohort_id": "aaaaaaa", "segment_name": "Power users", "poll_interval": 0.05}
    return AmplitudeCohortToCustomerIOOperator(**{**usual, "deferrable": True, **parameters})


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"cohort_id": "bbbbbbb"}, {"Power users": {"b1", "b2"}}),
        ({"segment_name": "Other"}, {"Other": {"a1", "a2"}}),
        ({"user_id_property": "mail", "id_type": "email"}, {"Power users": {"a1", "a2"}}),
        ({"mode": "add_only"}, {"Power users": {"a1", "a2"}}),
    ],
)
def test_a_sync_that_is_edited_while_its_export_is_awaited_starts_again(
    sandbox, no_pace, store, assets, xcoms, changed, expected
) -> None:
    sandbox.configure(export_seconds=0.3, limits=False)
    make_cohort(sandbox, "aaaaaaa", "a1", "a2")
    make_cohort(sandbox, "bbbbbbb", "b1", "b2")
    context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    with pytest.raises(TaskDeferred) as caught:
        operator().execute(context)
    edited = operator(**changed)
    try:
        report = resume(edited, caught.value, context)  # the export may be of use to the edited sync as well
    except TaskDeferred as again:
        report = resume(edited, again, context)
    assert report["cohort_id"] == edited.cohort_id
    for name in ("Power users", "Other"):
        if name in expected:
            assert members(sandbox, name) == expected[name]
        else:
            assert sandbox.workspace.find_segment(name) is None


def test_what_is_not_edited_goes_on_with_its_export(sandbox, no_pace, store, assets, xcoms) -> None:
    sandbox.configure(export_seconds=0.3)
    make_cohort(sandbox, "aaaaaaa", "a1")
    context: Any = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    with pytest.raises(TaskDeferred) as caught:
        operator().execute(context)
    assert resume(operator(), caught.value, context)["added"] == 1
    assert exports(sandbox) == 1


def given(sandbox, **parameters: Any) -> dict[str, Any]:
    """Return the export of a task that exports for others."""
    usual = {"task_id": "export", "cohort_id": "aaaaaaa", "poll_interval": 0.05}
    export: dict[str, Any] = AmplitudeCohortExportOperator(**{**usual, **parameters}).execute({})
    return export


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cohort_id": "bbbbbbb"}, "it is of cohort aaaaaaa, not of bbbbbbb"),
        ({"user_id_property": "mail", "id_type": "email"}, "it lacks the property mail"),
        (
            {"amplitude_conn_id": "other"},
            "it was requested by connection 'amplitude_default', not by 'other'",
        ),
    ],
)
def test_a_given_export_of_something_else_is_refused(sandbox, sync, connect, changed, words: str) -> None:
    make_cohort(sandbox, "aaaaaaa", "a1")
    make_cohort(sandbox, "bbbbbbb", "b1")
    connect("amplitude_default")
    export = given(sandbox)
    with pytest.raises(exceptions.ExportMismatchError) as caught:
        sync(export=export, **{"cohort_id": "aaaaaaa", **changed})
    assert words in str(caught.value)
    assert (writes(sandbox), exports(sandbox)) == ([], 1)


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("path", ["request/", "request-status"])
def test_an_answer_about_another_cohort_is_not_believed(
    sandbox, sync, monkeypatch, deferrable: bool, path: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.05")
    sandbox.configure(export_seconds=0.2, limits=False)
    make_cohort(sandbox, "aaaaaaa", "a1")
    sandbox.faults.add("other_cohort", path=path)
    with pytest.raises(exceptions.RetryableError):
        sync(cohort_id="aaaaaaa", deferrable=deferrable)
    assert writes(sandbox) == []
    assert sync(cohort_id="aaaaaaa", deferrable=deferrable)["added"] == 1
    assert exports(sandbox) == 2


def test_answers_that_name_no_cohort_are_believed(sandbox, sync) -> None:
    sandbox.configure(answers_cohort_id=False)
    make_cohort(sandbox, "aaaaaaa", "a1")
    assert sync(cohort_id="aaaaaaa")["added"] == 1


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_a_cleared_older_run_does_not_take_the_segment_back(
    sandbox, sync, store, listed: bool, failed: bool
) -> None:
    made = make_cohort(sandbox, "aaaaaaa", "a1", "a2", listed=listed)
    made.last_computed -= 7200  # no later run has a computation to tell it by
    if failed:
        sandbox.faults.add("status", api="track", path="add_customers", status=409, times=1)
        with pytest.raises(exceptions.PermanentError):
            sync.attempt(cohort_id="aaaaaaa")
    else:
        sync.attempt(cohort_id="aaaaaaa")
    older = dict(store.kept)
    store.kept = {}
    for each in ("a2", "a3"):
        sandbox.workspace.add_person(id=each)
    made.rows = [{"amplitude_id": str(n), "user_id": each} for n, each in enumerate(("a2", "a3"))]
    sync(cohort_id="aaaaaaa")
    assert members(sandbox) == {"a2", "a3"}
    store.kept = older
    spent = exports(sandbox)
    sync(cohort_id="aaaaaaa")
    assert members(sandbox) == {"a2", "a3"}
    assert exports(sandbox) == spent + 1


def test_a_given_export_that_is_older_than_the_last_sync_is_refused(sandbox, sync) -> None:
    make_cohort(sandbox, "aaaaaaa", "a1", "a2")
    older = given(sandbox)
    make_cohort(sandbox, "aaaaaaa", "a2", "a3")
    newer = given(sandbox)
    assert sync(cohort_id="aaaaaaa", export=newer)["added"] == 2
    with pytest.raises(exceptions.OutdatedExportError, match="synced from a later export"):
        sync(cohort_id="aaaaaaa", export=older)
    assert members(sandbox) == {"a2", "a3"}
    assert sync(cohort_id="aaaaaaa", export=newer)["added"] == 0  # the same once more is no older


@pytest.mark.parametrize("reads", range(8))
def test_an_older_export_is_not_used_where_the_store_fails_for_a_while(
    sandbox, sync, assets, reads: int
) -> None:
    make_cohort(sandbox, "aaaaaaa", "a1", "a2")
    older = given(sandbox)
    sync(cohort_id="aaaaaaa")
    make_cohort(sandbox, "aaaaaaa", "a2", "a3")
    sync(cohort_id="aaaaaaa")
    store = assets[known_segment("customer_io_default", "Power users", None)]
    get, asked = store.get, []

    def fail_for_a_while(*arguments: Any) -> Any:
        asked.append(1)
        if reads < len(asked) <= reads + 3:
            raise RuntimeError("away")
        return get(*arguments)

    store.get = fail_for_a_while
    with pytest.raises((exceptions.OutdatedExportError, exceptions.StateStoreError)):
        sync(cohort_id="aaaaaaa", export=older)
    assert members(sandbox) == {"a2", "a3"}


def test_an_export_that_became_older_while_it_was_awaited_is_requested_anew(
    sandbox, no_pace, sync, assets, xcoms
) -> None:
    sandbox.configure(export_seconds=0.2, limits=False)
    make_cohort(sandbox, "aaaaaaa", "a1", "a2")
    sync(cohort_id="aaaaaaa")
    context: Any = {"task_state_store": Store(), "asset_state_store": assets, "ti": xcoms}
    with pytest.raises(TaskDeferred) as caught:
        operator().execute(context)
    make_cohort(sandbox, "aaaaaaa", "a2", "a3")
    sync(cohort_id="aaaaaaa")
    with pytest.raises(TaskDeferred) as again:
        resume(operator(), caught.value, context)
    make_cohort(sandbox, "aaaaaaa", "a2", "a3")
    resume(operator(), again.value, context)
    assert members(sandbox) == {"a2", "a3"}


def many(first: int, count: int) -> list[str]:
    return [f"u-{n:03}" for n in range(first, first + count)]


def test_an_approval_of_some_removals_lets_no_other_people_go(sandbox, sync, store, xcoms) -> None:
    make_cohort(sandbox, "aaaaaaa", *many(0, 100))
    sync(cohort_id="aaaaaaa")
    make_cohort(sandbox, "aaaaaaa", *many(60, 40))
    sync(cohort_id="aaaaaaa", dry_run=True)
    approved = xcoms.pushed[PLAN_KEY]
    assert (approved["guards"], approved["to_remove"]) == (["large_removal", "short_cohort"], 60)
    # The same number of people, and not one of those who were shown.
    make_cohort(sandbox, "aaaaaaa", *many(0, 40))
    with pytest.raises(exceptions.GuardTrippedError, match="not the same people"):
        sync(cohort_id="aaaaaaa", approved_plan=approved)
    assert len(members(sandbox)) == 100
    store.kept = {}  # another run
    make_cohort(sandbox, "aaaaaaa", *many(60, 40))
    assert sync(cohort_id="aaaaaaa", approved_plan=approved)["removed"] == 60


def test_an_approval_for_one_segment_is_none_for_another(sandbox, sync, xcoms) -> None:
    make_cohort(sandbox, "aaaaaaa", *many(0, 100))
    for name in ("Power users", "Other"):
        sync(cohort_id="aaaaaaa", segment_name=name)
    make_cohort(sandbox, "aaaaaaa", *many(60, 40))
    sync(cohort_id="aaaaaaa", dry_run=True)
    with pytest.raises(exceptions.GuardTrippedError):
        sync(cohort_id="aaaaaaa", segment_name="Other", approved_plan=xcoms.pushed[PLAN_KEY])
    assert len(members(sandbox, "Other")) == 100


def test_a_try_that_was_interrupted_lets_no_other_people_go(sandbox, sync, xcoms) -> None:
    make_cohort(sandbox, "aaaaaaa", *many(0, 100))
    sync(cohort_id="aaaaaaa")
    make_cohort(sandbox, "aaaaaaa", *many(60, 40))
    sync(cohort_id="aaaaaaa", dry_run=True)
    approved = xcoms.pushed[PLAN_KEY]
    segment = sandbox.workspace.find_segment("Power users")
    sandbox.faults.add("status", api="track", path="remove_customers", status=409)
    with pytest.raises(exceptions.PermanentError):
        sync(cohort_id="aaaaaaa", approved_plan=approved)
    sandbox.faults.clear()
    # Nothing of it has arrived: the retry may do what was approved. With others in it, it may not.
    guest = sandbox.workspace.add_person(id="guest")
    segment.by_hand_add([guest])
    with pytest.raises(exceptions.GuardTrippedError):
        sync(cohort_id="aaaaaaa", approved_plan=approved)
    segment.by_hand_remove([guest])
    assert sync(cohort_id="aaaaaaa", approved_plan=approved)["removed"] == 60
    assert members(sandbox) == set(many(60, 40))


def test_a_strict_plan_lets_no_other_change_pass_even_where_no_guard_trips(sandbox, sync, xcoms) -> None:
    make_cohort(sandbox, "aaaaaaa", *many(0, 5))
    sync(cohort_id="aaaaaaa")
    make_cohort(sandbox, "aaaaaaa", *many(1, 4))
    sync(cohort_id="aaaaaaa", dry_run=True)
    confirmed = {**xcoms.pushed[PLAN_KEY], "strict": True}
    guest = sandbox.workspace.add_person(id="guest")
    sandbox.workspace.find_segment("Power users").by_hand_add([guest])
    with pytest.raises(exceptions.GuardTrippedError, match="changed_plan"):
        sync(cohort_id="aaaaaaa", approved_plan=confirmed)
    sandbox.workspace.find_segment("Power users").by_hand_remove([guest])
    assert sync(cohort_id="aaaaaaa", approved_plan=confirmed)["removed"] == 1


def test_a_plan_tells_nobody_who_is_in_it(sandbox, sync, xcoms) -> None:
    make_cohort(sandbox, "aaaaaaa", "ann")
    sync(cohort_id="aaaaaaa", dry_run=True)
    first = dict(xcoms.pushed[PLAN_KEY])
    assert "ann" not in str(first).replace("aaaaaaa", "")
    # Digests are keyed: with another App API key, the same people have another digest.
    sandbox.workspace.app_key = "another"
    hook_digest = first["cohort_digest"]
    assert len(hook_digest) == 64
