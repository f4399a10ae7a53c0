"""The sync itself, as Airflow would run it: what :mod:`..child` measures."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.vendors import COHORT, SEGMENT

_PACKAGE = "airflow_provider_cio_cohort"
#: What is timed, as its caller knows it.
TIMED = {
    "parse, sort": (f"{_PACKAGE}.sync.download", "collect"),
    "diff": (f"{_PACKAGE}.engine.sync", "compare"),
}


def prepare() -> Callable[[], Any]:
    """Build the operator, and return what runs it; beside its report, that tells when what was timed."""
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )

    task = AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id=COHORT, segment_name=SEGMENT, poll_interval=1
    )
    spans: dict[str, tuple[float, float]] = {}
    for phase, (module, name) in TIMED.items():
        _time(importlib.import_module(module), name, phase, spans)
    return lambda: {"report": task.execute({}), "spans": spans}


def _time(module: Any, name: str, phase: str, spans: dict[str, tuple[float, float]]) -> None:
    function = getattr(module, name)

    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.monotonic()
        try:
            return function(*args, **kwargs)
        finally:
            spans.setdefault(phase, (start, time.monotonic()))

    setattr(module, name, timed)
