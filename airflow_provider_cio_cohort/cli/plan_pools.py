"""Checks for a plan that the pools exist in which a run would wait for its slots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from airflow.models.pool import Pool
from sqlalchemy import select

from airflow_provider_cio_cohort.cli.database import database
from airflow_provider_cio_cohort.cli.plan_rows import Outlook
from airflow_provider_cio_cohort.cli.runtime import CommandError
from airflow_provider_cio_cohort.pools import is_of_a_connection


def check_pools(outlook: Outlook, task: Any) -> None:
    """
    Refuse a task that would never start, because a pool is missing; a database that is away is a remark.

    :param outlook: the task's row.
    :param task: the task.
    """
    dag = outlook.found.dag
    before = [dag.get_task(task_id) for task_id in sorted(task.get_flat_relative_ids(upstream=True))]
    wanted = dict.fromkeys(each.pool for each in (*before, task) if each.pool != Pool.DEFAULT_POOL_NAME)
    if not wanted:
        return
    try:
        with database() as session:
            there = set(session.scalars(select(Pool.pool).where(Pool.pool.in_(wanted))))
    except CommandError:
        names = ", ".join(wanted)
        outlook.notes.append(f"Whether the pools exist is unknown, without Airflow's database: {names}.")
        return
    if missing := [name for name in wanted if name not in there]:
        names = " and no pool ".join(missing)
        outlook.refusals.append(f"A run would never start: Airflow has no pool {names}. {_advice(missing)}")


def _advice(missing: Iterable[str]) -> str:
    own = [name for name in missing if not is_of_a_connection(name)]
    command = f'`airflow pools set "{own[0]}" 1 ""`' if own else "`airflow cohort-sync pools FILE`"
    return f"Create it with {command}{', or correct the key pool' if own else ''}."
