"""``pools``: creates the Airflow pools that keep the syncs of YAML files within the vendors' limits."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow.models.pool import Pool
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.cli.database import database
from airflow_provider_cio_cohort.cli.output import dump, show
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, command, say
from airflow_provider_cio_cohort.cli.select import check_is_there, files_in
from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync, load
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import max_concurrent_tasks
from airflow_provider_cio_cohort.pools import EXPORT_SLOTS, pools_of

_DESCRIPTIONS = {
    "exports": "Exports of Amplitude cohorts; created by airflow cohort-sync pools",
    "syncs": "Syncs into Customer.io segments; created by airflow cohort-sync pools",
}


@dataclass(frozen=True)
class _Wanted:
    """A pool that syncs need; its slots are ``None`` if their number is unknown here."""

    name: str
    conn_id: str
    kind: str
    slots: int | None


@command
def pools(args: Namespace) -> int:
    """Create or update the pools of the syncs of YAML files."""
    loaded = [one for file in files_in(args.files) for one in _load(file)]
    wanted = [_wanted(*each) for each in sorted(_needed(loaded))]
    if not wanted:
        say("None of these syncs has use_pools: true, so they need no pool.")
    missing = False if args.for_import else _make(wanted, args)
    if args.for_import:
        dump(dict(map(_importable, wanted)), "json")
    wrong = sum(one.spec is None for one in loaded)
    if wrong:
        say(f"Skipped {wrong} of {len(loaded)} syncs, which have mistakes: see airflow cohort-sync validate.")
    return NO if wrong or missing else FINE


def _make(wanted: list[_Wanted], args: Namespace) -> bool:
    """Create or update the pools; with ``--dry-run``, return whether any of them would change."""
    with database() as session:
        rows = [_settle(session, one, dry_run=args.dry_run) for one in wanted]
    if rows or args.output != "table":
        show(rows, args.output)
    return args.dry_run and any(row["change"] != "none" for row in rows)


def _importable(wanted: _Wanted) -> tuple[str, dict[str, Any]]:
    """Return a pool in the format of `airflow pools import`, which is close to that of the REST API."""
    slots = wanted.slots
    if slots is None:
        slots = 1
        say(_not_seen(wanted, "gets 1 slot"))
    description = _DESCRIPTIONS[wanted.kind]
    return wanted.name, {"slots": slots, "description": description, "include_deferred": True}


def _not_seen(wanted: _Wanted, so: str) -> str:
    return (
        f"The connection {wanted.conn_id!r} is not defined here, so its max_concurrent_tasks is "
        f"unknown: the pool {wanted.name} {so}."
    )


def _load(file: str) -> list[LoadedSync]:
    check_is_there(file)
    return load(Path(file))


def _needed(loaded: Iterable[LoadedSync]) -> set[tuple[str, str, str]]:
    """Return kind, connection and name of each pool."""
    return {
        pool
        for one in loaded
        if one.spec is not None and one.spec.enabled and one.spec.use_pools
        for spec in (one.spec, *one.targets.values())
        for pool in pools_of(spec.amplitude_conn_id, spec.customer_io_conn_id)
    }


def _wanted(kind: str, conn_id: str, name: str) -> _Wanted:
    if kind == "exports":
        return _Wanted(name, conn_id, kind, EXPORT_SLOTS)
    try:
        connection = CustomerIOHook(conn_id).connection
    except AirflowNotFoundException:
        return _Wanted(name, conn_id, kind, None)
    return _Wanted(name, conn_id, kind, max_concurrent_tasks(connection, connection.extra_dejson))


def _settle(session: Session, wanted: _Wanted, *, dry_run: bool) -> dict[str, Any]:
    """Create or update a pool unless it is a dry run, and return the row with the change."""
    found = Pool.get_pool(wanted.name, session=session)
    before = None if found is None else found.slots
    slots = wanted.slots
    if slots is None:
        slots = before or 1
        verb = "keeps its" if before else "gets"
        say(_not_seen(wanted, f"{verb} {slots:,} {'slot' if slots == 1 else 'slots'}"))
    if found is None:
        change = "created"
    else:
        same = (before, found.include_deferred) == (slots, True)
        change = "none" if same else "updated"
    if change != "none" and not dry_run:
        Pool.create_or_update_pool(
            wanted.name,
            slots,
            (found.description if found else None) or _DESCRIPTIONS[wanted.kind],
            include_deferred=True,
            team_name=found.team_name if found else None,
            session=session,
        )
    return {
        "pool": wanted.name,
        "connection": wanted.conn_id,
        "slots_before": before,
        "slots": slots,
        "change": {"created": "missing", "updated": "differs"}.get(change, change) if dry_run else change,
    }
