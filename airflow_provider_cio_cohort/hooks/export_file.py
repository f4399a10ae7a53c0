"""Downloads the file of an export to disk, in bounded memory, and makes sure that it is whole."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from requests import RequestException, Response
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from airflow_provider_cio_cohort.exceptions import (
    ExportFailedError,
    IncompleteExportError,
    RateLimitedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.api import Answer, asked
from airflow_provider_cio_cohort.hooks.auth import NoAuth
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.redaction import queries_hidden
from airflow_provider_cio_cohort.hooks.transport_faults import connection_fault

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook

BLOCK = 256 * 1024
WHAT = "downloading an export"
_GZIP_MAGIC = b"\x1f\x8b"
_REDIRECTS = (301, 302, 303, 307, 308)


class _FileNotFoundError(VendorUnavailableError):
    """The file is not there: not yet, or no longer."""


class ExportDownload:
    """
    One export's way to disk.

    :param hook: the Amplitude hook, for its session, keys and policy.
    :param request_id: the export.
    :param path: the file to write; it is there only when it is whole.
    """

    def __init__(self, hook: AmplitudeHook, request_id: str, path: Path) -> None:
        self.hook = hook
        self.request_id = request_id
        self.path = path
        #: The last file that might have been cut: it is believed when it comes twice.
        self._unproven: _Copied | None = None

    def run(self) -> int:
        """
        Download, with retries that ask for the same file again, and return the size in bytes.

        :raises ExportFailedError: if Amplitude has no such file.
        :raises IncompleteExportError: if what comes is never whole.
        """
        try:
            return self.hook.retried(self._once)
        except _FileNotFoundError as error:
            raise ExportFailedError(str(error)) from None

    def _once(self) -> int:
        part = self.path.with_name(f"{self.path.name}.part")
        copied = None
        try:
            with self._open_file() as response, part.open("wb") as file:
                progress = Progress("Downloading", "bytes", "", self.hook.policy.progress_interval)
                copied = _copy(response, file, progress)
        except (RequestException, HTTPError):
            pass  # raised below: the library's words hold the URL, and they would stand in the traceback
        if copied is None or not copied.size:
            happened = "The connection broke in the middle of" if copied is None else "An empty body came for"
            raise IncompleteExportError(
                f"{happened} the file of Amplitude's export.\nA retry downloads the same export again."
            )
        if not copied.is_proven and copied != self._unproven:
            self._unproven = copied
            raise IncompleteExportError(
                "Amplitude's export may have been cut: no two downloads of it were equal.\n"
                "It came without anything that proves it whole (no length, no chunks, no gzip). A retry "
                "downloads the same export again."
            )
        part.replace(self.path)
        return copied.size

    @contextmanager
    def _open_file(self) -> Iterator[Response]:
        api = self.hook.api
        url, address = api.url(api.file_path(self.request_id)), f"{api.base_url} (connection {api.conn_id!r})"
        with self._get(url, self.hook.auth, api.name, address) as response:
            if response.status_code not in _REDIRECTS:
                self._check_link(response)
                yield response
                return
            location = response.headers.get("Location", "")
        if not urlsplit(location).netloc:
            raise VendorUnavailableError(
                "Amplitude sent no usable address of the export's file.\nA retry may succeed."
            )
        # The signature in the URL is the permission; the storage refuses a request that brings our keys too.
        where = "The storage of Amplitude's exports"
        with self._get(location, NoAuth(), where, str(urlsplit(location).hostname)) as response:
            self._check_storage(response)
            yield response

    @contextmanager
    def _get(self, url: str, auth: AuthBase, where: str, address: str) -> Iterator[Response]:
        fault = None
        with queries_hidden():
            try:
                response = self.hook.fetch("GET", url, auth, stream=True)
            except RequestException as error:
                fault = connection_fault(error, where, WHAT, address)
            if fault:
                raise fault
            with response:
                yield response

    def _check_link(self, response: Response) -> None:
        if response.status_code == 200:
            return
        api = self.hook.api
        answer = Answer(response.status_code, response.headers, response.content)
        if response.status_code == 404 or "not found" in api.words(answer).lower():
            raise _no_file()
        error = api.judge(answer, WHAT, json_expected=False)
        raise error or VendorUnavailableError(
            f"Amplitude answered {WHAT} with HTTP {response.status_code}.\nA retry may succeed."
        )

    def _check_storage(self, response: Response) -> None:
        if response.status_code == 429:
            wait = Answer(429, response.headers).retry_after
            raise RateLimitedError(
                f"The storage of Amplitude's exports refused {WHAT} with 429.\n"
                f"{asked(wait)}A later retry asks for a fresh link to the same export.",
                retry_after=wait,
            )
        if response.status_code != 200:
            # An expired signature is answered like this: the retry asks Amplitude for a fresh one.
            raise VendorUnavailableError(
                f"The storage of Amplitude's exports answered HTTP {response.status_code}.\n"
                "A retry asks for a fresh link to the same export."
            )


def _no_file() -> _FileNotFoundError:
    return _FileNotFoundError(
        "Amplitude does not have the file of the export: its link lives seven days.\n"
        "A retry requests a new export."
    )


@dataclass(frozen=True)
class _Copied:
    """
    A file as it came.

    :param size: bytes, decompressed.
    :param checksum: of those.
    :param is_proven: whether it would have been noticed if it had ended early.
    """

    size: int
    checksum: int
    is_proven: bool


def _copy(response: Response, file: BinaryIO, progress: Progress) -> _Copied:
    size = checksum = 0
    raw = _blocks(response)
    first = next(raw, b"")
    proven = "Content-Length" in response.headers or response.raw.chunked or first.startswith(_GZIP_MAGIC)
    for block in decompressed(_joined(first, raw), response.headers.get("Content-Encoding", "")):
        if not size:
            _check_start(block)
        size += file.write(block)
        checksum = zlib.crc32(block, checksum)
        progress.step(len(block))
    return _Copied(size, checksum, bool(proven))


def _blocks(response: Response) -> Iterator[bytes]:
    """Yield the body as it came; urllib3 holds it against Content-Length, and raises where it is short."""
    while block := response.raw.read(BLOCK, decode_content=False):
        yield block


def decompressed(blocks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """
    Yield the bytes of a file that may be compressed with gzip, whatever its header says.

    urllib3 does not mind a gzip stream that lacks its trailer, so it is not asked to decompress.

    :param blocks: the body as it came.
    :param encoding: the Content-Encoding.
    :raises IncompleteExportError: if a gzip stream is damaged or not whole, or the encoding is another one.
    """
    first = next(blocks, b"")
    if not first.startswith(_GZIP_MAGIC):
        if encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
            raise IncompleteExportError(
                f"Amplitude's export came in an unknown encoding ({encoding[:40]}).\n"
                "A retry downloads the same export again; look for a proxy on the way that changes it."
            )
        yield from _joined(first, blocks)
        return
    inflate = zlib.decompressobj(wbits=31)
    for block in _joined(first, blocks):
        while block:
            try:
                yield inflate.decompress(block, BLOCK)
            except zlib.error as error:
                raise IncompleteExportError(
                    f"Amplitude's export is damaged.\nIts gzip stream has a fault ({error}). "
                    "A retry downloads the same export again."
                ) from None
            block = inflate.unconsumed_tail
            if inflate.eof and inflate.unused_data:
                block, inflate = inflate.unused_data, zlib.decompressobj(wbits=31)
    yield inflate.flush()
    if not inflate.eof:
        raise IncompleteExportError(
            "Amplitude's export ends before its gzip stream does.\nA retry downloads the same export again."
        )


def _joined(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _check_start(block: bytes) -> None:
    start = block.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"{" and b"not found" in block.lower():
        raise _no_file()
    if start in (b"<", b"{"):
        kind = "an HTML page" if start == b"<" else "a message"
        raise VendorUnavailableError(
            f"Instead of the export's file came {kind}, from Amplitude or a proxy.\nA retry may succeed."
        )
