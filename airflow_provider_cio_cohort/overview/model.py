"""What is known of the syncs: plain data, without a database behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """What became of a sync's run, or why there is none."""

    SUCCESS = "success"
    FAILED = "failed"
    WAITING = "waiting for approval"
    RETRYING = "waiting for a retry"
    RUNNING = "running"
    QUEUED = "queued"
    SKIPPED = "skipped"
    NEVER = "never ran"
    CONFIG_ERROR = "configuration error"
    DISABLED = "switched off"


#: A run in one of these has ended.
ENDED = frozenset({State.SUCCESS, State.FAILED, State.SKIPPED})


class Kind(StrEnum):
    """Why a sync, or a project's exports, need somebody; in the order in which they are shown."""

    CONFIG_ERROR = "config_error"
    FAILED = "failed"
    OVERDUE = "overdue"
    NO_POOL = "no_pool"
    WAITING = "waiting"
    QUOTA = "quota"
    DROP = "drop"
    LOW_MATCH = "low_match"
    PAUSED = "paused"


@dataclass(frozen=True)
class Report:
    """
    The event of a sync that went well: counts; whatever is missing or no number is ``None``.

    :param at: when Airflow recorded it.
    :param run_id: of the run that made it.
    :param cohort_id: the Amplitude cohort.
    :param segment_id: the Customer.io segment.
    :param segment_name: its name.
    :param mode: ``mirror`` or ``add_only``.
    :param identifiers: distinct identifiers in the cohort.
    :param before: members of the segment before the run.
    :param added: people who joined.
    :param removed: people who left.
    :param size: members of the segment after the run.
    :param unmatched: identifiers with nobody in Customer.io.
    :param match_rate: the share of ``identifiers`` with somebody there, 0 to 1.
    :param duration: seconds from the task's start, the wait for the export included.
    :param unchanged: whether the run ended early, because nothing had changed.
    :param snapshot_at: the moment to which the run put the segment back, if it did.
    :param exports_used: exports of the month that Amplitude had counted, this run's included.
    :param exports_limit: how many the plan has.
    :param exports_reset: when the count starts anew, as Amplitude writes it.
    """

    at: datetime
    run_id: str | None = None
    cohort_id: str | None = None
    segment_id: str | None = None
    segment_name: str | None = None
    mode: str | None = None
    identifiers: int | None = None
    before: int | None = None
    added: int | None = None
    removed: int | None = None
    size: int | None = None
    unmatched: int | None = None
    match_rate: float | None = None
    duration: float | None = None
    unchanged: bool = False
    snapshot_at: str | None = None
    exports_used: int | None = None
    exports_limit: int | None = None
    exports_reset: str | None = None


@dataclass(frozen=True)
class Run:
    """
    A DAG run, as one sync took part in it.

    :param run_id: its id.
    :param run_type: ``scheduled``, ``manual``, …
    :param due: when it was to run.
    :param queued: when Airflow last made it ready to run: later than ``due`` if it was late, or was cleared.
    :param started: when the sync task began; ``None`` before.
    :param ended: when it ended; ``None`` before.
    :param state: the sync task's, not the whole DAG's.
    """

    run_id: str
    run_type: str
    due: datetime
    queued: datetime | None
    started: datetime | None
    ended: datetime | None
    state: State


@dataclass(frozen=True)
class Dag:
    """
    What Airflow knows of a DAG that has syncs.

    :param dag_id: its id.
    :param display_name: what Airflow shows instead of it.
    :param paused: whether it is switched off.
    :param schedule: the summary of its timetable: a cron expression, ``@once``, …; ``None`` without one.
    :param description: the same in words, in the DAG's own timezone.
    :param next_run: when the next run is due.
    """

    dag_id: str
    display_name: str
    paused: bool
    schedule: str | None
    description: str | None
    next_run: datetime | None


@dataclass(frozen=True)
class Sync:
    """
    One sync task: a row of the page.

    :param dag: its DAG.
    :param task_id: its task.
    :param name: what it is called: its name in the YAML, with the target's where it has several.
    :param asset_id: the segment's asset; ``None`` where the sync has none, because it cannot run.
    :param cohort_id: the Amplitude cohort, where it is known.
    :param segment_name: the Customer.io segment, or what is known of it.
    :param amplitude_conn_id: the connection to the Amplitude project.
    :param customer_io_conn_id: the connection to the Customer.io workspace.
    :param state: of its last run.
    :param waiting_since: since when a run waits for somebody's approval; ``None`` if none does.
    :param missing_pools: pools that one of its tasks waits for, and that Airflow does not have.
    :param runs: newest first; the last few.
    :param reports: oldest first; the last few.
    :param overdue_since: since when a good sync is missing; ``None`` if all is in time.
    :param failures: how many runs in a row have failed, up to the last one that ended.
    :param failing_since: when the first of them failed.
    """

    dag: Dag
    task_id: str
    name: str
    asset_id: int | None = None
    cohort_id: str | None = None
    segment_name: str | None = None
    amplitude_conn_id: str | None = None
    customer_io_conn_id: str | None = None
    state: State = State.NEVER
    waiting_since: datetime | None = None
    missing_pools: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    reports: tuple[Report, ...] = ()
    overdue_since: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None

    @property
    def last_run(self) -> Run | None:
        """The newest run."""
        return self.runs[0] if self.runs else None

    @property
    def last_failed(self) -> Run | None:
        """The newest run that failed, of those that are known."""
        return next((run for run in self.runs if run.state is State.FAILED), None)

    @property
    def last_good(self) -> Report | None:
        """The newest sync that went well."""
        return self.reports[-1] if self.reports else None


@dataclass(frozen=True)
class Quota:
    """
    The exports of one Amplitude project, by its connection.

    :param conn_id: the connection.
    :param used: exports of this month, as last seen; ``None`` if none was seen this month.
    :param limit: how many the plan has.
    :param assumed: whether Amplitude never said, so that ``limit`` is what its plans usually have.
    :param seen: when ``used`` was seen.
    :param ends: when the count starts anew.
    :param to_come: what the schedules will still cost until then, at most.
    :param uncounted: schedules whose cost is not known, such as those that assets trigger.
    """

    conn_id: str
    used: int | None
    limit: int
    assumed: bool
    seen: datetime | None
    ends: datetime
    to_come: int
    uncounted: int

    @property
    def forecast(self) -> int:
        """Exports used when the month ends."""
        return (self.used or 0) + self.to_come

    @property
    def over(self) -> bool:
        """Whether the forecast is over the limit."""
        return self.forecast > self.limit


@dataclass(frozen=True)
class Attention:
    """
    Something that needs somebody.

    :param kind: of what kind it is.
    :param text: what is wrong, as a sentence.
    :param sync: which sync; ``None`` if it is about a project's exports.
    :param quota: which project's exports; ``None`` if it is about a sync.
    :param since: since when, where that is known.
    """

    kind: Kind
    text: str
    sync: Sync | None = None
    quota: Quota | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Overview:
    """
    Everything that the page shows.

    :param now: the moment that it describes.
    :param syncs: every sync that may be seen.
    :param quotas: the exports of each Amplitude project.
    :param attention: what needs somebody, the worst first.
    """

    now: datetime
    syncs: tuple[Sync, ...]
    quotas: tuple[Quota, ...]
    attention: tuple[Attention, ...]


@dataclass(frozen=True)
class Moment:
    """
    A run in a sync's history, with its report if it went well; one without the other is possible.

    :param at: when it was reported, or else when the run ended or was due.
    :param run: the run; ``None`` if Airflow no longer has it.
    :param report: what it reported; ``None`` if it did not.
    """

    at: datetime
    run: Run | None
    report: Report | None


@dataclass(frozen=True)
class History:
    """
    One sync with its past.

    :param now: the moment that it describes.
    :param sync: the sync, as in the overview.
    :param attention: what needs somebody, the worst first.
    :param moments: newest first.
    """

    now: datetime
    sync: Sync
    attention: tuple[Attention, ...]
    moments: tuple[Moment, ...]
