"""What the syncs of a file cost: exports a month, of which Amplitude grants a few hundred to each project."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from airflow.sdk import get_parsing_context
from croniter import CroniterBadDateError, croniter

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.dag_generation.document import Document
    from airflow_provider_cio_cohort.dag_generation.load import LoadedSync

log = logging.getLogger(__name__)

#: Exports a month of Amplitude's Growth and Enterprise plans.
AMPLITUDE_GRANTS = 500
_DAYS = 31
_NAMED = {
    "manual": 0,
    "once": 1,
    "realtime": _DAYS * 24 * 60,
    "hourly": _DAYS * 24,
    "daily": _DAYS,
    "weekly": 5,
    "monthly": 1,
}


def exports_a_month(cadence: str) -> int:
    """
    Return how many exports a cadence costs in a month of 31 days; each run costs one.

    :param cadence: a checked cadence.
    """
    return _NAMED[cadence] if cadence in _NAMED else _times_of(cadence)


@lru_cache(maxsize=4096)
def _times_of(cron: str) -> int:
    minutes, hours = (len(values) if values != ["*"] else full for values, full in _clock(cron))
    return minutes * hours * _days_of(cron.split(maxsplit=2)[2])


@lru_cache(maxsize=4096)
def _days_of(days: str) -> int:
    """
    Count the days of a cron expression in the fullest of a year's months.

    Apart from the times of day, which differ from sync to sync: walking through a year takes milliseconds.

    :param days: the last three fields.
    """
    moment = datetime(2025, 1, 1) - timedelta(minutes=1)
    found: Counter[int] = Counter()
    times = croniter(f"0 0 {days}", moment, max_years_between_matches=5)
    with suppress(CroniterBadDateError):
        while (moment := times.get_next(datetime)).year == 2025:
            found[moment.month] += 1
    return max(found.values(), default=1)


def _clock(cron: str) -> list[tuple[list[object], int]]:
    fields, _ = croniter.expand(cron)
    return [(list(fields[0]), 60), (list(fields[1]), 24)]


def within_budget(document: Document, loaded: Sequence[LoadedSync]) -> list[LoadedSync]:
    """
    Add up what the syncs cost, and turn away those that no longer fit; in file order, the first ones stay.

    :param document: the file, with its ``max_exports_per_month``.
    :param loaded: its syncs.
    """
    spent: dict[str, int] = {}
    kept = []
    for one in loaded:
        if one.spec is None or not one.spec.enabled:
            kept.append(one)
            continue
        conn_id = one.spec.amplitude_conn_id
        limit = document.max_exports.get(conn_id, document.max_exports.get(None))
        cost = exports_a_month(one.spec.cadence)
        total = spent.get(conn_id, 0) + cost
        if limit is not None and total > limit:
            problem = (
                f"{document.name}, line {one.cadence_line}, sync {one.name}, key cadence: the syncs before "
                f"this one cost {total - cost:,} exports a month of connection {conn_id}, and this one "
                f"{cost:,} more: {total:,} in all, but max_exports_per_month is {limit:,}. Choose a rarer "
                "cadence for some of them, or raise the limit."
            )
            kept.append(replace(one, spec=None, targets={}, problems=(problem,)))
            continue
        spent[conn_id] = total
        kept.append(one)
    if get_parsing_context().dag_id is None:  # a task's own parse would say so in each of its logs
        _warn(document, spent, {_conn_of(one) for one in loaded})
    over = {conn_id for conn_id, total in spent.items() if total > AMPLITUDE_GRANTS}
    return [replace(one, over_grant=_conn_of(one) in over) for one in kept]


def _conn_of(one: LoadedSync) -> str | None:
    return one.spec.amplitude_conn_id if one.spec is not None and one.spec.enabled else None


def _warn(document: Document, spent: Mapping[str, int], used: set[str | None]) -> None:
    for conn_id in document.max_exports:
        if conn_id not in {None, *used}:
            log.warning(
                "%s: max_exports_per_month limits the connection %s, but no sync uses it.",
                document.name,
                conn_id,
            )
    for conn_id, total in spent.items():
        if total > AMPLITUDE_GRANTS:
            log.warning(
                "%s: the syncs of connection %s cost %s exports a month; Amplitude grants %s.",
                document.name,
                conn_id,
                f"{total:,}",
                f"{AMPLITUDE_GRANTS:,}",
            )
