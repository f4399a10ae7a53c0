"""Faults on demand: which requests they meet, and what they do."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

#: Done to the request instead of serving it.
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
#: Done to the answer after the request was served; what has no body (a redirect) has nothing to cut.
AFTERWARDS = (
    "reset_after",
    "stall_after",
    "delay",
    "cut",
    "cut_rows",
    "cut_trailer",
    "extra_fields",
    "null_lists",
)
#: Done to an export job that the request starts or asks about.
JOBS = ("job_stuck", "job_failed")
ACTIONS = (*INSTEAD, *AFTERWARDS, *JOBS)


@dataclass
class Fault:
    """
    Something that goes wrong.

    :param action: one of :data:`ACTIONS`.
    :param api: ``amplitude``, ``storage``, ``track``, ``app``; empty for any.
    :param method: the HTTP method; empty for any.
    :param path: a regular expression that matches somewhere in the path; empty for any.
    :param times: how many requests it meets; 0 for all from now on.
    :param after: how many requests it lets pass first.
    :param status: the HTTP status of ``status``, ``html``, ``empty``, ``broken_json``, and of ``redirect``
        where it is one of a redirect.
    :param headers: further headers of the answer.
    :param body: the JSON body of ``status``.
    :param seconds: how long ``delay`` and the two stalls wait.
    :param keep: the share of the body that the cuts leave.
    :param met: how many requests it has met.
    """

    action: str
    api: str = ""
    method: str = ""
    path: str = ""
    times: int = 1
    after: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 30
    keep: float = 0.5
    met: int = 0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"no fault {self.action!r}; there are {', '.join(ACTIONS)}")
        re.compile(self.path)

    def meets(self, api: str, method: str, path: str) -> bool:
        """Say whether a request is one of those that the fault is meant for."""
        return self.api in ("", api) and self.method in ("", method) and bool(re.search(self.path, path))


class Faults:
    """The faults that wait for their requests."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, action: str, **details: Any) -> Fault:
        """
        Let something go wrong.

        :param action: one of :data:`ACTIONS`.
        :param details: see :class:`Fault`.
        """
        fault = Fault(action, **details)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()

    def all(self) -> list[dict[str, Any]]:
        """Return the faults as JSON would have them."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, api: str, method: str, path: str) -> Fault | None:
        """Return what is to go wrong with a request, and count that it met one."""
        with self._lock:
            for fault in self._faults:
                if not fault.meets(api, method, path):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                if fault.times and fault.met >= fault.times:
                    continue
                fault.met += 1
                return fault
        return None
