"""Lets a test act right before a request is served: change the data, or kill a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cio_cohort.sandbox.faults import Selection


@dataclass(frozen=True)
class IncomingRequest:
    """
    A request before it is served.

    :param api: ``amplitude``, ``storage``, ``track``, ``app``.
    :param method: the HTTP method.
    :param path: the path, without the query.
    :param query: the query; each name with the list of its values.
    :param headers: the request's headers, including keys; never printed.
    :param body: its body, which may contain identifiers; never printed.
    """

    api: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


Callback = Callable[[IncomingRequest], object]


class Callbacks:
    """The pending callbacks, and the errors that callbacks have raised."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._waiting: list[tuple[Selection, Callback]] = []
        self._lock = threading.Lock()

    def add(self, callback: Callback, **selection: Any) -> Selection:
        """
        Call a function before future requests.

        :param callback: the function.
        :param selection: see :class:`.faults.Selection`.
        """
        selected = Selection(**selection)
        with self._lock:
            self._waiting.append((selected, callback))
        return selected

    def run(self, request: IncomingRequest) -> None:
        """Call the callbacks of a request, and keep all errors, including ``BaseException``."""
        with self._lock:
            due = [
                callback
                for selected, callback in self._waiting
                if selected.take(request.api, request.method, request.path)
            ]
        for callback in due:
            try:
                callback(request)
            except BaseException as error:
                self.errors.append(error)

    def raise_errors(self, during: BaseException | None = None) -> None:
        """
        Raise the errors of the callbacks.

        :param during: an error that already ends the test, which gets a note instead.
        """
        if not self.errors:
            return
        told = ", ".join(f"{type(error).__name__}: {error}" for error in self.errors)
        if during is not None:
            during.add_note(f"Callbacks of the sandbox failed as well: {told}")
        elif len(self.errors) == 1:
            raise self.errors[0]
        else:
            raise BaseExceptionGroup(f"{len(self.errors)} callbacks of the sandbox failed", self.errors)
