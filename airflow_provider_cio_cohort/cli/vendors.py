"""The vendors as a person at a terminal asks them: with little patience, and no question twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import Any, TypeVar

from airflow_provider_cio_cohort.cli.running import CommandError
from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort, Usage
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.http import VendorHook
from airflow_provider_cio_cohort.hooks.segments import Segment

T = TypeVar("T")


class Told:
    """Remembers answers and errors, so that many syncs of one project do not ask, or wait, one by one."""

    def __init__(self) -> None:
        self._answers: dict[Any, Any] = {}
        self._errors: dict[Any, CohortSyncError] = {}

    def once(self, question: Any, ask: Callable[[], T]) -> T:
        """
        Return the answer to a question, or raise what came instead.

        :param question: what is asked.
        :param ask: asks; called the first time only.
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


class Amplitude(AmplitudeHook):
    """An Amplitude project, each of its lists read once."""

    @cached_property
    def told(self) -> Told:
        """What has been asked already."""
        return Told()

    def check(self) -> list[Cohort]:
        """Return the cohorts, see :meth:`.AmplitudeHook.check`."""
        return self.told.once("cohorts", super().check)

    def usage(self) -> Usage:
        """Return the month's exports, see :meth:`.AmplitudeHook.usage`."""
        return self.told.once("usage", super().usage)


class CustomerIO(CustomerIOHook):
    """A Customer.io workspace, each of its segments read once."""

    @cached_property
    def told(self) -> Told:
        """What has been asked already."""
        return Told()

    def check_track(self) -> None:
        """Check the Track API's keys, see :meth:`.CustomerIOHook.check_track`."""
        self.told.once("track", super().check_track)

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
    """The projects and workspaces that one command asks."""

    def __init__(self) -> None:
        self.amplitude = cache(_amplitude)
        self.customer_io = cache(_customer_io)


def _amplitude(conn_id: str) -> Amplitude:
    hook = Amplitude(conn_id)
    _prepare(hook, "amplitude")
    return hook


def _customer_io(conn_id: str) -> CustomerIO:
    hook = CustomerIO(conn_id)
    _prepare(hook, "customer_io")
    return hook


def _prepare(hook: VendorHook, conn_type: str) -> None:
    hook.policy = hook.policy.for_a_click()
    conn_id = hook.http_conn_id
    try:
        hook.connection  # noqa: B018 (it is looked up now)
    except AirflowNotFoundException:
        raise CommandError(
            f"Airflow has no connection {conn_id!r}, neither in its database nor in the environment or a "
            f"secrets backend: add it with `airflow connections add {conn_id} --conn-type {conn_type} …`."
        ) from None
