"""
What an answer of a vendor means, whichever library brought it.

Knows no ``requests`` and no ``aiohttp``: the hooks and the trigger read answers by the same rules.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import msgspec

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    RateLimitedError,
    RequestRejectedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.redaction import scrub

_TRANSIENT = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})


@dataclass(frozen=True)
class Answer:
    """
    An HTTP answer.

    :param status: the status code.
    :param headers: the headers; looked up without regard to case.
    :param body: the body, decoded from its content encoding.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @cached_property
    def payload(self) -> Any:
        """The body read as JSON, or ``None`` where it is none."""
        # The first takes half the time, and a membership of millions is gigabytes of JSON; the second reads
        # what is none, strictly, as well.
        for read in (msgspec.json.decode, json.loads):
            with suppress(msgspec.DecodeError, ValueError, RecursionError):
                return read(self.body)
        return None

    @property
    def is_page(self) -> bool:
        """Whether a proxy's HTML page came instead of the vendor's answer."""
        return self.body.lstrip()[:1] == b"<"

    @property
    def retry_after(self) -> float | None:
        """Seconds that the vendor asks to wait, ``None`` when it does not say."""
        value = next((v for k, v in self.headers.items() if k.lower() == "retry-after"), "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (TypeError, ValueError):
            return None


class Api:
    """
    One API of a vendor: where it is, who we are to it, and how it says no.

    :param name: what messages call it.
    :param base_url: scheme and host, no slash at the end.
    :param conn_id: the Airflow connection, so that messages can name it.
    :param secrets: keys that must not appear in any message.
    """

    #: Statuses that are a proxy's, not the API's, where an HTML page comes with them.
    page_statuses: tuple[int, ...] = (400, 401, 403, 407)

    def __init__(self, name: str, base_url: str, conn_id: str, secrets: tuple[str, ...]) -> None:
        self.name = name
        self.base_url = base_url
        self.conn_id = conn_id
        self.secrets = secrets

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base_url}>"

    def url(self, path: str) -> str:
        """Return the address of ``path``."""
        return f"{self.base_url}/{path.lstrip('/')}"

    def detail(self, payload: Any) -> str:
        """Return the vendor's own words from the body of a refusal, or an empty string."""
        raise NotImplementedError

    def refused(self, answer: Answer, detail: str, what: str) -> CohortSyncError | None:
        """
        Say what a refusal means to this API in particular.

        :param answer: an answer outside 2xx that is neither a 429 nor a passing fault.
        :param detail: the vendor's own words.
        :param what: what was being done, for the message: "listing the cohorts".
        """
        raise NotImplementedError

    def judge(
        self, answer: Answer, what: str, *, json_expected: bool = True, personal: bool = False
    ) -> CohortSyncError | None:
        """
        Return what is wrong with ``answer``, or ``None`` if nothing is.

        :param answer: the answer.
        :param what: what was being done, for the message: "listing the cohorts".
        :param json_expected: whether a good answer's body must be JSON.
        :param personal: whether the vendor's words may quote people, so that they are left out.
        """
        status = answer.status
        if 200 <= status < 300:
            if json_expected and answer.payload is None:
                return self._garbled(answer, what)
            return None
        detail = "" if personal else self.words(answer)
        if status == 429:
            wait = answer.retry_after
            return RateLimitedError(
                f"{self.name} is over its rate limit or quota: {what} was refused with 429.\n"
                f"{said(detail)}{asked(wait)}A later retry may succeed (connection {self.conn_id!r}).",
                retry_after=wait,
            )
        if status in _TRANSIENT or (answer.is_page and status in self.page_statuses):
            return VendorUnavailableError(
                f"{self.name} or a proxy before it failed while {what}: HTTP {status}.\n"
                f"{said(detail)}A retry may succeed (connection {self.conn_id!r}).",
                maybe_applied=status != 503,
            )
        return self.refused(answer, detail, what) or RequestRejectedError(
            f"{self.name} refused {what}: HTTP {status}.\n"
            f"{said(detail)}A retry would be refused as well: look at what the request was made with, and at "
            f"the keys of connection {self.conn_id!r}.",
            status,
        )

    def words(self, answer: Answer) -> str:
        """Return the vendor's own words in ``answer``, fit for a message."""
        payload = answer.payload
        return scrub(self.detail(payload), self.secrets) if isinstance(payload, dict) else ""

    def _garbled(self, answer: Answer, what: str) -> VendorUnavailableError:
        if answer.is_page:
            found = "an HTML page, as a proxy sends it"
        else:
            found = "a body that is not JSON" if answer.body else "an empty body"
        return VendorUnavailableError(
            f"{self.name} answered {what} with HTTP {answer.status} and {found}.\n"
            f"A retry may succeed (connection {self.conn_id!r})."
        )


def said(detail: str) -> str:
    """
    Return a vendor's own words as a sentence of a message, nothing where it has none.

    :param detail: the words, fit for a message.
    """
    return f"It said: {detail.rstrip('.')}. " if detail else ""


def asked(wait: float | None) -> str:
    """
    Return how long a vendor asks to wait as a sentence of a message, nothing where it does not say.

    :param wait: seconds.
    """
    return "" if wait is None else f"It asked to wait {wait:g} s. "
