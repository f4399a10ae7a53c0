"""Reads and changes the members of a segment."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from airflow_provider_cio_cohort.exceptions import RequestRejectedError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.aio import open_async_client
from airflow_provider_cio_cohort.hooks.api import IncompleteResponseError, list_in, quoted
from airflow_provider_cio_cohort.hooks.batches import BatchSender, Rejections, SentPeople
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.customer_io_api import (
    AppApi,
    TrackApi,
    count_in,
    request_segment,
    unknown_segment,
)
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.redaction import words_only

log = logging.getLogger(__name__)

#: The largest page of a membership that the App API gives. Source: ``GET /v1/segments/{id}/membership``.
MEMBERS_PER_PAGE = 30_000
#: Pages that may follow when as many members as counted have come: others write to the segment too.
SPARE_PAGES = 3
#: The most identifiers that the Track API takes in a call. Source: "Add people to a manual segment".
IDENTIFIERS_PER_BATCH = 1_000
#: Three hundred are in flight at 1,000 requests a second and 300 ms of latency.
MAX_CONNECTIONS = 512
#: The usual types of an identifier; a number becomes text, an empty string ``None``.
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


class MembershipReader:
    """Reads the members of a segment through the App API."""

    def __init__(self, app: ApiClient[AppApi], segment_id: int) -> None:
        self.app = app
        self.segment_id = segment_id

    def pages(self, cancel: CancelToken | None = None, total: int | None = None) -> Iterator[MemberPage]:
        """
        Yield the members, a page at a time.

        :param cancel: once cancelled, no further page is requested; the client's own token also counts.
        :param total: how many they are, for the log and to notice an endless list; counted if not given and
            there is more than one page.
        :raises VendorUnavailableError: if the list goes on far beyond that number.
        """
        what = f"reading the members of segment {self.segment_id}"
        start, seen, complete_at = "", {""}, 0
        interval = self.app.transport.policy.progress_interval
        progress = Progress(f"Reading segment {self.segment_id}", "members", "pages", interval, total)
        while True:
            params: dict[str, Any] = {"limit": MEMBERS_PER_PAGE}
            if start:
                params["start"] = start
            page, start = request_segment(
                self.app, "GET", self.segment_id, "/membership", what, _page_in, params=params, cancel=cancel
            )
            progress.step(len(page.ids))
            yield page
            # An empty page ends the list even if it has a cursor, as in the vendor's own client.
            if not start or not page.ids:
                return
            if progress.total is None:
                progress.total = self.count(cancel)
            if progress.done < progress.total:
                complete_at = 0
            elif not complete_at:
                complete_at = progress.steps
            elif progress.steps > complete_at + SPARE_PAGES:
                progress.total = self.count(cancel)  # it may have grown meanwhile
                if progress.done >= progress.total:
                    raise VendorUnavailableError(
                        f"Customer.io's list of segment {self.segment_id} does not end: it returned "
                        f"{progress.done:,} members, but the count is {progress.total:,}.\n"
                        f"Reading stopped after {progress.steps:,} pages. A retry reads them again."
                    )
            if start in seen:
                raise VendorUnavailableError(
                    f"Customer.io's App API repeats a page while {what}.\nA retry reads them again."
                )
            seen.add(start)

    def count(self, cancel: CancelToken | None = None) -> int:
        """
        Return how many people are in the segment.

        :param cancel: once cancelled, nothing is sent; the client's own token also counts.
        """
        what = f"counting segment {self.segment_id}"
        return request_segment(
            self.app, "GET", self.segment_id, "/customer_count", what, count_in, cancel=cancel
        )


class MembershipWriter:
    """Adds and removes members of a segment through the Track API."""

    def __init__(self, track: ApiClient[TrackApi], segment_id: int) -> None:
        self.track = track
        self.segment_id = segment_id

    def change(
        self,
        action: str,
        values: Iterable[str],
        id_type: str,
        total: int | None = None,
        cancel: CancelToken | None = None,
    ) -> SentPeople:
        """
        Send identifiers in batches, and return what became of them.

        Where Customer.io refuses a batch because of some identifiers, the others are sent without these.

        :param action: ``add_customers`` or ``remove_customers``.
        :param values: identifiers, any number.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log; ``None`` if that is not known.
        :param cancel: once cancelled, no further batch is sent; the client's own token also counts.
        :raises RequestRejectedError: if the request itself is refused, or more than a few identifiers are.
        """
        track = self.track
        cancel = CancelToken(track.transport.cancel_token, cancel)
        path = f"/api/v1/segments/{self.segment_id:d}/{action}"
        what = f"changing the members of segment {self.segment_id}"
        rejections = Rejections(track.api, what, id_type, total)

        @asynccontextmanager
        async def opened() -> AsyncIterator[Callable[[_Batch], Awaitable[None]]]:
            async with open_async_client(track.api, track.transport, track.rate_limiter) as client:

                async def post(body: bytes) -> None:
                    try:
                        await client.post(
                            path,
                            body,
                            what=what,
                            params={"id_type": id_type},
                            cancel=cancel,
                            words=lambda text: _words_about(text, body),
                        )
                    except RequestRejectedError as error:
                        if error.status == 404:
                            raise unknown_segment(track.api.conn_id, self.segment_id) from None
                        raise

                async def post_part(values: list[str]) -> None:
                    cancel.check(what)
                    await cancel.sleep(track.rate_limiter.reserve())
                    await post(_body(values))

                async def send(batch: _Batch) -> None:
                    try:
                        await post(batch.body)
                    except RequestRejectedError as error:
                        await rejections.isolate(_values_in(batch.body), error, post_part)
                    else:
                        rejections.accepted += batch.size

                yield send

        action_words = "Adding to" if action == "add_customers" else "Removing from"
        progress = Progress(
            f"{action_words} segment {self.segment_id}",
            "identifiers",
            "batches",
            track.transport.policy.progress_interval,
            total,
        )
        sender = BatchSender(
            lambda values: _Batch(_body(values), len(values)),
            opened,
            track.rate_limiter,
            size=IDENTIFIERS_PER_BATCH,
            connections=MAX_CONNECTIONS,
            cancel=cancel,
            what=what,
            progress=progress,
            latency=track.latency,
        )
        sender.run(rejections.encodable(values))
        if rejections.values:
            log.warning(
                "%s refused %s identifiers while %s (HTTP %d); the others were sent. %s",
                track.api.name,
                f"{len(rejections.values):,}",
                what,
                rejections.status,
                quoted(rejections.detail).strip(),
            )
        return SentPeople(rejections.accepted, tuple(rejections.values))


class _Batch(NamedTuple):
    """A batch as it waits to be sent: encoded, and how many identifiers are in it."""

    body: bytes
    size: int


def _body(values: list[str]) -> bytes:
    return msgspec.json.encode({"ids": values})


def _values_in(body: bytes) -> list[str]:
    values: list[str] = msgspec.json.decode(body)["ids"]
    return values


def _words_about(text: str, body: bytes) -> str:
    """Return what may be shown of a message about a refused batch: nothing, unless it is about one value."""
    values = _values_in(body)
    return words_only(text, values[0]) if len(values) == 1 else ""


def _page_in(payload: Any) -> tuple[MemberPage, str]:
    """Return a page and where the next one begins; the JSON is several times as large, so it is not kept."""
    # ``ids`` beside it is of no use: it holds an empty string for a person without an id.
    people = list_in(payload, "identifiers")
    if not all(isinstance(person, dict) for person in people):
        raise IncompleteResponseError("the identifiers of a member")
    page = MemberPage(*(_column(people, identifier) for identifier in SegmentMember._fields))
    if None in page.cio_ids and (None, None, None) in zip(page.ids, page.emails, page.cio_ids, strict=True):
        raise IncompleteResponseError("the identifiers of a member")
    return page, str(payload.get("next") or "")


def _column(people: list[dict[str, Any]], identifier: str) -> list[str | None]:
    try:
        values = list(map(itemgetter(identifier), people))
    except KeyError:
        values = [person.get(identifier) for person in people]
    if _USUAL.issuperset(map(type, values)) and "" not in values:
        return values
    return [None if value is None or value == "" else str(value) for value in values]
