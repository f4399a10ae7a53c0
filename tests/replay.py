"""Answers as a recording says (docs/recordings.md); knows nothing of the code that recorded it."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = Any
#: A random number in a text that the caller has made up.
_RANDOM = re.compile(r"([0-9a-f]{8,32})")
_STORAGE_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>-</Message></Error>'


class Replay:
    """
    Both vendors, as they were recorded, on loopback; a context manager.

    A request is answered as the same one was in the recording, in the same order. A GET may come more often
    than it was recorded, or less often: what is asked until something has happened depends on time. Random
    numbers in texts with the recording's own beginnings may differ.

    :param recording: the recording.
    """

    def __init__(self, recording: Json) -> None:
        assert recording["version"] == 1
        self.recording = recording
        self.urls: dict[str, str] = {}
        #: The requests that were not expected.
        self.unexpected: list[str] = []
        self._exchanges: list[Json] = recording["exchanges"]
        self._next = 0
        self._random: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replay", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def left(self) -> list[str]:
        """The recorded requests that were not sent."""
        return [_named(each["request"]) for each in self._exchanges[self._next :]]

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return Airflow connections by their default ids; any keys are as good as the recorded ones."""
        urls = {"amplitude": "http://127.0.0.1:9", "track": "http://127.0.0.1:9", "app": "http://127.0.0.1:9"}
        urls |= self.urls
        return {
            "amplitude_default": {
                "conn_type": "amplitude",
                "login": "replayed-api-key",
                "password": "replayed-secret-key",
                "host": urls["amplitude"],
                "extra": {"region": "us"},
            },
            "customer_io_default": {
                "conn_type": "customer_io",
                "login": "replayed-site-id",
                "password": "replayed-tracking-key",
                "extra": {
                    "app_api_key": "replayed-app-key",
                    "region": "us",
                    "track_base_url": urls["track"],
                    "app_base_url": urls["app"],
                },
            },
        }

    def __enter__(self) -> Replay:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        for host in dict.fromkeys(each["request"]["host"] for each in self._exchanges):
            server = await asyncio.start_server(partial(self._serve, host), "127.0.0.1", 0)
            self._servers.append(server)
            self.urls[host] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)

    # ---- which exchange

    def _answer_to(self, request: Json) -> Json | None:
        """Return the exchange with the same request."""
        place = self._next
        while place < len(self._exchanges):
            each = self._exchanges[place]
            if self._is_same(each["request"], request):
                self._next = place + 1
                return each
            if not self._is_repeated(place):
                break
            place += 1
        # What is waited for takes longer than it did: the last answer again.
        before = (each for each in reversed(self._exchanges[: self._next]))
        if request["method"] == "GET":
            return next((each for each in before if self._is_same(each["request"], request)), None)
        return None

    def _is_repeated(self, place: int) -> bool:
        request = self._exchanges[place]["request"]
        return request["method"] == "GET" and any(
            each["request"] == request for each in self._exchanges[:place]
        )

    def _is_same(self, recorded: Json, request: Json) -> bool:
        found: dict[str, str] = {}
        names = ("method", "host", "path", "query", "json")
        is_same = all(self._equals(recorded.get(name), request.get(name), found) for name in names)
        is_same = is_same and _scheme(recorded) == _scheme(request)
        if is_same:
            self._random |= found
        return is_same

    def _equals(self, recorded: Json, given: Json, found: dict[str, str]) -> bool:
        if isinstance(recorded, dict) and isinstance(given, dict):
            return recorded.keys() == given.keys() and all(
                self._equals(recorded[name], given[name], found) for name in recorded
            )
        if isinstance(recorded, list) and isinstance(given, list):
            return len(recorded) == len(given) and all(
                self._equals(mine, theirs, found) for mine, theirs in zip(recorded, given, strict=True)
            )
        if recorded == given:
            return True
        if not isinstance(recorded, str) or not isinstance(given, str):
            return False
        if not any(own in recorded for own in self.recording["own"]):
            return False
        mine, theirs = _RANDOM.split(recorded), _RANDOM.split(given)
        if len(mine) != len(theirs) or mine[::2] != theirs[::2]:
            return False
        for before, now in zip(mine[1::2], theirs[1::2], strict=True):
            if self._random.get(before, found.get(before, now)) != now or len(before) != len(now):
                return False
            found[before] = now
        return True

    # ---- HTTP

    async def _serve(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(host, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):  # the client has gone
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request, and say whether another may follow."""
        request = await _read(host, reader)
        exchange = self._answer_to(request)
        if exchange is None:
            self.unexpected.append(f"{_named(request)} instead of {self.left[:1]}")
            writer.write(b"HTTP/1.1 418 Not recorded\r\nContent-Length: 0\r\n\r\n")
            return True
        response = exchange.get("response")
        if response is None:
            _reset(writer)
            return False
        head, body = self._written(response)
        writer.write(head + body)
        await writer.drain()
        if response.get("is_cut"):
            await asyncio.sleep(0.05)  # let the data arrive before the reset
            _reset(writer)
            return False
        return b"\r\nConnection: close" not in head

    def _written(self, response: Json) -> tuple[bytes, bytes]:
        body = _body(response["body"])
        for before, now in self._random.items():
            body = body.replace(before.encode(), now.encode())
        body = _compressed(body, response["body"])
        headers = dict(response["headers"])
        length, is_cut = headers.pop("Content-Length", None), response.get("is_cut", False)
        is_chunked = headers.pop("Transfer-Encoding", "").lower() == "chunked"
        lines = [f"HTTP/1.1 {response['status']} Recorded"]
        lines += [f"{name}: {self._header(name, value)}" for name, value in headers.items()]
        if is_chunked:
            lines.append("Transfer-Encoding: chunked")
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n" * (not is_cut)
        elif length is not None or response["status"] in (204, 304):
            lines += [] if response["status"] in (204, 304) else [f"Content-Length: {len(body) + is_cut}"]
        else:
            lines = [line for line in lines if not line.startswith("Connection:")]
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace"), body

    def _header(self, name: str, value: str) -> str:
        if name in ("Date", "Retry-After") and value.startswith("now"):
            try:
                return formatdate(time.time() + int(value.removeprefix("now")), usegmt=True)
            except (ValueError, OverflowError):
                return formatdate(0, usegmt=True)
        if name == "Location":
            return self._location(value)
        return value

    def _location(self, value: str) -> str:
        host = urlsplit(value).netloc
        if not host:
            return value
        own = self.urls.get(host, "http://127.0.0.1:9")
        scheme, _, rest = value.partition(f"//{host}")
        # Only plain HTTP is replayed; how the scheme is written remains.
        scheme = scheme if not scheme or scheme.isupper() else "http:"
        return f"{scheme.replace('HTTPS', 'HTTP')}{own.removeprefix('http:')}{rest}"


async def _read(host: str, reader: asyncio.StreamReader) -> Json:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    query = [list(pair) for pair in parse_qsl(parts.query, keep_blank_values=True)]
    request = {"method": method, "host": host, "path": parts.path, "query": query}
    request["authorization"] = headers.get("authorization", "")
    return {**request, "json": json.loads(body)} if body else request


def _body(recorded: Json) -> bytes:
    """Return a body as it was before it was compressed."""
    if recorded is None:
        return b""
    if "json" in recorded:
        return json.dumps(recorded["json"]).encode()
    if "csv" in recorded:
        return "".join(_lines(recorded)).encode()
    if "page" in recorded:
        return b"<html><body>A page</body></html>"
    if "storage_error" in recorded:
        return _STORAGE_ERROR.format(recorded["storage_error"]).encode()
    if "other" in recorded:
        return (b"\xff\0" if recorded["other"] == "bytes" else b"so ") * (recorded["length"] // 2)
    return str(recorded["text"]).encode()


def _lines(recorded: Json) -> Iterator[str]:
    yield recorded["csv"]
    for line, times in recorded.get("more", []):
        yield line * times
    yield recorded.get("end", "")


def _compressed(body: bytes, recorded: Json) -> bytes:
    for layer in (recorded or {}).get("compressed", []):
        body = {"gzip": partial(gzip.compress, mtime=0), "deflate": zlib.compress}[layer](body)
    return body


def _scheme(request: Json) -> str:
    """Return the kind of the keys, empty without keys; the keys themselves are not in a recording."""
    return str(request["authorization"].partition(" ")[0])


def _named(request: Json) -> str:
    query = "&".join(name for name, _ in request["query"])
    return f"{request['method']} {request['host']} {request['path']}{'?' if query else ''}{query}"


def _reset(writer: asyncio.StreamWriter) -> None:
    """Break the connection so that the client sees a reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
