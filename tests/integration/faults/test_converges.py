"""Whatever breaks, and wherever: the end is as without it, for the price of one export."""

from __future__ import annotations

import random
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.sandbox.faults import Fault
from tests.integration.faults.table import BELIEVED, COUNTED_TWICE, FAULTS, FOUND, LASTING, PLACES, expected

#: A file may lie elsewhere; and a sync goes on without what the usage and the lookup have to tell.
NEVER_REDIRECTED = [
    place for place in PLACES if place not in ("the file", "the storage", "amplitude's usage", "the lookup")
]
IN_PROGRESS = {"status": 202, "body": {"async_status": "JOB INPROGRESS"}}


def break_at(task, place: str, fault: str, **more: Any) -> Fault:
    where = PLACES[place]
    task.parameters |= where.parameters
    task.sandbox.configure(**where.settings)
    if not where.remembered:
        task.forget()
    if place == "the trigger":  # it is only asked where the worker found the export unfinished
        task.sandbox.faults.add("status", path=where.path, **IN_PROGRESS)
    if (place, fault) in BELIEVED:
        task.configure(
            VERIFY_TIMEOUT="10" if more.get("times", 1) else "0.5"
        )  # also where the machine is busy
    if "stall" in fault:
        task.configure(READ_TIMEOUT="0.25")
    met = {"api": where.api, "method": where.method, "path": where.path, "after": where.after}
    broken: Fault = task.sandbox.faults.add(**{**met, **FAULTS[fault].details, **more})
    return broken


def test_without_a_fault(task) -> None:
    task.assert_as_without_faults(task.run())
    assert task.errors == []


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_a_fault_that_passes(task, place: str, fault: str) -> None:
    broken = break_at(task, place, fault)
    report = task.run()
    assert broken.met == 1
    left_to_airflow = FAULTS[fault].unclear and not PLACES[place].repeated and (place, fault) not in FOUND
    assert len(task.errors) == left_to_airflow, task.errors
    task.assert_as_without_faults(report, exports=2 if (place, fault) in COUNTED_TWICE else 1)


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_that_comes_three_times(task, place: str) -> None:
    broken = break_at(task, place, "502 page", times=3)
    report = task.run()
    assert broken.met == 3
    task.assert_as_without_faults(report)


@pytest.mark.parametrize(("place", "fault"), LASTING)
def test_a_fault_that_lasts(task, place: str, fault: str) -> None:
    broken = break_at(task, place, fault, times=0)
    error = task.fail(export_timeout=0.2)
    assert broken.met
    kind, words = expected(place, fault)
    assert type(error) is kind
    assert [word for word in words if word.lower() not in str(error).lower()] == []
    stayed = task.sandbox.workspace.find_segment("Power users").members
    assert "stays" in [person.id for person in stayed]
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run(), exports=2 if (place, fault) in COUNTED_TWICE else 1)


@pytest.mark.parametrize("place", [place for place in PLACES if "request-status" not in PLACES[place].path])
def test_a_wait_that_is_longer_than_the_budget_is_left_to_airflow(task, place: str) -> None:
    where = PLACES[place]
    broken = break_at(task, place, "429", times=0, headers={"Retry-After": "600"})
    error = task.fail()
    assert isinstance(error, exceptions.RateLimitedError)
    assert error.retry_after == 600
    assert "It asked to wait 600 s" in str(error)
    assert where.words[0] in str(error)
    assert broken.met == 1
    task.sandbox.faults.clear()
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("place", NEVER_REDIRECTED)
def test_a_redirect_is_the_wrong_region_and_is_not_followed(task, place: str) -> None:
    elsewhere = {"Location": f"{task.sandbox.urls['app_eu']}/elsewhere"}
    broken = break_at(task, place, "500", action="redirect", status=301, headers=elsewhere)
    error = task.fail()
    assert isinstance(error, exceptions.PermanentError)
    assert PLACES[place].words[0] in str(error) or task.sandbox.urls["amplitude_us"] in str(error)
    assert "region" in str(error)
    assert broken.met == 1
    assert task.sandbox.count(path_regex="/elsewhere") == 0
    task.assert_as_without_faults(task.run())


@pytest.mark.parametrize("lost", ["reset after", "stall after"])
def test_a_request_whose_answer_is_lost_may_have_cost_an_export(task, lost: str) -> None:
    break_at(task, "the request", lost)
    error = task.fail()
    assert "Amplitude may have counted it" in str(error)
    assert task.exports == 1  # the hook did not send it again: only the next try does
    task.assert_as_without_faults(task.run(), exports=2)


def test_a_new_segment_whose_making_was_not_answered_is_not_made_twice(task) -> None:
    for fault in ("reset before", "reset after", "stall after", "500", "200 page"):
        break_at(task, "the creation", fault)
        name = f"New: {fault}"
        report = task.run(segment_name=name)
        assert report["segment_after"] == 2
        made = [s for s in task.sandbox.workspace.segments.values() if s.name == name]
        assert len(made) == 1


@pytest.mark.parametrize("seed", range(5))
def test_many_faults_at_once(task, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    usual = [place for place, where in PLACES.items() if not where.parameters]
    chosen = [(chance.choice(usual), chance.choice([*FAULTS])) for _ in range(30)]
    broken = [(break_at(task, *each), each) for each in chosen]
    report = task.run(tries=40)
    assert sum(fault.met for fault, _ in broken) > 15
    lost = sum(each in COUNTED_TWICE and fault.met for fault, each in broken)
    task.assert_as_without_faults(report, exports=1 + lost)


def test_a_fault_in_the_middle_of_batches_and_pages(task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_cio_cohort.hooks.membership.MEMBERS_PER_PAGE", 1000)
    names = [f"u-{n:04}" for n in range(3500)]
    for name in names:
        task.sandbox.workspace.add_person(id=name)
    rows = [{"amplitude_id": name, "user_id": name} for name in ("stays", "joins", *names)]
    task.sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=rows)
    task.parameters["allow_large_addition"] = True
    where = {"adding": 2, "the read-back": 3}
    for fault in ("reset before", "reset after", "429", "500", "200 page"):
        for place, after in where.items():
            break_at(task, place, fault, after=after)
    task.run()
    assert task.errors == []
    assert [fault["met"] for fault in task.sandbox.faults.all()] == [1] * 10
    assert task.members == {"stays", "joins", *names}
    assert task.exports == 1
