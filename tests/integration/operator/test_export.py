"""One export for all tries of a task, and none where something is wrong at either end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.sync.export import Export, ExportOf
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger


def exports(sandbox) -> int:
    return sum(
        1
        for record in sandbox.requests
        if record.api == "amplitude"
        and record.path.startswith("/api/5/cohorts/request/")
        and not record.path.endswith("/file")
    )


def test_a_retry_continues_the_same_export(sandbox, cohort, sync, store) -> None:
    guest = sandbox.workspace.add_person(id="guest", email=None)
    sandbox.workspace.add_segment(name="Power users", members=[guest])
    cohort("a")
    with pytest.raises(exceptions.GuardTrippedError):
        sync()
    sync(adopt_segment=True)
    assert exports(sandbox) == 1
    sync()
    assert exports(sandbox) == 2


def test_clearing_a_run_that_succeeded_costs_nothing_unless_the_cohort_was_computed_anew(
    sandbox, cohort, sync
) -> None:
    made = cohort("a")
    made.last_computed = int(time.time()) - 60
    sync.attempt()
    sync.attempt()
    assert exports(sandbox) == 1
    made.last_computed = int(time.time()) + 60
    sync.attempt()
    assert exports(sandbox) == 2


def test_another_cohort_or_property_is_another_export(sandbox, cohort, sync, store) -> None:
    cohort("a")
    sandbox.configure(export_seconds=60, limits=False)
    for parameters in ({}, {"user_id_property": "amplitude_id"}, {"user_id_property": "amplitude_id"}):
        with pytest.raises(exceptions.ExportNotReadyError, match="within export_timeout"):
            sync(export_timeout=0.1, **parameters)
    assert exports(sandbox) == 2


def kept(request_id: str, age: float = 0, computed_at: int | None = None) -> dict[str, Any]:
    """Return an export as a task keeps it."""
    of = ExportOf("a1b2c3d", ("user_id",), "amplitude_default")
    return Export(request_id, of, time.time() - age, computed_at).to_dict()


def test_an_export_older_than_its_link_is_not_continued(sandbox, cohort, sync, store) -> None:
    cohort("a")
    store.set("amplitude_export", kept("gone", 7 * 86400))
    sync()
    assert exports(sandbox) == 1


DAY = 86400


@pytest.mark.parametrize(
    ("requested", "is_computed_anew", "spent"),
    [
        (2 * DAY, False, 0),  # the cohort is still what the export holds
        (2 * DAY, True, 1),
        (3600, True, 0),  # a retry: the export is as fresh as any sync's of this day
    ],
)
def test_an_old_export_of_a_cohort_that_was_computed_anew_is_not_continued(
    sandbox, cohort, sync, store, requested: int, is_computed_anew: bool, spent: int
) -> None:
    computed_at = cohort("a").last_computed
    request_id = AmplitudeHook().request_export("a1b2c3d")
    store.set("amplitude_export", kept(request_id, requested, computed_at - is_computed_anew))
    assert sync()["segment_after"] == 1
    assert exports(sandbox) - 1 == spent


def test_a_store_that_fails_does_not_lose_an_export_that_is_paid_for(sandbox, cohort, sync, store) -> None:
    cohort("a")

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the API server is away")

    store.set = fail
    assert sync()["segment_after"] == 1
    assert exports(sandbox) == 1


@pytest.mark.parametrize("kind", [AmplitudeCohortToCustomerIOOperator, AmplitudeCohortExportOperator])
def test_an_export_that_cannot_be_read_is_not_paid_for_again(sandbox, cohort, sync, store, kind) -> None:
    cohort("a").last_computed = int(time.time()) - 60
    sync.attempt(operator_class=kind)
    read = store.get

    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the API server is away")

    store.get = fail
    with pytest.raises(exceptions.StateStoreError, match="no export was requested"):
        sync.attempt(operator_class=kind)
    store.get = read
    sync.attempt(operator_class=kind)
    assert exports(sandbox) == 1


def test_a_lost_export_is_requested_anew_by_the_next_try(sandbox, cohort, sync, store) -> None:
    cohort("a")
    store.set("amplitude_export", kept("gone"))
    with pytest.raises(exceptions.ExportFailedError):
        sync()
    assert exports(sandbox) == 0
    sync()
    assert exports(sandbox) == 1


def test_without_a_state_store_every_try_requests(sandbox, cohort) -> None:
    cohort("a")
    operator = AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="a1b2c3d", segment_name="Power users", poll_interval=0.05
    )
    for _ in range(2):
        assert operator.execute({})["segment_after"] == 1
    assert exports(sandbox) == 2


@pytest.mark.parametrize(
    ("arrange", "parameters", "error"),
    [
        (
            lambda s: s.project.add_cohort(id="a1b2c3d", name="x", rows=[], archived=True),
            {},
            "ArchivedCohortError",
        ),
        (
            lambda s: s.project.add_cohort(id="a1b2c3d", name="x", rows=[], group="Company"),
            {},
            "GroupCohortError",
        ),
        (lambda s: s.workspace.add_segment(name="Power users", type="dynamic"), {}, "DataDrivenSegmentError"),
        (
            lambda s: [s.workspace.add_segment(name="Power users") for _ in range(2)],
            {},
            "AmbiguousSegmentError",
        ),
        (lambda s: None, {"segment_id": 987654}, "UnknownSegmentError"),
        (lambda s: None, {"segment_name": " "}, "ConfigurationError"),
        (lambda s: None, {"segment_id": ""}, "ConfigurationError"),
        (lambda s: None, {"dry_run": "perhaps"}, "ConfigurationError"),
        (lambda s: None, {"cohort_id": "../x"}, "ConfigurationError"),
    ],
)
def test_what_is_wrong_at_either_end_costs_no_export(
    sandbox, cohort, sync, arrange, parameters, error
) -> None:
    cohort("a")
    arrange(sandbox)
    with pytest.raises(AirflowFailException) as caught:
        sync(**parameters)
    assert type(caught.value) is getattr(exceptions, error)
    assert exports(sandbox) == 0


@pytest.mark.parametrize("wrong", ["login", "password", "app_api_key"])
def test_a_wrong_customer_io_key_costs_no_export(sandbox, cohort, sync, connect, wrong: str) -> None:
    cohort("a")
    change = {"extra": {wrong: "wrong-key"}} if wrong == "app_api_key" else {wrong: "wrong-key"}
    with pytest.raises(exceptions.AuthenticationError):
        sync(customer_io_conn_id=connect("customer_io_default", **change))
    assert exports(sandbox) == 0


def test_an_unlisted_cohort_may_still_export(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.project.add_cohort(
        id="h1dd3nx", name="x", rows=[{"amplitude_id": "1", "user_id": "a"}], listed=False
    )
    assert sync(cohort_id="h1dd3nx")["segment_after"] == 1
    with pytest.raises(exceptions.UnknownCohortError):
        sync(cohort_id="n0where")


def test_a_property_that_the_export_lacks(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.configure(missing_columns=True)
    with pytest.raises(exceptions.MissingPropertyError, match="no column 'mail'"):
        sync(user_id_property="mail")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "exactly one of"),
        ({"segment_name": "x", "segment_id": 1}, "exactly one of"),
        (
            {"segment_name": "x", "id_type": "phone"},
            "id_type is 'phone'; it must be 'id', 'email' or 'cio_id'",
        ),
        ({"segment_name": "x", "mode": "sync"}, "mode is 'sync'"),
        ({"segment_name": "x", "max_removal_percent": 101}, "max_removal_percent is 101"),
        ({"segment_name": "x", "poll_interval": 0}, "poll_interval is 0"),
        ({"segment_name": "x", "user_id_property": " "}, "user_id_property is empty"),
    ],
)
def test_wrong_parameters_are_found_when_the_dag_is_read(parameters, words: str) -> None:
    with pytest.raises(exceptions.ConfigurationError) as caught:
        AmplitudeCohortToCustomerIOOperator(task_id="sync", cohort_id="a1b2c3d", **parameters)
    assert words in str(caught.value)


def operator(**parameters) -> AmplitudeCohortToCustomerIOOperator:
    return AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="a1b2c3d", segment_name="Power users", deferrable=True, **parameters
    )


def test_a_deferral_carries_no_key(sandbox, cohort, store) -> None:
    cohort("a")
    sandbox.configure(export_seconds=60)
    with pytest.raises(TaskDeferred) as caught:
        operator(poll_interval=7).execute({"task_state_store": store})
    _, arguments = caught.value.trigger.serialize()
    assert set(arguments) == {
        "amplitude_conn_id",
        "request_id",
        "poll_interval",
        "deadline",
        "initial_delay",
        "cohort_id",
        "requested_at",
    }
    assert (arguments["amplitude_conn_id"], arguments["poll_interval"]) == ("amplitude_default", 7)
    assert arguments["initial_delay"] >= 7
    assert caught.value.timeout.total_seconds() > 3600


def go_on(event: Any, request_id: str = "1", store: Any = None) -> None:
    """Resume a task that has awaited this export."""
    task = operator()
    carried = {"of": task.cohort_sync({}).binding}
    context: Any = {"task_state_store": store}
    task.execute_complete(context, event, {}, carried, kept(request_id))


def event_of(trigger: AmplitudeExportTrigger) -> dict:
    async def first() -> dict:
        return (await anext(aiter(trigger.run()))).payload

    return asyncio.run(first())


def test_the_trigger_tells_that_the_deadline_is_over(sandbox, cohort) -> None:
    cohort("a")
    sandbox.configure(export_seconds=60)
    request_id = AmplitudeHook().request_export("a1b2c3d")
    event = event_of(AmplitudeExportTrigger("amplitude_default", request_id, 0.05, time.time() + 0.2))
    assert (event["status"], event["request_id"]) == ("timeout", request_id)
    with pytest.raises(exceptions.ExportNotReadyError, match="A retry continues to wait for the same export"):
        go_on(event, request_id)


def test_the_trigger_tells_that_the_export_is_lost(sandbox, store) -> None:
    event = event_of(AmplitudeExportTrigger("amplitude_default", "nosuchjob", 0.05, time.time() + 9))
    assert event["status"] == "failed"
    store.set("amplitude_export", kept("nosuchjob"))
    with pytest.raises(exceptions.ExportFailedError):
        go_on(event, "nosuchjob", store)
    assert store.kept == {}


def test_the_trigger_tells_that_a_key_is_wrong(sandbox, connect) -> None:
    conn_id = connect("amplitude_default", password="wrong-key")
    event = event_of(AmplitudeExportTrigger(conn_id, "1", 0.05, time.time() + 9))
    assert event["status"] == "error"
    assert "wrong-key" not in event["message"]
    with pytest.raises(exceptions.PermanentError, match="secret key"):
        go_on(event)


def test_the_trigger_outlives_a_vendor_that_is_away(sandbox, connect) -> None:
    conn_id = connect("amplitude_default", host="http://127.0.0.1:9")
    event = event_of(AmplitudeExportTrigger(conn_id, "1", 0.05, time.time() + 0.2))
    assert event["status"] == "timeout"
    assert "could not be reached" in event["message"]


@pytest.mark.parametrize("event", [None, {}, {"status": "great"}, {"status": "success", "request_id": "2"}])
def test_an_event_that_says_nothing_is_no_success(sandbox, event) -> None:
    with pytest.raises(exceptions.ExportNotReadyError):
        go_on(event)


def test_the_trigger_tells_that_the_waiting_itself_broke(sandbox, store, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NO_JSON", '{"conn_type": "amplitude", "extra": "secret-4711"')
    event = event_of(AmplitudeExportTrigger("no_json", "1", 0.05, time.time() + 9))
    assert event["status"] == "broken"
    assert "secret-4711" not in event["message"]
    store.set("amplitude_export", kept("1"))
    with pytest.raises(exceptions.TriggererError, match="A retry continues to wait for the same export"):
        go_on(event, "1", store)
    assert store.kept
