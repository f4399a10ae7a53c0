"""Stores the state of a sync's alerts between runs, in the state store of its segment's asset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

from airflow_provider_cio_cohort.state import UNKNOWN, asset_store, fingerprint

#: What is kept of a sync: which alerts were sent, and how fresh its segment is.
ALERTS, FRESHNESS = "alerts", "freshness"


def key_of(kind: str, dag_id: str, task_id: str) -> str:
    """Return the key for the state of a sync: an asset has one store, but several syncs may fill it."""
    return f"{kind}.{fingerprint(dag_id, task_id)}"


def fingerprints(kept: object) -> list[str]:
    """Return stored fingerprints of alerts; none if there are none, or they are invalid."""
    return [one for one in kept if isinstance(one, str)] if isinstance(kept, list) else []


class Memory:
    """
    The state of the alerts of one sync of a segment.

    :param asset: the segment, one of the task's inlets or outlets; ``None`` where a template decides.
    :param key: the key in the store, see :func:`key_of`.
    """

    def __init__(self, context: Mapping[str, Any], asset: Asset | None, key: str) -> None:
        self._store = asset_store(context, asset)
        self._key = key
        self._is_known = True

    def load(self) -> dict[str, Any] | None:
        """Return the state, empty if none is stored; ``None`` if it cannot be read, or there is no store."""
        kept = self._store.get(self._key)
        self._is_known = kept is not UNKNOWN
        if kept is UNKNOWN:
            return None
        return kept if isinstance(kept, dict) else {}

    def save(self, what: Mapping[str, Any]) -> None:
        """
        Save the state, unless it could not be read: what is not known must not be overwritten.

        :param what: counts, times, flags and fingerprints, never a person.
        """
        if self._is_known:
            self._store.set(self._key, dict(what))
