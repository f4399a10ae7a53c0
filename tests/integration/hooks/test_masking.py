"""What Airflow logs after a hook has read its connection shows no key, whoever logs it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable

import pytest
from airflow.sdk._shared.secrets_masker import SecretsMasker
from airflow.sdk.log import redact

from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.export_status import open_status_client


def hidden(*keys: str) -> bool:
    """Say whether a log line with each of the keys in its middle would hide it."""
    return all(key not in str(redact(f"sent {key} to the vendor")) for key in keys)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_keys_of_customer_io(sandbox, connect) -> None:
    keys = {"login": "mask-site-4711", "password": "mask-tracking-4711"}
    conn_id = connect("customer_io_default", "masked_cio", extra={"app_api_key": "mask-app-4711"}, **keys)
    assert not hidden("mask-app-4711")
    assert CustomerIOHook(conn_id).connection
    assert hidden(*keys.values(), "mask-app-4711", basic(*keys.values()))


def test_the_keys_of_amplitude(sandbox, connect) -> None:
    keys = {"login": "mask-api-4712", "password": "mask-secret-4712"}
    hook = AmplitudeHook(connect("amplitude_default", "masked_amplitude", **keys))
    assert not hidden("mask-secret-4712")
    assert hook.connection
    assert hidden(*keys.values(), basic(*keys.values()))


def test_the_keys_of_amplitude_in_the_triggerer(sandbox, connect) -> None:
    keys = {"login": "mask-api-4713", "password": "mask-secret-4713"}
    conn_id = connect("amplitude_default", "masked_trigger", **keys)

    async def read() -> None:
        async with open_status_client(conn_id):
            pass

    assert not hidden("mask-secret-4713")
    asyncio.run(read())
    assert hidden(*keys.values(), basic(*keys.values()))


async def _open(conn_id: str) -> None:
    async with open_status_client(conn_id):
        pass


@pytest.mark.parametrize("region", ["", "united states", "europe"])
@pytest.mark.parametrize(
    ("like", "read"),
    [
        ("amplitude_default", lambda conn_id: AmplitudeHook(conn_id).list_cohorts()),
        ("amplitude_default", lambda conn_id: asyncio.run(_open(conn_id))),
        ("customer_io_default", lambda conn_id: CustomerIOHook(conn_id).check()),
    ],
    ids=["amplitude", "the triggerer", "customer.io"],
)
def test_a_log_does_not_begin_with_a_warning_of_a_short_secret(
    sandbox, connect, monkeypatch, caplog, like: str, read: Callable[[str], object], region: str
) -> None:
    """Airflow takes every text of an extra for a secret; no region that the docs name is a short one."""
    if region == "europe":
        sandbox.workspace.region = sandbox.project.region = "eu"
    conn_id = connect(like, extra={"region": region})
    monkeypatch.setattr(SecretsMasker, "_has_warned_short_secret", False)
    read(conn_id)
    assert "too short" not in caplog.text
    assert SecretsMasker._has_warned_short_secret is False
