"""The buttons of a task that lead to its cohort and its segment, in the vendors' web applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


class AmplitudeCohortLink(BaseOperatorLink):
    """Leads to the cohort in Amplitude; the operator has it in ``carried``."""

    name = "Amplitude cohort"

    # Airflow calls this in the task's process whenever that ends, deferred included, and stores the answer.
    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the cohort's page; empty, which greys the button out, before the task knows it.

        :param operator: the task's operator.
        :param ti_key: which task instance it is.
        """
        return str(operator.carried.get("cohort_url") or "")


class CustomerIOSegmentLink(BaseOperatorLink):
    """Leads to the segment in Customer.io; the operator has it in ``carried``."""

    name = "Customer.io segment"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the segment's page; empty, which greys the button out, before the task knows it.

        :param operator: the task's operator.
        :param ti_key: which task instance it is.
        """
        return str(operator.carried.get("segment_url") or "")
