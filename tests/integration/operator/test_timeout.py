"""Stop means stop: after execution_timeout, or any other end, nothing more is sent or read."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from threading import main_thread
from types import FrameType
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider_cio_cohort.hooks import membership
from airflow_provider_cio_cohort.sync.target import describe
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from tests.integration.operator.conftest import prove_keys

BATCHES = 40


@pytest.fixture
def operator(sandbox, assets, monkeypatch: pytest.MonkeyPatch) -> AmplitudeCohortToCustomerIOOperator:
    """An operator with forty batches to send, at twenty a second."""
    monkeypatch.setattr(membership, "IDENTIFIERS_PER_BATCH", 2)
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 2)
    connection = sandbox.connections()["customer_io_default"]
    connection["extra"]["requests_per_second"] = 20
    monkeypatch.setenv("AIRFLOW_CONN_CUSTOMER_IO_DEFAULT", json.dumps(connection))
    people = [sandbox.workspace.add_person(id=f"u-{n:03}") for n in range(2 * BATCHES)]
    rows = [{"amplitude_id": str(n), "user_id": person.id} for n, person in enumerate(people)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    segment = sandbox.workspace.add_segment(
        name="Power users", description=describe("a1b2c3d", None, "mirror")
    )
    prove_keys(assets, segment)
    sandbox.reset_requests()
    return AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="a1b2c3d", segment_name="Power users", poll_interval=0.05
    )


def interrupt(error: type[BaseException]) -> Callable[[Any], None]:
    """Return what raises an error in the thread of the task, as Airflow's timeout does."""

    def stop(signum: int, frame: FrameType | None) -> None:
        raise error

    signal.signal(signal.SIGUSR1, stop)
    return lambda request: signal.pthread_kill(main_thread().ident or 0, signal.SIGUSR1)


@pytest.mark.parametrize("error", [AirflowTaskTimeout, KeyboardInterrupt])
def test_after_a_timeout_no_further_batch_goes_out(
    sandbox, operator, store, assets, xcoms, error: type[BaseException]
) -> None:
    sandbox.at_request(interrupt(error), api="track", path="add_customers", after=4)
    with pytest.raises(error):
        operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    sent = sandbox.count("track", "add_customers")
    assert sent < BATCHES / 2
    time.sleep(0.3)  # what is not stopped would go on at twenty a second
    assert sandbox.count("track", "add_customers") <= sent + 1


def test_after_a_failed_download_the_segment_is_not_read_to_its_end(
    sandbox, operator, store, assets, xcoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__RETRY_TIMEOUT", "0.01")
    segment = sandbox.workspace.find_segment("Power users")
    segment.by_hand_add(sandbox.workspace.people.values())
    sandbox.faults.add("delay", api="app", path="/membership$", seconds=0.05, times=0)
    sandbox.faults.add("status", api="amplitude", path="/file$", status=400, times=0)
    with pytest.raises(Exception, match="downloading an export"):
        operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    read = sandbox.count("app", "/membership$")
    assert read < BATCHES / 2
