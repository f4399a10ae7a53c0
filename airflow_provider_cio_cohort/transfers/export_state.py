"""
Remembers the export of a task across its tries: one export costs one of the month's, a retry costs none.

Kept in Airflow's task state store, which outlives retries, crashes of the worker, and deferral. Where
there is no such store, every try requests an export of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, Protocol

from airflow_provider_cio_cohort.exceptions import ExportFailedError

log = logging.getLogger(__name__)

KEY = "amplitude_export"
#: Amplitude keeps an export's file for seven days; an hour is left to fetch it.
LIFE = timedelta(days=7) - timedelta(hours=1)
#: An export that is older than this, or has been synced, would take the segment back to who was in the cohort
#: then, if Amplitude has computed it anew since: whoever clears such a run wants today's members.
FRESH = timedelta(days=1)


class Export(Protocol):
    """An export that a task works with."""

    #: When Amplitude had last computed the cohort as the export was requested, epoch seconds.
    computed_at: int | None
    #: What Amplitude said of the month when it was requested; empty where that is not known.
    month: Mapping[str, Any]

    def load(self, computed_at: int | None) -> str | None:
        """Return the request id of an export that can be used, ``None`` if one must be requested."""

    def save(self, request_id: str, computed_at: int | None, month: Mapping[str, Any]) -> None:
        """Keep an export that was just requested."""

    def forgotten_if_failed(self) -> AbstractContextManager[None]:
        """Return a context in which an export that turns out to be lost is forgotten."""

    def used(self) -> None:
        """Take note that the export has done its work."""


class ExportState:
    """
    The export that a task requests itself.

    :param context: the task's context.
    :param wanted: what the export must be of, to be continued: cohort, properties, connection.
    """

    def __init__(self, context: Mapping[str, Any], wanted: dict[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self._wanted = wanted
        self.computed_at: int | None = None
        self.month: Mapping[str, Any] = {}

    def load(self, computed_at: int | None) -> str | None:
        """
        Return the request id of an export that can be continued.

        :param computed_at: when Amplitude last computed the cohort, epoch seconds; ``None`` if not known.
        """
        kept = self._kept()
        if kept is None or kept.get("of") != self._wanted:
            return None
        requested_at = float(kept.get("requested_at", 0))
        age = time.time() - requested_at
        if age >= LIFE.total_seconds():
            return None
        ago = _ago(age)
        is_old = bool(kept.get("used")) or age >= FRESH.total_seconds()
        if is_old and computed_at is not None and computed_at > requested_at:
            log.info("An export was requested %s, but the cohort has changed since.", ago)
            return None
        log.info("Continuing the export that was requested %s.", ago)
        self.computed_at = kept.get("computed_at")
        if time.gmtime(requested_at)[:2] == time.gmtime()[:2]:
            self.month = kept.get("month") or {}
        return str(kept["request_id"])

    def save(self, request_id: str, computed_at: int | None, month: Mapping[str, Any]) -> None:
        """
        Keep an export that was just requested.

        :param request_id: what Amplitude calls it.
        :param computed_at: when Amplitude last computed the cohort, epoch seconds; ``None`` if not known.
        :param month: what :func:`.check_quota` returned.
        """
        self.computed_at, self.month = computed_at, month
        self._keep(
            {
                "request_id": request_id,
                "requested_at": time.time(),
                "computed_at": computed_at,
                "month": dict(month),
                "of": self._wanted,
            }
        )

    def _kept(self) -> dict[str, Any] | None:
        kept = self._store.get(KEY) if self._store is not None else None
        return kept if isinstance(kept, dict) else None

    def _keep(self, kept: dict[str, Any]) -> None:
        if self._store is None:
            return
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
            if self._store is not None:
                self._store.delete(KEY)
            raise

    def used(self) -> None:
        """Take note that the export has done its work: who clears the task may want a new one."""
        kept = self._kept()
        if kept is not None:
            self._keep({**kept, "used": True})


class GivenExport:
    """
    An export that another task has requested, and that several may share.

    :param request_id: what Amplitude calls it.
    """

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.computed_at: int | None = None
        self.month: Mapping[str, Any] = {}

    def load(self, computed_at: int | None) -> str:
        """Return its request id."""
        return self._request_id

    def save(self, request_id: str, computed_at: int | None, month: Mapping[str, Any]) -> None:
        """Do nothing: the task that requested it has kept it."""

    @contextmanager
    def forgotten_if_failed(self) -> Iterator[None]:
        """Say which task can mend it when the export is lost."""
        try:
            yield
        except ExportFailedError as error:
            lost = str(error)
        else:
            return
        raise ExportFailedError(f"{lost} Another task requested this one: clear that task as well.")

    def used(self) -> None:
        """Do nothing: others may use it, too."""


def _ago(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"
