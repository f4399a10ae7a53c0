"""Reads asset events and XComs as untrusted input, because both can also be created through Airflow's API."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_cio_cohort.overview.model import Failure, Report

#: The domains of the vendors' pages, in each region.
AMPLITUDE, CUSTOMER_IO = "amplitude.com", "customer.io"
_LONGEST_TEXT = 300
_LARGEST = 10**15


def read_report(at: datetime, run_id: str | None, extra: Any) -> Report:
    """
    Return an event as a report.

    :param at: when it was recorded.
    :param run_id: the id of its run.
    :param extra: its extra; any key may be missing or of a wrong type.
    """
    said = extra if isinstance(extra, dict) else {}
    rate = _number(said.get("match_rate"))
    return Report(
        at=at,
        run_id=run_id,
        cohort_id=_text(said.get("cohort_id")),
        cohort_name=_text(said.get("cohort_name")),
        cohort_url=_page(said.get("cohort_url"), AMPLITUDE),
        segment_id=_text(said.get("segment_id")),
        segment_name=_text(said.get("segment_name")),
        segment_url=_page(said.get("segment_url"), CUSTOMER_IO),
        mode=_text(said.get("mode")),
        identifiers=_count(said.get("identifiers")),
        before=_count(said.get("segment_before")),
        joined_elsewhere=_count(said.get("joined_elsewhere")),
        left_elsewhere=_count(said.get("left_elsewhere")),
        added=_count(said.get("added")),
        removed=_count(said.get("removed")),
        size=_count(said.get("segment_after")),
        tracked=_count(said.get("tracked")),
        unmatched=_count(said.get("unmatched")),
        not_removable=_count(said.get("not_removable")),
        rejected=_count(said.get("rejected")),
        match_rate=rate if rate is not None and rate <= 1 else None,
        duration=_number(said.get("duration")),
        unchanged=said.get("unchanged") is True,
        snapshot_at=_text(said.get("snapshot_at")),
        exports_used=_count(said.get("exports_used")),
        exports_limit=_count(said.get("exports_limit")),
        exports_reset=_text(said.get("exports_reset")),
        exports_at=_moment(said.get("exports_at")),
    )


def read_export(at: datetime, run_id: str, kept: Any) -> Report | None:
    """
    Return what a task has kept of its export, as a report; ``None`` if it is not that.

    :param at: when Airflow stored it.
    :param run_id: the id of the task's run.
    :param kept: its XCom; any key may be missing or of a wrong type.
    """
    said = kept if isinstance(kept, dict) else {}
    requested_at = _number(said.get("requested_at"))
    if requested_at is None:
        return None
    try:
        requested = datetime.fromtimestamp(requested_at, UTC)
    except (ValueError, OverflowError, OSError):  # outside the range of datetime
        return None
    report = read_report(min(requested, at), run_id, said)
    return replace(report, is_unreported=report.exports_used is None)


def read_failure(task_id: str, map_index: int, at: datetime, kept: Any, try_number: int) -> Failure:
    """
    Return why a task failed.

    :param task_id: the task.
    :param map_index: its part, -1 if it is not mapped.
    :param at: when it failed.
    :param kept: its XCom; any key may be missing or of a wrong type, ``None`` for no XCom.
    :param try_number: its last try; what an earlier try has kept is not used.
    """
    said = kept if isinstance(kept, dict) and kept.get("try_number") in (None, try_number) else {}
    error = _text(said.get("error"))
    reason = _text(said.get("reason")) if error else None
    if error is None:
        reason = f"The task {task_id} has not reported why: see its log."
    elif reason is None:
        reason = f"The task {task_id} ended with {error}: see its log."
    return Failure(
        task_id,
        map_index,
        at,
        error,
        reason,
        _text(said.get("segment")) if error else None,
        cohort_id=_text(said.get("cohort_id")),
        cohort_name=_text(said.get("cohort_name")),
        cohort_url=_page(said.get("cohort_url"), AMPLITUDE),
        segment_url=_page(said.get("segment_url"), CUSTOMER_IO),
    )


@lru_cache(maxsize=4096)
def split_asset(uri: str) -> tuple[str, str]:
    """
    Return the connection and the last part of the URI of a cohort or segment.

    :param uri: such as ``customerio://customer_io_default/segments/name/Power%20users``.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # not our asset, such as a URI with a broken IPv6 address
        return "", uri
    return unquote(parts.netloc), unquote(parts.path.rsplit("/", 1)[-1])


def _page(value: Any, domain: str) -> str | None:
    """Return the address of a vendor's page; an address that leads elsewhere is not one."""
    address = _text(value)
    if (
        address is None
        or address != value
        or not address.isascii()
        or not address.isprintable()
        or "\\" in address
    ):
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    is_there = parts.netloc == domain or parts.netloc.endswith(f".{domain}")
    return address if parts.scheme == "https" and is_there and "@" not in parts.netloc else None


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and abs(value) >= _LARGEST:  # Python refuses to print very long integers
        return None
    return intern(str(value)[:_LONGEST_TEXT].strip()) or None  # most of a sync's reports say the same


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _LARGEST else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _LARGEST and math.isfinite(value) else None
