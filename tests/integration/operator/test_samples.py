"""A sample does not stand for the whole: it is drawn anew, and where it shows a loss, all are looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.engine import customer_io, verify
from airflow_provider_cio_cohort.engine.sorted_file import write_blocks
from tests.integration.operator.conftest import prove_keys
from tests.integration.operator.test_sync import members


@pytest.fixture(autouse=True)
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (customer_io, verify):
        monkeypatch.setattr(module, "MOST_LOOKUPS", 200)
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "20")  # also where the machine is busy
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_STABLE_SECONDS", "0.01")


@pytest.fixture
def world(sandbox, assets) -> Any:
    """
    A cohort of 800, of whom every fourth is unknown; a segment whose writes are lost for some.

    Those who are lost are never those whom every n-th of the missing would show.
    """
    ids = [f"u-{n:04}" for n in range(800)]
    for each in ids:
        if int(each[2:]) % 4:
            sandbox.workspace.add_person(id=each)
    rows = [{"amplitude_id": str(n), "user_id": each} for n, each in enumerate(ids)]
    sandbox.project.add_cohort(id="a1b2c3d", name="Power users", rows=rows)
    prove_keys(assets, sandbox.workspace.add_segment(name="Power users"))
    return sandbox


def lose(sandbox, times: int, share: int = 7) -> set[str]:
    """Let some people leave again after each of so many writes, as if these had been dropped."""
    segment = sandbox.workspace.find_segment("Power users")
    lost = {p.id for p in sandbox.workspace.people.values() if int(p.id[2:]) % share == 1}

    def drop(request: Any) -> None:
        segment.by_hand_remove([p for p in segment.members if p.id in lost])

    for number in range(times):
        sandbox.at_request(drop, api="app", path="/membership$", after=1 + number)
    return lost


def test_people_who_were_lost_are_found_sent_again_and_no_others(world, sync) -> None:
    lost = lose(world, times=1)
    report = sync(max_growth_percent=None)
    assert (report["added"], report["unmatched"]) == (600, 200)
    assert members(world) >= lost
    again = [r.ids for r in world.requests if r.path.endswith("add_customers")][1:]
    assert sum(again) == len(lost)


def test_the_message_tells_how_many_are_missing_in_all(world, sync, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__VERIFY_TIMEOUT", "5")  # also where the machine is busy
    lost = lose(world, times=50)
    with pytest.raises(exceptions.VerificationError) as caught:
        sync(max_growth_percent=None)
    assert f": {len(lost)} people missing, 0 not removed" in caught.value.headline
    assert f"{len(lost)} people of the cohort who exist in Customer.io are missing" in str(caught.value)


def test_a_retry_draws_another_sample(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    write_blocks(path, [[f"u-{n:05}" for n in range(10_000)]])
    first, second, third = (customer_io.sample(path, 10_000, 100) for _ in range(3))
    assert first != second != third
    for values in (first, second, third):  # one of each stretch
        assert [int(value[2:]) // 100 for value in values] == list(range(100))


def test_a_sample_may_hold_the_last_ones(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    write_blocks(path, [[f"u-{n:05}" for n in range(10_000)]])
    numbers = [int(value[2:]) for value in customer_io.sample(path, 10_000, 100, last=10)]
    assert numbers[-10:] == list(range(9_990, 10_000))
    assert [number // 111 for number in numbers[:-10]] == list(range(90))


def test_an_identifier_that_is_refused_does_not_switch_the_look_up_off(world, sync) -> None:
    world.configure(lookup_refuses="^u-0004$")
    lost = lose(world, times=1)
    assert sync(max_growth_percent=None)["added"] == 600
    assert members(world) >= lost
