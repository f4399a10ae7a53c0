"""Whatever breaks, and wherever: the end is as without it, for the price of one export."""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sandbox.faults import Fault

#: Every call that a sync makes: the API and the path.
PLACES = {
    "amplitude's list": ("amplitude", "/api/3/cohorts$"),
    "amplitude's usage": ("amplitude", "/usage$"),
    "the request": ("amplitude", "/request/[^/]+$"),
    "the status": ("amplitude", "/request-status/"),
    "the file": ("amplitude", "/file$"),
    "the storage": ("storage", ""),
    "the segments": ("app", "/v1/segments$"),
    "the membership": ("app", "/membership$"),
    "the count": ("app", "/customer_count$"),
    "the lookup": ("app", "/customers/attributes$"),
    "the region": ("track", "/accounts/region$"),
    "adding": ("track", "/add_customers$"),
    "removing": ("track", "/remove_customers$"),
}
FAULTS = {
    "reset before": {"action": "reset_before"},
    "reset after": {"action": "reset_after"},
    "stall": {"action": "stall"},
    "stall after": {"action": "stall_after"},
    "429": {"action": "status", "status": 429},
    "429 with Retry-After": {"action": "status", "status": 429, "headers": {"Retry-After": "0"}},
    "500": {"action": "status", "status": 500},
    "502 page": {"action": "html", "status": 502},
    "503": {"action": "status", "status": 503},
    "504": {"action": "status", "status": 504},
    "200 page": {"action": "html", "status": 200},
    "empty": {"action": "empty", "status": 200},
    "broken JSON": {"action": "broken_json", "status": 200},
    "extra fields": {"action": "extra_fields"},
    "null lists": {"action": "null_lists"},
}
#: Nobody can know whether Amplitude counted a request whose answer was lost; the retry asks for another.
COUNTED_TWICE = {("the request", "reset after"), ("the request", "stall after")}
LASTING = ["reset before", "stall", "429", "500", "502 page", "200 page", "empty", "broken JSON"]


def break_at(task, place: str, fault: str, times: int = 1) -> Fault:
    if place == "the storage":
        task.sandbox.configure(inline_rows=0)
    api, path = PLACES[place]
    broken: Fault = task.sandbox.faults.add(api=api, path=path, times=times, **FAULTS[fault])
    return broken


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_that_passes(task, place: str, fault: str) -> None:
    broken = break_at(task, place, fault)
    report = task.run()
    assert broken.met == 1
    task.assert_as_without_faults(report, exports=2 if (place, fault) in COUNTED_TWICE else 1)


@pytest.mark.parametrize("fault", LASTING)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_that_lasts(task, place: str, fault: str) -> None:
    broken = break_at(task, place, fault, times=0)
    error = task.fail(export_timeout=0.3)
    assert broken.met
    assert isinstance(error, exceptions.RetryableError), error
    assert "retry" in str(error)
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_a_new_segment_whose_making_was_not_answered_is_not_made_twice(task) -> None:
    for fault in ("reset before", "reset after", "stall after", "500", "200 page"):
        name = f"New: {fault}"
        task.sandbox.faults.add(api="app", method="POST", path="/v1/segments$", **FAULTS[fault])
        report = task.run(segment_name=name)
        assert report["segment_after"] == 2
        made = [s for s in task.sandbox.workspace.segments.values() if s.name == name]
        assert len(made) == 1


def test_a_wait_that_is_longer_than_the_budget_is_left_to_airflow(task) -> None:
    for place in ("the segments", "adding", "the file"):
        api, path = PLACES[place]
        headers = {"Retry-After": "600"}
        task.sandbox.faults.add("status", api=api, path=path, status=429, headers=headers)
        error = task.fail()
        assert isinstance(error, exceptions.RateLimitedError)
        assert error.retry_after == 600
        assert "It asked to wait 600 s" in str(error)
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("vendor", ["amplitude_default", "customer_io_default"])
def test_nobody_listens(task, connect, vendor: str) -> None:
    nowhere = "http://127.0.0.1:9"
    if vendor == "amplitude_default":
        broken = {"amplitude_conn_id": connect(vendor, "away", host=nowhere)}
    else:
        extra = {"track_base_url": nowhere, "app_base_url": nowhere}
        broken = {"customer_io_conn_id": connect(vendor, "away", extra=extra)}
    error = task.fail(**broken)
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert "no connection could be made" in str(error)
    assert task.exports == 0
    task.assert_as_without_faults(task.run())
