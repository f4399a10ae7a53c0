"""
The directory in which a run's identifiers live: nobody else may read it, and it never outlives the run.

A run that is killed cannot clean up. So each run holds a lock on its directory as long as it lives, which
the kernel lets go however it ends; the next run on the machine removes every directory that nobody holds.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_cio_cohort.exceptions import ConfigurationError

log = logging.getLogger(__name__)

LOCK = "lock"


@contextmanager
def run_directory() -> Iterator[Path]:
    """
    Make a directory for one run, and remove it at its end; remove what killed runs have left behind, too.

    It lies in the directory for temporary files (``TMPDIR``); its files are readable by their owner alone.

    :raises ConfigurationError: if somebody else has made the directory that holds it.
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


def _base() -> Path:
    path = Path(tempfile.gettempdir()) / f"airflow-cio-cohort-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigurationError(
            f"The directory for the run's temporary files is not the worker's alone: {path}.\n"
            "Others could read the people in it. Remove it, or set the worker's TMPDIR to another one."
        )
    return path


def _remove_leftovers(base: Path) -> None:
    """Remove the directories whose runs are dead; the caller holds the lock under which they are made."""
    for path in base.glob("run-*"):
        try:
            lock = _lock(path / LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its run lives, or is just removing it
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
