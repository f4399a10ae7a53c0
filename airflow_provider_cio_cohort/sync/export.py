"""
One export over all tries of a task: what it is of, whether it may still be used, and the wait for it.

A new export uses one of the month's exports, a continued one uses none. But an export holds one cohort at one
time: used for another cohort, or after a later export, it would put the wrong people into the segment.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.durations import in_words
from airflow_provider_cio_cohort.exceptions import (
    AmplitudePlanError,
    AuthenticationError,
    ExportFailedError,
    ExportMismatchError,
    ExportNotReadyError,
    OutdatedExportError,
    QuotaReachedError,
    RequestRejectedError,
    StateStoreError,
)
from airflow_provider_cio_cohort.state import EXPORT, UNKNOWN, StateStore

if TYPE_CHECKING:  # DAG files import this module
    from airflow_provider_cio_cohort.sync.ports import Amplitude, Usage

log = logging.getLogger(__name__)

#: Amplitude keeps an export's file for seven days; an hour is left to fetch it.
LIFE = timedelta(days=7) - timedelta(hours=1)
#: An export that is older than this is continued only where Amplitude has not recomputed the cohort since.
FRESH = timedelta(days=1)
#: The age of an export that is dated further into the future than this is unknown.
_CLOCK_SKEW = timedelta(minutes=5)
#: Columns that every export has.
_BUILT_IN = ("user_id", "amplitude_id")


@dataclass(frozen=True)
class ExportOf:
    """
    What an export is of.

    :param cohort_id: the cohort.
    :param properties: the properties that it holds beside the built-in ids, sorted.
    :param amplitude_conn_id: the connection to the project.
    """

    cohort_id: str
    properties: tuple[str, ...]
    amplitude_conn_id: str

    @classmethod
    def of(cls, cohort_id: str, properties: Iterable[str], amplitude_conn_id: str) -> ExportOf:
        """
        Return what an export must be of.

        :param cohort_id: the cohort.
        :param properties: the properties that it must hold, in any order.
        :param amplitude_conn_id: the connection to the project.
        """
        return cls(cohort_id, tuple(sorted(set(properties))), amplitude_conn_id)

    def differs(self, wanted: ExportOf) -> str:
        """
        Return how it differs from what is wanted; empty if it holds all of it.

        :param wanted: what is wanted.
        """
        if self.cohort_id != wanted.cohort_id:
            return f"it is of cohort {self.cohort_id}, not of {wanted.cohort_id}"
        if self.amplitude_conn_id != wanted.amplitude_conn_id:
            return (
                f"it was requested by connection {self.amplitude_conn_id!r}, not by "
                f"{wanted.amplitude_conn_id!r}"
            )
        lacking = sorted({*wanted.properties} - {*self.properties, *_BUILT_IN})
        return f"it lacks the property {', '.join(lacking)}" if lacking else ""

    @property
    def binding(self) -> dict[str, str]:
        """The same as plain text, by name."""
        return {
            "cohort_id": self.cohort_id,
            "properties": ", ".join(self.properties),
            "amplitude_conn_id": self.amplitude_conn_id,
        }


@dataclass(frozen=True)
class Export:
    """
    An export that was requested.

    :param request_id: its id at Amplitude.
    :param of: what it is of.
    :param requested_at: when, in epoch seconds.
    :param computed_at: when Amplitude had last computed the cohort then, in epoch seconds; ``None`` if that
        is not known.
    :param month: what Amplitude reported about the month then, see :func:`.check_quota`.
    :param used: whether a sync from it has succeeded.
    :param is_replacement: whether it was requested because the segment had been synced from a later export
        than the one before; it is not replaced for that reason again.
    :param is_new: whether it was requested just now.
    """

    request_id: str
    of: ExportOf
    requested_at: float
    computed_at: int | None = None
    month: Mapping[str, Any] = field(default_factory=dict)
    used: bool = False
    is_replacement: bool = False
    is_new: bool = field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for a store, an XCom or a deferral."""
        facts = asdict(self)
        of = facts.pop("of")
        del facts["is_new"]
        return {**facts, **of, "properties": list(self.of.properties), "month": dict(self.month)}

    @classmethod
    def from_dict(cls, value: Any) -> Export | None:
        """
        Return what :meth:`to_dict` made, ``None`` if the value is something else.

        :param value: plain data.
        """
        try:
            return cls(
                request_id=str(value["request_id"]),
                of=ExportOf(
                    str(value["cohort_id"]), tuple(value["properties"]), str(value["amplitude_conn_id"])
                ),
                requested_at=float(value["requested_at"]),
                computed_at=value.get("computed_at"),
                month=value.get("month") or {},
                used=bool(value.get("used")),
                is_replacement=bool(value.get("is_replacement")),
            )
        except (TypeError, KeyError, ValueError, AttributeError):
            return None

    def is_before(self, synced_from: float | None) -> bool:
        """
        Say whether the segment was synced from a later export.

        :param synced_from: when the export was requested from which the segment was synced last, in epoch
            seconds; ``None`` if that is not known.
        """
        return synced_from is not None and self.requested_at < synced_from

    def month_now(self) -> Mapping[str, Any]:
        """Return what Amplitude reported about the month; empty if that was another month."""
        return self.month if time.gmtime(self.requested_at)[:2] == time.gmtime()[:2] else {}


class ExportMemory:
    """
    The export of one task, over all of its tries.

    :param store: the task's store.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        #: What is stored, if this process has read or stored it: a read is a request to Airflow's API server.
        self._known: Any = UNKNOWN

    def _kept(self) -> Any:
        if self._known is UNKNOWN:
            self._known = self._store.get(EXPORT)
        return self._known

    def _keep(self, export: Export) -> bool:
        value = export.to_dict()
        is_kept = self._store.set(EXPORT, value, retention=LIFE)
        self._known = value if is_kept else UNKNOWN
        return is_kept

    def load(self, wanted: ExportOf) -> Export | None:
        """
        Return the export of an earlier try, ``None`` if there is none whose file still exists.

        :param wanted: what the export must be of.
        :raises StateStoreError: if the store cannot be read, because an export may be in it.
        """
        kept = self._kept()
        if kept is UNKNOWN and self._store.exists:
            raise StateStoreError(
                "Airflow's state store cannot be read, so no export was requested.\n"
                "An earlier try may have paid for an export that can still be used. A retry tries again."
            )
        export = Export.from_dict(kept)
        if export is None or export.of != wanted:
            return None
        age = time.time() - export.requested_at
        if not -_CLOCK_SKEW.total_seconds() <= age < LIFE.total_seconds():  # nor where it is not a number
            return None
        return export

    def continued(self, wanted: ExportOf, computed_at: int | None) -> Export | None:
        """
        Return the export of an earlier try, ``None`` if a new one must be requested.

        :param wanted: what the export must be of.
        :param computed_at: when Amplitude last computed the cohort, in epoch seconds; ``None`` if it does not
            say.
        """
        export = self.load(wanted)
        if export is None:
            return None
        age = time.time() - export.requested_at
        ago = f"{in_words(age)} ago"
        # Both are times of Amplitude's clock: the worker's may be minutes ahead.
        is_unchanged = computed_at is not None and computed_at == export.computed_at
        if (export.used or age >= FRESH.total_seconds()) and not is_unchanged:
            log.info("An export was requested %s, but the cohort may have changed since.", ago)
            return None
        log.info("Continuing the export that was requested %s.", ago)
        return replace(export, month=export.month_now())

    def keep(self, export: Export) -> None:
        """
        Keep an export that was just requested.

        :param export: the export.
        """
        if self._store.exists and not self._keep(export):
            # This try can still use it: only a retry would have to request another.
            log.warning("The export cannot be stored for a retry: a retry would request another one.")

    def forget(self) -> None:
        """Forget the export, which Amplitude lost or gave up on, so that a retry requests another."""
        self._store.delete(EXPORT)
        self._known = UNKNOWN

    def used(self, export: Export) -> None:
        """
        Record that a sync from the export has succeeded.

        :param export: the export.
        """
        if Export.from_dict(self._kept()) is not None:
            self._keep(replace(export, used=True, is_replacement=False))


def check_given(export: Export, wanted: ExportOf, synced_from: float | None) -> None:
    """
    Refuse an export of another task that is not what this one needs.

    :param export: the export.
    :param wanted: what the export must be of.
    :param synced_from: when the export was requested from which the segment was synced last.
    :raises ExportMismatchError: if it is of something else.
    :raises OutdatedExportError: if the segment was synced from a later one.
    """
    if difference := export.of.differs(wanted):
        raise ExportMismatchError(
            f"The export that this task was given cannot be used: {difference}.\n"
            "The sync was changed after the export was requested. Clear the task that requests the "
            "export, with its downstream tasks."
        )
    if export.is_before(synced_from):
        raise OutdatedExportError(
            "The segment has already been synced from a later export: this one was requested "
            f"{in_words(time.time() - export.requested_at)} ago.\n"
            "Using it would return the segment to an older state. Clear the task that requests the "
            "export, with its downstream tasks. To roll back on purpose, use a snapshot."
        )


def _check_date(export: Export) -> None:
    if export.requested_at - time.time() <= _CLOCK_SKEW.total_seconds():
        return
    raise ExportMismatchError(
        "The export that this task was given is dated in the future, so its age is unknown.\n"
        "It could return the segment to an older state. Set the clocks of the workers, then clear the task "
        "that requests the export, with its downstream tasks."
    )


@dataclass(frozen=True)
class CohortExport:
    """
    The export that a task needs: requested once for all tries, waited for, and forgotten when it is lost.

    :param amplitude: the project.
    :param wanted: what the export must be of.
    :param memory: the task's export over its tries.
    :param given: the export of another task; ``None`` where this task requests one itself.
    :param poll_interval: seconds between two checks.
    :param timeout: seconds that a try waits.
    :param reserve: exports of the month to keep in reserve.
    :param clock: returns the time, in epoch seconds.
    """

    amplitude: Amplitude
    wanted: ExportOf
    memory: ExportMemory
    poll_interval: float
    timeout: float
    reserve: int
    given: Export | None = None
    clock: Callable[[], float] = time.time

    def request(
        self, computed_at: int | None, synced_from: float | None = None, outdated: Export | None = None
    ) -> Export:
        """
        Return the export that was given, that of an earlier try, or one that is requested now.

        :param computed_at: when Amplitude last computed the cohort, in epoch seconds; ``None`` if unknown.
        :param synced_from: when the export was requested from which the segment was synced last, in epoch
            seconds; ``None`` if that is unknown, or there is no segment.
        :param outdated: the export for which this run has waited, if the segment was synced from a later one
            meanwhile.
        :raises QuotaReachedError: if only the reserved exports of the month are left.
        :raises ExportMismatchError: if the export that was given cannot be used.
        :raises OutdatedExportError: if the export that was given is outdated, or that of this run is, and has
            replaced an outdated one already.
        """
        if self.given is not None:
            _check_date(self.given)
            check_given(self.given, self.wanted, synced_from)
            return self.given
        if outdated is None and (kept := self.memory.load(self.wanted)) and kept.is_before(synced_from):
            outdated = kept
        if outdated is not None:
            self._check_replaceable(outdated)
        elif export := self.memory.continued(self.wanted, computed_at):
            return export
        month = check_quota(self.amplitude, self.reserve)
        # The worker of the last sync may have been ahead: by its clock, this export is not older.
        requested_at = max(self.clock(), synced_from or 0.0)
        request_id = self.amplitude.request_export(self.wanted.cohort_id, *self.wanted.properties)
        log.info("Requested an export of cohort %s.", self.wanted.cohort_id)
        export = Export(
            request_id,
            self.wanted,
            requested_at,
            computed_at,
            month,
            is_replacement=outdated is not None,
            is_new=True,
        )
        self.memory.keep(export)
        return export

    def _check_replaceable(self, outdated: Export) -> None:
        """Refuse to replace an export that is a replacement itself, so that no run uses up the month."""
        if outdated.is_replacement:
            self.memory.forget()  # so that the task can be cleared
            raise OutdatedExportError(
                "The segment was synced from a later export again while this run waited for its export.\n"
                "This was the run's second export, so it does not request another. Check whether other tasks "
                "sync this segment at the same time, and whether the clocks of the workers agree; then clear "
                "this task, which uses another export."
            )
        log.warning("The segment was synced from a later export: replacing the one of this run.")

    def is_ready(self, export: Export) -> bool:
        """
        Say whether an export is finished.

        :param export: the export.
        """
        with self.forgotten_if_lost():
            return self.amplitude.export_finished(
                export.request_id, self.wanted.cohort_id, export.requested_at
            )

    def wait(self, export: Export, hold: float = 0.0) -> None:
        """
        Wait until an export is finished, and keep the task's slot for at least ``hold`` seconds.

        :param export: the export.
        :param hold: the least seconds to wait, however soon the export is finished.
        :raises ExportNotReadyError: if it takes longer than the timeout.
        """
        if not self.is_finished_within(self.timeout, export, hold):
            raise self.not_ready()

    def is_finished_within(self, seconds: float, export: Export, hold: float = 0.0) -> bool:
        """
        Wait for an export, and say whether it is finished; if so, the task's slot was kept long enough.

        :param seconds: the most seconds to wait for the export.
        :param export: the export.
        :param hold: the least seconds to wait, however soon the export is finished.
        """
        log.info("Waiting for Amplitude to compute the export, for at most %g s.", seconds)
        deadline, held_until = self.clock() + seconds, self.clock() + hold
        cancel = self.amplitude.cancel_token
        while not self.is_ready(export):
            if self.clock() >= deadline:
                return False
            cancel.wait(min(self.poll_interval, max(0.0, deadline - self.clock())))
        cancel.wait(max(0.0, held_until - self.clock()))
        return True

    def not_ready(self, problem: str = "", limit: str = "") -> ExportNotReadyError:
        """
        Return the error for an export that takes longer than the timeout.

        :param problem: the last problem, if there was one.
        :param limit: the timeout, if it is another one than ``export_timeout``, for the message.
        """
        last = f"The last problem was: {problem} " if problem else ""
        limit = limit or f"export_timeout ({self.timeout:g} s)"
        return ExportNotReadyError(
            f"Amplitude has not finished the export of cohort {self.wanted.cohort_id} within {limit}.\n"
            f"{last}A retry continues to wait for the same export."
        )

    @contextmanager
    def forgotten_if_lost(self) -> Iterator[None]:
        """
        Forget the export when Amplitude lost it or gave up on it: only then may a retry request another.

        :raises ExportFailedError: if that is so.
        """
        try:
            yield
        except ExportFailedError as error:
            if self.given is None:
                self.memory.forget()
                raise
            lost = str(error)
        else:
            return
        raise ExportFailedError(f"{lost} Another task requested this export: clear that task as well.")


def exports_left(usage: Usage) -> int | None:
    """
    Return how many exports of the month are left, ``None`` if Amplitude does not say.

    :param usage: what it says.
    """
    return None if usage.limit is None or usage.used is None else max(usage.limit - usage.used, 0)


def check_quota(amplitude: Amplitude, reserve: int) -> dict[str, Any]:
    """
    Refuse to use a reserved export, and return the month's counts including this export.

    What Amplitude reports about the month is not documented, so a project that reports nothing passes.

    :param amplitude: the project.
    :param reserve: exports of the month to keep in reserve.
    :return: ``exports_used``, ``exports_limit``, ``exports_reset``, and when Amplitude said so
        (``exports_at``); empty if it does not say.
    :raises QuotaReachedError: if no more than the reserve is left.
    """
    try:
        usage = amplitude.usage()
    except (AuthenticationError, AmplitudePlanError, RequestRejectedError) as error:
        log.warning("Continuing without knowing how many exports are left this month: %s", error.headline)
        return {}
    if usage.limit is None or usage.used is None:
        log.warning(
            "Continuing without knowing how many exports are left this month: Amplitude does not say."
        )
        return {}
    left = usage.limit - usage.used
    if left <= reserve:
        resets = (
            f"The count is reset at {usage.resets_at}" if usage.resets_at else "The count is reset each month"
        )
        raise QuotaReachedError(
            f"Amplitude has {max(left, 0)} of the month's {usage.limit} exports left (connection "
            f"{amplitude.amplitude_conn_id!r}).\n"
            f"{usage.used} are used, and export_reserve keeps {reserve}, so no export was requested. "
            f"{resets}; with a lower export_reserve, runs can use what is left."
        )
    log.info("This is export %s of the month's %s.", f"{usage.used + 1:,}", f"{usage.limit:,}")
    return {
        "exports_used": usage.used + 1,
        "exports_limit": usage.limit,
        "exports_reset": usage.resets_at,
        "exports_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
