"""Remembers what was asked of the sandbox; counts and paths, and the headers for tests to look at."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    """
    A request that was served.

    :param api: ``amplitude``, ``storage``, ``track``, ``app``.
    :param method: the HTTP method.
    :param path: the path, without the query.
    :param query: the query; each name with the list of its values.
    :param status: what was answered; 0 when the connection was broken instead.
    :param ids: how many identifiers the body held.
    :param headers: the request's headers, keys included: never printed.
    :param at: when its answer was ready, in seconds of a monotonic clock.
    :param began: when it came, likewise.
    :param client: the port that it came from: one for each connection.
    :param received: bytes of its body.
    :param sent: bytes of the answer's body.
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


class Journal:
    """The requests that were served, oldest first."""

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
        """Forget all."""
        with self._lock:
            self._records.clear()

    def count(self, api: str | None = None, path_regex: str = "", status: int | None = None) -> int:
        """
        Return how many requests there were.

        :param api: of this API alone.
        :param path_regex: whose path matches somewhere.
        :param status: answered with this status alone.
        """
        pattern = re.compile(path_regex)
        return sum(
            1
            for r in self.all()
            if api in (None, r.api) and status in (None, r.status) and pattern.search(r.path)
        )
