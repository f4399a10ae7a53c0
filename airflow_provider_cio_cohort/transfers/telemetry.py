"""Reports the result of a sync to Airflow: the event of the segment's asset, and metrics. Counts only."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Asset

from airflow_provider_cio_cohort.compatibility import stats

log = logging.getLogger(__name__)

_PREFIX = "cio_cohort"


def add_event(context: Mapping[str, Any], asset: Asset | None, facts: Mapping[str, Any]) -> None:
    """
    Let the event that Airflow makes of a task's success carry counts.

    :param context: the task's context.
    :param asset: one of the task's outlets, or ``None``.
    :param facts: what the event is to carry.
    """
    events = context.get("outlet_events")
    if asset is not None and events is not None:
        events[asset].extra = dict(facts)


def count(tags: Mapping[str, str], report: Mapping[str, Any], duration: float) -> None:
    """
    Send a sync's metrics, where Airflow is set to send any.

    :param tags: of every one of them.
    :param report: the counts of a sync that has written.
    :param duration: seconds from the first try's start, the wait for the export included.
    """
    tags = dict(tags)
    stats.incr(f"{_PREFIX}.members_added", report["added"], tags=tags)
    stats.incr(f"{_PREFIX}.members_removed", report["removed"], tags=tags)
    stats.gauge(f"{_PREFIX}.segment_size", report["segment_after"], tags=tags)
    for name in ("not_removable", "rejected"):
        stats.gauge(f"{_PREFIX}.{name}", report[name], tags=tags)
    if report["unmatched"] is not None:
        stats.gauge(f"{_PREFIX}.unmatched", report["unmatched"], tags=tags)
    if report["match_rate"] is not None:
        stats.gauge(f"{_PREFIX}.match_rate", report["match_rate"], tags=tags)
    stats.timing(f"{_PREFIX}.duration", timedelta(seconds=duration), tags=tags)


def count_exports(conn_id: str, month: Mapping[str, Any]) -> None:
    """
    Send how many exports an Amplitude project has left this month.

    :param conn_id: the project's connection.
    :param month: what :func:`.check_quota` returned.
    """
    if month:
        left = max(month["exports_limit"] - month["exports_used"], 0)
        stats.gauge(f"{_PREFIX}.exports_left", left, tags={"amplitude_conn_id": conn_id})
