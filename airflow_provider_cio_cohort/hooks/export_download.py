"""Downloads the file of an export to disk, in bounded memory, and checks that it is complete."""

from __future__ import annotations

import codecs
import gzip
import io
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from requests import RequestException, Response
from requests.exceptions import InvalidURL
from urllib3.exceptions import HTTPError, LocationParseError

from airflow_provider_cio_cohort.cohorts import most_bytes
from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ExportFailedError,
    ExportTooLargeError,
    IncompleteExportError,
    RateLimitedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.amplitude_api import AmplitudeApi
from airflow_provider_cio_cohort.hooks.api import ApiResponse, error_from_requests, quoted_wait
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient, KeyAuth, body_of
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.redaction import queries_hidden

BLOCK = 256 * 1024
WHAT = "downloading an export"
#: How often a file may be compressed: some storages compress what is compressed already.
MOST_LAYERS = 2
_GZIP_MAGIC = b"\x1f\x8b"
_START = 64
#: Marks UTF-8, and white space: no content.
_BLANK = b"\xef\xbb\xbf \t\r\n"
#: Statuses of a response with a file; one without content may be that of an empty cohort.
_SENT = (200, 204)
_REDIRECTS = (301, 302, 303, 307, 308)
#: The most redirects that one download follows.
MOST_REDIRECTS = 5
_STORAGE = "The storage of Amplitude's exports"


class _FileNotFoundError(VendorUnavailableError):
    """The file does not exist yet, or no longer."""


@dataclass(frozen=True, repr=False)
class FileResponse:
    """
    A response on the way to a file. Its address may be signed, so it is never shown.

    :param url: the address that was asked.
    :param status: the status code.
    :param headers: the headers; looked up without regard to case.
    """

    url: str
    status: int
    headers: Mapping[str, str]


class ExportDownload:
    """
    Downloads the file of one export.

    :param path: the file to write; it exists only when it is complete. Its last line has a line end, unless
        nothing proves that the line is whole.
    :param cancel: once cancelled, nothing more is requested or read.
    :param announced: members that the cohort is said to have; ``None`` if that is unknown.
    """

    def __init__(
        self,
        client: ApiClient[AmplitudeApi],
        request_id: str,
        path: Path,
        cancel: CancelToken | None = None,
        *,
        announced: int | None = None,
    ) -> None:
        self.client = client
        self.cancel = CancelToken(client.transport.cancel_token, cancel)
        self.request_id = request_id
        self.path = path
        self.announced = announced
        #: Every response so far, redirects included, and the file of the last download; for the doctor.
        self.responses: list[FileResponse] = []
        self.received: ReceivedFile | None = None
        #: The last file that may have been cut; it is accepted if the next download equals it.
        self._unproven: ReceivedFile | None = None
        #: Until then, a missing file may only be late.
        self._grace_ends = 0.0

    def run(self) -> int:
        """
        Download the file, retry as the policy says, and return its size in bytes.

        :raises ExportFailedError: if Amplitude has no such file, even after the grace of a new export.
        :raises IncompleteExportError: if no download is complete.
        :raises ExportTooLargeError: if the file is far larger than the cohort can be.
        """
        policy = self.client.transport.policy
        self._grace_ends = time.monotonic() + policy.export_grace
        while True:
            try:
                return self.client.retried(self._once, self.cancel)
            except _FileNotFoundError as error:
                if time.monotonic() >= self._grace_ends or self.cancel.is_cancelled():
                    raise ExportFailedError(str(error)) from None
            self.cancel.wait(policy.retry_wait_initial)

    def _once(self) -> int:
        part = self.path.with_name(f"{self.path.name}.part")
        copied = None
        try:
            with self._open_file() as response, part.open("wb") as file:
                progress = Progress(
                    "Downloading", "bytes", "", self.client.transport.policy.progress_interval
                )
                copied = _copy(response, file, progress, self.cancel, most_bytes(self.announced))
                self.received = copied
        except _FileNotFoundError:
            if self.announced != 0 or time.monotonic() < self._grace_ends:
                raise
            self.path.write_bytes(b"")  # an empty cohort may have no file
            return 0
        except (RequestException, HTTPError):
            pass  # our own error is raised below: the library's message holds the URL
        if copied is not None and copied.is_empty and self.announced == 0:
            part.write_bytes(b"")
            copied = replace(copied, size=0)
        elif copied is None or not copied.size:
            happened = (
                "The connection broke while receiving"
                if copied is None
                else "The response had an empty body instead of"
            )
            raise IncompleteExportError(
                f"{happened} the file of Amplitude's export.\nA retry downloads the same export again."
            )
        if not copied.is_proven and copied != self._unproven:
            self._unproven = copied
            raise IncompleteExportError(
                "Amplitude's export may be cut short: no two downloads of it were equal.\n"
                "The response had nothing that proves it complete (no length, no chunks, no gzip). A "
                "retry downloads the same export again."
            )
        part.replace(self.path)
        return copied.size

    @contextmanager
    def _open_file(self) -> Iterator[Response]:
        api = self.client.api
        url = api.url(api.file_path(self.request_id))
        with self._get(url, self.client.auth, api.name, api.place) as response:
            if response.status_code not in _REDIRECTS:
                self._check_link(response)
                yield response
                return
            url = self._next(url, response)
        for _ in range(MOST_REDIRECTS):
            # The signature in the URL is the permission; the storage refuses a request that brings our keys.
            with self._get(url, KeyAuth(), _STORAGE, str(urlsplit(url).hostname)) as response:
                if response.status_code not in _REDIRECTS:
                    self._check_storage(response)
                    yield response
                    return
                url = self._next(url, response)
        raise VendorUnavailableError(
            f"The file of Amplitude's export was not found after {MOST_REDIRECTS} redirects.\n"
            "A retry asks for a fresh link to the same export; check whether a proxy redirects in a circle."
        )

    @contextmanager
    def _get(self, url: str, auth: KeyAuth, where: str, address: str) -> Iterator[Response]:
        fault: CohortSyncError | None = None
        with queries_hidden():
            try:
                response = self.client.transport.send("GET", url, auth, WHAT, cancel=self.cancel)
            except (InvalidURL, LocationParseError, UnicodeError) as error:
                is_ours = where != _STORAGE
                fault = error_from_requests(error, where, WHAT, address) if is_ours else _no_address()
            except RequestException as error:
                fault = error_from_requests(error, where, WHAT, address)
            if fault:
                raise fault
            self.responses.append(FileResponse(url, response.status_code, response.headers))
            with response:
                yield response

    def _next(self, url: str, response: Response) -> str:
        """
        Return where a redirect leads.

        :raises VendorUnavailableError: if that is no address, or one without TLS although ours has it.
        """
        try:
            # Header fields are read as Latin-1, but hardly any server writes that.
            location = response.headers.get("Location", "").encode("latin-1").decode().strip()
            target = urljoin(url, location)
            parts = urlsplit(target)
            is_usable = bool(location and parts.hostname) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable or parts.scheme not in ("http", "https"):
            raise _no_address()
        if parts.scheme == "http" and not self.client.api.base_url.lower().startswith("http:"):
            raise VendorUnavailableError(
                "The file of Amplitude's export was redirected to an address without TLS.\n"
                "It is not followed, as others could read the file. A retry asks for a fresh link to the "
                "same export; check whether a proxy changes it."
            )
        return target

    def _check_link(self, response: Response) -> None:
        if response.status_code in _SENT:
            return
        api = self.client.api
        api_response = ApiResponse(response.status_code, response.headers, body_of(response) or b"")
        not_found = response.status_code == 404 or "not found" in api.vendor_message(api_response).lower()
        if not_found and response.status_code < 500:
            raise _no_file()
        error = api.error_for(api_response, WHAT, json_expected=False)
        raise error or VendorUnavailableError(
            f"Amplitude answered {WHAT} with HTTP {response.status_code}.\nA retry may succeed."
        )

    def _check_storage(self, response: Response) -> None:
        if response.status_code == 429:
            wait = ApiResponse(429, response.headers).retry_after
            raise RateLimitedError(
                f"{_STORAGE} refused {WHAT} with 429.\n"
                f"{quoted_wait(wait)}A later retry asks for a fresh link to the same export.",
                retry_after=wait,
            )
        if response.status_code not in _SENT:
            # An expired signature is answered like this: the retry asks Amplitude for a fresh one.
            raise VendorUnavailableError(
                f"{_STORAGE} answered HTTP {response.status_code}.\n"
                "A retry asks for a fresh link to the same export."
            )


def _no_address() -> VendorUnavailableError:
    return VendorUnavailableError(
        "Amplitude or its storage redirected to no usable address of the export's file.\n"
        "A retry asks for a fresh link to the same export."
    )


def _no_file() -> _FileNotFoundError:
    return _FileNotFoundError(
        "Amplitude does not have the file of the export: its link is valid for seven days.\n"
        "A retry requests a new export."
    )


@dataclass(frozen=True)
class ReceivedFile:
    """
    A file as it came.

    :param size: bytes, decompressed.
    :param checksum: of those.
    :param is_proven: whether an early end would have been noticed.
    :param start: its first bytes.
    :param layers: how often it was compressed with gzip.
    :param last_line_ends: whether its last line had a line end.
    """

    size: int
    checksum: int
    is_proven: bool
    start: bytes = field(default=b"", repr=False)
    layers: int = 0
    last_line_ends: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, not even a header."""
        return self.size <= len(self.start) and self.start.strip(_BLANK) in (b"", b"[]")


class _Bounded(io.RawIOBase):
    """Reads no more bytes than a file may have, and none once that is cancelled."""

    def __init__(self, raw: Any, most: int, cancel: CancelToken) -> None:
        self._raw = raw
        self._most = self._left = most
        self._cancel = cancel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._cancel.check(WHAT)
        count = int(self._raw.readinto(buffer))
        self._left -= count
        if self._left < 0:
            raise _too_large(self._most)
        return count


def _copy(
    response: Response, file: BinaryIO, progress: Progress, cancel: CancelToken, most: int
) -> ReceivedFile:
    size = checksum = 0
    start = last = b""
    # urllib3 compares the body with Content-Length, and raises where it is short. It accepts a gzip stream
    # that lacks its trailer, so it is not asked to decompress.
    response.raw.auto_close = False  # otherwise reading the body to its end is an error

    def bounded(layer: Any) -> io.BufferedReader[Any]:
        return io.BufferedReader(_Bounded(layer, most, cancel), BLOCK)

    body = bounded(response.raw)
    proven = "Content-Length" in response.headers or response.raw.chunked or _is_gzip(body)
    layers: list[int] = []
    for block in decompressed(
        body, response.headers.get("Content-Encoding", ""), bounded, unwrapped=layers.append
    ):
        if not size:
            _check_start(block)
        start += block[: _START - len(start)]
        size += len(block)
        last = block[-1:]
        file.write(block)
        checksum = zlib.crc32(block, checksum)
        progress.step(len(block))
    if proven and last == b'"':
        # Every field of an export is quoted, so the last line is whole; its end tells the reader so.
        file.write(b"\n")
    return ReceivedFile(size, checksum, bool(proven), start, len(layers), last in (b"", b"\n", b"\r"))


def decompressed(
    body: io.BufferedReader[Any],
    encoding: str,
    bounded: Callable[[Any], io.BufferedReader[Any]] = io.BufferedReader,
    unwrapped: Callable[[int], object] = lambda layer: None,
) -> Iterator[bytes]:
    """
    Yield the bytes of a file that may be compressed with gzip, once or twice: its content decides.

    The Content-Encoding of a stored object is whatever somebody has written, such as ``UTF-8`` or
    ``aws-chunked``. It only names the encoding of a file that is neither gzip nor text.

    :param body: the file as it came.
    :param encoding: the Content-Encoding.
    :param bounded: limits how much is read of a layer: a layer may be large although the file is small, such
        as many gzip members that are all empty.
    :param unwrapped: called with the number of each layer of gzip that is taken off, from 0.
    :raises IncompleteExportError: if a gzip stream is damaged or incomplete, or the encoding is another one.
    """
    file = body
    try:
        for layer in range(MOST_LAYERS):
            if not _is_gzip(file):
                break
            unwrapped(layer)
            file = bounded(gzip.GzipFile(fileobj=file, mode="rb"))
        if file is body and not _is_identity(encoding) and not _is_text(body.peek(BLOCK)):
            raise IncompleteExportError(
                f"Amplitude's export has an unknown encoding ({encoding[:40]}).\n"
                "A retry downloads the same export again; check whether a proxy changes it."
            )
        while block := file.read(BLOCK):
            yield block
    except EOFError:
        raise IncompleteExportError(
            "Amplitude's export ends before the end of its gzip stream.\n"
            "A retry downloads the same export again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise IncompleteExportError(
            f"Amplitude's export is damaged.\nIts gzip stream has a fault ({error}). "
            "A retry downloads the same export again."
        ) from None


def _is_gzip(file: io.BufferedReader[Any]) -> bool:
    return file.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)


def _is_identity(encoding: str) -> bool:
    return encoding.strip().lower() in ("", "identity")


def _is_text(start: bytes) -> bool:
    """Say whether the first line of a file is text, as the header of an export is."""
    try:
        line = codecs.getincrementaldecoder("utf-8-sig")().decode(start.partition(b"\n")[0])
    except UnicodeDecodeError:
        return False
    return line.replace("\t", "").replace("\r", "").isprintable()


def _too_large(most: int) -> ExportTooLargeError:
    return ExportTooLargeError(
        f"Amplitude's export is too large: it has more than {most / 2**20:,.0f} MiB.\n"
        "That is far more than a cohort of the size in Amplitude's list takes. Nothing of it was used. A "
        "retry reads the list and downloads the same export again: check whether a proxy changes it."
    )


def _check_start(block: bytes) -> None:
    start = block.lstrip(_BLANK)[:1]
    if start == b"{" and b"not found" in block.lower():
        raise _no_file()
    if start in (b"<", b"{"):
        kind = "an HTML page" if start == b"<" else "a message"
        raise VendorUnavailableError(
            f"Amplitude or a proxy sent {kind} instead of the export's file.\nA retry may succeed."
        )
