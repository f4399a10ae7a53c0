"""What ends a task says whether anybody was added or removed: in this try, or in an earlier one."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.state import EARLIER, NOT_KNOWN, NOTHING, SOME, WriteMarker


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RETRY_TIMEOUT": "0.05", "VERIFY_TIMEOUT": "0.2"}.items():
        monkeypatch.setenv(f"AIRFLOW__CIO_COHORT__{name}", value)


def fail(sync, **parameters: Any) -> exceptions.CohortSyncError:
    with pytest.raises(exceptions.CohortSyncError) as caught:
        sync(**parameters)
    return caught.value


def held(error: exceptions.CohortSyncError) -> tuple[bool | None, str]:
    headline, below = str(error).split("\n", 1)
    assert headline == error.headline
    assert below.startswith(error.consequence)
    return error.segment_touched, error.consequence


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_vendor_who_is_away_before_the_writes(sandbox, cohort, sync, deferrable: bool) -> None:
    cohort("a")
    sandbox.faults.add(api="app", path="/membership$", action="status", status=500, times=0)
    assert held(fail(sync, deferrable=deferrable)) == (False, NOTHING)


def test_a_vendor_who_goes_away_in_the_middle_of_the_writes(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.faults.add(api="track", path="/add_customers$", action="status", status=500, times=0)
    assert held(fail(sync)) == (True, SOME)


def test_an_earlier_try_counts_until_one_succeeds(sandbox, cohort, sync) -> None:
    cohort("a")
    sandbox.faults.add(api="track", path="/add_customers$", action="status", status=500, times=0)
    fail(sync)
    sandbox.faults.clear()
    assert held(fail(sync, cohort_id="none123")) == (True, EARLIER)
    sync.attempt()
    assert held(fail(sync, cohort_id="none123")) == (False, NOTHING)


def test_a_guard(sandbox, cohort, sync) -> None:
    cohort("a")
    guest = sandbox.workspace.add_person(id="guest")
    sandbox.workspace.add_segment(name="Power users", members=[guest])
    assert held(fail(sync)) == (False, NOTHING)


def test_a_dry_run_touches_nothing(sandbox, cohort, sync, store) -> None:
    cohort("a")
    sandbox.workspace.add_segment(name="Power users")
    sync.attempt(dry_run=True)
    assert "segment_touched" not in store.kept
    sync.attempt()
    assert "segment_touched" not in store.kept


@pytest.mark.parametrize("kind", [OSError, AirflowTaskTimeout])
def test_a_foreign_exception_is_told_of_in_the_log(
    kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    touched = WriteMarker({})
    touched.note()
    with pytest.raises(kind), touched.told():
        raise kind("the disk is full")
    assert (caplog.records[-1].levelno, caplog.messages[-1]) == (
        logging.ERROR,
        f"The try ends with {kind.__name__}. {SOME}",
    )


def test_a_store_that_fails_ends_no_sync() -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise ConnectionError(name)

    with WriteMarker({"task_state_store": Away()}).told():
        pass
    error = exceptions.UnknownCohortError("There is none.")
    with (
        pytest.raises(exceptions.UnknownCohortError, match=NOTHING),
        WriteMarker({"task_state_store": Away()}).told(),
    ):
        raise error


@pytest.mark.parametrize("where", ["no store", "a store that is away"])
def test_what_an_earlier_try_did_is_not_known_without_a_store(sandbox, cohort, sync, where: str) -> None:
    cohort("a")
    sandbox.faults.add(api="app", path="/membership$", action="status", status=500, times=0)

    class Away:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("away")

    store = None if where == "no store" else Away()
    for number, expected in ((1, (False, NOTHING)), (2, (None, NOT_KNOWN))):
        ti = SimpleNamespace(try_number=number, xcom_push=lambda **kwargs: None)
        assert held(fail(sync, context={"task_state_store": store, "ti": ti})) == expected


@pytest.mark.parametrize(("number", "has_written", "deletes"), [(1, False, 0), (1, True, 1), (2, False, 1)])
def test_nothing_is_deleted_where_no_try_can_have_written(
    number: int, has_written: bool, deletes: int
) -> None:
    class Counting:
        deletes = 0

        def set(self, key: str, value: Any) -> None: ...

        def delete(self, key: str) -> None:
            self.deletes += 1

    store = Counting()
    marker = WriteMarker({"task_state_store": store, "ti": SimpleNamespace(try_number=number)})
    with marker.told():
        if has_written:
            marker.note()
    assert store.deletes == deletes
