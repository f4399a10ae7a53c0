"""Remembers from run to run what the alerts of a segment need, in the state store of its asset."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

log = logging.getLogger(__name__)

#: Where a segment's alerts are remembered, and where the freshness of it is.
ALERTS, FRESHNESS = "alerts", "freshness"


class Memory:
    """
    What was told about a segment.

    :param context: the task's context.
    :param asset: the segment, one of the task's inlets or outlets.
    :param key: which part of the memory.
    """

    def __init__(self, context: Mapping[str, Any], asset: Asset | None, key: str) -> None:
        self._context = context
        self._asset = asset
        self._key = key

    def load(self) -> dict[str, Any]:
        """Return what is remembered; empty if nothing is, or where Airflow has no such store."""
        try:
            kept = self._store().get(self._key)
        except Exception as error:  # a callback that the DAG processor runs has no state store
            log.debug("No memory of earlier alerts: %s", type(error).__name__)
            return {}
        return kept if isinstance(kept, dict) else {}

    def save(self, what: Mapping[str, Any]) -> None:
        """
        Remember something.

        :param what: counts, times and flags, never a person.
        """
        try:
            self._store().set(self._key, dict(what))
        except Exception as error:
            log.warning("This could not be remembered for the next alert (%s).", type(error).__name__)

    def _store(self) -> Any:
        return self._context["asset_state_store"][self._asset]
