"""The sync itself, as Airflow would run it: what :mod:`..child` measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.vendors import COHORT, SEGMENT


def prepare() -> Callable[[], Any]:
    """Build the operator, and return what runs it."""
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )

    task = AmplitudeCohortToCustomerIOOperator(
        task_id="sync", cohort_id=COHORT, segment_name=SEGMENT, poll_interval=1
    )
    return lambda: task.execute({})
