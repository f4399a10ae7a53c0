"""What the vendors of the benchmarks bear: a measurement that comes near it would be one of them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from tests.benchmarks.crowd import Crowd
from tests.benchmarks.vendors import Vendors

PEOPLE = 10_000_000
CONNECTIONS = 16
SECONDS = 5.0


def ceiling() -> dict[str, float]:
    """Send a thousand people at a time as fast as the vendors take them."""
    with Vendors(PEOPLE, latency_ms=0, pace=0) as vendors:
        requests = _requests(vendors, vendors.add_segment())
        cpu, start = vendors.cpu(), time.monotonic()
        served = asyncio.run(_load(vendors, requests))
        took = time.monotonic() - start
        return {
            "people": PEOPLE,
            "requests_a_second": served / took,
            "cpu_ms": (vendors.cpu() - cpu) / served * 1000,
            "mib": vendors.memory(),
        }


def _requests(vendors: Vendors, segment: int) -> Iterator[bytes]:
    connection = vendors.connections["AIRFLOW_CONN_CUSTOMER_IO_DEFAULT"]
    token = base64.b64encode(f"{connection['login']}:{connection['password']}".encode()).decode()
    crowd, made = Crowd(PEOPLE), []
    for first in range(0, 100_000, 1000):
        ids = [crowd.names(number).id for number in range(first, PEOPLE, PEOPLE // 1000)]
        body = json.dumps({"ids": ids}).encode()
        head = (
            f"POST /api/v1/segments/{segment}/add_customers HTTP/1.1\r\nHost: vendors\r\n"
            f"Authorization: Basic {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return cycle(made)


async def _load(vendors: Vendors, requests: Iterator[bytes]) -> int:
    url: Any = vendors.connections["AIRFLOW_CONN_CUSTOMER_IO_DEFAULT"]["extra"]["track_base_url"]
    host, _, port = url.removeprefix("http://").rpartition(":")
    end = time.monotonic() + SECONDS

    async def send() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        served = 0
        while time.monotonic() < end:
            writer.write(next(requests))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            served += 1
        writer.close()
        return served

    return sum(await asyncio.gather(*(send() for _ in range(CONNECTIONS))))
