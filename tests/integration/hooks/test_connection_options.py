"""What a connection's extra says to the HTTP client holds for every call, before the environment."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.export_status import open_status_client
from tests.certificates import make_certificate


@pytest.fixture
def proxy() -> Iterator[tuple[str, list[str]]]:
    """A proxy that answers by itself, and keeps what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(self.path)
            body = b'{"async_status": "JOB COMPLETED", "cohorts": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

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


def customer_io_behind(connect, **extra: object) -> CustomerIOHook:
    return CustomerIOHook(
        connect("customer_io_default", extra={"track_base_url": "http://track.test", **extra})
    )


def test_the_connections_proxy_serves_the_writes_as_well(connect, proxy, monkeypatch) -> None:
    address, asked = proxy
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert customer_io_behind(connect, proxies=address).add_members(17, ["u1", "u2"]).count == 2
    assert asked == ["http://track.test/api/v1/segments/17/add_customers?id_type=id"]


def test_so_does_that_of_the_environment(connect, proxy, monkeypatch) -> None:
    address, asked = proxy
    monkeypatch.setenv("http_proxy", address)
    assert customer_io_behind(connect).remove_members(17, ["u1"], "email").count == 1
    assert asked == ["http://track.test/api/v1/segments/17/remove_customers?id_type=email"]
    with pytest.raises(exceptions.VendorUnavailableError, match="the host name could not be resolved"):
        impatient(customer_io_behind(connect, trust_env=False)).add_members(17, ["u1"])


def test_a_proxy_that_is_away_is_named(connect) -> None:
    hook = impatient(customer_io_behind(connect, proxies="http://127.0.0.1:9"))
    with pytest.raises(exceptions.VendorUnavailableError, match="the proxy failed") as caught:
        hook.add_members(17, ["u1"])
    assert not caught.value.maybe_applied


def test_a_proxy_may_be_named_without_http_but_not_be_of_another_kind(connect, proxy) -> None:
    address, asked = proxy
    hook = customer_io_behind(connect, proxies=address.removeprefix("http://"))
    assert hook.add_members(17, ["u1"]).count == 1
    assert len(asked) == 1
    hook = customer_io_behind(connect, proxies="socks5://127.0.0.1:9")
    with pytest.raises(exceptions.ConfigurationError, match="'other' has an unknown scheme: socks5"):
        hook.add_members(17, ["u1"])


@pytest.mark.parametrize(
    ("proxy", "flaw"),
    [
        ("socks5://me:secret@127.0.0.1:9", "has an unknown scheme: socks5"),
        ("http://me:secret@127.0.0.1:port", "has a port that is not a number"),
        ("http://", "has no host"),
    ],
)
def test_an_odd_proxy_of_the_environment_is_not_blamed_on_the_connection(
    connect, monkeypatch, proxy: str, flaw: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    hook = customer_io_behind(connect, app_base_url="http://app.test")
    for ask in (hook.list_segments, hook.check, lambda: hook.add_members(17, ["u1"])):
        with pytest.raises(exceptions.ConfigurationError) as caught:
            ask()
        assert flaw in caught.value.headline
        assert caught.value.headline.startswith("The environment's proxy for ")
        assert "secret" not in str(caught.value)


def impatient(hook: CustomerIOHook) -> CustomerIOHook:
    hook.policy = type(hook.policy)(retry_timeout=0)
    return hook


def test_the_writes_take_no_key_from_a_netrc(sandbox, tmp_path, monkeypatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    person = sandbox.workspace.add_person(id="u1")
    segment = sandbox.workspace.add_segment(name="Power users")
    CustomerIOHook().add_members(segment.id, ["u1"])
    assert segment.members == [person]


@pytest.fixture(scope="module")
def certified(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """A server of a certificate that nobody knows: its address, and the file of the certificate."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}", str(certificate)
    server.shutdown()
    server.server_close()


def test_the_writes_trust_whom_the_connection_or_the_environment_trusts(
    connect, certified, monkeypatch
) -> None:
    address, cert = certified
    with pytest.raises(
        exceptions.VendorUnavailableError, match="the TLS certificate was not accepted"
    ) as caught:
        impatient(customer_io_behind(connect, track_base_url=address)).add_members(17, ["u1"])
    assert not caught.value.maybe_applied
    assert customer_io_behind(connect, track_base_url=address, verify=cert).add_members(17, ["u1"]).count == 1
    assert (
        customer_io_behind(connect, track_base_url=address, verify=False).add_members(17, ["u1"]).count == 1
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", cert)
    assert customer_io_behind(connect, track_base_url=address).add_members(17, ["u1"]).count == 1


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
    hook.policy = type(hook.policy)(read_timeout=hook.policy.read_timeout, retry_timeout=0)
    with pytest.raises(exceptions.VendorUnavailableError, match="no answer came in time"):
        hook.list_segments()
