"""Keys that have worked are not called wrong because of one refusal."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from tests.integration.faults.test_converges import break_at

#: Calls that are not the first ones with their key.
LATER = [
    *("amplitude's usage", "the request", "the status", "the trigger", "the file"),
    *("the creation", "the membership", "the read-back", "the count", "the lookup", "adding", "removing"),
]
#: A sync continues without what these have to say.
OPTIONAL = ("amplitude's usage", "the lookup")
ACCEPTED = "The same key was accepted earlier in this run"


def refuse(task, place: str, status: int, **more: Any) -> Any:
    return break_at(task, place, "500", action="status", status=status, **more)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("place", LATER)
def test_a_single_refusal_is_retried(task, place: str, status: int) -> None:
    broken = refuse(task, place, status)
    report = task.run()
    assert (broken.met, task.errors) == (1, [])
    task.assert_as_without_faults(report)


@pytest.mark.parametrize("place", [place for place in LATER if place not in OPTIONAL])
def test_a_second_refusal_ends_the_task(task, place: str) -> None:
    broken = refuse(task, place, 401, times=0)
    error = task.fail(patience=10)
    assert isinstance(error, exceptions.PermanentError)
    if place == "the trigger":
        assert "The triggerer reported this" in str(error)
    else:
        assert type(error) is exceptions.AuthenticationError
        assert ACCEPTED in str(error)
    assert broken.met == 2
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


def test_the_first_calls_are_refused_at_once(sandbox) -> None:
    for api, hook in (("app", CustomerIOHook().list_segments), ("amplitude", AmplitudeHook().list_cohorts)):
        broken = sandbox.faults.add("status", api=api, status=401, times=0)
        with pytest.raises(exceptions.AuthenticationError) as caught:
            hook()
        assert broken.met == 1
        assert ACCEPTED not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "after"), [("the file", 0), ("the region", 1), ("the segment", 1), ("adding", 0)]
)
def test_after_a_wait_the_keys_have_worked_as_well(task, place: str, after: int) -> None:
    answer = {"status": 202, "body": {"async_status": "JOB INPROGRESS"}}
    task.sandbox.faults.add("status", path="/request-status/", **answer)
    broken = refuse(task, place, 401, after=after)
    report = task.run(deferrable=True)
    assert (broken.met, task.errors) == (1, [])
    task.assert_as_without_faults(report)


def test_every_batch_may_be_refused_once(task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_cio_cohort.hooks.membership.IDENTIFIERS_PER_BATCH", 1)
    names = [f"u-{n}" for n in range(8)]
    for name in names:
        task.sandbox.workspace.add_person(id=name)
    rows = [{"amplitude_id": name, "user_id": name} for name in ("stays", "joins", *names)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    task.sandbox.configure(latency_ms=100)  # so that both are under way
    broken = refuse(task, "adding", 401, times=2, after=1)
    task.run()
    assert (broken.met, task.errors) == (2, [])
    assert task.members == {"stays", "joins", *names}
