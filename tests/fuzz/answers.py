"""Any answers of both vendors: a server between the hooks and the sandbox, which alters what is answered."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import struct
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any

import aiohttp
from hypothesis import strategies as st

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.faults import Selection
from tests.summary import count_bad_input

Json = Any
Headers = tuple[tuple[str, str], ...]
#: Stands in every identifier, and nowhere else: no message and no log may hold it. In lower case.
MARK = "zqz"


@dataclass(frozen=True)
class Answer:
    """
    What becomes of an answer.

    :param done: whether the vendor did what it was asked to do.
    :param status: the status; ``None`` for the vendor's.
    :param line: the whole status line instead.
    :param headers: headers that are added, or replace those of the same name.
    :param body: how the body is made from the vendor's, and of what: see :func:`_body`.
    :param end: how it ends, one of :data:`ENDS`.
    """

    done: bool = True
    status: int | None = None
    line: str | None = None
    headers: Headers = ()
    body: tuple[Any, ...] = ("same",)
    end: str = "keep"


@dataclass(frozen=True)
class Odd:
    """
    Which requests get an odd answer.

    :param path: a regular expression that matches somewhere in the path; empty for any.
    :param after: how many of them are answered as usual first.
    :param times: how many are answered oddly; 0 for all from then on.
    """

    answer: Answer
    path: str = ""
    after: int = 0
    times: int = 1


@dataclass
class Seen:
    """A request, and the status that it was answered with."""

    path: str
    status: int | None


class Between:
    """
    Listens in the place of the sandbox.

    :param sandbox: the sandbox, which is running; its addresses become those of this server.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.served = 0
        self.seen: list[Seen] = []
        self._odd: list[tuple[Selection, Answer]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="between", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def secrets(self) -> list[str]:
        """Every key of the default connections, as it is and as it is sent, and the signatures of links."""
        project, workspace = self.sandbox.project, self.sandbox.workspace
        pairs = [(project.api_key, project.secret_key), (workspace.site_id, workspace.tracking_key)]
        sent = [base64.b64encode(":".join(pair).encode()).decode() for pair in pairs]
        keys = [project.secret_key, workspace.tracking_key, workspace.app_key]
        return [*keys, *sent, *project.links]

    def plan(self, odd: Iterable[Odd]) -> None:
        """Choose the answers to come, and forget what was seen."""
        chosen = [(Selection(path=one.path, after=one.after, times=one.times), one.answer) for one in odd]
        self._odd, self.seen = chosen, []

    def __enter__(self) -> Between:
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
        self._vendors = aiohttp.ClientSession(auto_decompress=False)
        for name, url in list(self.sandbox.urls.items()):
            if name == "control":
                continue
            server = await asyncio.start_server(partial(self._serve, url), "127.0.0.1", 0)
            self._servers.append(server)
            self.sandbox.urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._vendors.close()
        await asyncio.sleep(0)

    async def _serve(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(url, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):  # the client has gone
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, url: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request, and say whether another may follow."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = dict(line.split(": ", 1) for line in lines if line)
        length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), 0)
        asked = await reader.readexactly(length)
        answer = self._answer(path)
        if answer is None:
            status, theirs, body = await self._ask(url, method, path, headers, asked)
            self.seen.append(Seen(path, status))
            return await _send(writer, _head(status, None, theirs), body, "keep")
        if answer.done:
            status, theirs, body = await self._ask(url, method, path, headers, asked)
        else:
            status, theirs, body = 200, {"Content-Type": "application/json"}, b"{}"
        status = status if answer.status is None else answer.status
        broken = answer.line is not None or answer.end in ("nothing", "reset", "stall")
        self.seen.append(Seen(path, None if broken else status))
        self.served += 1
        count_bad_input()
        theirs = {**theirs, **dict(answer.headers)}
        said = _keys_in(headers) if answer.body == ("echo", "keys") else asked.decode("utf-8", "replace")
        body = _body(answer.body, body, said)
        return await _send(writer, _head(status, answer.line, theirs), body, answer.end)

    def _answer(self, path: str) -> Answer | None:
        return next((answer for chosen, answer in self._odd if chosen.take("", "", path)), None)

    async def _ask(
        self, url: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        dropped = ("host", "content-length", "connection", "transfer-encoding")
        passed = {name: value for name, value in headers.items() if name.lower() not in dropped}
        async with self._vendors.request(
            method, f"{url}{path}", headers=passed, data=body, allow_redirects=False
        ) as response:
            kept = {k: v for k, v in response.headers.items() if k.lower() not in ("content-length", "date")}
            return response.status, kept, await response.read()


def _keys_in(headers: dict[str, str]) -> str:
    """Return the keys of a request, as they were sent and in plain."""
    sent = headers.get("Authorization", "")
    kind, _, token = sent.partition(" ")
    return f"{sent}, {base64.b64decode(token).decode()}" if kind == "Basic" else sent


def _head(status: int, line: str | None, headers: dict[str, str]) -> bytes:
    first = f"HTTP/1.1 {status} Whatever" if line is None else line
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


async def _send(writer: asyncio.StreamWriter, head: bytes, body: bytes, end: str) -> bool:
    """Send an answer, end it in some way, and say whether the connection may be used again."""
    writer.write(_written(end, head, body))
    await writer.drain()
    if end == "stall":
        await asyncio.sleep(0.3)
    if end == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    return end in ("keep", "chunked", "long")


def _written(end: str, head: bytes, body: bytes) -> bytes:
    """Return what is written of an answer before it ends."""
    middle = len(body) // 2
    parts = [part for part in (body[:middle], body[middle:]) if part]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    whole = b"%b\r\nContent-Length: %d\r\n\r\n" % (head, len(body))
    in_chunks = b"%b\r\nTransfer-Encoding: chunked\r\n\r\n" % head
    return {
        "nothing": b"",
        "half_a_head": head[: len(head) // 2],
        "keep": whole + body,
        # The end of the connection is the end of the body.
        "close": b"%b\r\nConnection: close\r\n\r\n%b" % (head, body),
        "chunked": b"%b%b0\r\n\r\n" % (in_chunks, chunks),
        "chunks_end_early": b"%b%x\r\n%b" % (in_chunks, len(body) + 1, body),
        "no_chunks": b"%bzz\r\n%b" % (in_chunks, body),
        "short": b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body) + 7, body),
        # The rest stands before the next answer.
        "long": b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, middle, body),
        "no_number": b"%b\r\nContent-Length: many\r\n\r\n%b" % (head, body),
        "stall": whole + body[:middle],
        "reset": whole + body[:middle],
    }[end]


def _body(how: tuple[Any, ...], theirs: bytes, said: str) -> bytes:
    """
    Make a body.

    :param how: ``same``; ``cut`` and which share is left; ``bytes`` and which; ``pack`` and how; ``echo``, an
        error message that quotes the ``keys`` or the ``request``; ``json`` and a value; or ``other``, with
        changes of the vendor's JSON.
    :param theirs: the vendor's.
    :param said: what an error message quotes.
    """
    kind, *rest = how
    if kind == "cut":
        return theirs[: int(len(theirs) * rest[0])]
    if kind == "bytes":
        return bytes(rest[0])
    if kind == "pack":
        return {"gzip": gzip.compress, "deflate": zlib.compress}[rest[0]](theirs)
    if kind == "echo":
        said = f"Something is wrong with {said}"
        return json.dumps({"meta": {"error": said}, "error": {"metadata": {"details": said}}}).encode()
    if kind == "json":
        return json.dumps(rest[0]).encode()
    if kind == "other":
        return _changed(theirs, rest)
    return theirs


def _changed(theirs: bytes, changes: list[tuple[str, int, Json]]) -> bytes:
    packed = theirs.startswith(b"\x1f\x8b")
    text = gzip.decompress(theirs) if packed else theirs
    try:
        value: Json = json.loads(text)
    except ValueError:
        lines = text.splitlines(keepends=True)
        for what, where, _ in changes:
            if lines:
                _change(lines, where % len(lines), what, b'"9","9"\n')
        text = b"".join(lines)
        return gzip.compress(text) if packed else text
    for what, where, new in changes:
        places = list(_places(value))
        if places:
            holder, key = places[where % len(places)]
            _change(holder, key, what, new)
    return json.dumps(value).encode()


def _places(value: Json) -> Iterable[tuple[Json, Any]]:
    """Yield every place in a JSON value."""
    keys: Iterable[Any] = ()
    if isinstance(value, dict):
        keys = list(value)
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _change(holder: Any, key: Any, what: str, new: Any) -> None:
    if what == "remove":
        del holder[key]
    elif what == "twice" and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif what == "wrap":
        holder[key] = [holder[key]] if not isinstance(holder[key], bytes) else holder[key] * 2
    else:
        holder[key] = new


# ---- what may come

ENDS = (
    *("nothing", "keep", "close", "chunked", "chunks_end_early", "no_chunks", "short", "long"),
    *("no_number", "half_a_head", "stall", "reset"),
)
STATUSES = st.sampled_from(
    [
        *(200, 201, 202, 203, 204, 205, 206, 207, 226, 299),
        *(300, 301, 302, 303, 304, 305, 307, 308, 399),
        *(400, 401, 402, 403, 404, 405, 407, 408, 409, 410, 411, 413, 414, 415, 421, 422, 423, 424, 425),
        *(426, 428, 429, 431, 451, 499),
        *(500, 501, 502, 503, 504, 505, 507, 508, 509, 511, 520, 521, 522, 525, 529, 530, 598, 599),
        *(100, 101, 103, 199, 600, 700, 999),
    ]
)
LINES = st.sampled_from(
    [
        *("", "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 abc OK", "HTTP/9.9 200 OK", "HTTP/1.0 200 OK", "ICY 200 OK"),
        *("HTTP/1.1 -1 OK", "HTTP/1.1 99999 OK", "HTTP/1.1 200", "<html>", "SSH-2.0-OpenSSH", "\x16\x03\x01"),
        *("HTTP/1.1 2OO OK", f"HTTP/1.1 200 {'x' * 70_000}", "HTTP/1.1 200 \udce9"),
    ]
)
VALUES: dict[str, list[str]] = {
    "Retry-After": [
        *("0", "-1", "1e9", "nan", "inf", "99999999999999999999", "soon", "", "0.001", "1, 2", "\u0663"),
        *("Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Wed, 99 Foo 2015 07:28:00"),
    ],
    "Content-Encoding": [
        *(
            "gzip",
            "deflate",
            "br",
            "zstd",
            "identity",
            "UTF-8",
            "aws-chunked",
            "none",
            "",
            "gzip, gzip",
            "\0",
        ),
        "x-gzip",
    ],
    "Content-Type": [
        *("", "text/html", "application/json; charset=utf-16", "application/json; charset=base64", "/", ";"),
        *(
            "text/csv; charset=idna",
            'application/json; charset="',
            "application/json; charset=\udce9",
            "a" * 9000,
        ),
    ],
    "Location": [
        *(
            "",
            "/",
            "//",
            "//x",
            "http://",
            "https://[",
            "http://[::1",
            "http://127.0.0.1:9/",
            "relative",
            "?",
        ),
        *(
            "javascript:alert(1)",
            "http://127.0.0.1:99999/",
            "http://\udce9/",
            "file:///etc/passwd",
            "#",
            "http://a b",
        ),
        *("http://user:secret@127.0.0.1:9/x", "HTTP://127.0.0.1:9", "http:/x", "\t", "http://127.0.0.1:-1/"),
    ],
    "Transfer-Encoding": ["identity", "gzip", "gzip, chunked", ""],
    "Content-Range": ["bytes 0-1/2", "x"],
    "Connection": ["close", "upgrade", ""],
    "Set-Cookie": ["a=b; Domain=.example.com", "=", "a" * 5000],
    "X-Odd": ["a\r\n b", "\0", "x" * 70_000, "\udce9"],
    "No colon\r\nX": [""],
    "": [""],
    "Date": ["yesterday"],
}
HEADERS = st.lists(
    st.sampled_from(sorted(VALUES)).flatmap(
        lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]))
    ),
    max_size=3,
).map(tuple)
BYTES = st.sampled_from(
    [
        *(b"", b"\n", b" ", b"{}", b"[]", b"null", b"true", b"0", b'""', b"{", b"[" * 3000, b"nan", b"NaN"),
        *(
            b"<html><body>Sorry</body></html>",
            b"\xff\xfe",
            b"\xef\xbb\xbf{}",
            b"\0",
            b"\x1f\x8b",
            b"\x1f\x8b\x08",
        ),
        *(
            b'{"a":' * 1500,
            b"9" * 5000,
            b'{"errors": null}',
            b'{"meta": []}',
            b'{"meta": {"errors": [1, {}]}}',
        ),
        *(b'{"error": {"metadata": null}}', b'{"error": []}', b'{"errors": [{"detail": []}]}', b'"\\ud800"'),
        *(b'{"error": {"metadata": {"details": {}}}}', b'{"meta": {"error": "\\ud800"}}', b"x" * 300_000),
    ]
)
SCALARS = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 1.5, 1e308, float("nan"), float("inf")),
        *("", " ", "0", "1", "x", "\ud800", "\0", "x" * 5000, "2026-01-01", "JOB COMPLETED", "JOB FAILED"),
    ]
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "segments", "x"]), inner)
    ),
    max_leaves=4,
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["remove", "twice", "wrap", "set"]), st.integers(0, 60), JSONS),
    min_size=1,
    max_size=3,
)
NO_LIE = st.one_of(
    st.just(("same",)),
    st.tuples(st.just("cut"), st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.99])),
    st.tuples(st.just("bytes"), BYTES),
    st.tuples(st.just("pack"), st.sampled_from(["gzip", "deflate"])),
    st.tuples(st.just("echo"), st.sampled_from(["keys", "request"])),
)
ANY_BODY = st.one_of(
    NO_LIE, st.tuples(st.just("json"), JSONS), CHANGES.map(lambda changes: ("other", *changes))
)
#: Where, besides anywhere.
PATHS = (
    *(
        "",
        "/cohorts$",
        "/usage$",
        "/cohorts/request/[^/]*$",
        "/cohorts/request-status/",
        "/file$",
        "^/exports/",
    ),
    *("/accounts/region", "/v1/segments$", "/v1/segments/[0-9]+$", "/customer_count", "/membership"),
    *("add_customers", "remove_customers", "/attributes"),
)


def answers(bodies: st.SearchStrategy[Any]) -> st.SearchStrategy[Answer]:
    """Return a strategy of answers with such bodies."""
    usual = st.just("keep")
    return st.builds(
        Answer,
        done=st.booleans(),
        status=st.none() | STATUSES,
        line=st.none() | st.none() | st.none() | LINES,
        headers=st.just(()) | HEADERS,
        body=bodies,
        end=usual | usual | st.sampled_from(ENDS),
    )


def plans(bodies: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Odd]]:
    """Return a strategy of odd answers to some requests of a run."""
    one = st.builds(
        Odd,
        answer=answers(bodies),
        path=st.sampled_from(PATHS),
        after=st.integers(0, 3),
        times=st.sampled_from([1, 1, 1, 2, 4, 0]),
    )
    return st.lists(one, min_size=1, max_size=most)
