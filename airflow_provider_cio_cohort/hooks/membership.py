"""Reads and changes who is in a segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_cio_cohort.exceptions import RequestRejectedError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.batches import BatchSender
from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.http import MAX_CONNECTIONS
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.segments import unknown_segment

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

#: The largest page of a membership that the App API gives.
MEMBERS_PER_PAGE = 30_000
#: The most identifiers that the Track API takes in a call.
IDENTIFIERS_PER_BATCH = 1_000


class SegmentMember(NamedTuple):
    """A person in a segment; any identifier may be ``None``, but ``cio_id`` is always there in practice."""

    id: str | None
    email: str | None
    cio_id: str | None


class Membership:
    """
    Who is in a segment.

    :param hook: the Customer.io hook, for its APIs, keys and pace.
    :param segment_id: the segment.
    """

    def __init__(self, hook: CustomerIOHook, segment_id: int) -> None:
        self.hook = hook
        self.segment_id = segment_id

    def stream(self) -> Iterator[SegmentMember]:
        """Yield everybody; one page is in memory at a time."""
        what = f"reading the members of segment {self.segment_id}"
        start, seen = "", {""}
        progress = self._progress("Reading", "members", "pages", None)
        while True:
            params: dict[str, Any] = {"limit": MEMBERS_PER_PAGE}
            if start:
                params["start"] = start
            payload = self.hook.of_segment("GET", self.segment_id, "/membership", what, params=params)
            page = payload.get("identifiers") or []
            for person in page:
                # ``ids`` beside it is of no use: it holds an empty string for a person without an id.
                yield _member(person)
            start = payload.get("next") or ""
            progress.step(len(page))
            if not start:
                return
            if progress.total is None:  # asked only where it takes more than one page
                progress.total = self.hook.count_members(self.segment_id)
            if start in seen:
                raise VendorUnavailableError(
                    f"Customer.io's App API repeats a page while {what}.\nA retry reads them anew."
                )
            seen.add(start)

    def change(self, action: str, values: Iterable[str], id_type: str, total: int | None = None) -> int:
        """
        Send identifiers in batches and return how many there were.

        :param action: ``add_customers`` or ``remove_customers``.
        :param values: identifiers, any number.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log; ``None`` if that is not known.
        """
        hook = self.hook

        halt = Halt(hook.stopped)

        def send(batch: list[str]) -> None:
            missing = False
            try:
                hook.call(
                    hook.track,
                    hook.track_auth,
                    "POST",
                    f"/api/v1/segments/{self.segment_id:d}/{action}",
                    what=f"changing the members of segment {self.segment_id}",
                    params={"id_type": id_type},
                    json={"ids": batch},
                    pacer=hook.track_pacer,
                    paced=True,
                    personal=True,
                    halt=halt,
                )
            except RequestRejectedError as error:
                missing = error.status == 404
                if not missing:
                    raise
            if missing:
                raise unknown_segment(hook.http_conn_id, self.segment_id)

        words = "Adding to" if action == "add_customers" else "Removing from"
        sender = BatchSender(
            send,
            hook.track_pacer,
            size=IDENTIFIERS_PER_BATCH,
            connections=MAX_CONNECTIONS,
            halt=halt,
            progress=self._progress(words, "identifiers", "batches", total),
        )
        return sender.run(values)

    def _progress(self, words: str, unit: str, parts: str, total: int | None) -> Progress:
        what = f"{words} segment {self.segment_id}"
        return Progress(what, unit, parts, self.hook.policy.progress_interval, total)


def _member(person: Any) -> SegmentMember:
    if not isinstance(person, dict):
        raise VendorUnavailableError(
            "Customer.io's App API answered with a member that has no identifiers.\nA retry may succeed."
        )
    values = (person.get(identifier) for identifier in SegmentMember._fields)
    return SegmentMember(*(None if value is None or value == "" else str(value) for value in values))
