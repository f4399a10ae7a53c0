"""``doctor`` with what writes or costs an export: it asks first, and leaves nothing behind."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from airflow_provider_cio_cohort.cli import doctor as command
from tests.docs.vendor_facts import named
from tests.integration.cli.conftest import PERSON, Answer

Run = Callable[..., Answer]
PROBE = ("--probe", "--person", PERSON)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    """Let the doctor ask as fast as it can."""
    pace: dict[str, Any] = {"requests_per_second": math.inf}
    monkeypatch.setattr(command, "probe", partial(command.probe, settle=0.0, timeout=0.1, **pace))
    monkeypatch.setattr(command, "probe_export", partial(command.probe_export, poll_interval=0.01, **pace))


@pytest.fixture
def workspace(sandbox: Any, cohort: Any, segment: Any) -> Any:
    """Both vendors, with a test person."""
    sandbox.configure(app_per_second=0)
    cohort(PERSON, "b")
    segment(PERSON, "b", name="Power users")
    return sandbox


def names(sandbox: Any) -> list[str]:
    return [segment.name for segment in sandbox.workspace.segments.values()]


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Type an answer at a terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(f"{text}\n"))


def test_both_are_part_of_one_report(workspace: Any, airflow: Run) -> None:
    answer = airflow("doctor", *PROBE, "--rounds", "2", "--export", "a1b2c3d", "--yes", "-o", "json")
    lines = {line["name"]: line["status"] for line in answer.rows["lines"]}
    assert {line for _, line in named()} - set(lines) == {"probe.data_driven"}
    assert lines["probe.removed"] == "ok"
    seen = {fact["fact"]: fact["seen"] for fact in answer.rows["facts"]}
    assert seen["customer_io.cio_id_form"] == "bare"
    assert seen["amplitude.delivery"] == "inline"
    assert names(workspace) == ["Power users"]
    assert workspace.project.used == 1
    assert PERSON not in answer.out + answer.err


@pytest.mark.parametrize(("typed", "goes_on"), [("y", True), ("n", False), ("", False)])
def test_it_asks_before_it_begins(
    workspace: Any, airflow: Run, monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool
) -> None:
    answers(monkeypatch, typed)
    answer = airflow("doctor", *PROBE, "--export", "a1b2c3d", "-o", "json")
    assert "adds the one person" in answer.err
    assert "costs one of the month's exports" in answer.err
    assert PERSON not in answer.err
    assert workspace.project.used == int(goes_on)
    assert (answer.code == 1) is not goes_on
    if not goes_on:
        assert workspace.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--probe", "--yes"], "--probe needs --person"),
        (["--probe", "--person", " ", "--yes"], "--probe needs --person"),
        (["--person", "x"], "--person has no effect without --probe"),
        (["--dynamic-segment", "7"], "--dynamic-segment has no effect without --probe"),
        (["--property", "x"], "--property has no effect without --export"),
        ([*PROBE, "--rounds", "0", "--yes"], "--rounds must be at least 1"),
        ([*PROBE], "stdin is not a terminal: pass --yes"),
        (["--export", "a1b2c3d"], "stdin is not a terminal: pass --yes"),
    ],
)
def test_wrong_usage(workspace: Any, airflow: Run, arguments: list[str], words: str) -> None:
    answer = airflow("doctor", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
    assert workspace.requests == []


@pytest.mark.parametrize("after", [3, 20, 40])
def test_ctrl_c_leaves_no_segment_behind(workspace: Any, airflow: Run, after: int) -> None:
    def interrupt(request: Any) -> None:
        import _thread

        _thread.interrupt_main()

    workspace.at_request(interrupt, api="track", path="customers", after=after)
    answer = airflow("doctor", *PROBE, "--rounds", "50", "--yes")
    assert answer.code == 130
    assert "Interrupted. The probe has deleted its segments" in answer.err
    assert names(workspace) == ["Power users"]


def test_a_data_driven_segment_is_tried_only_where_it_is_named(workspace: Any, airflow: Run) -> None:
    dynamic = workspace.workspace.add_segment("Computed", type="dynamic")
    answer = airflow("doctor", *PROBE, "--dynamic-segment", dynamic.id, "--yes", "-o", "json")
    seen = {fact["fact"]: fact["seen"] for fact in answer.rows["facts"]}
    assert seen["customer_io.data_driven_status"] == 400


def test_an_empty_cohort_id_asks_for_no_export(workspace: Any, airflow: Run) -> None:
    answer = airflow("doctor", "--export", "", "--yes")
    assert answer.code == 2
    assert "--export needs" in answer.err
    assert workspace.requests == []
