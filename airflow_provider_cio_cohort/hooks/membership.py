"""Reads and changes who is in a segment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_cio_cohort.exceptions import RequestRejectedError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.batches import BatchSender
from airflow_provider_cio_cohort.hooks.connection import basic_header
from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.posting import open_poster
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.segments import unknown_segment

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

#: The largest page of a membership that the App API gives. Source: ``GET /v1/segments/{id}/membership``.
MEMBERS_PER_PAGE = 30_000
#: The most identifiers that the Track API takes in a call. Source: "Add people to a manual segment".
IDENTIFIERS_PER_BATCH = 1_000
#: Three hundred are under way at 1,000 requests a second and 300 ms of latency.
MAX_CONNECTIONS = 512
#: What an identifier is as a rule; one that is a number becomes text, an empty one ``None``.
_USUAL = frozenset({str, type(None)})


class SegmentMember(NamedTuple):
    """A person in a segment; any identifier may be ``None``, but ``cio_id`` is always there in practice."""

    id: str | None
    email: str | None
    cio_id: str | None


@dataclass(frozen=True)
class MemberPage:
    """
    A page of a membership: the members' identifiers, a column each.

    :param ids: identifiers that the company chose; ``None`` for a person who has none.
    :param emails: e-mail addresses, likewise.
    :param cio_ids: identifiers that Customer.io chose.
    """

    ids: list[str | None]
    emails: list[str | None]
    cio_ids: list[str | None]

    def members(self) -> Iterator[SegmentMember]:
        """Yield the members."""
        return map(SegmentMember, self.ids, self.emails, self.cio_ids)


class Membership:
    """
    Who is in a segment.

    :param hook: the Customer.io hook, for its APIs, keys and pace.
    :param segment_id: the segment.
    """

    def __init__(self, hook: CustomerIOHook, segment_id: int) -> None:
        self.hook = hook
        self.segment_id = segment_id

    def pages(self, halt: Halt | None = None, total: int | None = None) -> Iterator[MemberPage]:
        """
        Yield everybody; one page is in memory at a time.

        :param halt: when set, no further page is asked for; the hook's own by default.
        :param total: how many they are, for the log; asked for if it is not known.
        """
        what = f"reading the members of segment {self.segment_id}"
        start, seen = "", {""}
        progress = self._progress("Reading", "members", "pages", total)
        while True:
            params: dict[str, Any] = {"limit": MEMBERS_PER_PAGE}
            if start:
                params["start"] = start
            payload = self.hook.of_segment(
                "GET", self.segment_id, "/membership", what, params=params, halt=halt
            )
            start = payload.get("next") or ""
            # ``ids`` beside it is of no use: it holds an empty string for a person without an id.
            page = _page(payload.get("identifiers") or [])
            del payload  # several times as large as the page, which whoever gets it works on for a while
            progress.step(len(page.ids))
            yield page
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

        path = f"/api/v1/segments/{self.segment_id:d}/{action}"
        what = f"changing the members of segment {self.segment_id}"
        header = basic_header(hook.track.site_id, hook.track.api_key)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
            async with open_poster(hook, hook.track, header, hook.track_pacer) as poster:

                async def send(body: bytes) -> None:
                    try:
                        await poster.post(path, body, what=what, params={"id_type": id_type}, halt=halt)
                    except RequestRejectedError as error:
                        if error.status == 404:
                            raise unknown_segment(hook.http_conn_id, self.segment_id) from None
                        raise

                yield send

        words = "Adding to" if action == "add_customers" else "Removing from"
        sender = BatchSender(
            _body,
            opened,
            hook.track_pacer,
            size=IDENTIFIERS_PER_BATCH,
            connections=MAX_CONNECTIONS,
            halt=halt,
            progress=self._progress(words, "identifiers", "batches", total),
            latency=hook.latencies.get(hook.track.name),
        )
        return sender.run(values)

    def _progress(self, words: str, unit: str, parts: str, total: int | None) -> Progress:
        what = f"{words} segment {self.segment_id}"
        return Progress(what, unit, parts, self.hook.policy.progress_interval, total)


def _body(batch: list[str]) -> bytes:
    return json.dumps({"ids": batch}).encode()


def _page(people: list[Any]) -> MemberPage:
    if not all(isinstance(person, dict) for person in people):
        raise VendorUnavailableError(
            "Customer.io's App API answered with a member that has no identifiers.\nA retry may succeed."
        )
    return MemberPage(*(_column(people, identifier) for identifier in SegmentMember._fields))


def _column(people: list[dict[str, Any]], identifier: str) -> list[str | None]:
    try:
        values = list(map(itemgetter(identifier), people))
    except KeyError:
        values = [person.get(identifier) for person in people]
    if _USUAL.issuperset(map(type, values)) and "" not in values:
        return values
    return [None if value is None or value == "" else str(value) for value in values]
