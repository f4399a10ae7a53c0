"""Counts what the suite has broken and what nonsense it has tried, and prints it at the end."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from airflow_provider_cio_cohort.sandbox.faults import Fault, Faults

_counts: Counter[str] = Counter()
_take = Faults.take


def count_fault() -> None:
    """Count something that a test has broken by itself, such as a process that it killed."""
    _counts["faults"] += 1


def count_bad_input() -> None:
    """Count an input that a test has made up."""
    _counts["inputs"] += 1


def count(name: str) -> None:
    """Count a request or an answer that was compared with what the vendors publish."""
    _counts[name] += 1


def counted(name: str) -> int:
    """Return how many there were so far in this process."""
    return _counts[name]


def _counted(self: Faults, api: str, method: str, path: str) -> Fault | None:
    fault = _take(self, api, method, path)
    if fault is not None:
        _counts["faults"] += 1
    return fault


Faults.take = _counted  # type: ignore[method-assign]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass on the counts of a process that runs a part of the tests."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counts"] = dict(_counts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the counts of such a process."""
    _counts.update(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the counts, where there are any."""
    if _counts:
        terminalreporter.write_line(
            f"faults injected: {_counts['faults']:,} · bad inputs tried: {_counts['inputs']:,} · "
            f"requests and answers compared: {_counts['requests']:,}, {_counts['answers']:,}"
        )
