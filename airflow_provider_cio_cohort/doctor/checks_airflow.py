"""The lines about this Airflow: where connections come from, pools, triggerer, storage of snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from airflow.utils.session import create_session
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from airflow_provider_cio_cohort.compatibility import (
    HAS_STATE_STORES,
    AirflowException,
    AirflowNotFoundException,
    conf,
)
from airflow_provider_cio_cohort.doctor.lines import Finding, Status, not_asked
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import max_concurrent_tasks
from airflow_provider_cio_cohort.pools import EXPORT_SLOTS, pools_of
from airflow_provider_cio_cohort.snapshots.store import SnapshotStore
from airflow_provider_cio_cohort.sync.parameters import SyncParameters, is_template
from airflow_provider_cio_cohort.transfers.context import subject_of

STORES = "airflow.state_stores"
SOURCES = "airflow.connections"
DATABASE = "airflow.database"
TRIGGERER = "airflow.triggerer"
POOLS = "airflow.pools"
SNAPSHOTS = "airflow.snapshots"

#: Airflow's own backends, in words; any other is a secrets backend.
_BACKENDS = {"EnvironmentVariablesBackend": "environment", "MetastoreBackend": "database"}


def check_airflow(
    amplitude: AmplitudeHook,
    customer_io: CustomerIOHook,
    syncs: Sequence[SyncParameters] = (),
    *,
    use_pools: bool = False,
) -> Iterator[Finding]:
    """
    Yield the lines about this Airflow, each as soon as it is known.

    :param syncs: the syncs whose storage of snapshots is checked.
    :param use_pools: whether any of these syncs runs in the pools of its connections.
    """
    yield _state_stores()
    yield _sources((amplitude.http_conn_id, customer_io.http_conn_id))
    database = _database()
    yield database
    if database.status is Status.OK:
        yield _triggerer()
        yield _pools(amplitude.http_conn_id, customer_io, use_pools=use_pools)
    else:
        yield from not_asked((TRIGGERER, POOLS), database)
    paths = [(path, sync) for sync in syncs for path in (sync.snapshot_path, sync.unmatched_path)]
    if storages := {path: sync for path, sync in paths if path is not None}:
        yield _snapshots(storages)


def _state_stores() -> Finding:
    if HAS_STATE_STORES:
        return Finding(STORES, Status.OK, "This Airflow has state stores.")
    return Finding(
        STORES,
        Status.WARNING,
        "This Airflow has no state stores, which came with 3.3.",
        "A retry costs an export of its own, and skip_unchanged, max_age and on_guard: approve do not work.",
        "Upgrade to Airflow 3.3 or newer.",
    )


def _sources(conn_ids: Sequence[str]) -> Finding:
    found = {conn_id: _source_of(conn_id) for conn_id in conn_ids}
    seen = f"{'; '.join(f'{conn_id!r} comes from {source}' for conn_id, source in found.items())}."
    local = [conn_id for conn_id, source in found.items() if "environment" in source]
    meaning = "What reads the same database or secrets backend has the same connections."
    if local:
        meaning = (
            "Workers and the triggerer must have the same environment, which this process cannot see. If "
            "the triggerer lacks the connection to Amplitude, a try fails with TriggererError."
        )
    return Finding(SOURCES, Status.OK, seen, meaning)


def _source_of(conn_id: str) -> str:
    """Return where this process finds a connection; which backends there are is not a public interface."""
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:
        return "an unknown place"
    for backend in ensure_secrets_backend_loaded():
        try:
            is_here = backend.get_connection(conn_id=conn_id) is not None
        except (ValueError, TypeError, AirflowException):  # it is here, but cannot be read
            is_here = True
        except Exception:  # the backend is away
            return f"an unknown place: {type(backend).__name__} does not answer"
        if is_here:
            name = type(backend).__name__
            return f"the {_BACKENDS[name]}" if name in _BACKENDS else f"the secrets backend {name}"
    return "nowhere"


def _database() -> Finding:
    try:
        with create_session() as session:
            session.scalar(_living_triggerers())
    except (OperationalError, ProgrammingError) as error:
        return Finding(
            DATABASE,
            Status.UNKNOWN,
            f"Airflow's database cannot be read here ({type(error.orig).__name__}).",
            "The lines that need it are unknown. Syncs reach it through Airflow's API server.",
            "Call the command where the scheduler runs, or check [database] sql_alchemy_conn.",
        )
    return Finding(DATABASE, Status.OK, "Airflow's database can be read.")


def _living_triggerers() -> Any:
    from airflow.jobs.job import Job

    seconds = conf.getint("triggerer", "triggerer_health_check_threshold", fallback=30)
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    alive = (Job.job_type == "TriggererJob", Job.state == "running", Job.latest_heartbeat >= since)
    return select(func.count()).select_from(Job).where(*alive)


def _triggerer() -> Finding:
    with create_session() as session:
        alive = session.scalar(_living_triggerers()) or 0
    limits = (
        "Whether it has the connections and reaches Amplitude is known only there: its log shows it at the "
        "first export."
    )
    if alive:
        return Finding(TRIGGERER, Status.OK, f"Triggerers with a recent heartbeat: {alive:,}.", limits)
    return Finding(
        TRIGGERER,
        Status.WARNING,
        "No triggerer has a recent heartbeat.",
        "A deferrable sync waits for its export until a triggerer runs.",
        "Start airflow triggerer, or set deferrable: false.",
    )


def _pools(amplitude_conn_id: str, customer_io: CustomerIOHook, *, use_pools: bool) -> Finding:
    from airflow.models.pool import Pool

    try:
        connection = customer_io.connection
        slots = {"exports": EXPORT_SLOTS, "syncs": max_concurrent_tasks(connection, connection.extra_dejson)}
    except (CohortSyncError, AirflowNotFoundException):
        slots = {"exports": EXPORT_SLOTS}
    missing: list[str] = []
    differing: list[str] = []
    right: list[str] = []
    with create_session() as session:
        for kind, _, name in pools_of(amplitude_conn_id, customer_io.http_conn_id):
            pool = Pool.get_pool(name, session=session)
            if pool is None:
                missing.append(name)
                continue
            as_wanted = pool.include_deferred and pool.slots == slots.get(kind, pool.slots)
            (right if as_wanted else differing).append(f"{name} ({pool.slots:,} slots)")
    seen = [
        f"{words}: {', '.join(names)}."
        for words, names in (("Right", right), ("Missing", missing), ("Of another size", differing))
        if names
    ]
    advice = "Run airflow cohort-sync pools with the files of the syncs."
    if missing and use_pools:
        meaning = "Syncs with use_pools: true are never scheduled without their pool."
        return Finding(POOLS, Status.WRONG, " ".join(seen), meaning, advice)
    if differing:
        meaning = "Syncs with use_pools: true may exceed a vendor's limit, or wait for no reason."
        return Finding(POOLS, Status.WARNING, " ".join(seen), meaning, advice)
    meaning = "Only syncs with use_pools: true need them." if missing else ""
    return Finding(POOLS, Status.OK, " ".join(seen), meaning)


def _snapshots(storages: dict[str, SyncParameters]) -> Finding:
    writable, problems = [], []
    for path, sync in storages.items():
        # Not the rest of the address: the names of buckets and folders are the company's own.
        shown = f"{urlsplit(path).scheme}://…"
        if is_template(path):
            problems.append(f"{shown} has a template, which only a run renders.")
            continue
        try:
            SnapshotStore(path, subject_of(sync)).check_writable()
        except CohortSyncError as error:
            problems.append(str(error).replace(path, shown).replace("\n", " "))
        else:
            writable.append(shown)
    seen = f"A file can be written and deleted in {len(writable):,} of {len(storages):,} storages"
    if not problems:
        return Finding(SNAPSHOTS, Status.OK, f"{seen}: {', '.join(writable)}.")
    meaning = "A sync fails before it requests an export if its storage is not writable."
    return Finding(SNAPSHOTS, Status.WRONG, f"{seen}.", meaning, " ".join(problems))
