"""
Everything that is kept in Airflow's stores from try to try and from run to run: counts, ids and times.

=========================  =====  ====================================================  ===================
key                        store  content                                               how long
=========================  =====  ====================================================  ===================
``amplitude_export``       task   the export that a task has requested                  seven days
``write_marker``           task   that a try of a sync has begun to write               until it succeeds
``limited``                task   whom a limited run has chosen, as a cutoff of digests  seven days
``asked``                  task   the change about which an approval has asked          with the run
``segment.<keys>``         asset  which segment these three keys have found, whether a  until overwritten
                                  sync made it, and whether the keys are proven
``segment.<workspace>``    asset  which segment proven keys have filled, and its name   until overwritten
``writes.<segment>``       asset  from which export a segment was synced last, a mark   until overwritten
                                  of its last change, and its size at an earlier good
                                  sync
``last_sync.<of what>``    asset  the last good sync: its report, and when Amplitude    until overwritten
                                  had computed the cohort
``alerts.<sync>``,         asset  which alerts of a sync were sent                      until overwritten
``freshness.<sync>``
``vendor_facts``           asset  what ``airflow cohort-sync doctor --save`` has seen,   until overwritten
                                  of a connection to Customer.io
``<segment>.<key>``        asset  the four of a segment whose asset is not an inlet or    until overwritten
                                  outlet of the task, because only the run knows it
``failure``                XCom   why the task failed: the error's class, the first     until its next try,
                                  line of its message, what became of the segment;      with the run's XComs
                                  the cohort's name, the addresses of both ends; the
                                  counts of a run that has only added people
``requested_export``       XCom   when the task's export was requested, and what        until its next try,
                                  Amplitude said about the month then                   with the run's XComs
``keys_proven``            XCom   a fingerprint of the keys and the segment for which   with the run's XComs
                                  the keys are proven, where no asset has a store
=========================  =====  ====================================================  ===================

Workspace, keys and sync (its DAG and task) are fingerprints, a segment is its number in a workspace. A task's
store belongs to one task of one run, an asset's store to a segment, whichever sync fills it, or to the
connection to a workspace. Airflow has both since 3.3.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from airflow_provider_cio_cohort.compatibility import AirflowTaskTimeout, TaskDeferred
from airflow_provider_cio_cohort.exceptions import CohortSyncError, GuardTrippedError

log = logging.getLogger(__name__)

EXPORT = "amplitude_export"
WRITE_MARKER = "write_marker"
LIMITED = "limited"
ASKED = "asked"
SEGMENT = "segment"
WRITES = "writes"
LAST_SYNC = "last_sync"
VENDOR_FACTS = "vendor_facts"
KEYS_PROVEN = "keys_proven"
FAILURE = "failure"
REQUESTED_EXPORT = "requested_export"


class _Unknown:
    """Stands for a value that cannot be read; falsy, like ``None``."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNKNOWN"


#: What :meth:`StateStore.get` returns where there is no store, or it cannot be reached.
UNKNOWN = _Unknown()


class StateStore:
    """
    One of Airflow's stores, which may not exist or may be unreachable.

    :param store: the store, ``None`` where this Airflow has none or there is nothing to keep it with.
    :param prefix: what all keys begin with, where the store is shared.
    """

    def __init__(self, store: Any, prefix: str = "") -> None:
        self._store = store
        self._prefix = prefix

    @property
    def exists(self) -> bool:
        """Whether there is a store at all."""
        return self._store is not None

    def get(self, key: str) -> Any:
        """Return the stored value; ``None`` if there is none, :data:`UNKNOWN` if it cannot be read."""
        if self._store is None:
            return UNKNOWN
        try:
            return self._store.get(self._prefix + key)
        except Exception as error:  # any error on the way to Airflow's database
            log.warning("Airflow's state store cannot be read (%s).", type(error).__name__)
            return UNKNOWN

    def set(self, key: str, value: Any, **how: Any) -> bool:
        """
        Store a value, and return whether it was stored.

        :param how: further arguments of the store, such as ``retention``.
        """
        return self._tried("set", self._prefix + key, value, **how)

    def delete(self, key: str) -> bool:
        """Delete a value, and return whether it was deleted."""
        return self._tried("delete", self._prefix + key)

    def _tried(self, what: str, *arguments: Any, **how: Any) -> bool:
        if self._store is None:
            return False
        try:
            getattr(self._store, what)(*arguments, **how)
        except Exception as error:
            if _says_not_found(error):
                # The asset is of an older version of the DAG, or new: Airflow keeps nothing of it.
                log.warning(
                    "Airflow does not know the asset at present, so nothing about this run is stored."
                )
                self._store = None
            else:
                log.warning("Airflow's state store cannot be written (%s).", type(error).__name__)
            return False
        return True


def _says_not_found(error: Exception) -> bool:
    """Say whether Airflow has answered that there is no such asset, or that no DAG has it any more."""
    detail = getattr(getattr(error, "error", None), "detail", None)
    return isinstance(detail, Mapping) and detail.get("status_code") == 404


def task_store(context: Mapping[str, Any]) -> StateStore:
    """Return the store of a task, which outlives its tries."""
    return StateStore(context.get("task_state_store"))


def asset_store(context: Mapping[str, Any], asset: Any, part: str | None = None) -> StateStore:
    """
    Return the store of an asset, which outlives the runs.

    :param asset: one of the task's inlets or outlets; ``None`` where a template decides which it is.
    :param part: the address of the segment, if the asset carries what is remembered of several.
    """
    stores = context.get("asset_state_store") if asset is not None else None
    if stores is None:
        return StateStore(None)
    try:
        return StateStore(stores[asset], "" if part is None else f"{fingerprint(part)}.")
    except KeyError:  # a mapping decides which asset it is, so the task has it neither as inlet nor as outlet
        return StateStore(None)
    except Exception as error:
        log.warning("Airflow's state store cannot be reached (%s).", type(error).__name__)
        return StateStore(None)


def run_store(context: Mapping[str, Any]) -> StateStore:
    """
    Return what a task keeps for its later runs in XComs, where no asset's store does.

    It is lost with the run's XComs, so it may only hold what can be found out again.
    """
    ti = context.get("ti")
    return StateStore(None if ti is None else _Xcoms(ti))


class _Xcoms:
    """The latest XComs of a task, of this run or an earlier one."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def get(self, key: str) -> Any:
        ti = self._ti
        return ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=key, include_prior_dates=True)

    def set(self, key: str, value: Any) -> None:
        self._ti.xcom_push(key, value)


def fingerprint(*parts: object) -> str:
    """
    Return a short text that is equal for equal parts and does not reveal them.

    :param parts: plain values, such as keys.
    """
    return sha256(json.dumps(parts).encode()).hexdigest()[:16]


NOTHING = "Nothing was written: the segment is as it was."
SOME = "People may have been added or removed already; the next run that succeeds completes the change."
ONLY_ADDED = (
    "People who joined the cohort may have been added, and this try removed nobody; the next run that "
    "succeeds completes the change."
)
EARLIER = (
    "This try wrote nothing, but an earlier try of this run may have added or removed people; the next run "
    "that succeeds completes the change."
)
NOT_KNOWN = (
    "This try wrote nothing. Whether an earlier try of this run has added or removed people is not known; "
    "the next run that succeeds completes the change."
)


def keep_failure(
    context: Mapping[str, Any], error: BaseException, segment: str, known: Mapping[str, Any] | None = None
) -> None:
    """
    Keep why a task fails, for the page and ``status``.

    Only our own words are kept: of an error that is not ours, its class.

    :param error: the exception with which the task's try ends.
    :param segment: what became of the segment, as a sentence.
    :param known: what the task has found out about the cohort and the segment: names and addresses.
    """
    reason = error.own_words.partition("\n")[0] if isinstance(error, CohortSyncError) else None
    kept: dict[str, Any] = {
        "error": type(error).__name__,
        "reason": reason,
        "segment": segment,
        "try_number": getattr(context.get("ti"), "try_number", None),
        **(known or {}),
    }
    if isinstance(error, GuardTrippedError) and error.report is not None:
        kept["report"] = dict(error.report)
    run_store(context).set(FAILURE, kept)


class WriteMarker:
    """
    Whether a run has changed who is in the segment, over all of its tries.

    Kept in Airflow's task state store: the try that wrote may have been killed, and the try that raises the
    alert may have failed before its first write.

    :param known: returns what the task has found out about the cohort and the segment, which is kept with the
        reason of a failure.
    """

    def __init__(self, context: Mapping[str, Any], known: Callable[[], Mapping[str, Any]] = dict) -> None:
        self._context = context
        self._known = known
        self._store = task_store(context)
        self._is_first_try = (getattr(context.get("ti"), "try_number", 1) or 1) <= 1
        self._now = False

    def note(self) -> None:
        """Record that people are about to be added or removed."""
        self._now = True
        self._store.set(WRITE_MARKER, True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """
        Add to every exception what happened to the segment, and keep why the task failed.

        The record of writes is deleted when the task succeeds.
        """
        try:
            yield
        except CohortSyncError as error:
            error.segment_touched, error.consequence = self._judged()
            if self._now and isinstance(error, GuardTrippedError):
                error.consequence = ONLY_ADDED
            keep_failure(self._context, error, error.consequence, self._known())
            raise
        except (Exception, AirflowTaskTimeout) as error:  # the latter is a BaseException
            # Its message cannot be changed, and Airflow's UI shows no notes of an exception.
            segment = self._judged()[1]
            log.error("The try ends with %s. %s", type(error).__name__, segment)
            keep_failure(self._context, error, segment, self._known())
            raise
        if self._now or not self._is_first_try:
            self._store.delete(WRITE_MARKER)

    @contextmanager
    def around(self, stop: Callable[[], object]) -> Iterator[None]:
        """
        Do the same, and keep the task's threads from sending anything after an error.

        :param stop: called after an error, to stop all requests of the task.
        """
        with self.told():
            try:
                yield
            except TaskDeferred:
                raise
            except BaseException:
                stop()
                raise

    def _judged(self) -> tuple[bool | None, str]:
        if self._now:
            return True, SOME
        kept = self._store.get(WRITE_MARKER)
        if kept is UNKNOWN:
            return (False, NOTHING) if self._is_first_try else (None, NOT_KNOWN)
        return (True, EARLIER) if kept else (False, NOTHING)
