"""From a YAML file to DAGs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from airflow_provider_cio_cohort.compatibility import DOUBLED, HAS_STATE_STORES
from airflow_provider_cio_cohort.dag_generation.cadence import schedule
from airflow_provider_cio_cohort.dag_generation.doc import (
    describe,
    describe_disabled,
    describe_problems,
    summary,
)
from airflow_provider_cio_cohort.dag_generation.form import form
from airflow_provider_cio_cohort.dag_generation.freshness import deadline, freshness_dag, freshness_dag_id
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.load import LoadedSync, load
from airflow_provider_cio_cohort.dag_generation.refusing import RefusingOperator
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.dag_generation.tasks import TASK_ID, add_tasks, sync_alerts
from airflow_provider_cio_cohort.exceptions import ConfigurationError

log = logging.getLogger(__name__)

_LONGEST_RETRY_DELAY = timedelta(hours=1)


def build_dags(path: str | Path) -> dict[str, DAG]:
    """
    Build a DAG for each sync of a YAML file.

    A sync with a mistake becomes a DAG that says so: unscheduled, tagged ``config-error``, the message in
    its docs, its task failing with it. All others keep working.

    :param path: the YAML file; give it relative to the DAG file (``Path(__file__).with_name(…)``).
    :returns: the DAGs by their ids, ``cohort_sync__<name>``, each with the task ``sync``; where a sync has a
        ``max_age``, also the DAG ``cohort_freshness__<name of the file>``.
    :raises CohortSyncConfigError: if the file cannot be read, is no YAML, or has no list of ``syncs``.
    """
    path = Path(path)
    wanted = get_parsing_context().dag_id  # set where a task runs: it needs its own DAG only
    dags = {}
    syncs = load(path)
    for sync in syncs:
        dag_id = f"{DAG_PREFIX}{sync.name}"
        if wanted is None or wanted == dag_id:
            dags[dag_id] = _dag(dag_id, sync, path.name)
    if wanted is None or wanted == freshness_dag_id(path):
        watch = freshness_dag(path, syncs)
        dags |= {watch.dag_id: watch} if watch else {}
    return dags


def _dag(dag_id: str, loaded: LoadedSync, file: str) -> DAG:
    if loaded.spec is None:
        return _config_error(dag_id, loaded.problems)
    try:
        if not loaded.spec.enabled:
            return _disabled(dag_id, loaded, loaded.spec, file)
        return _sync(dag_id, loaded, loaded.spec, file)
    # What Airflow or the operator refuses although the checks let it pass must not stop the other syncs.
    except Exception as error:
        return _config_error(dag_id, [f"{file}, sync {loaded.name}: {error}"])


def _sync(dag_id: str, loaded: LoadedSync, sync: Sync, file: str) -> DAG:
    _check_airflow(loaded, sync)
    alerts = sync_alerts(sync)
    dag = DAG(
        dag_id,
        schedule=schedule(sync.cadence, sync.timezone, sync.name, spread=sync.spread),
        start_date=sync.starts,
        end_date=sync.ends,
        catchup=False,
        max_active_runs=1,
        # No dagrun_timeout: the runs of a backfill start together and wait for each other.
        default_args=_default_args(sync),
        description=summary(sync, loaded.targets),
        doc_md=describe(sync, file, loaded.targets, over_grant=loaded.over_grant),
        params=form(sync, loaded.targets),
        deadline=deadline(sync),
        on_failure_callback=alerts.run_failed if alerts else None,
        tags=_tags(sync),
    )
    add_tasks(dag, sync, loaded.targets)
    return dag


def _check_airflow(loaded: LoadedSync, sync: Sync) -> None:
    """Refuse what takes more memory from run to run than Airflow has before 3.3."""
    asking = any(each.on_guard == "approve" for each in (sync, *loaded.targets.values()))
    used = {"max_age": sync.max_age is not None, "on_guard: approve": asking}
    keys = " and ".join(key for key, is_used in used.items() if is_used)
    if keys and not HAS_STATE_STORES:
        raise ConfigurationError(
            f"{keys}: this takes Airflow 3.3 or newer.\nUpgrade Airflow, or leave it out of this sync."
        )


def _disabled(dag_id: str, loaded: LoadedSync, sync: Sync, file: str) -> DAG:
    reason = (
        f"The sync {sync.name} is disabled in {file}, so nothing runs.\nSet enabled: true there; "
        "for a sync that runs only by hand, use cadence: manual."
    )
    return _refusing(
        dag_id,
        reason,
        start_date=sync.starts,
        default_args={**_default_args(sync), "retries": 0},
        description=summary(sync, loaded.targets),
        doc_md=describe_disabled(sync, file, loaded.targets),
        tags=[*_tags(sync), "disabled"],
    )


def _config_error(dag_id: str, problems: Sequence[str]) -> DAG:
    for problem in problems:
        log.error("Wrong configuration of %s: %s", dag_id, problem)
    place, more = problems[0].partition(": ")[0], f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return _refusing(
        dag_id,
        "\n".join([f"Wrong configuration, so the sync does not run: {place}{more}.", *problems]),
        default_args={"retries": 0},
        description="Wrong configuration: this sync does not run",
        doc_md=describe_problems(problems),
        tags=["cohort-sync", "config-error"],
    )


def _refusing(dag_id: str, reason: str, **settings: Any) -> DAG:
    dag = DAG(dag_id, schedule=None, catchup=False, max_active_runs=1, **settings)
    RefusingOperator(task_id=TASK_ID, dag=dag, reason=reason)
    return dag


def _default_args(sync: Sync) -> dict[str, Any]:
    delay = timedelta(minutes=sync.retry_delay_minutes)
    return {
        "retries": sync.retries,
        "retry_delay": delay,
        "retry_exponential_backoff": DOUBLED,
        "max_retry_delay": max(delay, _LONGEST_RETRY_DELAY),
        **({"owner": sync.owner} if sync.owner else {}),
        **({"pool": sync.pool} if sync.pool else {}),
    }


def _tags(sync: Sync) -> list[str]:
    return sorted({"cohort-sync", *sync.tags})
