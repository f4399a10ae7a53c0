"""Connections that are refused: for a moment, or for as long as a try lasts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from urllib.parse import urlsplit

import pytest

from airflow_provider_cio_cohort import exceptions
from tests.summary import count_fault

PLACES = {
    "amplitude": ("Amplitude", "amplitude_us", 0),
    "track": ("Customer.io's Track API", "track_us", 0),
    "app": ("Customer.io's App API", "app_us", 0),
    "storage": ("The storage of Amplitude's exports", "storage", 1),
}


class Door:
    """
    A port that refuses connections until it is opened; then it leads to one of the sandbox's.

    :param place: which server it leads to: a key of :data:`PLACES`.
    :param url: where that is.
    """

    def __init__(self, place: str, url: str) -> None:
        self.place = place
        self.to = (urlsplit(url).hostname, urlsplit(url).port)
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        self.url = "http://{}:{}".format(*self.socket.getsockname())
        self.ends = ExitStack()

    def open(self) -> None:
        self.socket.listen()
        threading.Thread(target=self._let_in, daemon=True).start()

    def close(self) -> None:
        with self.socket, self.ends, suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # ends the waiting for guests, where it was opened

    def _let_in(self) -> None:
        while True:
            try:
                guest = self.ends.enter_context(self.socket.accept()[0])
                host = self.ends.enter_context(socket.create_connection(self.to))
            except OSError:
                return
            for pair in ((guest, host), (host, guest)):
                threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.fixture(params=PLACES)
def door(request: pytest.FixtureRequest, task, connect) -> Iterator[Door]:
    """Let the task find one of the vendors' servers behind a door that is shut."""
    vendors = task.sandbox
    server = PLACES[request.param][1]
    shut = Door(request.param, vendors.urls[server])
    if request.param == "amplitude":
        task.parameters["amplitude_conn_id"] = connect("amplitude_default", "behind", host=shut.url)
    elif request.param == "storage":
        vendors.configure(inline_rows=0)
        vendors.urls[server] = shut.url
    else:
        extra = {f"{request.param}_base_url": shut.url}
        task.parameters["customer_io_conn_id"] = connect("customer_io_default", "behind", extra=extra)
    count_fault()
    with closing(shut):
        yield shut


def test_nobody_listens(task, door: Door) -> None:
    words, _, exports = PLACES[door.place]
    error = task.fail()
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert words in error.headline
    assert error.headline.endswith("no connection could be made.")
    assert str(error).endswith("a retry may succeed.")
    assert task.exports == exports  # all but the storage are needed before an export is asked for
    assert task.members == {"stays", "leaves"}
    door.open()
    task.assert_as_without_faults(task.run())


def test_nobody_listens_for_a_moment(task, door: Door) -> None:
    opening = threading.Timer(0.2, door.open)
    opening.start()
    report = task.run()
    opening.join()
    assert task.errors == []
    task.assert_as_without_faults(report)
