"""What the sandbox's Amplitude knows: projects, cohorts, export jobs, the month's quota."""

from __future__ import annotations

import itertools
import secrets
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_provider_cio_cohort.sandbox.crowd import CrowdRows
from airflow_provider_cio_cohort.sandbox.settings import Settings

Row = Mapping[str, str]
#: Requests of one project that are served at once.
CONCURRENT = 5
#: Exports of one project that may be requested in ten minutes, and that may be under way in a minute.
IN_TEN_MINUTES = 60
PARALLEL = 4


@dataclass
class Cohort:
    """
    A cohort.

    :param id: 7 or 8 lowercase letters and digits.
    :param name: its name.
    :param rows: its members: ``amplitude_id``, ``user_id`` and user properties.
    :param archived: whether it was put away.
    :param group: what its members are; ``User`` for people.
    :param listed: whether the list shows it; one that is not discoverable is not.
    :param computed: whether it was ever computed.
    :param announced: members that the list tells, where it differs from the rows.
    :param last_computed: when it was, epoch seconds.
    """

    id: str
    name: str
    rows: Sequence[Row]
    archived: bool = False
    group: str = "User"
    listed: bool = True
    computed: bool = True
    announced: int | None = None
    last_computed: int = field(default_factory=lambda: int(time.time()))

    def set_rows(self, rows: Iterable[Row]) -> None:
        """Change the members, as Amplitude does when it computes the cohort anew."""
        self.rows = _kept(rows)
        self.last_computed = int(time.time())

    @property
    def size(self) -> int | None:
        """Members as the list tells them."""
        if not self.computed:
            return None
        return len(self.rows) if self.announced is None else self.announced


@dataclass
class Job:
    """
    An export, with the rows that the cohort had when it was requested.

    :param id: the request id; numeric, as it is live.
    :param cohort_id: the cohort.
    :param properties: the properties that were asked for.
    :param rows: the rows.
    :param requested_at: when, on a monotonic clock.
    :param ready_at: when it will be finished, likewise.
    :param failed: whether Amplitude gave it up.
    :param file: its file, once somebody has asked for it.
    """

    id: str
    cohort_id: str
    properties: list[str]
    rows: Sequence[Row]
    requested_at: float
    ready_at: float
    failed: bool = False
    file: bytes | None = field(default=None, repr=False)

    @property
    def finished(self) -> bool:
        """Whether Amplitude has computed it."""
        return not self.failed and time.monotonic() >= self.ready_at


class RefusedError(Exception):
    """
    A request that Amplitude refuses.

    :param status: the HTTP status.
    :param details: its words.
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
    :param paid: whether its plan has the cohort API.
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

    def add_cohort(self, *, id: str, name: str, rows: Iterable[Row], **more: object) -> Cohort:
        """
        Add a cohort, or replace the one of that id.

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
        Count a request for as long as it is served.

        :param cohort_id: the cohort that it is about; empty for none.
        :raises RefusedError: if too many others are being served, or one about the same cohort.
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
        Start an export; costs one of the month's.

        :param cohort_id: the cohort.
        :param properties: the properties that were asked for; ``None`` for all that there are.
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
        Refuse what goes beyond Amplitude's limits.

        "4 in parallel a minute" is read as: no more than four exports that were requested in the last
        minute may be under way at once.
        """
        if len(cohort.rows) > self.settings.export_members:
            raise RefusedError(400, f"Cohort exceeds {self.settings.export_members} members")
        now = time.monotonic()
        minute = 60 * self.settings.limit_scale
        while self._requested and now - self._requested[0] > 10 * minute:
            self._requested.popleft()
        under_way = [j for j in self.jobs.values() if not j.finished and not j.failed]
        if self.used >= self.settings.exports_a_month:
            raise RefusedError(429, "Too Many Requests: Exceeded the monthly limit of cohort downloads")
        if len(self._requested) >= IN_TEN_MINUTES:
            raise RefusedError(429, f"Too Many Requests: Exceeded {IN_TEN_MINUTES} requests in 10 minutes")
        if any(job.cohort_id == cohort.id for job in under_way):
            raise RefusedError(429, "Too Many Requests: Exceeded concurrent access to one cohort")
        if sum(1 for job in under_way if now - job.requested_at < minute) >= PARALLEL:
            raise RefusedError(429, f"Too Many Requests: Exceeded {PARALLEL} parallel requests a minute")

    def file_of(self, job_id: str) -> Job | None:
        """Return the job whose file can be downloaded; its link lives seven days."""
        job = self.jobs.get(job_id)
        if job is None or not job.finished:
            return None
        alive = time.monotonic() - job.ready_at < self.settings.file_days * 86_400
        return job if alive else None

    def sign(self, job: Job) -> str:
        """Return the signature of a fresh URL to the job's file."""
        signature = secrets.token_hex(32)
        self.links[signature] = (job, time.monotonic() + self.settings.signed_url_seconds)
        return signature


def _kept(rows: Iterable[Row]) -> Sequence[Row]:
    return rows if isinstance(rows, CrowdRows) else [_as_text(row) for row in rows]


def _as_text(row: Mapping[str, object]) -> Row:
    """Return a row as an export has it: JSON over HTTP has numbers, and null where a property is not set."""
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _all_properties(rows: Sequence[Row]) -> list[str]:
    if isinstance(rows, CrowdRows):
        return []
    names = {name: None for row in rows for name in row}  # a dict keeps the order
    return [name for name in names if name not in ("amplitude_id", "user_id")]
