"""
Remembers the export of a task across its tries: one export costs one of the month's, a retry costs none.

Kept in Airflow's task state store, which outlives retries, crashes of the worker, and deferral. Where
there is no such store, every try requests an export of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from airflow_provider_cio_cohort.exceptions import ExportFailedError

KEY = "amplitude_export"
#: Amplitude keeps an export's file for seven days; an hour is left to fetch it.
LIFE = timedelta(days=7) - timedelta(hours=1)


class ExportState:
    """
    The export that a task has requested.

    :param context: the task's context.
    :param wanted: what the export must be of, to be continued: cohort, property, connection.
    """

    def __init__(self, context: Mapping[str, Any], wanted: dict[str, str]) -> None:
        self._store = context.get("task_state_store")
        self._wanted = wanted

    def load(self) -> str | None:
        """Return the request id of an export that can be continued."""
        kept = self._store.get(KEY) if self._store is not None else None
        if not isinstance(kept, dict) or kept.get("of") != self._wanted:
            return None
        age = time.time() - float(kept.get("requested_at", 0))
        return str(kept["request_id"]) if age < LIFE.total_seconds() else None

    def save(self, request_id: str) -> None:
        """
        Keep an export that was just requested.

        :param request_id: what Amplitude calls it.
        """
        if self._store is not None:
            kept = {"request_id": request_id, "requested_at": time.time(), "of": self._wanted}
            self._store.set(KEY, kept, retention=LIFE)

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
