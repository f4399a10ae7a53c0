"""Hooks for the command line: with short timeouts, and with cached responses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any, TypeVar

from airflow_provider_cio_cohort.cli.runtime import CommandError
from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort, Usage
from airflow_provider_cio_cohort.hooks.base import VendorHook
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import Segment

T = TypeVar("T")
Hook = TypeVar("Hook", bound=VendorHook)


class Told:
    """Caches responses and errors, so that many syncs of one project share each request and each wait."""

    def __init__(self) -> None:
        self._answers: dict[Any, Any] = {}
        self._errors: dict[Any, CohortSyncError] = {}

    def once(self, question: Any, ask: Callable[[], T]) -> T:
        """
        Return the response to a request, or raise its error.

        :param ask: sends the request; called the first time only.
        """
        if question in self._errors:
            raise self._errors[question]
        if question not in self._answers:
            try:
                self._answers[question] = ask()
            except CohortSyncError as error:
                self._errors[question] = error
                raise
        answer: T = self._answers[question]
        return answer


class _AtATerminal(VendorHook):
    """A hook with short timeouts, whose error for a missing connection suits the command line."""

    @cached_property
    def connection(self) -> Any:
        """The Airflow connection."""
        try:
            return super().connection
        except AirflowNotFoundException:
            conn_id, conn_type = self.http_conn_id, self.conn_type
            raise CommandError(
                f"Airflow has no connection {conn_id!r} in its database, its environment or a secrets "
                f"backend: add it with `airflow connections add {conn_id} --conn-type {conn_type} …`."
            ) from None


class Amplitude(_AtATerminal, AmplitudeHook):
    """An Amplitude project; each of its lists is read once."""

    @cached_property
    def told(self) -> Told:
        """The cached responses."""
        return Told()

    def check(self) -> list[Cohort]:
        """Return the cohorts, see :meth:`.AmplitudeHook.check`."""
        return self.told.once("cohorts", super().check)

    def usage(self) -> Usage:
        """Return the month's exports, see :meth:`.AmplitudeHook.usage`."""
        return self.told.once("usage", super().usage)


class CustomerIO(_AtATerminal, CustomerIOHook):
    """A Customer.io workspace; each of its segments is read once."""

    @cached_property
    def told(self) -> Told:
        """The cached responses."""
        return Told()

    def check_track(self) -> None:
        """Check the Track API's keys, see :meth:`.CustomerIOHook.check_track`."""
        self.told.once("track", super().check_track)

    @property
    def workspace_id(self) -> int | None:
        """The id of the workspace, see :attr:`.CustomerIOHook.workspace_id`."""
        return self.told.once("workspace", lambda: super(CustomerIO, self).workspace_id)

    def accepts_identifier(self, id_type: str, cancel: CancelToken | None = None) -> bool | None:
        """Check whether a kind of identifier is used, see :meth:`.CustomerIOHook.accepts_identifier`."""
        return self.told.once(("accepts", id_type), partial(super().accepts_identifier, id_type, cancel))

    def list_segments(self) -> list[Segment]:
        """Return the segments, see :meth:`.CustomerIOHook.list_segments`."""
        return self.told.once("segments", super().list_segments)

    def get_segment(self, segment_id: int) -> Segment:
        """Return a segment, see :meth:`.CustomerIOHook.get_segment`."""
        return self.told.once(("segment", segment_id), partial(super().get_segment, segment_id))

    def count_members(self, segment_id: int) -> int:
        """Count a segment, see :meth:`.CustomerIOHook.count_members`."""
        return self.told.once(("count", segment_id), partial(super().count_members, segment_id))


class Vendors:
    """The projects and workspaces that a command uses."""

    def __init__(self) -> None:
        self.amplitude = cache(_amplitude)
        self.customer_io = cache(_customer_io)


def _amplitude(conn_id: str) -> Amplitude:
    return hurried(Amplitude(conn_id))


def _customer_io(conn_id: str) -> CustomerIO:
    return hurried(CustomerIO(conn_id))


def hurried(hook: Hook) -> Hook:
    """Return a hook with short timeouts, for interactive use."""
    hook.policy = hook.policy.for_interactive_use()
    return hook
