"""A plan without an export: asks both vendors what a run would ask first, and compares the sizes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from airflow_provider_cio_cohort.cli.finding import Found, render
from airflow_provider_cio_cohort.cli.memory import AssetStores
from airflow_provider_cio_cohort.cli.outlook import Outlook
from airflow_provider_cio_cohort.cli.vendors import Amplitude, CustomerIO, Vendors
from airflow_provider_cio_cohort.exceptions import CohortSyncError, ConfigurationError
from airflow_provider_cio_cohort.sync.guards import Observation, Trip, check
from airflow_provider_cio_cohort.sync.store import Target
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.transfers.endpoints import check_cohort
from airflow_provider_cio_cohort.transfers.quota import check_quota, exports_left
from airflow_provider_cio_cohort.transfers.rendered import RunParameters, rendered


def look(found: Found, vendors: Vendors) -> Outlook:
    """
    Look at both ends of a sync.

    :param found: the task.
    :param vendors: the projects and workspaces.
    """
    outlook = Outlook(found)
    task = found.task
    if task is None:
        return outlook
    told = outlook.attempt(render, found, task)
    if told is None:
        return outlook
    try:
        outlook.run, outlook.asks = rendered(task), told.asks
    except ConfigurationError as error:
        outlook.refusals.append(f"A run would end at once: {error}")
        return outlook
    if told.dry_run:
        outlook.notes.append("Its runs write nothing: dry_run is set.")
    _look_at_cohort(outlook, task, vendors)
    _look_at_segment(outlook, task, vendors)
    if outlook.blocked:
        return outlook
    if _is_unchanged(outlook, task):
        outlook.notes.append("Unchanged since the last good sync: a run ends without an export.")
        return outlook
    outlook.attempt(check_quota, vendors.amplitude(task.amplitude_conn_id), task.export_reserve)
    if not outlook.blocked:
        outlook.trips = _trips(outlook, task)
        outlook.notes += _sentences(outlook, task)
    return outlook


def _look_at_cohort(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator, vendors: Vendors) -> None:
    amplitude = outlook.attempt(vendors.amplitude, task.amplitude_conn_id)
    if amplitude is None or outlook.run is None:
        return
    cohort_id = outlook.run.cohort_id
    outlook.cohort = outlook.attempt(amplitude.find_cohort, cohort_id)
    outlook.attempt(check_cohort, amplitude, cohort_id)
    outlook.exports_left = _exports_left(amplitude)
    if outlook.cohort is None:
        outlook.notes.append(
            "Amplitude's list does not show the cohort: it may not be discoverable, or not exist. A run "
            "would try to export it all the same."
        )


def _exports_left(amplitude: Amplitude) -> int | None:
    with suppress(CohortSyncError):
        return exports_left(amplitude.usage())
    return None


def _look_at_segment(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator, vendors: Vendors) -> None:
    customer_io = outlook.attempt(vendors.customer_io, task.customer_io_conn_id)
    if customer_io is None or outlook.run is None:
        return
    run = outlook.run
    outlook.attempt(customer_io.check_track)
    outlook.target = target = outlook.attempt(_find, run, customer_io)
    if target is not None and target.id is not None:
        outlook.members = outlook.attempt(customer_io.count_members, target.id)
    elif target is not None:
        outlook.members = 0


def _find(run: RunParameters, customer_io: CustomerIO) -> Target:
    return run.segment.open(customer_io, run.cohort_id, description=None)  # without one, none is created


def _is_unchanged(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator) -> bool:
    cohort, members = outlook.cohort, outlook.members
    if not task.skip_unchanged or cohort is None or members is None:
        return False
    last = task._last_good({"asset_state_store": AssetStores()})  # type: ignore[typeddict-item]
    return last.unchanged(cohort.last_computed, members) is not None


def _trips(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator) -> list[Trip]:
    """
    Ask the guards what the sizes alone tell: a segment loses at least as many as it is larger.

    Nobody knows yet whom the cohort and the segment share. A guard that this decides trips if it may.
    """
    run, target, members = outlook.run, outlook.target, outlook.members
    size = outlook.cohort.size if outlook.cohort else None
    if run is None or target is None or members is None or task.mode != "mirror" or not members:
        return []
    foreign = _maybe_foreign(members) if not target.owned and not run.limits.adopt_segment else []
    if size is None:
        return foreign
    seen = Observation(
        cohort_rows=size,
        identifiers=size,
        segment_before=members,
        to_add=max(size - members, 0),
        to_remove=max(members - size, 0),
        owned=target.owned,
        announced=size,
    )
    # How many match is not known without an export, and nobody has approved anything.
    trips = check(seen, replace(run.limits, min_match_rate=None))
    return trips if any(trip.guard == "foreign_segment" for trip in trips) else [*trips, *foreign]


def _maybe_foreign(members: int) -> list[Trip]:
    return [
        Trip(
            "foreign_segment",
            f"no sync made this segment for this cohort, and any of its {members:,} members who is not "
            "in the cohort would be removed; adopt_segment lets the sync do so, --exact tells whether "
            "anybody would be removed",
        )
    ]


def _sentences(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator) -> list[str]:
    if outlook.cohort is not None and outlook.cohort.size is None:
        return ["Amplitude has never computed the cohort, so its size is not known."]
    size = outlook.cohort.size if outlook.cohort else None
    if outlook.trips or size is None or outlook.target is None:
        return []
    if outlook.target.id is None:
        return [f"A run creates the segment and adds up to {size:,} people."]
    difference = outlook.difference or 0
    if not difference:
        return ["Cohort and segment are of one size; a run sends what differs."]
    relation = f"{'larger' if difference > 0 else 'smaller'} than the segment by {abs(difference):,}"
    leaves = ", and removes nobody" if task.mode == "add_only" else ""
    return [f"The cohort is {relation}; a run sends what differs{leaves}."]
