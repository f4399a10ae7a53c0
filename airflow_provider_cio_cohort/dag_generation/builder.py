"""Builds DAGs from a YAML file."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from airflow.sdk import DAG, BaseOperator, get_parsing_context

from airflow_provider_cio_cohort.alerts.rules import Alert
from airflow_provider_cio_cohort.compatibility import DOUBLED, HAS_STATE_STORES, AirflowFailException
from airflow_provider_cio_cohort.dag_generation.broken_file import (
    broken_file_dag,
    broken_file_dag_id,
    given_alerts,
)
from airflow_provider_cio_cohort.dag_generation.conflicts import Writers
from airflow_provider_cio_cohort.dag_generation.dag_docs import describe, describe_problems, summary
from airflow_provider_cio_cohort.dag_generation.file_ids import absolute, folder_of_all
from airflow_provider_cio_cohort.dag_generation.form import form
from airflow_provider_cio_cohort.dag_generation.freshness import deadline, freshness_dag, freshness_dag_id
from airflow_provider_cio_cohort.dag_generation.keys import DAG_PREFIX
from airflow_provider_cio_cohort.dag_generation.loader import LoadedSync, by_label, load
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError, NoSyncsError, Problem
from airflow_provider_cio_cohort.dag_generation.schedule import schedule
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.dag_generation.tasks import TASK_ID, add_tasks, sync_alerts
from airflow_provider_cio_cohort.exceptions import ConfigurationError

log = logging.getLogger(__name__)

_LONGEST_RETRY_DELAY = timedelta(hours=1)
#: The variable of a DAG file with the DAGs that were built for it, each with the YAML file that it is from.
_BUILT = "_cohort_sync_files"


class RefusingOperator(BaseOperator):
    """
    Fail at once and without a retry, with the reason.

    Replaces the tasks of a sync that is disabled or has a mistake in the YAML file.

    :param reason: why the sync does not run, and what to do; not templated.
    :param problems: the mistakes in the YAML file; not templated.
    """

    ui_color = "#fde2e0"

    def __init__(self, *, reason: str, problems: Sequence[Problem] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason
        self.problems = tuple(problems)

    def execute(self, context: Any) -> None:
        """Fail with the reason."""
        raise AirflowFailException(self.reason)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> None:
        """Fail as well when a task resumes that was deferred before the YAML file changed."""
        raise AirflowFailException(self.reason)


def build_dags(path: str | Path, *, alerts: Iterable[Mapping[str, Any]] = ()) -> dict[str, DAG]:
    """
    Build a DAG for each sync of a YAML file.

    A sync with a mistake becomes an unscheduled DAG with the tag ``config-error``, which shows the message in
    its docs and fails with it. All others keep working. A file that cannot be read at all becomes the DAG
    ``cohort_file__<file>``, which runs every ten minutes, fails with the reason, and sends alerts. Of a file
    whose list of syncs is empty, no DAG is built.

    :param path: the YAML file; give it relative to the DAG file (``Path(__file__).with_name(…)``).
    :param alerts: who is told if the file cannot be read, each with the keys of an alert in the YAML file;
        used if the ``defaults`` of the file have no alerts, or cannot be read either.
    :returns: the DAGs by their ids, ``cohort_sync__<name>``, each with the task ``sync``; if a sync has a
        ``max_age``, also the DAG ``cohort_freshness__<file>``. In both, ``<file>`` is the file's place: its
        DAG bundle, if that is not Airflow's default one, and its path in it.
    :raises CohortSyncConfigError: if ``alerts`` are wrong.
    """
    path, fallback = Path(path), given_alerts(alerts)
    frame = inspect.currentframe()
    try:
        dags = dags_of(path)
    except NoSyncsError as error:
        log.warning("%s", error)
        dags = {}
    except CohortSyncConfigError as error:
        log.error("%s", error)
        dags = _broken(path, error, fallback)
    return _apart(dags, path, _dag_file(frame.f_back if frame else None))


def dags_of(path: Path) -> dict[str, DAG]:
    """
    Build the DAGs of a file that can be read.

    :param path: the YAML file.
    :raises CohortSyncConfigError: if the file cannot be read, is not YAML, or has no list of ``syncs``.
    """
    wanted = get_parsing_context().dag_id  # set when a task runs, which needs its own DAG only
    dags = {}
    syncs = load(path)
    writers = Writers(by_label(syncs))
    for sync in syncs:
        dag_id = f"{DAG_PREFIX}{sync.name}"
        if wanted is None or wanted == dag_id:
            dags[dag_id] = _dag(dag_id, sync, path.name, writers)
    if wanted is None or wanted == freshness_dag_id(path):
        watch = freshness_dag(path, syncs)
        dags |= {watch.dag_id: watch} if watch else {}
    return dags


def _broken(path: Path, error: CohortSyncConfigError, alerts: Sequence[Alert]) -> dict[str, DAG]:
    dag_id = broken_file_dag_id(path)
    if get_parsing_context().dag_id not in (None, dag_id):
        return {}  # a task of another file that the same DAG file reads
    return {dag_id: broken_file_dag(path, error, alerts)}


def _dag_file(caller: FrameType | None) -> dict[str, Any]:
    """Return the variables of the DAG file that is being read; none if ``build_dags`` is called elsewhere."""
    found: dict[str, Any] = {}
    frame = caller
    while frame and not str(frame.f_globals.get("__name__")).startswith("airflow."):
        # A DAG file may import modules that build its DAGs. A script, such as that of pytest, is no DAG file
        # unless it calls build_dags itself.
        is_script = frame.f_globals.get("__name__") == "__main__" or "__file__" not in frame.f_globals
        if frame.f_code.co_name == "<module>" and (frame is caller or not is_script):
            found = frame.f_globals
        frame = frame.f_back
    return found


def _apart(dags: dict[str, DAG], path: Path, module: dict[str, Any]) -> dict[str, DAG]:
    """
    Turn each DAG whose id is also that of a DAG of another file into an error, and the other one as well.

    :param dags: the DAGs of a file.
    :param path: the file.
    :param module: the variables of the DAG file.
    """
    source = absolute(path)
    built: dict[str, tuple[Path, DAG]] = module.setdefault(_BUILT, {})
    for dag_id in dags:
        first, dag = built.setdefault(dag_id, (source, dags[dag_id]))
        if first != source:
            dags[dag_id] = _config_error(dag_id, [_same_id(dag_id, first, source)])
            vars(dag).update(vars(dags[dag_id]))  # only the DAG file knows which one Airflow gets
    return dags


def _same_id(dag_id: str, first: Path, second: Path) -> Problem:
    folder = folder_of_all([first, second])
    one, other = (each.relative_to(folder).as_posix() for each in (first, second))
    name = dag_id.removeprefix(DAG_PREFIX)
    what = f"both have a sync {name}" if dag_id.startswith(DAG_PREFIX) else f"both have the DAG {dag_id}"
    message = (
        f"{what}, and Airflow has one DAG of each id. Neither runs, because it is not clear which one is "
        "meant. Rename one."
    )
    return Problem(1, (), message, f"{one} and {other}")


def _dag(dag_id: str, loaded: LoadedSync, file: str, writers: Writers) -> DAG:
    if loaded.spec is None:
        return _config_error(dag_id, loaded.problems)
    try:
        if not loaded.spec.enabled:
            return _disabled(dag_id, loaded, loaded.spec, file)
        return _sync(dag_id, loaded, loaded.spec, file, writers)
    # An error of Airflow or the operator that the checks have missed must not stop the other syncs.
    except Exception as error:
        where = f"sync {loaded.name}"
        return _config_error(dag_id, [Problem(loaded.line("name"), loaded.path, str(error), where, file)])


def _sync(dag_id: str, loaded: LoadedSync, sync: Sync, file: str, writers: Writers) -> DAG:
    _check_airflow(loaded, sync)
    alerts = sync_alerts(sync)
    dag = DAG(
        dag_id,
        schedule=schedule(sync.cadence, sync.timezone, sync.name, spread=sync.spread),
        start_date=sync.starts,
        end_date=sync.ends,
        catchup=False,
        max_active_runs=1,
        # No dagrun_timeout, because the runs of a backfill start together and wait for each other.
        default_args=_default_args(sync),
        description=summary(sync, loaded.targets),
        doc_md=_docs(loaded, sync, file),
        deadline=deadline(sync),
        on_failure_callback=alerts.run_failed if alerts else None,
        tags=_tags(sync),
    )
    # Airflow would check the schema of each field of each DAG, which takes longer than all the rest.
    dag.params.update(form(sync, loaded.targets))
    add_tasks(dag, sync, loaded.targets, writers)
    return dag


def _docs(loaded: LoadedSync, sync: Sync, file: str) -> str | None:
    """Return the documentation of a DAG; none where a task runs, which does not show it."""
    if get_parsing_context().dag_id is not None:
        return None
    return describe(sync, file, loaded.targets, over_grant=loaded.over_grant)


def _check_airflow(loaded: LoadedSync, sync: Sync) -> None:
    """Refuse keys that need the state stores of Airflow 3.3."""
    asking = any(each.on_guard == "approve" for each in (sync, *loaded.targets.values()))
    used = {"max_age": sync.max_age is not None, "on_guard: approve": asking}
    keys = " and ".join(key for key, is_used in used.items() if is_used)
    if keys and not HAS_STATE_STORES:
        raise ConfigurationError(
            f"{keys}: this requires Airflow 3.3 or newer.\nUpgrade Airflow, or remove it from this sync."
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
        doc_md=_docs(loaded, sync, file),
        tags=[*_tags(sync), "disabled"],
    )


def _config_error(dag_id: str, problems: Sequence[Problem]) -> DAG:
    for problem in problems:
        log.error("Wrong configuration of %s: %s", dag_id, problem)
    place, more = problems[0].place, f" (and {len(problems) - 1} more)" if problems[1:] else ""
    return _refusing(
        dag_id,
        "\n".join([f"Wrong configuration, so the sync does not run: {place}{more}.", *map(str, problems)]),
        problems,
        default_args={"retries": 0},
        description="Wrong configuration: this sync does not run",
        doc_md=describe_problems(problems),
        tags=["cohort-sync", "config-error"],
    )


def _refusing(dag_id: str, reason: str, problems: Sequence[Problem] = (), **settings: Any) -> DAG:
    dag = DAG(dag_id, schedule=None, catchup=False, max_active_runs=1, **settings)
    RefusingOperator(task_id=TASK_ID, dag=dag, reason=reason, problems=problems)
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
