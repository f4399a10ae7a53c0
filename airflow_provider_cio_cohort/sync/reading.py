"""Reads a segment's members in a thread of its own, while the cohort is fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from airflow_provider_cio_cohort.sync import members
from airflow_provider_cio_cohort.sync.identifiers import IdType

MEMBERS_FILE = "members"


class SegmentReading:
    """
    The reading of a segment, as a context manager: it begins with the block, and has ended after it.

    Customer.io gives out 30,000 members ten times a second at most, so two million take it seven seconds; the
    cohort can be downloaded and sorted meanwhile.

    :param pages: everybody in the segment.
    :param id_type: which of Customer.io's identifiers the cohort is mapped to.
    :param directory: where the members are written.
    :param stop: makes ``pages`` end early; called when the block ends with an error.
    """

    def __init__(
        self,
        pages: Iterable[members.MemberPage],
        id_type: IdType,
        directory: Path,
        stop: Callable[[], object],
    ) -> None:
        self._pages = pages
        self._id_type: IdType = id_type
        self._path = directory / MEMBERS_FILE
        self._stop = stop
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segment")
        self._count: Future[int] | None = None

    def __enter__(self) -> SegmentReading:
        """Begin to read."""
        self._count = self._thread.submit(members.collect, self._pages, self._id_type, self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the end; where the caller has failed, there is nothing to wait for."""
        if error is not None:
            self._stop()
        self._thread.shutdown(wait=True)

    def count(self) -> int:
        """Return how many members there are, or raise what went wrong with the reading."""
        if self._count is None:
            raise RuntimeError("the reading has not begun")
        return self._count.result()
