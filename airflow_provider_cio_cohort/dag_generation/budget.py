"""What the syncs of a file cost, added up for each Amplitude project; what no longer fits is turned away."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk import get_parsing_context

from airflow_provider_cio_cohort.exports import AMPLITUDE_GRANTS, exports_a_month

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.dag_generation.document import Document
    from airflow_provider_cio_cohort.dag_generation.load import LoadedSync

log = logging.getLogger(__name__)


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
