"""Downloads the file of an export to disk, in bounded memory, and checks that it is complete."""

from __future__ import annotations

import gzip
import io
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urljoin, urlsplit

from requests import RequestException, Response
from requests.exceptions import InvalidURL
from urllib3.exceptions import HTTPError, LocationParseError

from airflow_provider_cio_cohort.exceptions import (
    CohortSyncError,
    ExportFailedError,
    IncompleteExportError,
    RateLimitedError,
    VendorUnavailableError,
)
from airflow_provider_cio_cohort.hooks.amplitude_api import AmplitudeApi
from airflow_provider_cio_cohort.hooks.api import ApiResponse, error_from_requests, quoted_wait
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient, KeyAuth
from airflow_provider_cio_cohort.hooks.progress import Progress
from airflow_provider_cio_cohort.hooks.redaction import queries_hidden

BLOCK = 256 * 1024
WHAT = "downloading an export"
_GZIP_MAGIC = b"\x1f\x8b"
_REDIRECTS = (301, 302, 303, 307, 308)
#: The most redirects that one download follows.
MOST_REDIRECTS = 5
_STORAGE = "The storage of Amplitude's exports"


class _FileNotFoundError(VendorUnavailableError):
    """The file does not exist yet, or no longer."""


class ExportDownload:
    """
    Downloads the file of one export.

    :param client: the client of Amplitude's API.
    :param request_id: the export.
    :param path: the file to write; it exists only when it is complete.
    :param cancel: once cancelled, nothing more is requested or read.
    """

    def __init__(
        self,
        client: ApiClient[AmplitudeApi],
        request_id: str,
        path: Path,
        cancel: CancelToken | None = None,
    ) -> None:
        self.client = client
        self.cancel = CancelToken(client.transport.cancel_token, cancel)
        self.request_id = request_id
        self.path = path
        #: The last file that may have been cut; it is accepted if the next download equals it.
        self._unproven: _Copied | None = None

    def run(self) -> int:
        """
        Download the file, retry as the policy says, and return its size in bytes.

        :raises ExportFailedError: if Amplitude has no such file, even after the grace of a new export.
        :raises IncompleteExportError: if no download is complete.
        """
        policy = self.client.transport.policy
        grace_ends = time.monotonic() + policy.export_grace
        while True:
            try:
                return self.client.retried(self._once, self.cancel)
            except _FileNotFoundError as error:
                if time.monotonic() >= grace_ends or self.cancel.is_cancelled():
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
                copied = _copy(response, file, progress, self.cancel)
        except (RequestException, HTTPError):
            pass  # our own error is raised below: the library's message holds the URL
        if copied is None or not copied.size:
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
        if response.status_code == 200:
            return
        api = self.client.api
        api_response = ApiResponse(response.status_code, response.headers, response.content)
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
        if response.status_code != 200:
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
class _Copied:
    """
    A file as it came.

    :param size: bytes, decompressed.
    :param checksum: of those.
    :param is_proven: whether an early end would have been noticed.
    """

    size: int
    checksum: int
    is_proven: bool


def _copy(response: Response, file: BinaryIO, progress: Progress, cancel: CancelToken) -> _Copied:
    size = checksum = 0
    # urllib3 compares the body with Content-Length, and raises where it is short. It accepts a gzip stream
    # that lacks its trailer, so it is not asked to decompress.
    response.raw.auto_close = False  # otherwise reading the body to its end is an error
    body = io.BufferedReader(response.raw, BLOCK)
    proven = "Content-Length" in response.headers or response.raw.chunked or _is_gzip(body)
    for block in decompressed(body, response.headers.get("Content-Encoding", "")):
        if not size:
            _check_start(block)
        size += file.write(block)
        checksum = zlib.crc32(block, checksum)
        progress.step(len(block))
        cancel.check(WHAT)
    return _Copied(size, checksum, bool(proven))


def decompressed(body: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    """
    Yield the bytes of a file that may be compressed with gzip, whatever its header says.

    :param body: the file as it came.
    :param encoding: the Content-Encoding.
    :raises IncompleteExportError: if a gzip stream is damaged or incomplete, or the encoding is another one.
    """
    file: BinaryIO = body
    if _is_gzip(body):
        file = cast("BinaryIO", gzip.GzipFile(fileobj=body))
    elif encoding.strip().lower() not in ("", "identity", "gzip", "x-gzip"):
        raise IncompleteExportError(
            f"Amplitude's export has an unknown encoding ({encoding[:40]}).\n"
            "A retry downloads the same export again; check whether a proxy changes it."
        )
    try:
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


def _is_gzip(body: io.BufferedReader) -> bool:
    return body.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)


def _check_start(block: bytes) -> None:
    start = block.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"{" and b"not found" in block.lower():
        raise _no_file()
    if start in (b"<", b"{"):
        kind = "an HTML page" if start == b"<" else "a message"
        raise VendorUnavailableError(
            f"Amplitude or a proxy sent {kind} instead of the export's file.\nA retry may succeed."
        )
