"""A task that is killed sends nothing more and leaves nothing behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.exceptions import SyncStoppedError
from airflow_provider_cio_cohort.state import WriteMarker
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AmplitudeCohortToCustomerIOOperator:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id="a1b2c3d", segment_name="Power users", poll_interval=0.05
    )


def test_a_kill_between_two_requests_says_so(
    sandbox, cohort, operator, store, assets, xcoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort("a")
    operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    cohort("a", "b")
    sandbox.reset_requests()
    store.kept = {}
    # No request is under way at this moment: the file of those to be added is opened next.
    monkeypatch.setattr(WriteMarker, "note", lambda marker: operator.on_kill())
    with pytest.raises(
        SyncStoppedError, match=r"The task was stopped before it had finished with the run's files\."
    ):
        operator.execute({"task_state_store": store, "asset_state_store": assets, "ti": xcoms})
    assert sandbox.count(path_regex="add_customers$") == 0


def test_a_kill_in_the_middle_of_a_write(
    sandbox, cohort, operator, store, assets, xcoms, tmp_path: Path
) -> None:
    cohort("a")
    held = sandbox.faults.add("delay", path="add_customers", seconds=1)
    context = {"task_state_store": store, "asset_state_store": assets, "ti": xcoms}
    ended: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute(context)
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not held.met:
        thread.join(0.01)
        assert thread.is_alive()
    assert list(tmp_path.rglob("run-*/cohort"))
    operator.on_kill()
    assert list(tmp_path.rglob("run-*")) == []
    thread.join(60)
    assert len(ended) == 1
    requests = [record.path.rpartition("/")[2] for record in sandbox.requests]
    assert requests[-1] == "add_customers"
