"""The room that a run's files take on the worker's disk: looked for first, and named when it is short."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_cio_cohort.exceptions import NoRoomError
from airflow_provider_cio_cohort.sync.identifiers import IdType

#: Bytes that a member of the cohort takes at most at one time: its row of the export, and its identifier in
#: the sorted chunks and in the file that they are merged into. Identifiers of up to 40 bytes.
BYTES_OF_COHORT = 160
#: Bytes that a member of the segment takes, in chunks and merged, before the writes or after them; where
#: members are found by anything else than the ``id``, all three identifiers are kept.
BYTES_OF_MEMBER = {"id": 100, "email": 300, "cio_id": 300}

_REMEDY = (
    "Make room there, or set TMPDIR to a directory on a larger disk for the worker; a retry may also run on "
    "another worker."
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_room(directory: Path, cohort: int | None, members: int, id_type: IdType) -> None:
    """
    Make sure that the files of a run will have room.

    :param directory: where they will lie.
    :param cohort: members of the cohort, as announced; ``None`` if nobody has announced any.
    :param members: members of the segment.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :raises NoRoomError: if less is free than they will take.
    """
    # After a first sync, the segment holds the cohort.
    later = max(members, cohort or 0)
    needed = (cohort or 0) * BYTES_OF_COHORT + later * BYTES_OF_MEMBER[id_type]
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise NoRoomError(
            f"The worker's disk has too little room for the run's files: {_size(free)} of {_size(needed)}.\n"
            f"They would lie in {directory.parent}. {_REMEDY}"
        )


@contextmanager
def full_disk_named(directory: Path) -> Iterator[None]:
    """
    Say in our own words that the disk is full, when it is.

    :param directory: where the files lie.
    :raises NoRoomError: if it is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
    else:
        return
    raise NoRoomError(
        f"The worker's disk is full: {_size(shutil.disk_usage(directory).free)} are left.\n"
        f"The run's files lie in {directory.parent}. {_REMEDY}"
    )


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 10 * 2**30 else f"{count / 2**30:,.0f} GiB"
