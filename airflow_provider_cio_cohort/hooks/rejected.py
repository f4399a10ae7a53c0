"""Isolates the identifiers for which the Track API refuses a whole batch, and sends the others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from airflow_provider_cio_cohort.exceptions import RequestRejectedError
from airflow_provider_cio_cohort.hooks.api import Api, quoted
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX, respelt

#: Statuses of a batch that holds a value that the API does not accept, or is too large.
REFUSED = (400, 413, 422)
#: Identifiers that may be refused in a call: this many, or this share of all, but never more than that. What
#: exceeds it is a wrong request or mapping, not a few bad values.
FEW_REJECTED = 20
REJECTED_SHARE = 0.05
MOST_REJECTED = 500
#: Refused requests after which a call ends if nothing was accepted at all.
MOST_REFUSALS = 60


@dataclass(frozen=True)
class SentPeople:
    """
    What became of identifiers that were sent.

    :param count: how many Customer.io accepted; those of unknown people are among them, and have no effect.
    :param rejected: those that it refuses, and those that cannot be encoded at all.
    """

    count: int
    rejected: tuple[str, ...] = field(default=(), repr=False)


class Rejections:
    """
    The identifiers that were refused in one call.

    A refused batch is halved until each culprit is alone. That must not take two thousand requests for each
    batch where the request itself is wrong: so the first refusal is followed by a request with an identifier
    that nobody has, which Customer.io ignores, and the number of culprits is limited.

    How a ``cio_id`` is written in a batch is not documented: what is refused is sent in its other spelling,
    too. Nor is its form, so an identifier that nobody has may be refused for its form: then the identifiers
    themselves are tried.

    :param api: the API, for messages.
    :param what: what is being done, for messages.
    :param id_type: ``id``, ``email`` or ``cio_id``.
    :param total: how many identifiers the call sends; ``None`` if that is not known.
    """

    def __init__(self, api: Api, what: str, id_type: str, total: int | None) -> None:
        self.values: list[str] = []
        self.accepted = 0
        #: The vendor's words about the first of them, without people.
        self.detail = ""
        self.status = 0
        self._api = api
        self._what = what
        self._id_type = id_type
        #: How an identifier may be spelt, from how it was given; the first accepted spelling is the only one.
        self._spellings: tuple[Callable[[str], str], ...] = (str, respelt) if id_type == "cio_id" else (str,)
        self._total = total
        self._refusals = 0
        #: The refusal of an identifier that nobody has; ``None`` as long as that is not refused.
        self._refusal: RequestRejectedError | None = None
        self._request_is_accepted = False
        self._lock = asyncio.Lock()

    def encodable(self, values: Iterable[str]) -> Iterator[str]:
        """
        Yield what can be encoded in UTF-8, and reject the rest: lone surrogates, which nobody can have.

        :param values: identifiers.
        """
        for value in values:
            if value.isascii() or is_encodable(value):
                yield value
            else:
                self._reject(value, "it is not valid Unicode", 400)

    async def isolate(
        self, batch: list[str], error: RequestRejectedError, post: Callable[[list[str]], Awaitable[object]]
    ) -> None:
        """
        Send a refused batch in parts, and reject what is refused alone.

        :param batch: what was refused.
        :param error: the refusal.
        :param post: sends identifiers, in time.
        :raises RequestRejectedError: if the request itself is refused, or too many identifiers are.
        """
        if error.status not in REFUSED:
            raise error
        async with self._lock:
            if not self.accepted and not self._request_is_accepted:
                self._request_is_accepted = await self._check_request(batch[0], post)
        parts: deque[list[str]] = deque()
        if self._spellings == (str,):
            self._split(batch, error, parts)
        else:
            parts.append(batch)  # it has not been sent in its other spelling
        async with self._lock:  # one batch at a time, as long as nothing shows that any value is accepted
            while parts and not self.accepted:
                await self._send_part(parts, post)
            if self._refusal is not None and not self.accepted:
                raise self._refusal
        while parts:
            await self._send_part(parts, post)

    async def _check_request(self, value: str, post: Callable[[list[str]], Awaitable[object]]) -> bool:
        """
        Return whether an identifier that nobody has is accepted, spelt like ``value``.

        :raises RequestRejectedError: if it is refused for certain: then it is not the values that are.
        """
        if self._refusal is None:  # of another batch
            nobody = f"{uuid4().hex}@example.invalid" if self._id_type == "email" else uuid4().hex
            is_prefixed = self._id_type == "cio_id" and value.startswith(CIO_PREFIX)
            try:
                await self._post([respelt(nobody) if is_prefixed else nobody], post)
            except RequestRejectedError as error:
                remedy = str(error).partition("\n")[2]
                self._refusal = RequestRejectedError(
                    f"{error.headline}\n{quoted(error.detail)}{remedy}", error.status, error.detail
                )
            else:
                return True
        if self._id_type != "cio_id":
            raise self._refusal
        return False

    async def _post(self, values: list[str], post: Callable[[list[str]], Awaitable[object]]) -> None:
        """Send values; where their spelling may be wrong, in each spelling until one is accepted."""
        refusal: RequestRejectedError | None = None
        for spell in self._spellings:
            try:
                await post(list(map(spell, values)))
            except RequestRejectedError as error:
                if error.status not in REFUSED:
                    raise
                refusal = refusal or error
            else:
                self._spellings = (spell,)
                return
        if refusal is not None:
            raise refusal

    async def _send_part(
        self, parts: deque[list[str]], post: Callable[[list[str]], Awaitable[object]]
    ) -> None:
        part = parts.pop()
        try:
            await self._post(part, post)
        except RequestRejectedError as error:
            if error.status not in REFUSED:
                raise
            self._refusals += 1
            self._split(part, error, parts)
            if not self.accepted and self._refusals > MOST_REFUSALS:
                raise self._too_many(error.status) from None
        else:
            self.accepted += len(part)

    def _split(self, part: list[str], error: RequestRejectedError, parts: deque[list[str]]) -> None:
        if len(part) == 1:
            self._reject(part[0], error.detail, error.status)
            # Next is the largest part, so that a stretch of culprits is soon left.
            parts.rotate(-1)
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]

    def _reject(self, value: str, detail: str, status: int) -> None:
        self.values.append(value)
        self.detail, self.status = self.detail or detail, self.status or status
        total = self._total or self.accepted + len(self.values)
        if len(self.values) > min(max(FEW_REJECTED, REJECTED_SHARE * total), MOST_REJECTED):
            raise self._too_many(status)

    def _too_many(self, status: int) -> RequestRejectedError:
        if self._refusal is not None and not self.accepted:
            return self._refusal
        rejected = len(self.values)
        return RequestRejectedError(
            f"{self._api.name} refused {rejected:,} of {self.accepted + rejected:,} identifiers while "
            f"{self._what}.\n"
            f"{quoted(self.detail)}That is too many to leave them out (HTTP {status}), so nothing more was "
            "sent. A retry would be refused as well: check user_id_property and id_type, and what the "
            f"identifiers look like in Amplitude (connection {self._api.conn_id!r}).",
            status,
        )


def is_encodable(value: str) -> bool:
    """
    Say whether an identifier can be encoded in UTF-8.

    :param value: the identifier.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
