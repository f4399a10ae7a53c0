"""Faults on demand: which requests they affect, and what they do."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

#: Faults that happen instead of serving the request.
INSTEAD = (
    "status",
    "html",
    "empty",
    "broken_json",
    "reset_before",
    "stall",
    "drop",
    "redirect",
    "expire_link",
)
#: Faults of the response after the request was served; a response without a body cannot be cut.
AFTERWARDS = (
    "reset_after",
    "empty_after",
    "stall_after",
    "delay",
    "cut",
    "cut_rows",
    "cut_trailer",
    "extra_fields",
    "null_lists",
)
#: Faults while the request is served: of an export, or of a response about an export or a membership.
SERVED = ("job_stuck", "job_failed", "end_early", "no_identifiers", "other_cohort")
ACTIONS = (*INSTEAD, *AFTERWARDS, *SERVED)
#: The only paths that some faults can affect.
PATHS = {
    "end_early": r"/membership$",
    "no_identifiers": r"/membership$",
    "other_cohort": r"/cohorts/request(-status)?/[^/]+$",
}


@dataclass
class Selection:
    """
    A selection of requests.

    :param api: ``amplitude``, ``storage``, ``track``, ``app``; empty for any.
    :param method: the HTTP method; empty for any.
    :param path: a regular expression that matches somewhere in the path; empty for any.
    :param times: the number of requests to select; 0 for all from now on.
    :param after: the number of requests to skip first.
    :param met: the number of requests selected so far.
    :raises ValueError: if ``path`` is not a regular expression.
    """

    api: str = ""
    method: str = ""
    path: str = ""
    times: int = 1
    after: int = 0
    met: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path must be a regular expression: {error}") from error

    def meets(self, api: str, method: str, path: str) -> bool:
        """Return whether a request matches."""
        return self.api in ("", api) and self.method in ("", method) and bool(re.search(self.path, path))

    def take(self, api: str, method: str, path: str) -> bool:
        """Return whether a request is selected, and count it."""
        if not self.meets(api, method, path):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.times and self.met >= self.times:
            return False
        self.met += 1
        return True


@dataclass(kw_only=True)
class Fault(Selection):
    """
    A fault of the requests of a :class:`Selection`.

    :param action: one of :data:`ACTIONS`.
    :param status: the HTTP status of ``status``, ``html``, ``empty``, ``broken_json``, and of ``redirect``
        if it is a redirect status.
    :param headers: further headers of the response.
    :param body: the JSON body of ``status``.
    :param seconds: the duration of ``delay`` and of the two stalls.
    :param keep: the share of the body that the cuts keep.
    :raises ValueError: if there is no such action, or ``path`` is not a regular expression.
    """

    action: str
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 30
    keep: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.action not in ACTIONS:
            raise ValueError(f"there is no fault {self.action!r}; the faults are {', '.join(ACTIONS)}")

    def meets(self, api: str, method: str, path: str) -> bool:
        """Return whether a request matches and the fault can affect it."""
        return super().meets(api, method, path) and bool(re.search(PATHS.get(self.action, ""), path))


class Faults:
    """The pending faults."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, action: str, **details: Any) -> Fault:
        """
        Add a fault.

        :param action: one of :data:`ACTIONS`.
        :param details: see :class:`Selection` and :class:`Fault`.
        """
        fault = Fault(action=action, **details)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def all(self) -> list[dict[str, Any]]:
        """Return the faults as plain data."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, api: str, method: str, path: str) -> Fault | None:
        """Return the fault of a request, and count it."""
        with self._lock:
            return next((fault for fault in self._faults if fault.take(api, method, path)), None)
