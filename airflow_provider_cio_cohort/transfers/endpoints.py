"""Looks at both ends of a sync: is the cohort one that can be exported, and the segment one to fill?"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_cio_cohort.exceptions import ArchivedCohortError, GroupCohortError
from airflow_provider_cio_cohort.sync.store import Target
from airflow_provider_cio_cohort.transfers.ownership import is_owned

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.hooks.segments import Segment

log = logging.getLogger(__name__)


def check_cohort(amplitude: AmplitudeHook, cohort_id: str) -> Cohort | None:
    """
    Return the cohort, ``None`` where Amplitude's list does not show the cohort.

    :param amplitude: the hook.
    :param cohort_id: the cohort.
    :raises ArchivedCohortError: if it was put away.
    :raises GroupCohortError: if its members are not people.
    """
    cohort = amplitude.find_cohort(cohort_id)
    if cohort is None:
        log.warning(
            "Amplitude's list does not show cohort %s: it may not be discoverable, or not exist. "
            "Trying to export it all the same.",
            cohort_id,
        )
        return None
    title = f"Amplitude's cohort {cohort.name!r} ({cohort.id})"
    if cohort.archived:
        raise ArchivedCohortError(f"{title} is archived.\nUnarchive it in Amplitude, or end this sync.")
    if cohort.group != "User":
        raise GroupCohortError(
            f"{title} holds groups of the type {cohort.group!r}, not people.\n"
            "A Customer.io segment takes people only: choose a cohort of users."
        )
    return cohort


@dataclass(frozen=True)
class SegmentChoice:
    """
    The segment that a sync was told to fill: one of the two is ``None``.

    :param id: its id.
    :param name: its name.
    """

    id: int | None
    name: str | None

    @property
    def named(self) -> tuple[str, str]:
        """By what it was named, and how."""
        return ("name", str(self.name)) if self.id is None else ("id", str(self.id))

    def find(self, customer_io: CustomerIOHook) -> Segment | None:
        """
        Return the segment; ``None`` if no segment has the name.

        :param customer_io: the hook.
        :raises PermanentError: if the id is unknown, the name ambiguous, or the segment data-driven.
        """
        if self.id is not None:
            return customer_io.get_segment(self.id)
        return customer_io.find_segment(str(self.name))

    def open(
        self,
        customer_io: CustomerIOHook,
        cohort_id: str,
        *,
        description: str | None,
        found: Segment | None = None,
    ) -> Target:
        """
        Return the segment to fill, created where there is none.

        :param customer_io: the hook.
        :param cohort_id: the cohort that it is for.
        :param description: of a segment that has to be created; ``None`` to create none.
        :param found: the segment, if this task has found it already.
        """
        segment = found or self.find(customer_io)
        if segment is None:
            if description is None:
                return Target(id=None, name=str(self.name), owned=True)
            segment = customer_io.create_segment(str(self.name), description)
            log.info("Created the segment %r (%s) in Customer.io.", segment.name, segment.id)
        return Target(segment.id, segment.name, is_owned(segment.description, cohort_id))
