"""What a connection's extra says to the HTTP client holds for every call, before the environment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.amplitude_async import open_status_client
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers by itself, and keeps what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b'{"async_status": "JOB COMPLETED", "cohorts": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def amplitude_behind(connect, address: str) -> str:
    return connect("amplitude_default", host="http://amplitude.test", extra={"proxies": {"http": address}})


def test_the_connections_proxy_serves_the_hook_and_wins_over_the_environments(
    connect, proxy, monkeypatch
) -> None:
    address, asked = proxy
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert AmplitudeHook(amplitude_behind(connect, address)).list_cohorts() == []
    assert asked == ["http://amplitude.test/api/3/cohorts"]


def test_the_connections_proxy_serves_the_trigger(connect, proxy, monkeypatch) -> None:
    address, asked = proxy
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    conn_id = amplitude_behind(connect, address)

    async def ask() -> bool:
        async with open_status_client(conn_id) as client:
            return await client.export_finished("7")

    assert asyncio.run(ask())
    assert asked == ["http://amplitude.test/api/5/cohorts/request-status/7"]


def test_the_trigger_takes_no_key_from_a_netrc(sandbox, tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    sandbox.project.add_cohort(id="a1b2c3d", name="x", rows=[])
    request_id = AmplitudeHook().request_export("a1b2c3d")

    async def ask() -> bool:
        async with open_status_client("amplitude_default") as client:
            return await client.export_finished(request_id)

    assert asyncio.run(ask())


@pytest.mark.parametrize("field", ["timeout", "verify"])
def test_an_option_that_no_client_can_use_ends_the_task(connect, field: str) -> None:
    conn_id = connect("customer_io_default", extra={field: "perhaps"})
    with pytest.raises(exceptions.ConfigurationError, match=f"{field} in the extra of connection 'other'"):
        CustomerIOHook(conn_id).list_segments()


def test_the_connections_timeout_is_the_hooks(sandbox, connect) -> None:
    sandbox.faults.add("stall", api="app", times=0)
    hook = CustomerIOHook(connect("customer_io_default", extra={"timeout": "0.05"}))
    assert hook.session
    hook.policy = type(hook.policy)(read_timeout=hook.policy.read_timeout, retry_budget=0)
    with pytest.raises(exceptions.VendorUnavailableError, match="no answer came in time"):
        hook.list_segments()
