"""A plan with an export: what a run would do, to the person, by the code of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from airflow_provider_cio_cohort.cli.memory import AssetStores, Xcoms
from airflow_provider_cio_cohort.cli.outlook import Outlook
from airflow_provider_cio_cohort.cli.running import say
from airflow_provider_cio_cohort.sync.guards import Trip
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
    PLAN_KEY,
    AmplitudeCohortToCustomerIOOperator,
)
from airflow_provider_cio_cohort.transfers.export_state import GivenExport
from airflow_provider_cio_cohort.transfers.export_wait import ExportWait
from airflow_provider_cio_cohort.transfers.quota import check_quota


def compare(outlooks: Sequence[Outlook]) -> None:
    """
    Export each cohort once, and compare it with all the segments that it goes to; writes nothing.

    :param outlooks: the rows; those that nothing blocks are completed.
    """
    groups: dict[tuple[str, str], list[tuple[Outlook, AmplitudeCohortToCustomerIOOperator]]] = {}
    for outlook in outlooks:
        task = outlook.found.task
        if task is None or outlook.run is None or outlook.blocked:
            continue
        which = (task.amplitude_conn_id, outlook.run.cohort_id)
        groups.setdefault(which, []).append((outlook, task))
    for group in groups.values():
        first = group[0][0]
        request_id = first.attempt(_export, group)
        for outlook, task in group:
            if request_id is None:
                outlook.refusals, outlook.unknowns = list(first.refusals), list(first.unknowns)
            else:
                outlook.attempt(_compare, outlook, task, request_id)


def _export(group: list[tuple[Outlook, AmplitudeCohortToCustomerIOOperator]]) -> str:
    outlook, task = group[0]
    properties = sorted({task.user_id_property for _, task in group})
    month = check_quota(task.amplitude, max(task.export_reserve for _, task in group))
    cohort_id = outlook.run.cohort_id if outlook.run else task.cohort_id
    number = f" ({month['exports_used']:,} of {month['exports_limit']:,})" if month else ""
    say(f"Exporting cohort {cohort_id}. This costs one of the month's exports{number}.")
    request_id = task.amplitude.request_export(cohort_id, *properties)
    for each, _ in group:
        if month:
            each.exports_left = max(month["exports_limit"] - month["exports_used"], 0)
    ExportWait(cohort_id, task.poll_interval, task.export_timeout).on_worker(task.amplitude, request_id)
    return request_id


def _compare(outlook: Outlook, task: AmplitudeCohortToCustomerIOOperator, request_id: str) -> None:
    say(f"Comparing it with the segment {outlook.target.name!r}." if outlook.target else "Comparing it.")
    xcoms = Xcoms()
    context: Any = {"ti": xcoms, "asset_state_store": AssetStores()}
    facts = asdict(outlook.cohort) if outlook.cohort else {}
    report = task.exported(context, GivenExport(request_id), request_id, facts)
    plan = xcoms.pushed[PLAN_KEY]
    outlook.report = report
    outlook.members = report["segment_before"]
    outlook.trips = [Trip(*trip) for trip in zip(plan["guards"], plan["reasons"], strict=True)]
    outlook.notes = [] if outlook.trips else [_sentence(report)]


def _sentence(report: dict[str, Any]) -> str:
    creates = "" if report["segment_id"] else "creates the segment, "
    rate = report["match_rate"]
    matched = "" if rate is None else f" {rate:.1%} of the cohort are people in Customer.io."
    return f"A run {creates}adds up to {report['to_add']:,} and removes {report['to_remove']:,}.{matched}"
