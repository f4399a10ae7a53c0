"""The way to an export's file: over several redirects, however they are written, never with our keys."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from tests.certificates import make_certificate
from tests.integration.faults.table import PLACES

FORMS = ("absolute", "scheme_relative", "relative", "unusual")
SECRET = "sig-4711"


@pytest.fixture
def redirected(task) -> Any:
    """Put the file behind redirects."""
    task.sandbox.configure(inline_rows=0)
    return task


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hops", [1, 2, 5])
def test_five_redirects_are_followed_without_our_keys(redirected, hops: int, form: str) -> None:
    redirected.sandbox.configure(redirect_hops=hops, redirect_form=form)
    redirected.assert_as_without_faults(redirected.run())
    assert redirected.errors == []
    steps = [each for each in redirected.sandbox.requests if "/exports/" in each.path]
    assert len(steps) == hops
    assert [each for each in steps if "Authorization" in each.headers] == []
    assert {each.api for each in steps} == {"amplitude" if form == "relative" else "storage"}


def test_a_sixth_redirect_is_not_followed(redirected) -> None:
    redirected.sandbox.configure(redirect_hops=6)
    error = redirected.fail()
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert "after 5 redirects" in error.headline
    redirected.sandbox.configure(redirect_hops=5)
    redirected.assert_as_without_faults(redirected.run())


#: None of these is an address; what is secret in one must not be shown.
NOWHERE = {
    "none": None,
    "empty": "",
    "blank": " ",
    "no host": f"http:///x?{SECRET}",
    "only a scheme": "https://",
    "open bracket": f"http://[::1/x?{SECRET}",
    "no address in brackets": f"http://[{SECRET}]/x",
    "no port": f"http://127.0.0.1:{SECRET}/x",
    "port too high": f"http://127.0.0.1:99999/{SECRET}",
    "port zero": f"http://127.0.0.1:0/{SECRET}",
    "bucket": f"s3://bucket/{SECRET}",
    "file": f"file:///etc/{SECRET}",
    "data": f"data:text/csv,{SECRET}",
    "ftp": f"ftp://127.0.0.1/{SECRET}",
    "wildcard": f"http://*.test/{SECRET}",
    "empty label": f"http://a..test/{SECRET}",
    "long label": f"http://{'a' * 70}.test/{SECRET}",
    "empty label of letters": f"http://é..test/{SECRET}",
}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("kind", ["empty", "open bracket", "file"])
def test_every_kind_of_redirect_may_lead_nowhere(redirected, kind: str, status: int) -> None:
    redirect(redirected, NOWHERE[kind], path="/file$", status=status)
    redirected.assert_as_without_faults(redirected.run())
    assert redirected.errors == []


@pytest.mark.parametrize("place", [{"path": "/file$"}, {"api": "storage"}])
@pytest.mark.parametrize("kind", NOWHERE)
def test_a_redirect_to_nowhere_is_left_to_the_retry(redirected, kind: str, place, caplog) -> None:
    fault = redirect(redirected, NOWHERE[kind], **place, times=0)
    with caplog.at_level(logging.DEBUG):
        error = redirected.fail()
    assert fault.met
    assert isinstance(error, exceptions.VendorUnavailableError)
    assert "retry" in str(error)
    assert SECRET not in str(error)
    assert SECRET not in caplog.text
    redirected.sandbox.faults.clear()
    redirected.assert_as_without_faults(redirected.run())


@pytest.mark.parametrize("place", ["amplitude's list", "the status", "the count", "adding"])
@pytest.mark.parametrize("kind", NOWHERE)
def test_an_api_that_redirects_to_nowhere_is_the_wrong_region(task, kind: str, place: str) -> None:
    where = PLACES[place]
    redirect(task, NOWHERE[kind], api=where.api, path=where.path)
    error = task.fail()
    assert isinstance(error, exceptions.WrongRegionError)
    assert SECRET not in str(error)
    task.assert_as_without_faults(task.run())


def redirect(task, location: str | None, *, status: int = 302, **which: Any) -> Any:
    if location is None:
        return task.sandbox.faults.add("status", status=status, **which)
    return task.sandbox.faults.add("redirect", status=status, headers={"Location": location}, **which)


def test_neither_address_nor_signature_is_logged(redirected, caplog) -> None:
    redirected.sandbox.configure(redirect_hops=3)
    with caplog.at_level(logging.DEBUG):
        redirected.run()
    assert "/exports/" in caplog.text  # urllib3 has logged the requests
    assert "X-Amz" not in caplog.text


class Server:
    """
    A server with TLS whose exports are all finished.

    :param certificate: its certificate and key.
    """

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self.location = ""
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                body = b'"amplitude_id","user_id"\n"1","u-1"\n'
                moved = self.path.endswith("/file")
                self.send_response(302 if moved else 200)
                if moved:
                    self.send_header("Location", server.location)
                self.send_header("Content-Length", str(0 if moved else len(body)))
                self.end_headers()
                if not moved:
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"https://localhost:{self.http.server_port}"


@pytest.fixture
def secure(tmp_path: Path, connect: Callable[..., str]) -> Iterator[tuple[Server, AmplitudeHook]]:
    """A server with TLS, and a hook that calls it."""
    certificate = make_certificate(tmp_path)
    server = Server(certificate)
    extra = {"verify": str(certificate[0])}
    yield server, AmplitudeHook(connect("amplitude_default", host=server.url, extra=extra))
    server.http.shutdown()
    server.http.server_close()


def test_from_https_a_redirect_to_http_is_not_followed(sandbox, secure, configure, tmp_path: Path) -> None:
    server, hook = secure
    hook.policy = type(hook.policy)(retry_timeout=0.05, retry_wait_initial=0.01)
    server.location = f"{sandbox.urls['storage']}/exports/1.csv?{SECRET}"
    with pytest.raises(exceptions.VendorUnavailableError, match="an address without TLS") as caught:
        hook.download_export("1", tmp_path / "export.csv")
    assert SECRET not in str(caught.value)
    assert sandbox.requests == []
    server.location = f"{server.url}/exports/1.csv"
    assert hook.download_export("1", tmp_path / "export.csv") > 0
    server.location = "/exports/1.csv"
    assert hook.download_export("1", tmp_path / "export.csv") > 0
