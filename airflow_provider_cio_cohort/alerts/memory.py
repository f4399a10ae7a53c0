"""Stores the state of a sync's alerts between runs, in the state store of its segment's asset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

from airflow_provider_cio_cohort.state import fingerprint

log = logging.getLogger(__name__)

#: What is kept of a sync: which alerts were sent, and how fresh its segment is.
ALERTS, FRESHNESS = "alerts", "freshness"


def key_of(kind: str, dag_id: str, task_id: str) -> str:
    """
    Return the key for the state of a sync: an asset has one store, but several syncs may fill it.

    :param kind: one of the constants above.
    :param dag_id: the sync's DAG.
    :param task_id: the sync's task.
    """
    return f"{kind}.{fingerprint(dag_id, task_id)}"


class Memory:
    """
    The state of the alerts of one sync of a segment.

    :param context: the task's context.
    :param asset: the segment, one of the task's inlets or outlets.
    :param key: the key in the store, see :func:`key_of`.
    """

    def __init__(self, context: Mapping[str, Any], asset: Asset | None, key: str) -> None:
        self._context = context
        self._asset = asset
        self._key = key

    def load(self) -> dict[str, Any]:
        """Return the state; empty if there is none, or if Airflow has no such store."""
        try:
            kept = self._store().get(self._key)
        except Exception as error:  # a callback that the DAG processor runs has no state store
            log.debug("The state of earlier alerts cannot be read: %s", type(error).__name__)
            return {}
        return kept if isinstance(kept, dict) else {}

    def save(self, what: Mapping[str, Any]) -> None:
        """
        Save the state.

        :param what: counts, times and flags, never a person.
        """
        try:
            self._store().set(self._key, dict(what))
        except Exception as error:
            log.warning(
                "The state of the alerts cannot be saved for the next run (%s).", type(error).__name__
            )

    def _store(self) -> Any:
        return self._context["asset_state_store"][self._asset]
