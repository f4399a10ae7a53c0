"""Handles every request to a vendor: callbacks, faults, latency, the journal."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import random
import socket
import struct
import time
from email.utils import formatdate
from typing import Any

from aiohttp import BasicAuth, web
from aiohttp.typedefs import Handler, Middleware

from airflow_provider_cio_cohort.sandbox.callbacks import Callbacks, IncomingRequest
from airflow_provider_cio_cohort.sandbox.faults import AFTERWARDS, SERVED, Fault, Faults
from airflow_provider_cio_cohort.sandbox.records import Exchange, Journal, Record
from airflow_provider_cio_cohort.sandbox.settings import Settings

HTML = "<html><head><title>Error</title></head><body><h1>Something is wrong</h1></body></html>"
FAULT = web.RequestKey("fault", Fault)
BROKEN = web.RequestKey("broken", bool)
#: The action of a fault of an earlier request that changes the response to this one.
EARLIER = web.RequestKey("earlier", str)
#: The number of identifiers in a request.
IDS = web.RequestKey("ids", int)
#: The identifiers by which Customer.io's APIs know people.
ID_TYPES = ("id", "email", "cio_id")


def vendor_app(
    api: str,
    settings: Settings,
    callbacks: Callbacks,
    faults: Faults,
    journal: Journal,
    *between: Middleware,
) -> web.Application:
    """
    Return an application that delays, breaks and records requests as configured.

    :param api: its name for the faults and the journal.
    :param callbacks: called before a request is served.
    :param between: middlewares that run before a request is delayed or broken.
    """

    @web.middleware
    async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        body = await request.read()
        response = await handler(request)
        record = _record(api, request, body, response, began)
        journal.add(record)
        if journal.observers:
            exchange = _exchange(request, record, body, response, settings)
            for observe in journal.observers:
                observe(exchange)
        return response

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        callbacks.run(await _incoming(api, request))
        fault = faults.take(api, request.method, request.path)
        if fault:
            request[FAULT] = fault
        response = await _serve(request, handler, fault, settings) or web.Response()
        if settings.latency_ms > 0:  # only the response is late: limits count requests on arrival
            late = random.lognormvariate(math.log(settings.latency_ms), settings.latency_spread)
            await asyncio.sleep(late / 1000)
        if settings.clock_ahead:
            response.headers["Date"] = formatdate(time.time() + settings.clock_ahead, usegmt=True)
        if not settings.content_length and response.content_type == "text/csv":
            await _send_without_length(request, response)
        return response

    return web.Application(middlewares=[remember, *between, serve], client_max_size=64 * 2**20)


async def _serve(
    request: web.Request, handler: Handler, fault: Fault | None, settings: Settings
) -> web.StreamResponse | None:
    """Return the response; ``None`` if the connection was broken instead."""
    if fault and fault.action not in (*AFTERWARDS, *SERVED):
        return await _instead(request, fault)
    try:
        response: web.StreamResponse = await handler(request)
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        response = web.Response(status=error.status, text=error.text, headers=headers)
    if fault and fault.action in AFTERWARDS:
        return await _afterwards(request, response, fault, settings)
    return response


async def _instead(request: web.Request, fault: Fault) -> web.StreamResponse | None:
    action, headers = fault.action, dict(fault.headers)
    if action == "reset_before":
        reset(request)
        return None
    if action == "stall":
        await _wait(request, fault)
        reset(request)
        return None
    if action == "drop":
        return web.json_response({})
    if action == "redirect":
        headers.setdefault("Location", "http://127.0.0.1:9/elsewhere")
        return web.Response(status=fault.status if 300 <= fault.status < 400 else 302, headers=headers)
    if action == "expire_link":
        return storage_error(403, "AccessDenied", "Request has expired")
    if action == "html":
        return web.Response(status=fault.status, headers=headers, text=HTML, content_type="text/html")
    if action == "broken_json":
        return web.Response(
            status=fault.status, headers=headers, body=b'{"segments": [', content_type="application/json"
        )
    if action == "status" and fault.body is not None:
        return web.json_response(fault.body, status=fault.status, headers=headers)
    return web.Response(status=fault.status, headers=headers)


async def _afterwards(
    request: web.Request, response: web.StreamResponse, fault: Fault, settings: Settings
) -> web.StreamResponse | None:
    if fault.action == "reset_after":
        reset(request)
        return None
    if fault.action in ("stall_after", "delay"):
        await _wait(request, fault)
        if fault.action == "delay":
            return response
        reset(request)
        return None
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return response
    if fault.action == "empty_after":
        return web.Response(status=response.status)
    if fault.action in ("extra_fields", "null_lists"):
        return _with_other_json(response, fault.action)
    if fault.action == "cut" and settings.content_length:
        await _cut(request, response, fault.keep)
        return None
    response.body = _shortened(response.body, fault)
    return response


async def _wait(request: web.Request, fault: Fault) -> None:
    """Wait for the duration of the fault, which may change meanwhile, but no longer than the client."""
    began = time.monotonic()
    while request.transport is not None and (left := began + fault.seconds - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 0.05))


def _with_other_json(response: web.Response, action: str) -> web.Response:
    try:
        payload = json.loads(response.body or b"")  # type: ignore[arg-type]
    except ValueError:
        return response
    response.body = json.dumps(_changed(payload, action)).encode()
    return response


def _changed(value: Any, action: str) -> Any:
    if isinstance(value, dict):
        changed = {name: _changed(item, action) for name, item in value.items()}
        return {**changed, "a_new_field": {"of": ["tomorrow"]}} if action == "extra_fields" else changed
    if isinstance(value, list):
        if not value and action == "null_lists":
            return None
        return [_changed(item, action) for item in value]
    return value


async def _cut(request: web.Request, response: web.Response, keep: float) -> None:
    """Send the length of the whole body and a part of it, then break the connection."""
    body = bytes(response.body or b"")  # type: ignore[arg-type]
    headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
    partial = web.StreamResponse(status=response.status, headers=headers)
    partial.content_length = len(body)
    await partial.prepare(request)
    await partial.write(body[: int(len(body) * keep)])
    await asyncio.sleep(0.05)  # let the data arrive before the reset
    reset(request)


async def _send_without_length(request: web.Request, response: web.StreamResponse) -> None:
    """Respond as an HTTP/1.0 server: the end of the connection is the end of the body."""
    transport = request.transport
    if transport is None or not isinstance(response, web.Response):
        return
    left_out = ("content-length", "transfer-encoding", "connection")
    headers = {name: value for name, value in response.headers.items() if name.lower() not in left_out}
    lines = [f"HTTP/1.1 {response.status} OK", *(f"{name}: {value}" for name, value in headers.items())]
    head = "\r\n".join([*lines, "Connection: close", "", ""]).encode()
    transport.write(head + bytes(response.body or b""))  # type: ignore[arg-type]
    transport.close()


def _shortened(body: bytes, fault: Fault) -> bytes:
    """Shorten an export without breaking the connection."""
    if fault.action == "cut":
        return body[: int(len(body) * fault.keep)]
    if fault.action == "cut_trailer":
        return body[:-8]
    packed = body.startswith(b"\x1f\x8b")
    rows = _rows(gzip.decompress(body) if packed else body)
    text = b"".join(rows[: max(1, int(len(rows) * fault.keep))])
    return gzip.compress(text) if packed else text


def _rows(text: bytes) -> list[bytes]:
    """Split CSV into its rows; a quoted value may contain line breaks."""
    rows, row = [], b""
    for line in text.splitlines(keepends=True):
        row += line
        if row.count(b'"') % 2 == 0:
            rows.append(row)
            row = b""
    return rows


def reset(request: web.Request) -> None:
    """Break the connection so that the client sees a reset."""
    request[BROKEN] = True
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def storage_error(status: int, code: str, message: str) -> web.Response:
    """Return an error in the format of S3."""
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>{error}'
    return web.Response(status=status, text=text, content_type="application/xml")


def basic_credentials(request: web.Request) -> tuple[str, str]:
    """Return user and password of a request, two empty strings if it has none."""
    try:
        found = BasicAuth.decode(request.headers.get("Authorization", ""), "utf-8")
    except ValueError:
        return "", ""
    return found.login, found.password


async def read_ids(request: web.Request, most: int) -> list[str] | None:
    """
    Return the ``ids`` of a request to either of Customer.io's APIs, ``None`` if they are invalid.

    :param request: the request; its body is ``{"ids": […]}``.
    """
    try:
        ids = (await request.json())["ids"]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(ids, list):
        request[IDS] = len(ids)
    usable = isinstance(ids, list) and 1 <= len(ids) <= most and set(map(type, ids)) == {str}
    return ids if usable else None


async def _incoming(api: str, request: web.Request) -> IncomingRequest:
    return IncomingRequest(
        api=api,
        method=request.method,
        path=request.path,
        query=_query(request),
        headers=dict(request.headers),
        body=await request.read(),
    )


def _query(request: web.Request) -> dict[str, list[str]]:
    return {name: request.query.getall(name) for name in request.query}


def _record(
    api: str, request: web.Request, body: bytes, response: web.StreamResponse, began: float
) -> Record:
    ids = request.get(IDS, 0)
    if not ids and body.startswith(b"{"):
        try:
            found = json.loads(body).get("ids")
        except ValueError:
            found = None
        ids = len(found) if isinstance(found, list) else 0
    return Record(
        api=api,
        method=request.method,
        path=request.path,
        query=_query(request),
        status=0 if request.get(BROKEN) else response.status,
        ids=ids,
        headers=dict(request.headers),
        began=began,
        client=_port(request),
        received=len(body),
        sent=_length(response),
    )


def _exchange(
    request: web.Request, record: Record, body: bytes, response: web.StreamResponse, settings: Settings
) -> Exchange:
    fault = request.get(FAULT)
    content = response.body if record.status and isinstance(response, web.Response) else b""
    return Exchange(
        record=record,
        raw_path=request.rel_url.raw_path,
        body=body,
        content=content if isinstance(content, bytes) else b"",
        content_type=response.content_type,
        fault=fault.action if fault else request.get(EARLIER, ""),
        settings=settings,
    )


def _port(request: web.Request) -> int:
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return int(peer[1]) if peer else 0


def _length(response: web.StreamResponse) -> int:
    body = response.body if isinstance(response, web.Response) else None
    return len(body) if isinstance(body, bytes) else 0
