"""``cohorts``, ``segments`` and ``quota``: lists of what the connections give access to."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_provider_cio_cohort.cli.output import as_time, show
from airflow_provider_cio_cohort.cli.runtime import FINE, NOT_FOUND_OUT, CommandError, command, say
from airflow_provider_cio_cohort.cli.vendors import Vendors
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude_api import DEFAULT_CONN_ID
from airflow_provider_cio_cohort.sync.export import exports_left
from airflow_provider_cio_cohort.sync.target import managed_for


@command
def cohorts(args: Namespace) -> int:
    """List the cohorts of an Amplitude project."""
    found = Vendors().amplitude(args.amplitude_conn_id).check()
    rows = [
        {
            "id": cohort.id,
            "name": cohort.name,
            "size": cohort.size,
            "computed": as_time(cohort.last_computed),
            "archived": cohort.archived,
            "group": cohort.group,
        }
        for cohort in sorted(found, key=lambda one: (one.name.casefold(), one.id))
        if _matches(args.search, cohort.name, cohort.id)
    ]
    show(rows, args.output)
    return FINE


@command
def segments(args: Namespace) -> int:
    """List the segments of a Customer.io workspace."""
    customer_io = Vendors().customer_io(args.customer_io_conn_id)
    rows = []
    for segment in sorted(customer_io.list_segments(), key=lambda one: (one.name.casefold(), one.id)):
        if not _matches(args.search, segment.name, str(segment.id)):
            continue
        row: dict[str, Any] = {
            "id": segment.id,
            "name": segment.name,
            "type": "manual" if segment.is_manual else "data-driven",
            "managed_for_cohort": managed_for(segment.description),
        }
        if args.count:
            row["members"] = customer_io.count_members(segment.id)
        rows.append(row)
    show(rows, args.output, [{**row, "id": str(row["id"])} for row in rows])
    return FINE


@command
def quota(args: Namespace) -> int:
    """Show how many exports are left this month."""
    vendors, rows, code = Vendors(), [], FINE
    for conn_id in dict.fromkeys(args.amplitude_conn_id or [DEFAULT_CONN_ID]):
        try:
            usage = vendors.amplitude(conn_id).usage()
        except (CohortSyncError, CommandError) as error:
            say(str(error))
            code = NOT_FOUND_OUT
            continue
        left = exports_left(usage)
        if left is None:
            say(f"Amplitude does not report how many exports the project of connection {conn_id!r} has left.")
            code = NOT_FOUND_OUT
        rows.append(
            {
                "amplitude_conn_id": conn_id,
                "limit": usage.limit,
                "used": usage.used,
                "left": left,
                "resets_at": usage.resets_at,
            }
        )
    if rows or args.output != "table":
        show(rows, args.output)
    return code


def _matches(search: str | None, *texts: str) -> bool:
    return search is None or any(search.casefold() in text.casefold() for text in texts)
