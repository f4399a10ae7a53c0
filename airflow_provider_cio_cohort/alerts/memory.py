"""Stores the state of a segment's alerts between runs, in the state store of its asset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

log = logging.getLogger(__name__)

#: The keys of the state of a segment's alerts, and of its freshness.
ALERTS, FRESHNESS = "alerts", "freshness"


class Memory:
    """
    The state of a segment's alerts.

    :param context: the task's context.
    :param asset: the segment, one of the task's inlets or outlets.
    :param key: the key in the store.
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
