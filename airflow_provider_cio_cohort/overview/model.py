"""The data about the syncs: plain dataclasses, independent of the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property


class State(StrEnum):
    """The state of a sync's last run, or why there is none."""

    SUCCESS = "success"
    FAILED = "failed"
    WAITING = "waiting for approval"
    RETRYING = "waiting for a retry"
    RUNNING = "running"
    QUEUED = "queued"
    SKIPPED = "skipped"
    NEVER = "never ran"
    CONFIG_ERROR = "configuration error"
    MISSING = "missing"
    DISABLED = "switched off"
    HIDDEN = "no permission"


#: The states of a run that has ended.
ENDED = frozenset({State.SUCCESS, State.FAILED, State.SKIPPED})


class Kind(StrEnum):
    """Why a sync or a project's quota needs attention; in the order in which they are shown."""

    BROKEN_FILE = "broken_file"
    MISSING = "missing"
    UNWATCHED = "unwatched"
    CONFIG_ERROR = "config_error"
    FAILED = "failed"
    OVERDUE = "overdue"
    NO_POOL = "no_pool"
    WAITING = "waiting"
    QUOTA = "quota"
    DROP = "drop"
    LOW_MATCH = "low_match"
    NOT_REMOVABLE = "not_removable"
    REJECTED = "rejected"
    PAUSED = "paused"


@dataclass(frozen=True)
class Report:
    """
    The asset event of a successful sync; values that are missing or invalid are ``None``.

    :param at: when Airflow recorded it.
    :param run_id: the id of its run.
    :param cohort_id: the Amplitude cohort.
    :param cohort_name: its name, if Amplitude's list showed it.
    :param cohort_url: its page in Amplitude.
    :param segment_id: the Customer.io segment.
    :param segment_name: its name.
    :param segment_url: its page in Customer.io.
    :param mode: ``mirror``, ``add_only`` or ``tracked``.
    :param identifiers: distinct identifiers in the cohort.
    :param before: members of the segment before the run.
    :param joined_elsewhere: members whom others have added since the last good run.
    :param left_elsewhere: members whom others have removed since.
    :param added: people who joined.
    :param removed: people who left.
    :param size: members of the segment after the run.
    :param tracked: how many of them the sync has added, where it removes no others.
    :param unmatched: identifiers that match no person in Customer.io.
    :param not_removable: people who should have left and could not be removed.
    :param rejected: identifiers that Customer.io refuses.
    :param match_rate: the share of ``identifiers`` that match a person there, 0 to 1.
    :param duration: seconds from the task's start, the wait for the export included.
    :param unchanged: whether the run ended early, because nothing had changed.
    :param snapshot_at: the time to which the run restored the segment, if it did.
    :param exports_used: exports of the month according to Amplitude, including that of this run.
    :param exports_limit: the month's limit of the plan.
    :param exports_reset: when the count is reset, as Amplitude's text.
    :param exports_at: when Amplitude reported this.
    :param is_unreported: whether it is only known that the run has requested an export, and Amplitude has not
        said to how many the month comes with it.
    """

    at: datetime
    run_id: str | None = None
    cohort_id: str | None = None
    cohort_name: str | None = None
    cohort_url: str | None = None
    segment_id: str | None = None
    segment_name: str | None = None
    segment_url: str | None = None
    mode: str | None = None
    identifiers: int | None = None
    before: int | None = None
    joined_elsewhere: int | None = None
    left_elsewhere: int | None = None
    added: int | None = None
    removed: int | None = None
    size: int | None = None
    tracked: int | None = None
    unmatched: int | None = None
    not_removable: int | None = None
    rejected: int | None = None
    match_rate: float | None = None
    duration: float | None = None
    unchanged: bool = False
    snapshot_at: str | None = None
    exports_used: int | None = None
    exports_limit: int | None = None
    exports_reset: str | None = None
    exports_at: datetime | None = None
    is_unreported: bool = False

    @property
    def told_at(self) -> datetime:
        """When Amplitude reported the month's exports, as far as it is known."""
        return self.exports_at or self.at


@dataclass(frozen=True)
class Failure:
    """
    Why a run failed, or waits for a retry; words and counts, no people.

    :param task_id: the task that failed: the sync's own, or one that it waits for.
    :param map_index: its part, if it is a mapped task; -1 otherwise.
    :param at: when it failed.
    :param error: the exception's class; ``None`` if the task has kept no reason, such as one that was killed.
    :param reason: the first line of the error's message, or a sentence that leads to the log.
    :param segment: what became of the segment, as a sentence; ``None`` if it is unknown.
    :param cohort_id: the Amplitude cohort, if the task had found out that much.
    :param cohort_name: its name.
    :param cohort_url: its page in Amplitude.
    :param segment_url: the segment's page in Customer.io.
    """

    task_id: str
    map_index: int
    at: datetime
    error: str | None
    reason: str
    segment: str | None
    cohort_id: str | None = None
    cohort_name: str | None = None
    cohort_url: str | None = None
    segment_url: str | None = None


@dataclass(frozen=True)
class Run:
    """
    A DAG run, from the point of view of one sync.

    :param run_id: its id.
    :param run_type: ``scheduled``, ``manual``, …
    :param due: when it was due.
    :param queued: when Airflow last queued it: later than ``due`` if it was late or was cleared.
    :param started: when the sync task last began; ``None`` before.
    :param ended: when that ended; ``None`` before.
    :param state: the sync task's, not the whole DAG's.
    :param failure: why it failed, or waits for a retry; ``None`` if it does not, or if that was not read: the
        overview reads only that of the last such run.
    :param map_index: which part of a mapped task was the sync's, -1 if it was not mapped or not expanded;
        ``None`` for all of them, which fill the same segment.
    :param dag_run_id: its number in Airflow's database, by which other tables refer to it.
    """

    run_id: str
    run_type: str
    due: datetime
    queued: datetime | None
    started: datetime | None
    ended: datetime | None
    state: State
    failure: Failure | None = None
    map_index: int | None = None
    dag_run_id: int | None = None

    def is_of_part(self, map_index: int) -> bool:
        """
        Return whether it may depend on a task: not on that of another part of a mapped task group.

        :param map_index: that of the task.
        """
        return map_index < 0 or self.map_index in (None, -1, map_index)

    @property
    def at(self) -> datetime:
        """When it last ran: a run that was cleared, or that a backfill made, was due long before."""
        return self.started or max(self.due, self.queued or self.due)


@dataclass(frozen=True)
class Dag:
    """
    A DAG that has syncs.

    :param dag_id: its id.
    :param display_name: the name that Airflow shows.
    :param paused: whether it is paused.
    :param schedule: the summary of its timetable: a cron expression, ``@once``, …; ``None`` without one.
    :param description: the same in words, in the DAG's own timezone.
    :param next_run: when the next run is due.
    :param timezone: the name of its timezone, in which its times are shown.
    :param form: the fields of its trigger form, such as ``dry_run``; read only for the page of one sync.
    :param missing_since: when it was last in its file, if that cannot be read since; ``None`` otherwise.
    """

    dag_id: str
    display_name: str
    paused: bool
    schedule: str | None
    description: str | None
    next_run: datetime | None
    timezone: str = "UTC"
    form: frozenset[str] = frozenset()
    missing_since: datetime | None = None

    @property
    def runs_next(self) -> datetime | None:
        """When the next run starts; ``None`` if no run does, because the DAG is paused or missing."""
        return None if self.paused or self.missing_since is not None else self.next_run


@dataclass(frozen=True)
class Sync:
    """
    One sync task: a row of the page.

    :param dag: its DAG.
    :param task_id: its task.
    :param name: its name in the YAML file, with that of the target if it has several; or the DAG's name, with
        that of the task or of the part of a mapped task if it has several.
    :param asset_id: the segment's asset; ``None`` if the sync cannot run, or if a template or a mapping sets
        the segment and no run was good, so that it has none.
    :param cohort_id: the Amplitude cohort, if it is known.
    :param segment_id: the Customer.io segment, if it is known.
    :param segment_name: its name, or what is known of it.
    :param amplitude_conn_id: the connection to the Amplitude project.
    :param customer_io_conn_id: the connection to the Customer.io workspace.
    :param state: the state of its last run.
    :param waiting_since: since when a run waits for an approval; ``None`` if none does.
    :param missing_pools: pools that one of its tasks waits for and that do not exist.
    :param runs: the last few runs, those first that were last started.
    :param reports: the last few reports, oldest first.
    :param overdue_since: since when a good sync is overdue; ``None`` if none is.
    :param failures: how many runs in a row have failed, up to the last one that ended.
    :param failing_since: when the first of them failed.
    :param shows_runs: whether its runs may be shown, and with them its page.
    :param part: what tells it from other syncs of its task, if only runs know its segment: the address of the
        segment's asset, or a map index.
    """

    dag: Dag
    task_id: str
    name: str
    asset_id: int | None = None
    cohort_id: str | None = None
    segment_id: str | None = None
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
    shows_runs: bool = True
    part: str | None = None

    @property
    def cohort_name(self) -> str | None:
        """The name of the cohort, if a run has found it out."""
        return next((one.cohort_name for one in self._of_the_cohort if one.cohort_name), None)

    @property
    def cohort_url(self) -> str | None:
        """The cohort's page in Amplitude, if a run has found it out."""
        return next((one.cohort_url for one in self._of_the_cohort if one.cohort_url), None)

    @property
    def segment_number(self) -> str | None:
        """The id of the segment, unless it stands for the name already."""
        return None if self.segment_name == f"segment {self.segment_id}" else self.segment_id

    @property
    def segment_url(self) -> str | None:
        """The segment's page in Customer.io, if a run has found it out."""
        return next((one.segment_url for one in self._told if one.segment_url), None)

    @cached_property
    def _told(self) -> list[Report | Failure]:
        """Return what its runs have told, newest first."""
        failures = [run.failure for run in self.runs if run.failure is not None]
        if not failures:
            return [*reversed(self.reports)]
        return sorted((*self.reports, *failures), key=lambda one: one.at, reverse=True)

    @cached_property
    def _of_the_cohort(self) -> list[Report | Failure]:
        """Return the same, without what is about a cohort that the sync had before."""
        return [one for one in self._told if one.cohort_id == self.cohort_id]

    @property
    def last_run(self) -> Run | None:
        """The run that was last started."""
        return self.runs[0] if self.runs else None

    @property
    def last_failed(self) -> Run | None:
        """The newest run that failed, of the last few."""
        return next((run for run in self.runs if run.state is State.FAILED), None)

    @property
    def failing(self) -> Run | None:
        """The run that says why the sync fails: the last one, if it waits for a retry, or the last failed."""
        if self.last_run is not None and self.last_run.state is State.RETRYING:
            return self.last_run
        return self.last_failed if self.failures else None

    def may_wait_for(self, task_id: str) -> bool:
        """
        Return whether a task may be one that the sync waits for.

        In generated DAGs, ``approve__europe`` belongs to ``sync__europe``; in others, any task may be.

        :param task_id: another task of its DAG.
        """
        for head in ("plan", "approve"):
            if task_id.startswith(head) and self.task_id.startswith("sync"):
                return task_id.removeprefix(head) == self.task_id.removeprefix("sync")
        return True

    @property
    def last_good(self) -> Report | None:
        """The report of the newest successful sync."""
        return self.reports[-1] if self.reports else None


@dataclass(frozen=True)
class Quota:
    """
    The export quota of one Amplitude project, by its connection.

    :param conn_id: the connection.
    :param used: exports of this month: what Amplitude last reported, and ``unreported``; ``None`` if nothing
        is known.
    :param unreported: exports of runs that have requested one since, among ``used``.
    :param limit: the month's limit of the plan.
    :param assumed: whether Amplitude has not reported the limit, and ``limit`` is that of its usual plans.
    :param seen: when Amplitude reported it; ``None`` if it has not this month.
    :param ends: when the count is reset.
    :param to_come: the most exports that scheduled runs will need until then.
    :param uncounted: the number of schedules with an unknown cost, such as those that assets trigger.
    """

    conn_id: str
    used: int | None
    limit: int
    assumed: bool
    seen: datetime | None
    ends: datetime
    to_come: int
    uncounted: int
    unreported: int = 0

    @property
    def forecast(self) -> int:
        """The expected number of exports at the end of the month."""
        return (self.used or 0) + self.to_come

    @property
    def over(self) -> bool:
        """Whether the forecast is over the limit."""
        return self.forecast > self.limit


@dataclass(frozen=True)
class Attention:
    """
    Something that needs attention.

    :param kind: the kind.
    :param text: what is wrong, as a sentence.
    :param sync: the sync, if it is about one.
    :param quota: the project's quota, if it is about one.
    :param since: since when, if that is known.
    :param file: the DAG file, or the YAML file, if it is about one.
    :param dag_id: the DAG in Airflow that says more, if it is about a file and there is one.
    """

    kind: Kind
    text: str
    sync: Sync | None = None
    quota: Quota | None = None
    since: datetime | None = None
    file: str | None = None
    dag_id: str | None = None

    @property
    def subject(self) -> str:
        """What it is about: the sync's name, the quota's connection, or the file."""
        if self.sync is not None:
            return self.sync.name
        return self.quota.conn_id if self.quota is not None else self.file or ""


@dataclass(frozen=True)
class Overview:
    """
    Everything that the page shows.

    :param now: the time that it describes.
    :param syncs: every sync that may be shown.
    :param quotas: the quota of each Amplitude project.
    :param attention: what needs attention, the most urgent first.
    """

    now: datetime
    syncs: tuple[Sync, ...]
    quotas: tuple[Quota, ...]
    attention: tuple[Attention, ...]

    @property
    def hidden(self) -> int:
        """How many syncs have runs that may not be shown."""
        return sum(not sync.shows_runs for sync in self.syncs)


@dataclass(frozen=True)
class Moment:
    """
    An entry in a sync's history: a good sync, or the state of a run that is none.

    A run that was cleared has an entry for each good sync, and one for its present state if that is another.

    :param at: the time of the report, or else of the run.
    :param run: the run; ``None`` if Airflow no longer has it.
    :param report: its report; ``None`` if there is none.
    :param ran_again: whether the run has run again since.
    """

    at: datetime
    run: Run | None
    report: Report | None
    ran_again: bool = False

    @property
    def state(self) -> State:
        """What it came to."""
        return State.SUCCESS if self.report is not None or self.run is None else self.run.state


@dataclass(frozen=True)
class History:
    """
    One sync with its history.

    :param now: the time that it describes.
    :param sync: the sync, as in the overview.
    :param attention: what needs attention, the most urgent first.
    :param moments: the entries, newest first.
    """

    now: datetime
    sync: Sync
    attention: tuple[Attention, ...]
    moments: tuple[Moment, ...]
