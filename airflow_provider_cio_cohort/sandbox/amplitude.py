"""The data of the sandbox's Amplitude: projects, cohorts, export jobs, the month's quota."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from airflow_provider_cio_cohort.sandbox.settings import Settings

Row = Mapping[str, str]
#: The maximum number of concurrent requests of one project.
CONCURRENT = 5
#: The maximum number of exports of one project: requested in ten minutes, and in progress in a minute.
IN_TEN_MINUTES = 60
PARALLEL = 4


@runtime_checkable
class CsvRows(Protocol):
    """
    Rows that never change and write themselves as CSV, so that a cohort can have millions.

    They have no user properties.
    """

    #: The files of exports that were written already, by what they depend on.
    files: dict[tuple[object, ...], bytes]

    def __len__(self) -> int:
        """Return how many rows there are."""

    def lines(self, columns: Iterable[str], tab: str, end: str, at_once: int) -> Iterator[str]:
        """
        Yield the rows as CSV, several lines at a time.

        :param columns: the columns; each but ``amplitude_id`` and ``user_id`` is empty.
        :param tab: what stands before every value.
        :param end: what ends a line.
        :param at_once: how many rows come at a time.
        """


Rows: TypeAlias = Sequence[Row] | CsvRows


@dataclass
class Cohort:
    """
    A cohort.

    :param id: 7 or 8 lowercase letters and digits.
    :param name: its name.
    :param rows: its members: ``amplitude_id``, ``user_id`` and user properties.
    :param archived: whether it is archived.
    :param group: the kind of its members; ``User`` for people.
    :param listed: whether it is in the list, which has only discoverable cohorts.
    :param computed: whether it was ever computed.
    :param announced: the size in the list, if it differs from the number of rows.
    :param last_computed: when it was last computed, in epoch seconds.
    """

    id: str
    name: str
    rows: Rows
    archived: bool = False
    group: str = "User"
    listed: bool = True
    computed: bool = True
    announced: int | None = None
    last_computed: int = field(default_factory=lambda: int(time.time()))

    def set_rows(self, rows: Iterable[Row] | CsvRows) -> None:
        """Change the members, as Amplitude does when it computes the cohort anew."""
        self.rows = _kept(rows)
        self.last_computed = int(time.time())

    @property
    def size(self) -> int | None:
        """The number of members in the list."""
        if not self.computed:
            return None
        return len(self.rows) if self.announced is None else self.announced


@dataclass
class Job:
    """
    An export, with the rows that the cohort had when it was requested.

    :param id: the request id; numeric, as with Amplitude.
    :param cohort_id: the cohort.
    :param properties: the requested properties.
    :param rows: the rows.
    :param requested_at: when it was requested, on a monotonic clock.
    :param ready_at: when it will be finished, on the same clock.
    :param failed: whether it has failed.
    :param file: its file, after the first request for it.
    """

    id: str
    cohort_id: str
    properties: list[str]
    rows: Rows
    requested_at: float
    ready_at: float
    failed: bool = False
    file: bytes | None = field(default=None, repr=False)

    @property
    def age(self) -> float:
        """Seconds since it was requested."""
        return time.monotonic() - self.requested_at

    @property
    def finished(self) -> bool:
        """Whether Amplitude has computed it."""
        return not self.failed and time.monotonic() >= self.ready_at


class RefusedError(Exception):
    """
    A request that Amplitude refuses.

    :param status: the HTTP status.
    :param details: Amplitude's message; empty if it has none.
    """

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.details = details


class Project:
    """
    An Amplitude project.

    :param settings: how the sandbox behaves.
    :param api_key: its API key.
    :param secret_key: its secret key.
    :param region: ``us`` or ``eu``.
    :param paid: whether its plan includes the cohort API.
    """

    def __init__(
        self, settings: Settings, api_key: str, secret_key: str, region: str = "us", paid: bool = True
    ) -> None:
        self.settings = settings
        self.api_key = api_key
        self.secret_key = secret_key
        self.region = region
        self.paid = paid
        self.cohorts: dict[str, Cohort] = {}
        self.jobs: dict[str, Job] = {}
        self.links: dict[str, tuple[Job, float]] = {}
        self.used = 0
        self.in_flight = 0
        self._accessed: Counter[str] = Counter()
        self._requested: deque[float] = deque()
        self._numbers = itertools.count(secrets.randbelow(10**6) + 10**6)

    def add_cohort(self, *, id: str, name: str, rows: Iterable[Row] | CsvRows, **more: object) -> Cohort:
        """
        Add a cohort, or replace the one with this id.

        :param id: its id.
        :param name: its name.
        :param rows: its members.
        :param more: see :class:`Cohort`.
        """
        cohort = Cohort(id=id, name=name, rows=_kept(rows), **more)  # type: ignore[arg-type]
        self.cohorts[id] = cohort
        return cohort

    @contextmanager
    def serving(self, cohort_id: str) -> Iterator[None]:
        """
        Count a request while it is served.

        :param cohort_id: the cohort that it is about; empty for none.
        :raises RefusedError: if too many other requests are being served, or one for the same cohort.
        """
        if self.settings.limits and self.in_flight >= CONCURRENT:
            raise RefusedError(429, f"Too Many Requests: Exceeded {CONCURRENT} concurrent requests")
        if self.settings.limits and cohort_id and self._accessed[cohort_id]:
            raise RefusedError(429, "Too Many Requests: Exceeded concurrent access to one cohort")
        self.in_flight += 1
        self._accessed[cohort_id] += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            self._accessed[cohort_id] -= 1

    def request(self, cohort_id: str, properties: list[str] | None) -> Job:
        """
        Start an export, which costs one of the month's exports.

        :param cohort_id: the cohort.
        :param properties: the requested properties; ``None`` for all.
        :raises RefusedError: if a limit forbids it, or there is no such cohort.
        """
        cohort = self.cohorts.get(cohort_id)
        if cohort is None or (cohort.archived and not self.settings.archived_can_export):
            raise RefusedError(404, "")
        if self.settings.limits:
            self._check_limits(cohort)
        now = time.monotonic()
        self._requested.append(now)
        self.used += 1
        job = Job(
            id=str(next(self._numbers)),
            cohort_id=cohort_id,
            properties=_all_properties(cohort.rows) if properties is None else properties,
            rows=_kept(cohort.rows),
            requested_at=now,
            ready_at=now + self.settings.export_seconds,
        )
        self.jobs[job.id] = job
        return job

    def _check_limits(self, cohort: Cohort) -> None:
        """
        Refuse requests that exceed Amplitude's limits.

        "4 in parallel a minute" is understood as: at most four exports that were requested in the last minute
        may be in progress at the same time.
        """
        if len(cohort.rows) > self.settings.export_members:
            raise RefusedError(400, f"Cohort exceeds {self.settings.export_members} members")
        now = time.monotonic()
        minute = 60 * self.settings.limit_scale
        while self._requested and now - self._requested[0] > 10 * minute:
            self._requested.popleft()
        under_way = [j for j in self.jobs.values() if not j.finished and not j.failed]
        if self.used >= self.settings.exports_a_month:
            details = "Too Many Requests: Exceeded the monthly limit of cohort downloads"
            raise RefusedError(self.settings.quota_status, details)
        if len(self._requested) >= IN_TEN_MINUTES:
            raise RefusedError(429, f"Too Many Requests: Exceeded {IN_TEN_MINUTES} requests in 10 minutes")
        if any(job.cohort_id == cohort.id for job in under_way):
            raise RefusedError(429, "Too Many Requests: Exceeded concurrent access to one cohort")
        if sum(1 for job in under_way if now - job.requested_at < minute) >= PARALLEL:
            raise RefusedError(429, f"Too Many Requests: Exceeded {PARALLEL} parallel requests a minute")

    def file_of(self, job_id: str) -> Job | None:
        """Return the job if its file can be downloaded, which is possible for seven days."""
        job = self.jobs.get(job_id)
        if job is None or not job.finished:
            return None
        age = time.monotonic() - job.ready_at
        alive = self.settings.file_after <= age < self.settings.file_days * 86_400
        return job if alive else None

    def sign(self, job: Job) -> str:
        """Return the signature of a new URL of the job's file."""
        signature = secrets.token_hex(32)
        self.links[signature] = (job, time.monotonic() + self.settings.signed_url_seconds)
        return signature


def _kept(rows: Iterable[Row] | CsvRows) -> Rows:
    return rows if isinstance(rows, CsvRows) else [_as_text(row) for row in rows]


def _as_text(row: Mapping[str, object]) -> Row:
    """Return a row as in an export: JSON may have numbers, and null for a property that is not set."""
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _all_properties(rows: Rows) -> list[str]:
    if isinstance(rows, CsvRows):
        return []
    names = {name: None for row in rows for name in row}  # a dict keeps the order
    return [name for name in names if name not in ("amplitude_id", "user_id")]
