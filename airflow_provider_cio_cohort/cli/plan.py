"""``plan``: shows what a run would do now, from the checks of a run, or with ``--exact`` from an export."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from airflow_provider_cio_cohort.cli.asset_stores import AssetStores
from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.plan_pools import check_pools
from airflow_provider_cio_cohort.cli.plan_rows import Outlook, as_sentence, as_table, exit_code
from airflow_provider_cio_cohort.cli.runtime import CommandError, command, say
from airflow_provider_cio_cohort.cli.select import Found, find, render
from airflow_provider_cio_cohort.cli.vendors import Amplitude, Vendors
from airflow_provider_cio_cohort.compatibility import HAS_STATE_STORES
from airflow_provider_cio_cohort.engine.guards import Trip, check
from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.exceptions import CohortSyncError, ConfigurationError
from airflow_provider_cio_cohort.hooks.amplitude import Cohort
from airflow_provider_cio_cohort.state import StateStore
from airflow_provider_cio_cohort.sync.export import (
    CohortExport,
    Export,
    ExportMemory,
    ExportOf,
    check_quota,
    exports_left,
)
from airflow_provider_cio_cohort.sync.parameters import TaskParameters
from airflow_provider_cio_cohort.sync.run import CohortSync
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator

_Group = list[tuple[Outlook, CohortSync]]
#: How similar an id is that is suggested for an unlisted one, 0 to 1: of 7 characters, one may differ.
_ALIKE = 0.8
_IN_SYNC = (
    "In sync: Amplitude has not recomputed the cohort since the last good sync, and the segment has as many "
    "members as then. A run would change nothing; with skip_unchanged, it would not cost an export either."
)


_MAYBE_LARGE = (
    "If most of those who are not in the segment exist in Customer.io, the guard large_addition stops the "
    "run: --exact shows it."
)


@command
def plan(args: Namespace) -> int:
    """
    Show what a run would do; write nothing.

    :param args: the arguments.
    """
    found = find(args.what, args.sync)
    vendors = Vendors()
    outlooks = [look(one, vendors, args.limit) for one in found]
    if args.exact:
        compare(outlooks)
    rows = [outlook.row(exact=args.exact) for outlook in outlooks]
    show(rows, args.output, [as_table(row) for row in rows], [as_sentence(row) for row in rows])
    return exit_code(outlooks)


def look(found: Found, vendors: Vendors, limit: int | None = None) -> Outlook:
    """
    Check the cohort and the segment of a sync.

    :param found: the task.
    :param vendors: the projects and workspaces.
    :param limit: of the run that is planned, instead of the task's own; ``None`` to keep that.
    """
    outlook = Outlook(found)
    task = found.task
    if task is None:
        return outlook
    told = outlook.attempt(render, found, task)
    if told is None:
        return outlook
    task.limit = task.limit if limit is None else limit
    try:
        sync = sync_of(found, task, vendors)
    except ConfigurationError as error:
        outlook.refusals.append(f"A run would fail at once: {error}")
        return outlook
    outlook.sync, outlook.asks = sync, told.asks
    if told.dry_run:
        outlook.notes.append("Its runs write nothing: dry_run is set.")
    check_pools(outlook, task)
    _look_at_both_ends(outlook, sync, vendors.amplitude(task.amplitude_conn_id))
    if outlook.blocked:
        return outlook
    unchanged = outlook.attempt(sync.unchanged, outlook.preflight)
    if unchanged is not None and task.skip_unchanged:
        outlook.notes.append("In sync since the last good sync: a run would end without an export.")
        return outlook
    if sync.ports.snapshots is not None and not told.dry_run:
        outlook.attempt(sync.ports.snapshots.check_writable)
    outlook.attempt(check_quota, sync.ports.amplitude, sync.parameters.export_reserve)
    if outlook.blocked:
        return outlook
    if unchanged is not None and not sync.last_report.get("not_removable"):
        outlook.notes.append(_IN_SYNC)
    else:
        outlook.trips = _trips(outlook, sync)
        outlook.notes += _sentences(outlook, sync.parameters)
    return outlook


def sync_of(
    found: Found,
    task: AmplitudeCohortToCustomerIOOperator,
    vendors: Vendors | None,
    *,
    remembers: bool = True,
    writes: bool = False,
    before_writing: Callable[[], object] = lambda: None,
) -> CohortSync:
    """
    Return a run of a task, in this process.

    :param found: where the task is.
    :param task: the task, rendered.
    :param vendors: the projects and workspaces, which cache their responses; ``None`` for a run that
        writes, and so must not use cached responses.
    :param remembers: whether Airflow's database can be read.
    :param writes: whether the state of a run is written to Airflow's database.
    :param before_writing: called before the first write.
    :raises ConfigurationError: if a parameter is wrong.
    """
    stores = AssetStores(writes=writes) if HAS_STATE_STORES and remembers else None
    return task.cohort_sync(
        {"asset_state_store": stores, "dag": found.dag},
        amplitude=vendors.amplitude(str(task.amplitude_conn_id)) if vendors else None,
        customer_io=vendors.customer_io(str(task.customer_io_conn_id)) if vendors else None,
        before_writing=before_writing,
    )


def _look_at_both_ends(outlook: Outlook, sync: CohortSync, amplitude: Amplitude) -> None:
    outlook.preflight = sync.preflight(outlook.attempt)
    cohort, target = outlook.cohort, outlook.target
    with suppress(CohortSyncError, CommandError):
        outlook.exports_left = exports_left(amplitude.usage())
    if cohort is None and not outlook.blocked:
        near = _similar(sync.parameters.cohort_id, amplitude.check())
        (outlook.doubts if near else outlook.notes).append(
            "The cohort is not in Amplitude's list: it may not be discoverable, or may not exist. A run "
            f"would still try to export it.{near}"
        )
    if target is not None:
        count = sync.ports.customer_io.count_members
        outlook.members = 0 if target.id is None else outlook.attempt(count, target.id)


def _similar(cohort_id: str, cohorts: Sequence[Cohort]) -> str:
    """Return a sentence with the cohorts whose id or name is like an unknown id; empty if there are none."""
    by_text = {_bare(cohort.name): cohort for cohort in cohorts} | {_bare(each.id): each for each in cohorts}
    near = get_close_matches(_bare(cohort_id), by_text, n=2, cutoff=_ALIKE)
    meant = dict.fromkeys(f"{by_text[text].id} ({by_text[text].name!r})" for text in near)
    return f" Did you mean {' or '.join(meant)}?" if meant else ""


def _bare(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())


def _trips(outlook: Outlook, sync: CohortSync) -> list[Trip]:
    """
    Check the guards with the sizes alone: the segment loses or gains at least the difference of the two.

    Which people the cohort and the segment share is unknown. A guard that depends on it trips if it could;
    of the growth there is only a note, unless the last good sync tells how many exist in Customer.io.
    """
    target, members, parameters = outlook.target, outlook.members, sync.parameters
    limits, last = parameters.limits, sync.last_report
    size = outlook.cohort.size if outlook.cohort else None
    if target is None or members is None:
        return []
    tracked = last.get("tracked") or 0 if parameters.mode == "tracked" else None
    removable = {"mirror": members, "add_only": 0, "tracked": tracked or 0}[parameters.mode]
    removes = parameters.limit is None and removable > 0
    is_managed = target.owned or limits.adopt_segment or not removes or tracked is not None
    unmanaged = [] if is_managed else _maybe_unmanaged(members)
    if size is None:
        return unmanaged
    to_add = max(size - members, 0)
    unmatched = last.get("unmatched")
    seen = replace(
        sync.counts(target, members),
        cohort_rows=size,
        identifiers=size,
        to_add=to_add if parameters.limit is None else min(to_add, parameters.limit),
        to_remove=max(removable - size, 0) if removes else 0,
        not_removable=min(max(removable - size, 0), last.get("not_removable") or 0),
        announced=size,
        joining=None if unmatched is None else max(to_add - unmatched, 0),
        tracked=tracked,
    )
    # The match rate is unknown without an export, and nothing has been approved.
    trips = check(seen, replace(limits, min_match_rate=None))
    if unmatched is None and any(trip.guard == "large_addition" for trip in trips):
        trips = [trip for trip in trips if trip.guard != "large_addition"]
        outlook.notes.append(_MAYBE_LARGE)
    return trips if any(trip.guard == "unmanaged_segment" for trip in trips) else [*trips, *unmanaged]


def _maybe_unmanaged(members: int) -> list[Trip]:
    return [
        Trip(
            "unmanaged_segment",
            f"no sync created this segment for this cohort, and every one of its {members:,} members who "
            "is not in the cohort would be removed; adopt_segment allows this, and --exact shows whether "
            "anyone would be removed",
        )
    ]


def _sentences(outlook: Outlook, parameters: TaskParameters) -> list[str]:
    if outlook.cohort is not None and outlook.cohort.size is None:
        return ["Amplitude has never computed the cohort, so its size is not known."]
    size = outlook.cohort.size if outlook.cohort else None
    if outlook.trips or size is None or outlook.target is None:
        return []
    limit, limited = parameters.limit, ""
    if limit is not None:
        size_or_limit, limited = min(size, limit), f" This run is limited to {limit:,} people to add."
    else:
        size_or_limit = size
    if outlook.target.id is None:
        return [f"A run creates the segment and adds up to {size_or_limit:,} people.{limited}"]
    difference = outlook.difference or 0
    if not difference:
        return [f"Cohort and segment have the same size; a run sends only the differences.{limited}"]
    relation = f"{'larger' if difference > 0 else 'smaller'} than the segment by {abs(difference):,}"
    leaves = ", and removes nobody" if parameters.mode == "add_only" or limited else ""
    if parameters.mode == "tracked" and not limited:
        leaves = ", and removes only people whom the sync has added"
    return [f"The cohort is {relation}; a run sends only the differences{leaves}.{limited}"]


# ---- with an export


def compare(outlooks: Sequence[Outlook]) -> None:
    """
    Export each cohort once and compare it with all its segments; writes nothing.

    :param outlooks: the rows; those that are not blocked are completed.
    """
    groups: dict[tuple[str, str], _Group] = {}
    for outlook in outlooks:
        if outlook.sync is None or outlook.blocked:
            continue
        parameters = outlook.sync.parameters
        which = (parameters.amplitude_conn_id, parameters.cohort_id)
        groups.setdefault(which, []).append((outlook, outlook.sync))
    for group in groups.values():
        first = group[0][0]
        export = first.attempt(_export, group)
        for outlook, sync in group:
            if export is None:
                outlook.refusals, outlook.unknowns = list(first.refusals), list(first.unknowns)
            else:
                outlook.attempt(_compare, outlook, sync, export)


def _export(group: _Group) -> Export:
    sync = group[0][1]
    parameters = sync.parameters
    needed = CohortExport(
        amplitude=sync.ports.amplitude,
        wanted=ExportOf.of(
            parameters.cohort_id,
            (name.property for _, each in group for name in each.parameters.mapping),
            parameters.amplitude_conn_id,
        ),
        memory=ExportMemory(StateStore(None)),
        poll_interval=parameters.poll_interval,
        timeout=parameters.export_timeout,
        reserve=max(each.parameters.export_reserve for _, each in group),
    )
    export = needed.request(None)
    month = export.month
    number = f" ({month['exports_used']:,} of {month['exports_limit']:,})" if month else ""
    say(f"Exporting cohort {parameters.cohort_id}. This costs one of the month's exports{number}.")
    for outlook, _ in group:
        if month:
            outlook.exports_left = max(month["exports_limit"] - month["exports_used"], 0)
    needed.wait(export)
    return export


def _compare(outlook: Outlook, sync: CohortSync, export: Export) -> None:
    say(f"Comparing it with the segment {outlook.target.name!r}." if outlook.target else "Comparing it.")
    report = sync.transfer(export, outlook.preflight.facts)
    outlook.report = report.to_dict()
    outlook.members = report.segment_before
    guards, reasons = sync.plan["guards"], sync.plan["reasons"]
    outlook.trips = [Trip(*trip) for trip in zip(guards, reasons, strict=True)]
    outlook.notes = [] if outlook.trips else [_sentence(report, sync.plan["joining"])]


def may_stay(not_removable: int) -> str:
    """
    Return how many of the people to remove may stay, in brackets; nothing if none.

    :param not_removable: people without an ``id``, whom Customer.io's API does not remove.
    """
    if not not_removable:
        return ""
    return f" ({not_removable:,} of them may stay: Customer.io's API removes nobody without an id)"


def _sentence(report: SyncReport, joining: int | None) -> str:
    creates = "" if report.segment_id else "creates the segment, "
    rate = report.match_rate
    matched = "" if rate is None else f" {rate:.1%} of the cohort exist in Customer.io."
    removes = f"removes {report.to_remove:,}{may_stay(report.not_removable)}"
    is_all = not (report.left_to_add or report.left_to_remove)
    if joining == 0 and not report.to_remove and is_all and report.segment_id is not None:
        return f"In sync: a run would change nothing.{matched}"
    adds = f"adds up to {report.to_add:,}" if joining is None else f"adds {joining:,}"
    left = ""
    if report.limit is not None:
        left = f" {report.left_to_add:,} more to add and {report.left_to_remove:,} to remove are left."
    return f"A run {creates}{adds} and {removes}.{left}{matched}"
