"""
Remembers the export of a task across its tries: one export costs one of the month's, a retry costs none.

Kept in Airflow's task state store, which outlives retries, crashes of the worker, and deferral. Where
there is no such store, every try requests an export of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_cio_cohort.exceptions import ExportFailedError

log = logging.getLogger(__name__)

KEY = "amplitude_export"
#: Amplitude keeps an export's file for seven days; an hour is left to fetch it.
LIFE = timedelta(days=7) - timedelta(hours=1)
#: An export that is older than this, of a cohort that Amplitude has computed anew since, would take the
#: segment back to who was in the cohort then: whoever clears so old a run wants today's members.
FRESH = timedelta(days=1)


class ExportState:
    """
    The export that a task has requested.

    :param context: the task's context.
    :param wanted: what the export must be of, to be continued: cohort, property, connection.
    """

    def __init__(self, context: Mapping[str, Any], wanted: dict[str, str]) -> None:
        self._store = context.get("task_state_store")
        self._wanted = wanted

    def load(self, computed_at: float | None) -> str | None:
        """
        Return the request id of an export that can be continued.

        :param computed_at: when Amplitude last computed the cohort, epoch seconds; ``None`` if not known.
        """
        kept = self._store.get(KEY) if self._store is not None else None
        if not isinstance(kept, dict) or kept.get("of") != self._wanted:
            return None
        requested_at = float(kept.get("requested_at", 0))
        age = time.time() - requested_at
        if age >= LIFE.total_seconds():
            return None
        hours = f"{age / 3600:,.1f} hours ago"
        if age >= FRESH.total_seconds() and computed_at is not None and computed_at > requested_at:
            log.info("An earlier try requested an export %s, but the cohort has changed since.", hours)
            return None
        log.info("Continuing the export that an earlier try requested %s.", hours)
        return str(kept["request_id"])

    def save(self, request_id: str) -> None:
        """
        Keep an export that was just requested.

        :param request_id: what Amplitude calls it.
        """
        if self._store is None:
            return
        kept = {"request_id": request_id, "requested_at": time.time(), "of": self._wanted}
        try:
            self._store.set(KEY, kept, retention=LIFE)
        except Exception as error:
            # The export is paid for and this try can use it: only a retry will have to request another.
            log.warning(
                "The export could not be kept for a retry (%s); this try goes on.", type(error).__name__
            )

    @contextmanager
    def forgotten_if_failed(self) -> Iterator[None]:
        """Forget the export when Amplitude lost it or gave it up: only then may a retry request another."""
        try:
            yield
        except ExportFailedError:
            self.forget()
            raise

    def forget(self) -> None:
        """Let the next try, or the next run of this task, request a new export."""
        if self._store is not None:
            self._store.delete(KEY)
