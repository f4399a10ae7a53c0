"""The file of a snapshot: sorted, distinct, escaped identifiers, one a line, gzipped. Streamed both ways."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from airflow_provider_cio_cohort.snapshots.manifest import Manifest, damaged

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Written:
    """What a file came to: how many identifiers, its size in bytes, and the hash of what it holds."""

    identifiers: int
    size: int
    sha256: str


class _Counting:
    """Counts the bytes on their way to a file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = 0

    def write(self, data: bytes) -> int:
        self.size += len(data)
        self._file.write(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: a storage takes what it gets in parts of its own size."""


def write_content(source: Path, target: IO[bytes]) -> Written:
    """
    Write the identifiers of a cohort.

    :param source: them, sorted and distinct, one a line, as a run has them.
    :param target: the file.
    """
    counting, digest, lines = _Counting(target), hashlib.sha256(), 0
    # Neither a name nor a time in it: the same people make the same file.
    with (
        source.open("rb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=counting, mtime=0) as packed,
    ):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            packed.write(chunk)
    return Written(lines, counting.size, digest.hexdigest())


def read_content(source: IO[bytes], target: Path, manifest: Manifest) -> None:
    """
    Write the identifiers of a snapshot into a file of a run, as they were; nothing is believed unchecked.

    :param source: the snapshot's file.
    :param target: the file to write.
    :param manifest: what it must hold.
    :raises SnapshotDamagedError: if it does not.
    """
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for line in _checked(source, manifest):
            digest.update(line)
            file.write(line)
    if digest.hexdigest() != manifest.sha256:
        raise damaged(manifest.moment, "its checksum is another")


def _checked(source: IO[bytes], manifest: Manifest) -> Iterator[bytes]:
    previous, count = b"", 0
    for line in _lines(source, manifest):
        count += 1
        if count > manifest.identifiers:
            raise damaged(manifest.moment, f"it holds more than {manifest.identifiers:,} identifiers")
        if line <= previous:  # by bytes, UTF-8 sorts as by letters
            raise damaged(manifest.moment, "its identifiers are not sorted")
        yield line
        previous = line
    if count < manifest.identifiers:
        raise damaged(manifest.moment, f"it holds {count:,} identifiers instead of {manifest.identifiers:,}")


def _lines(source: IO[bytes], manifest: Manifest) -> Iterator[bytes]:
    problem = None
    try:
        with gzip.GzipFile(fileobj=source, mode="rb") as packed:
            yield from packed
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = type(error).__name__
    if problem:
        raise damaged(manifest.moment, f"its file is cut or overwritten ({problem})")
