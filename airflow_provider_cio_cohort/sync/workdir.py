"""
The directory that holds a run's identifiers, and the disk space that they need.

Nobody else may read the directory, and it never outlives the run.

A run that is killed cannot clean up. So each run holds a lock on its directory as long as it lives, which the
kernel releases however the run ends; the next run on the machine removes every directory that is not locked.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_cio_cohort.engine.identifiers import Identifier
from airflow_provider_cio_cohort.exceptions import ConfigurationError, DiskFullError

log = logging.getLogger(__name__)

LOCK = "lock"
#: Bytes that a member of the cohort takes at most at one time: its row of the export, and its identifier in
#: the sorted chunks and in the file that they are merged into. Identifiers of up to 40 bytes.
BYTES_OF_COHORT = 160
#: Bytes that a member of the segment takes, in chunks and merged, before the writes or after them; where
#: members are found by anything else than the ``id``, all three identifiers are kept.
BYTES_OF_MEMBER = {"id": 100, "email": 300, "cio_id": 300}
#: Bytes that a member takes while several identifiers are matched: one of them, and the cio_id.
BYTES_OF_INDEX = 160

_REMEDY = (
    "Free some space there, or set TMPDIR to a directory on a larger disk for the worker; a retry may "
    "also run on another worker."
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def run_directory() -> Iterator[Path]:
    """
    Make a directory for one run, and remove it at its end; remove what killed runs have left behind, too.

    It is in the directory for temporary files (``TMPDIR``); its files are readable by their owner alone.

    :raises ConfigurationError: if other users can access the directory that holds it.
    """
    previous_mask = os.umask(0o077)
    try:
        base = _base()
        with _locked(base / LOCK):
            _remove_leftovers(base)
            path = Path(tempfile.mkdtemp(prefix="run-", dir=base))
            alive = _lock(path / LOCK, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(alive)
    finally:
        os.umask(previous_mask)


def check_disk_space(
    directory: Path, cohort: int | None, members: int, mapping: Sequence[Identifier]
) -> None:
    """
    Make sure that there is space for the files of a run.

    :param directory: where they will be written.
    :param cohort: members of the cohort, as announced; ``None`` if that is unknown.
    :param members: members of the segment.
    :param mapping: the identifiers that the cohort is mapped to.
    :raises DiskFullError: if less is free than they will need.
    """
    # After a first sync, the segment holds the cohort.
    later = max(members, cohort or 0)
    id_type = mapping[0].id_type if len(mapping) == 1 else "cio_id"
    needed = (cohort or 0) * BYTES_OF_COHORT + later * BYTES_OF_MEMBER[id_type]
    if len(mapping) > 1:
        needed += (cohort or 0) * len(mapping) * BYTES_OF_COHORT + later * BYTES_OF_INDEX
    _check_space(directory, needed)


def check_space_for_people(directory: Path, people: int) -> None:
    """
    Make sure that there is space for everybody in the workspace.

    :param directory: where they will be written.
    :param people: how many they are.
    :raises DiskFullError: if less is free than they will need.
    """
    _check_space(directory, people * (BYTES_OF_MEMBER["cio_id"] + BYTES_OF_INDEX))


def _check_space(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise DiskFullError(
            f"The worker's disk has too little space for the run's files: {_size(free)} free, "
            f"{_size(needed)} needed.\n"
            f"They are written to {directory.parent}. {_REMEDY}"
        )


@contextmanager
def full_disk_named(directory: Path) -> Iterator[None]:
    """
    Raise this package's own error when the disk is full.

    :param directory: where the files are.
    :raises DiskFullError: if it is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
    else:
        return
    raise DiskFullError(
        f"The worker's disk is full: {_size(shutil.disk_usage(directory).free)} are left.\n"
        f"The run's files are in {directory.parent}. {_REMEDY}"
    )


def _base() -> Path:
    path = Path(tempfile.gettempdir()) / f"airflow-cio-cohort-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"The directory for the run's temporary files is not private to the worker: {path}.\n"
            "Other users could read the identifiers in it. Remove it, or set the worker's TMPDIR to "
            "another directory."
        )
    return path


def _remove_leftovers(base: Path) -> None:
    """Remove the directories whose runs are dead; the caller holds the lock under which they are made."""
    for path in base.glob("run-*"):
        try:
            lock = _lock(path / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its run is alive, or is removing it
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)
        log.info("Removed the temporary files of a run that was killed.")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock(path: Path, how: int) -> int:
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, how)
    except OSError:
        os.close(lock)
        raise
    return lock


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:,.0f} GiB"
