"""Many exports that are waited for in one event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from airflow_provider_cio_cohort.hooks import export_status
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger


def requested(sandbox, count: int) -> list[str]:
    """Exports of as many cohorts; requested without limits, which hold from then on."""
    sandbox.configure(limits=False)
    hook = AmplitudeHook()
    ids = []
    for number in range(count):
        sandbox.project.add_cohort(id=f"cohort{number}", name="x", rows=[])
        ids.append(hook.request_export(f"cohort{number}"))
    sandbox.configure(limits=True)
    sandbox.reset_requests()
    return ids


async def statuses(*triggers: AmplitudeExportTrigger) -> list[str]:
    async def first(trigger: AmplitudeExportTrigger) -> str:
        return (await anext(aiter(trigger.run()))).payload["status"]

    return await asyncio.gather(*map(first, triggers))


def trigger(request_id: str, conn_id: str = "amplitude_default") -> AmplitudeExportTrigger:
    return AmplitudeExportTrigger(conn_id, request_id, 0.05, time.time() + 30)


def test_many_waits_never_ask_for_more_at_once_than_amplitude_takes(sandbox) -> None:
    ids = requested(sandbox, 30)
    sandbox.configure(latency_ms=30)
    assert asyncio.run(statuses(*map(trigger, ids))) == ["success"] * 30
    assert {one.status for one in sandbox.requests} == {200}
    assert len(sandbox.requests) == 30


def test_a_client_is_open_as_long_as_somebody_waits(sandbox) -> None:
    (request_id,) = requested(sandbox, 1)

    async def both() -> None:
        async with export_status.open_status_client("amplitude_default") as one:
            async with export_status.open_status_client("amplitude_default") as other:
                assert other is one
            assert await one.export_finished(request_id)
        assert one.client.session.closed
        async with export_status.open_status_client("amplitude_default") as new:
            assert new is not one

    asyncio.run(both())


def test_a_connection_that_was_mended_is_read_anew_while_others_wait(sandbox, connect) -> None:
    (request_id,) = requested(sandbox, 1)
    conn_id = connect("amplitude_default", password="wrong-key")

    async def in_turn() -> list[str]:
        async with export_status.open_status_client(conn_id):
            (wrong,) = await statuses(trigger(request_id, conn_id))
            connect("amplitude_default", conn_id)
            return [wrong, *await statuses(trigger(request_id, conn_id))]

    assert asyncio.run(in_turn()) == ["error", "success"]


@pytest.mark.parametrize("count", [1, 5])
def test_a_connection_that_does_not_exist_is_told_to_each(sandbox, count: int) -> None:
    waits = asyncio.run(statuses(*(trigger("1", "nowhere") for _ in range(count))))
    assert waits == ["broken"] * count
