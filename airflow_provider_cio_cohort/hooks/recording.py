"""Records the HTTP exchange of hooks, without anything private; the format is in docs/recordings.md."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response

from airflow_provider_cio_cohort.hooks.anonymization import Anonymizer
from airflow_provider_cio_cohort.hooks.recorded_bodies import recorded_body

#: The version of the format.
VERSION = 1
#: Bytes of a body that are kept until its end has come.
MOST_BODY = 256 * 2**20


class Recorder:
    """
    Records what is sent and received; may be shared by hooks and threads.

    To record a hook's requests, set ``hook.transport.recorder``. Bodies are recorded as they are read, so
    that nothing behaves differently. What the triggerer sends is not recorded.

    :param own: beginnings of texts that the caller makes up itself, such as names of throwaway segments: what
        begins so is kept as it is where the caller sends it.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._anonymizer = Anonymizer(own)
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._recorded_at = datetime.now(UTC)
        self._exchanges: list[dict[str, Any]] = []
        self._arguments: dict[str, Any] = {}

    def add_arguments(self, **arguments: str | int | None) -> None:
        """
        Record what the user has called the command with, so that it can be repeated with the placeholders.

        :param arguments: identifiers; ``None`` for those that were not given.
        """
        with self._lock:
            self._arguments |= {
                name: self.placeholder(value) for name, value in arguments.items() if value is not None
            }

    def placeholder(self, value: str | int) -> str | int:
        """Return what stands for an identifier in the recording."""
        with self._lock:
            placeholders = self._anonymizer.placeholders
            if isinstance(value, int):
                return int(placeholders.number(value))
            return placeholders.text(value, "id", is_sent=True)

    def watch(self, request: PreparedRequest, send: Callable[[], Response]) -> Response:
        """
        Send a request of ``requests``, and record it and its response; the body when it has been read.

        :param send: sends it, and returns the response with its body unread.
        """
        authorization = str(request.headers.get("Authorization", ""))
        body = request.body if isinstance(request.body, bytes) else None
        exchange = self.begin(str(request.method), str(request.url), authorization, body)
        try:
            response = send()
        except BaseException as error:
            exchange.fail(error)
            raise
        exchange.answer(response.status_code, response.headers)
        response.raw = _Watched(response.raw, exchange)
        return response

    def begin(self, method: str, url: str, authorization: str, body: bytes | None) -> Exchange:
        """
        Record a request.

        :param authorization: the header Authorization; empty for none.
        :param body: JSON; ``None`` for none.
        """
        parts = urlsplit(url)
        with self._lock:
            anonymizer = self._anonymizer
            path, api = anonymizer.path(parts.path)
            request: dict[str, Any] = {
                "method": method,
                "host": anonymizer.host(parts.netloc, api),
                "path": path,
                "query": anonymizer.query(parts.query),
                "authorization": anonymizer.authorization(authorization),
            }
            if body is not None:
                request["json"] = anonymizer.json(json.loads(body), is_sent=True)
            entry: dict[str, Any] = {"after": self._elapsed(), "request": request}
            self._exchanges.append(entry)
        return Exchange(self, entry, url)

    def recording(self) -> dict[str, Any]:
        """Return the recording as it is by now."""
        with self._lock:
            return {
                "version": VERSION,
                "package_version": version("airflow-provider-cio-cohort"),
                "recorded_at": self._recorded_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "own": list(self._anonymizer.placeholders.own),
                "arguments": dict(self._arguments),
                "exchanges": [dict(entry) for entry in self._exchanges],
            }

    def as_text(self) -> str:
        """Return the recording as the text of a file: JSON, with a line for each exchange."""
        recording = self.recording()
        exchanges = recording.pop("exchanges")
        head = json.dumps(recording, indent=1)[:-2]
        lines = ",\n".join(f"  {json.dumps(each)}" for each in exchanges)
        return f'{head},\n "exchanges": [\n{lines}\n ]\n}}\n'

    def complete(self, entry: dict[str, Any], make: Callable[[Anonymizer], dict[str, Any]]) -> None:
        """
        Add to an exchange.

        :param make: returns what is added.
        """
        with self._lock:
            entry |= make(self._anonymizer)

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 3)


class Exchange:
    """A request, and what came of it."""

    def __init__(self, recorder: Recorder, entry: dict[str, Any], url: str) -> None:
        self._recorder = recorder
        self._entry = entry
        self._url = url
        self._began = time.monotonic()
        self._encoding = ""

    def fail(self, error: BaseException) -> None:
        """
        Record that no response came.

        :param error: what was raised; only its type is recorded.
        """
        self._recorder.complete(self._entry, lambda _: {"failure": type(error).__name__})

    def answer(self, status: int, headers: Mapping[str, str]) -> None:
        """Record a response whose body is still to come."""

        def make(anonymizer: Anonymizer) -> dict[str, Any]:
            kept, others = anonymizer.headers(headers, self._url)
            response = {"status": status, "headers": kept, "other_headers": others}
            return {"took": round(time.monotonic() - self._began, 3), "response": response}

        self._encoding = str(headers.get("Content-Encoding", "")).lower()
        self._recorder.complete(self._entry, make)

    def finish(self, body: bytes | None, *, is_decoded: bool, is_cut: bool = False) -> None:
        """
        Record the body of a response.

        :param body: the body as it was read; ``None`` if it was not read, or not to its end.
        :param is_decoded: whether the HTTP client has decompressed it by its Content-Encoding.
        :param is_cut: whether it ended with an error.
        """
        decoded = (
            [name.strip().removeprefix("x-") for name in self._encoding.split(",")] if is_decoded else []
        )

        def make(anonymizer: Anonymizer) -> dict[str, Any]:
            response = dict(self._entry["response"])
            response["body"] = None if body is None else recorded_body(body, decoded, anonymizer)
            if is_cut:
                response["is_cut"] = True
            return {"response": response}

        self._recorder.complete(self._entry, make)


class _Watched:
    """The raw body of a response, as ``urllib3`` has it, which is recorded while it is read."""

    _raw: Any
    _exchange: Exchange
    _read: bytearray
    _is_decoded: bool
    _is_over: bool

    def __init__(self, raw: Any, exchange: Exchange) -> None:
        self.__dict__.update(
            _raw=raw, _exchange=exchange, _read=bytearray(), _is_decoded=False, _is_over=False
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__:
            self.__dict__[name] = value
        else:
            setattr(self._raw, name, value)

    def stream(self, amount: int = 2**16, decode_content: bool | None = None) -> Iterator[bytes]:
        self._is_decoded = bool(decode_content)
        with self._noting_errors():
            for block in self._raw.stream(amount, decode_content):
                self._note(block)
                yield block
        self._finish()

    def readinto(self, buffer: Any) -> int:
        with self._noting_errors():
            count = int(self._raw.readinto(buffer))
        self._note(bytes(buffer[:count]))
        if not count:
            self._finish()
        return count

    def close(self) -> None:
        self._raw.close()
        self._finish(is_whole=False)

    def _note(self, block: bytes) -> None:
        if len(self._read) <= MOST_BODY:
            self._read += block

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:
            raise
        except BaseException:
            self._finish(is_cut=True)
            raise

    def _finish(self, *, is_whole: bool = True, is_cut: bool = False) -> None:
        if self._is_over:
            return
        self._is_over = True
        body = bytes(self._read) if (is_whole or is_cut) and len(self._read) <= MOST_BODY else None
        self._read.clear()
        self._exchange.finish(body, is_decoded=self._is_decoded, is_cut=is_cut)


@contextmanager
def recording_to(path: Path, own: Iterable[str] = (), *, overwrite: bool = False) -> Iterator[Recorder]:
    """
    Record into a file that only its owner can read; it is written at the end, whatever happens.

    :param own: see :class:`Recorder`.
    :param overwrite: whether a file that exists is replaced.
    :raises FileExistsError: if the file exists and must not be replaced.
    :raises OSError: if the file cannot be written.
    """
    if overwrite:
        path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=_private) as file:
        recorder = Recorder(own)
        try:
            yield recorder
        finally:
            file.write(recorder.as_text())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
