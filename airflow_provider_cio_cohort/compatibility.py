"""
Names that differ or are missing in Airflow 3.1 and 3.2, or in the providers of their constraints.

The rest of the package imports these names from here and is written for the newest Airflow. What older
versions cannot do is noted where it matters, and in ``docs/versions.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
    TaskDeferred,
    conf,
)

if TYPE_CHECKING:
    from airflow.dag_processing.bundles.base import BaseDagBundle
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import Connection
    from pydantic import JsonValue

try:  # 3.2
    from airflow.sdk import CronTriggerTimetable

    #: The ``retry_exponential_backoff`` of tasks that doubles each wait.
    DOUBLED: float = 2.0
except ImportError:  # 3.1
    from airflow.timetables.trigger import CronTriggerTimetable  # type: ignore[assignment]

    DOUBLED = True

try:  # 3.3
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # the stub lacks it
    from airflow.sdk.log import amask_secret
    from airflow.sdk.observability import stats

    #: Whether tasks and assets have state stores, which outlive tries and runs.
    HAS_STATE_STORES = True
except ImportError:
    from airflow.providers.common.compat.sdk import Stats
    from airflow.sdk.log import mask_secret
    from asgiref.sync import sync_to_async

    stats = Stats  # type: ignore[assignment]
    NEVER_EXPIRE = None
    HAS_STATE_STORES = False

    async def amask_secret(secret: JsonValue, name: str | None = None) -> None:
        """Mask a secret from within the event loop."""
        # In a thread, since in the loop itself it would not be passed on; and in one that asgiref knows, or
        # the triggerer of 3.1 reads the answer in a second loop and fails.
        await sync_to_async(mask_secret)(secret, name)


try:  # apache-airflow-providers-common-compat above 1.19, which no constraints up to Airflow 3.3.2 have
    from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
except ImportError:
    from airflow.sdk import BaseHook
    from asgiref.sync import sync_to_async

    async def get_async_connection(conn_id: str) -> Connection:  # type: ignore[misc]
        """Return a connection, without blocking the event loop."""
        # Not by aget_connection(): before Airflow 3.3.2 that masks keys by a call that blocks the loop.
        return await sync_to_async(BaseHook.get_connection)(conn_id)

    async def get_async_extra_dejson(conn: Connection) -> dict[str, Any]:
        """Return the extra of a connection, without blocking the event loop."""
        return await sync_to_async(lambda: conn.extra_dejson)()


def dag_bag(bundle: BaseDagBundle) -> DagBag:
    """
    Read the DAG files of a bundle.

    :param bundle: the bundle, initialised.
    """
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:  # 3.1
        from airflow.models.dagbag import BundleDagBag  # type: ignore[no-redef]

        return BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path)
    return BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)


__all__ = [
    "DOUBLED",
    "HAS_STATE_STORES",
    "NEVER_EXPIRE",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowTaskTimeout",
    "CronTriggerTimetable",
    "TaskDeferred",
    "amask_secret",
    "conf",
    "dag_bag",
    "get_async_connection",
    "get_async_extra_dejson",
    "stats",
]
