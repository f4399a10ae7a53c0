"""Lets what ends a task say whether somebody was added to the segment or removed from it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_cio_cohort.compatibility import AirflowTaskTimeout
from airflow_provider_cio_cohort.exceptions import CohortSyncError

log = logging.getLogger(__name__)

KEY = "segment_touched"
NOTHING = "Nothing was written: the segment is as it was."
SOME = "People may have been added or removed already; the next run that succeeds completes the change."
EARLIER = (
    "This try wrote nothing, but an earlier try of this run may have added or removed people; the next run "
    "that succeeds completes the change."
)


class Touched:
    """
    Whether a run has changed who is in the segment, over all of its tries.

    Kept in Airflow's task state store: the try that wrote may have been killed, and the one that is the alert
    may have come no further than a vendor who is away.

    :param context: the task's context.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self._now = False

    def note(self) -> None:
        """Take note that people are about to be added or removed."""
        self._now = True
        self._tell_the_store("set", KEY, True)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Let every exception say what has become of the segment; forget it all when the task succeeds."""
        try:
            yield
        except CohortSyncError as error:
            error.segment_touched, error.consequence = self._judged()
            raise
        except (Exception, AirflowTaskTimeout) as error:  # the latter is a BaseException
            # Its words are not ours to change, and Airflow's UI shows no notes of an exception.
            log.error("The try ends with %s. %s", type(error).__name__, self._judged()[1])
            raise
        self._tell_the_store("delete", KEY)

    def _judged(self) -> tuple[bool, str]:
        if self._now:
            return True, SOME
        return (True, EARLIER) if self._tell_the_store("get", KEY) else (False, NOTHING)

    def _tell_the_store(self, what: str, *arguments: Any) -> Any:
        if self._store is None:
            return None
        try:
            return getattr(self._store, what)(*arguments)
        except Exception as error:
            # A sync does not fail for what would only have been told about its failure.
            log.warning("Airflow's task state store cannot be used (%s).", type(error).__name__)
            return None
