"""Whatever happens during a probe, the workspace afterwards is as before, byte for byte."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_cio_cohort.doctor.probe import probe
from airflow_provider_cio_cohort.doctor.throwaway import DESCRIPTION, MARK, is_throwaway, new_name
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import Segment
from tests.integration.doctor.conftest import FAST, ID, dump, line

#: Faults that a retry mends, each kind of Customer.io's. The two stalls are resets after a wait.
PASSING: dict[str, dict[str, Any]] = {
    "status-500": {"action": "status", "status": 500},
    "status-429": {"action": "status", "status": 429},
    "html": {"action": "html", "status": 502},
    "broken_json": {"action": "broken_json", "status": 500},
    "reset_before": {"action": "reset_before"},
    "reset_after": {"action": "reset_after"},
    "empty_after": {"action": "empty_after"},
    "cut": {"action": "cut"},
    "extra_fields": {"action": "extra_fields"},
    "null_lists": {"action": "null_lists"},
    "end_early": {"action": "end_early"},
    "no_identifiers": {"action": "no_identifiers"},
}
#: How far these are apart: few runs meet one at each request.
APART = 3
#: Faults that are taken for an answer, so that the probe may end with them: one in each run.
ENDING: dict[str, dict[str, Any]] = {
    "status-400": {"action": "status", "status": 400},
    "status-401": {"action": "status", "status": 401},
    "status-404": {"action": "status", "status": 404},
    "redirect": {"action": "redirect"},
    "drop": {"action": "drop"},
    "empty": {"action": "empty", "status": 200},
}
#: Of the requests that change no segment, one of so many meets these; ``DOCTOR_FAULTS=1``: all.
STRIDE = int(os.environ.get("DOCTOR_FAULTS", "13"))


@pytest.fixture
def numbers(world, ask) -> Callable[[int], list[int]]:
    """Numbers of a run's requests: all about segments themselves, and some of the others."""
    ask()
    records = [record for record in world.requests if record.api in ("app", "track")]
    about = re.compile(r"/v1/segments(/\d+)?$")
    total = len(records)
    segments = {number for number, record in enumerate(records) if about.search(record.path)}

    def chosen(start: int) -> list[int]:
        return sorted(segments | set(range(start % STRIDE, total, STRIDE)))

    return chosen


@pytest.mark.parametrize("kind", PASSING)
def test_after_a_fault_at_each_request_that_passes(world, ask, kind: str) -> None:
    before, met = dump(world), 0
    for first in range(APART):
        world.faults.clear()
        # A fault does not count the requests that an earlier one has taken.
        places = enumerate(range(first, 600, APART))
        faults = [world.faults.add(**PASSING[kind], after=place - number) for number, place in places]
        findings = ask()
        met += sum(fault.met for fault in faults)
        assert dump(world) == before
        assert (findings[-1].name, findings[-1].status) == ("probe.removed", "ok")
    assert met > 10


@pytest.mark.parametrize("kind", ENDING)
def test_after_a_fault_that_is_an_answer(world, ask, numbers, kind: str) -> None:
    before = dump(world)
    for number in numbers(list(ENDING).index(kind)):
        world.faults.clear()
        fault = world.faults.add(**ENDING[kind], after=number)
        ask()
        assert dump(world) == before, number
        assert fault.met or number > 20


def interrupt_at(world, number: int) -> None:
    main = threading.main_thread().ident
    assert main is not None
    world.at_request(lambda _: signal.pthread_kill(main, signal.SIGINT), after=number)


def test_after_ctrl_c_at_any_request(world, ask, numbers) -> None:
    before = dump(world)
    for number in numbers(0):
        interrupt_at(world, number)
        with pytest.raises(KeyboardInterrupt):
            ask()
        assert dump(world) == before, number


@pytest.mark.parametrize("is_stopped", [False, True])
def test_after_ctrl_c_while_a_data_driven_segment_is_asked(world, ask, is_stopped: bool) -> None:
    world.configure(dynamic_status=200, visible_after=0.05)
    before, hook = dump(world), CustomerIOHook()
    computed = world.workspace.find_segment("Computed")
    main = threading.main_thread().ident

    def stop(_: object) -> None:
        if is_stopped:
            hook.stop()
        else:
            signal.pthread_kill(main, signal.SIGINT)

    world.at_request(stop, api="track", path=f"/{computed.id}/add_customers$")
    with suppress(KeyboardInterrupt):
        ask(hook=hook, dynamic_segment=computed.id, timeout=0.3)
    time.sleep(0.1)
    assert dump(world) == before


def test_after_a_hook_was_stopped(world) -> None:
    """As Ctrl-C does in commands that stop their hooks themselves."""
    before, hook = dump(world), CustomerIOHook()
    world.at_request(lambda _: hook.stop(), path="add_customers", after=3)
    findings = list(probe(hook, ID, **FAST))
    assert dump(world) == before
    assert [finding.status for finding in findings[-2:]] == ["unknown", "ok"]


def test_after_the_reader_has_gone(world) -> None:
    before = dump(world)
    with closing(probe(CustomerIOHook(), ID, **FAST)) as findings:
        while next(findings).name != "probe.lag":
            pass
        assert dump(world) != before
    assert dump(world) == before


def test_what_a_killed_probe_has_left_is_removed_at_the_next_start(world, ask) -> None:
    look_alikes = [
        world.workspace.add_segment(MARK, DESCRIPTION),
        world.workspace.add_segment(f"{MARK} please", DESCRIPTION),
        world.workspace.add_segment(new_name(), "Our own."),
        world.workspace.add_segment(new_name(), DESCRIPTION, type="dynamic"),
        world.workspace.add_segment("Ours", DESCRIPTION),
    ]
    world.workspace.delete_segment(look_alikes.pop(0))  # the whole mark and nothing else: one of ours, cut
    before = dump(world)
    world.faults.add("status", method="DELETE", times=0)
    hook = CustomerIOHook()
    hook.policy = replace(hook.policy, retry_timeout=0)
    findings = ask(hook=hook)
    removed = line(findings, "probe.removed")
    assert removed.status == "warning"
    assert "throwaway segments may remain" in removed.seen
    left = [each for each in world.workspace.segments.values() if each.name.strip().startswith(MARK)]
    assert len(left) > 3
    world.faults.clear()
    findings = ask()
    assert "of an earlier probe were removed" in line(findings, "probe.left_overs").seen
    assert dump(world) == before


@pytest.mark.parametrize(
    "setting", [{"name_limit": 20}, {"description_limit": 20}, {"name_rewrite": "collapse"}]
)
def test_left_overs_are_recognised_when_customer_io_has_changed_their_texts(world, ask, setting) -> None:
    before = dump(world)
    world.configure(**setting)
    world.faults.add("status", method="DELETE", times=0)
    hook = CustomerIOHook()
    hook.policy = replace(hook.policy, retry_timeout=0)
    ask(hook=hook)
    assert dump(world) != before
    world.faults.clear()
    ask()
    assert dump(world) == before


def test_left_overs_that_cannot_be_removed_are_named(world, ask) -> None:
    world.workspace.add_segment(new_name(), DESCRIPTION)
    world.faults.add("drop", method="DELETE", times=0)
    findings = ask()
    assert line(findings, "probe.left_overs").status == "warning"
    assert line(findings, "probe.removed").status == "warning"


def test_left_overs_that_cannot_be_listed_again_are_not_called_removed(world, ask) -> None:
    left = world.workspace.add_segment(new_name(), DESCRIPTION)
    world.faults.add("status", path="/v1/segments$", method="GET", after=1, times=0)
    hook = CustomerIOHook()
    hook.policy = replace(hook.policy, retry_timeout=0, retry_wait_initial=0.01)
    findings = ask(hook=hook)
    told = line(findings, "probe.left_overs").status == "warning"
    assert told or left.id not in world.workspace.segments


def test_an_app_key_that_may_not_create_segments_is_what_the_advice_is_about(world, ask) -> None:
    world.faults.add("status", status=403, path="/v1/segments$", method="POST", times=0)
    refused = line(ask(), "probe.lag")
    assert refused.status == "unknown"
    assert "App API key" in refused.advice
    assert "Run the doctor again" not in refused.advice


def test_without_the_list_of_segments_nothing_is_made(world, ask) -> None:
    before = dump(world)
    world.faults.add("status", status=401, path="/v1/segments$", method="GET", times=0)
    findings = ask()
    assert [(finding.name, finding.status) for finding in findings] == [("probe.left_overs", "unknown")]
    assert dump(world) == before
    assert world.count(path_regex="customers$") == 0


#: The name of a throwaway segment.
NEW = f"{MARK} 0a1b2c3d"


@pytest.mark.parametrize(
    ("name", "description", "is_ours"),
    [
        (NEW, DESCRIPTION, True),
        (NEW, DESCRIPTION[:20], True),
        (NEW, "", True),
        (f" {NEW}  <b>x", f" {DESCRIPTION}  <b>x", True),
        (MARK[:10], DESCRIPTION, True),
        (MARK[:10], MARK[:10], False),
        ("", DESCRIPTION, False),
        ("Power users", DESCRIPTION, False),
        (NEW, "Our own", False),
        (f"{MARK} 1234567", DESCRIPTION, False),
        (f"{NEW}0", DESCRIPTION, False),
    ],
)
def test_a_throwaway_segment_is_recognised(name: str, description: str, is_ours: bool) -> None:
    assert is_throwaway(Segment(11, name, description, is_manual=True)) == is_ours
    assert not is_throwaway(Segment(11, name, description, is_manual=False))


def test_a_new_name_is_one_of_a_throwaway_segment() -> None:
    assert is_throwaway(Segment(11, new_name(), DESCRIPTION, is_manual=True))
    assert new_name() != new_name()
