"""A folder in any storage that Airflow's ObjectStoragePath knows; every failure there becomes one error."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import IO, Any
from urllib.parse import urlsplit

from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.exceptions import CohortSyncError, ConfigurationError, SnapshotStorageError
from airflow_provider_cio_cohort.snapshots.layout import SNAPSHOTS, Kind

#: Bytes of a file that are held in memory at once: the smallest part of a large file that S3 accepts.
BLOCK_SIZE = 5 * 2**20
_PROBE = "probe"


def check_path(path: str) -> str:
    """
    Return the address of the snapshots, or refuse it.

    :param path: as the sync has it.
    :raises ValueError: if it is not an address, or contains a password.
    """
    try:
        parts = urlsplit(path)
        user = parts.netloc.rpartition("@")[0]
    except ValueError:
        raise ValueError("it is not an address; write one such as s3://aws_default@bucket/cohorts.") from None
    if "://" not in path or not parts.scheme or not (parts.netloc + parts.path).strip("/"):
        raise ValueError(
            "it must be an address with a scheme, such as s3://aws_default@bucket/cohorts or "
            "file:///srv/cohorts."
        )
    if ":" in user:  # not shown: it may be a key
        raise ValueError("the part before the @ must be the id of an Airflow connection, not a password.")
    return path


def is_known_here(path: str) -> bool:
    """
    Say whether a provider that is installed here can read and write a storage; asks for no connection.

    :param path: the storage's address.
    """
    from airflow.sdk.io.fs import has_fs

    return has_fs(urlsplit(path).scheme)


class Storage:
    """
    The place in which snapshots are kept.

    :param path: its address.
    :param kind: what is kept there, for messages.
    """

    def __init__(self, path: str, kind: Kind = SNAPSHOTS) -> None:
        self.path = path
        self.kind = kind

    @cached_property
    def _root(self) -> Any:
        from airflow.sdk import ObjectStoragePath

        try:
            root = ObjectStoragePath(self.path)
            root.fs  # noqa: B018 (the storage's library is imported, and the connection read, now)
        except (ValueError, ImportError) as error:
            raise ConfigurationError(
                f"Airflow has no means to read or write {self.path!r}, the sync's "
                f"{self.kind.parameter} ({type(error).__name__}).\n"
                "Install the Airflow provider of that storage, such as "
                f"apache-airflow-providers-amazon[s3fs] for s3://, or correct {self.kind.parameter}."
            ) from None
        except AirflowNotFoundException:
            raise ConfigurationError(
                f"Airflow does not have the connection that {self.path!r}, the sync's "
                f"{self.kind.parameter}, names.\n"
                f"Add it, or correct {self.kind.parameter}."
            ) from None
        return root

    @property
    def _fs(self) -> Any:
        with self._named("reached"):
            return self._root.fs

    def _full(self, path: str = "") -> str:
        base = str(self._root.path).rstrip("/")
        return f"{base}/{path}" if path else base

    def list_files(self, folder: str) -> list[str]:
        """
        Return the paths of all files in a folder and below it, relative to it.

        :param folder: below the root.
        """
        with self._named("listed"):
            fs, full = self._fs, self._full(folder)
            fs.invalidate_cache()
            paths = fs.find(full)
        return [path[len(full) + 1 :] for path in map(str, paths) if path.startswith(f"{full}/")]

    def read(self, path: str) -> bytes | None:
        """
        Return a small file; ``None`` if there is none.

        :param path: below the root.
        """
        with self._named("read"):
            try:
                data: bytes = self._fs.cat_file(self._full(path))
            except FileNotFoundError:
                return None
            return data

    def read_all(self, paths: Sequence[str]) -> list[bytes | None]:
        """
        Return many small files, those that are not there as ``None``; at once, where the storage can do so.

        :param paths: below the root.
        """
        with self._named("read"):
            fs, wanted = self._fs, [self._full(path) for path in paths]
            found = fs.cat(wanted, on_error="return") if wanted else {}
        answers = [found.get(path) for path in wanted]
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise self._error("read", answer)
        return [answer if isinstance(answer, bytes) else None for answer in answers]

    @contextmanager
    def reading(self, path: str) -> Iterator[IO[bytes]]:
        """
        Open a file to be read as a stream.

        :param path: below the root.
        """
        with self._named("read"), self._fs.open(self._full(path), "rb", block_size=BLOCK_SIZE) as file:
            yield file

    @contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        """
        Open a file to be written as a stream; in a local folder, its owner alone may read it.

        :param path: below the root.
        """
        with self._named("written"), _private(), self._opened(path) as file:
            yield file

    def _opened(self, path: str) -> Any:
        fs, full = self._fs, self._full(path)
        try:
            return fs.open(full, "wb", block_size=BLOCK_SIZE)
        except FileNotFoundError:
            # Folders are made only below the root: where the root is missing, a volume may not be mounted.
            if not fs.exists(self._full()):
                raise
        fs.makedirs(full.rpartition("/")[0], exist_ok=True)
        return fs.open(full, "wb", block_size=BLOCK_SIZE)

    def replace(self, path: str, data: bytes) -> None:
        """
        Write a small file at once: whoever reads it finds the old one or the new one, also after a crash.

        :param path: below the root.
        :param data: what it is to hold.
        """
        # An object store shows a new object when it is complete; in a local folder, a rename does that.
        is_local = getattr(self._fs, "local_file", False)
        written = f"{path}.new" if is_local else path
        with self.writing(written) as file:
            file.write(data)
        if is_local:
            with self._named("written"):
                os.replace(self._full(written), self._full(path))

    def delete(self, path: str) -> None:
        """
        Delete a file, if it is there.

        :param path: below the root.
        """
        with self._named("written"), suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    def delete_folder(self, path: str) -> None:
        """
        Delete a folder, if it is empty and the storage has folders.

        :param path: below the root.
        """
        with suppress(Exception):
            self._fs.rmdir(self._full(path))

    def check_writable(self, folder: str) -> None:
        """
        Write a small file and delete it.

        :param folder: below the root.
        :raises SnapshotStorageError: if that cannot be done.
        """
        probe = f"{folder}/{_PROBE}"
        with self.writing(probe) as file:
            file.write(b"Airflow can write here.\n")
        self.delete(probe)

    @contextmanager
    def _named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except CohortSyncError:
            raise
        # Each storage has errors of its own. Their messages may hold a signed URL, so they are left out.
        except Exception as error:
            raise self._error(doing, error) from None

    def _error(self, doing: str, error: Exception) -> SnapshotStorageError:
        reason = type(error).__name__
        if isinstance(error, OSError) and error.errno:
            reason = f"{reason}: {os.strerror(error.errno)}"
        return SnapshotStorageError(
            f"The storage of the {self.kind.noun} cannot be {doing} ({reason}): {self.path}\n"
            "The folder or the bucket must exist, and the connection must be allowed to list, read, write "
            "and delete in it. A retry tries again."
        )


@contextmanager
def _private() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
