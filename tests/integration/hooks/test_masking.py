"""What Airflow logs after a hook has read its connection shows no key, whoever logs it."""

from __future__ import annotations

import asyncio
import base64

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
