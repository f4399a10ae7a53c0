"""A notifier that fails does not bring the secret of its webhook into the log."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.sdk._shared.secrets_masker import reset_secrets_masker
from airflow.sdk.log import redact

from airflow_provider_cio_cohort.alerts import sending
from airflow_provider_cio_cohort.alerts.redaction import scrub
from airflow_provider_cio_cohort.alerts.rendering import rendered
from airflow_provider_cio_cohort.alerts.rules import Alert
from tests.unit.alerts.test_messages import HTTP, about

PATH = "/services/T0471/B0471/secret-path-4711"
QUERY = "sig=secret-query-4712"


@pytest.fixture
def refuser() -> Iterator[tuple[str, list[str]]]:
    """A webhook that answers 404, and keeps what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(self.path)
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Any:
    reset_secrets_masker()

    def define(host: str) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_WEBHOOK", json.dumps({"conn_type": "http", "host": host}))

    return define


def send(alert: Alert, way: str) -> None:
    if way == "task":
        assert not sending.send([alert], about("failure"), {})
    else:
        asyncio.run(sending.send_async([alert], about("failure"), {}))


@pytest.mark.parametrize("way", ["task", "triggerer"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_webhook_that_fails(
    hook: Any,
    refuser: tuple[str, list[str]],
    caplog: pytest.LogCaptureFixture,
    way: str,
    is_there: bool,
) -> None:
    address, asked = refuser
    hook(f"{address if is_there else 'http://127.0.0.1:9'}{PATH}")
    arguments = {"http_conn_id": "webhook", "endpoint": f"hooks/secret-end-4713?{QUERY}"}
    with caplog.at_level("INFO"):
        send(Alert(HTTP, arguments=arguments), way)
    if is_there:
        assert asked
        assert all(PATH in path and QUERY in path for path in asked)
    assert "could not be sent by" in caplog.text
    assert "secret" not in caplog.text
    # What Airflow's own hook logs of it is masked.
    for text in (PATH, "secret-end-4713", "secret-query-4712"):
        url = f"Max retries exceeded with url: {PATH}/hooks/secret-end-4713?{QUERY}"
        assert text not in str(redact(url))


@pytest.mark.parametrize("way", ["task", "triggerer"])
def test_a_notifier_that_fails_for_another_reason_is_explained(
    hook: Any, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    send(Alert(HTTP, arguments={"http_conn_id": "nowhere"}), way)
    assert "`nowhere` isn't defined" in caplog.text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "HTTPSConnectionPool(host='h.test', port=443): Max retries exceeded with url: /services/T/S?x=y"
            " (Caused by NameResolutionError('Failed to resolve'))",
            "HTTPSConnectionPool(host='h.test', port=443): Max retries exceeded with url: /***"
            " (Caused by NameResolutionError('Failed to resolve'))",
        ),
        (
            "404 Client Error: Not Found for url: https://h.test/a?b",
            "404 Client Error: Not Found for url: https://h.test/***",
        ),
        (
            "404, message='Not Found', url='https://h.test:8/a?b'",
            "404, message='Not Found', url='https://h.test:8/***'",
        ),
        ("Invalid URL 'h.test/a/b': No scheme supplied", "Invalid URL 'h.test/***': No scheme supplied"),
        ("https://me:secret@h.test/a", "https://h.test/***"),
        ("{'ann@example.com': (550, b'unknown')}", "{'***': (550, b'unknown')}"),
        ("the key k-4711 is unknown", "the key *** is unknown"),
    ],
)
def test_what_is_left_of_an_error(text: str, shown: str) -> None:
    assert scrub(text, ["k-4711"]) == shown


@pytest.mark.parametrize("text", ["https://me:secret@h.test", "x" * 100_000 + " secret"])
def test_nothing_secret_is_left_of_an_odd_one(text: str) -> None:
    assert "secret" not in scrub(text)


def test_the_words_of_an_alert_are_not_masked(hook: Any) -> None:
    hook("http://127.0.0.1:9")
    arguments = {
        "http_conn_id": "webhook",
        "endpoint": "{{ alert.event }}",
        "json": {"text": "{{ alert.text }}"},
    }
    send(Alert(HTTP, arguments=arguments), "task")
    text = rendered(about("failure"), "failure").text
    assert redact(text) == text
