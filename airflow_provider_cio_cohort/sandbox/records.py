"""Records the requests to the sandbox: counts and paths, and the headers for tests."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from airflow_provider_cio_cohort.sandbox.settings import Settings


@dataclass(frozen=True)
class Record:
    """
    A request that was served.

    :param api: ``amplitude``, ``storage``, ``track``, ``app``.
    :param method: the HTTP method.
    :param path: the path, without the query.
    :param query: the query; each name with the list of its values.
    :param status: the HTTP status of the response; 0 if the connection was broken instead.
    :param ids: the number of identifiers in the body.
    :param headers: the request's headers, including keys; never printed.
    :param at: when its response was ready, in seconds of a monotonic clock.
    :param began: when it arrived, on the same clock.
    :param client: the client's port, which identifies the connection.
    :param received: the size of its body in bytes.
    :param sent: the size of the response's body in bytes.
    """

    api: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    status: int
    ids: int
    headers: Mapping[str, str] = field(repr=False)
    began: float
    client: int
    received: int
    sent: int
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Exchange:
    """
    A request and its response in full, which only observers see; never printed.

    :param record: what the journal keeps of it.
    :param raw_path: the path as it was sent, percent-encoded.
    :param body: the request's body.
    :param content: the response's body; empty if the connection was broken instead.
    :param content_type: the media type of the response.
    :param fault: the action of the fault that affects the response, now or since an earlier request; empty if
        there is none.
    :param settings: how the sandbox behaves at that time.
    """

    record: Record
    raw_path: str
    body: bytes = field(repr=False)
    content: bytes = field(repr=False)
    content_type: str
    fault: str
    settings: Settings


class Journal:
    """The served requests, oldest first."""

    #: Called with each exchange of every sandbox of this process, in its thread, before the response is sent.
    observers: ClassVar[list[Callable[[Exchange], None]]] = []

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._lock = threading.Lock()

    def add(self, record: Record) -> None:
        """Append a record."""
        with self._lock:
            self._records.append(record)

    def all(self) -> list[Record]:
        """Return all records so far."""
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        """Remove all records."""
        with self._lock:
            self._records.clear()

    def count(self, api: str | None = None, path_regex: str = "", status: int | None = None) -> int:
        """
        Return the number of requests.

        :param api: only requests to this API.
        :param path_regex: only requests whose path matches somewhere.
        :param status: only requests with this response status.
        """
        pattern = re.compile(path_regex)
        return sum(
            1
            for r in self.all()
            if api in (None, r.api) and status in (None, r.status) and pattern.search(r.path)
        )
