"""
What can go wrong, as one tree: the branch says whether a retry can mend it.

::

    CohortSyncError                       every error of our own that a hook or a task raises
    ├── RetryableError                    Airflow's retries apply
    │   ├── VendorUnavailableError        connection fault, 5xx, a proxy's HTML, broken JSON
    │   ├── RateLimitedError              429 for longer than the retry budget (``retry_after``)
    │   ├── ExportNotReadyError           not computed within ``export_timeout``; a retry waits on
    │   ├── ExportFailedError             Amplitude gave it up or lost it; a retry asks for a new one
    │   ├── IncompleteExportError         the file is cut or damaged; a retry downloads the same export again
    │   ├── SyncStoppedError              the task was killed while it ran
    │   ├── SegmentNotCreatedError        it is not known whether the segment was made; a retry looks first
    │   ├── SegmentVanishedError          the segment was deleted while the task ran; a retry looks again
    │   ├── NoRoomError                   the worker's disk is too full for the run's files
    │   ├── SnapshotStorageError          the storage of the snapshots cannot be read or written
    │   └── VerificationError             read back, the segment is not what it should be
    └── PermanentError                    ends the task at once (an AirflowFailException)
        ├── ConfigurationError            a parameter or a connection field is missing or wrong
        ├── AuthenticationError           a key is wrong; the message names which
        ├── WrongRegionError              the account lives in the other region
        ├── PlanError                     the Amplitude plan has no cohort API
        ├── QuotaReachedError             no export of the month is left but the reserve
        ├── UnknownCohortError            no such cohort in this Amplitude project
        ├── ArchivedCohortError           the cohort is archived
        ├── GroupCohortError              the cohort holds groups (accounts), not people
        ├── MissingPropertyError          the export has no column for ``user_id_property``
        ├── UnknownSegmentError           no such segment in this Customer.io workspace
        ├── DataDrivenSegmentError        Customer.io computes this segment itself, so nobody can be added
        ├── AmbiguousSegmentError         several segments carry the name
        ├── RequestRejectedError          the vendor refused the request as such (``status``)
        ├── SnapshotMissingError          no snapshot is as old as the moment that was asked for
        ├── SnapshotDamagedError          a snapshot does not hold what its manifest says
        ├── ForeignSnapshotError          a snapshot is of another segment, workspace or ``id_type``
        ├── StaleSegmentError             a segment has had no good run for longer than its ``max_age``
        └── GuardTrippedError             the change looked dangerous; nothing was written (``trips``)

A message's first line (``headline``) says what is wrong and where, short enough for a pager; below it follow
what has become of the segment and what to do. No message holds a key, a person's identifier or a signed URL.

Beside the tree stands ``dag_generation.CohortSyncConfigError``: no DAG can be made of a YAML file, so there
is no task yet that could fail.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_cio_cohort.compatibility import AirflowException, AirflowFailException


class CohortSyncError(AirflowException):
    """
    Base of every error of our own that a hook or a task raises.

    :param message: a line for a pager, what is wrong and where; below it what else is known and what to do.
    """

    #: Whether somebody may have been added to the segment or removed from it; ``None`` where that depends on
    #: when it happens. A task sets it on each error that it ends with, for all tries of the run.
    segment_touched: bool | None = None
    #: The same as a sentence, the first below the headline; empty until the error leaves a task of ours.
    consequence: str = ""

    @property
    def headline(self) -> str:
        """The first line: what is wrong and where, short enough for a pager."""
        return str(self).partition("\n")[0]

    def __str__(self) -> str:
        """Return the whole message: the headline, what has become of the segment, and what to do."""
        headline, _, rest = super().__str__().partition("\n")
        below = " ".join(part for part in (self.consequence, rest) if part)
        return f"{headline}\n{below}" if below else headline


class RetryableError(CohortSyncError):
    """
    A later try can succeed: Airflow's ``retries`` apply.

    :param message: what happened, where, and what to do.
    :param maybe_applied: whether the request may have taken effect all the same.
    """

    def __init__(self, message: str, *, maybe_applied: bool = True) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied


class PermanentError(CohortSyncError, AirflowFailException):
    """No retry can mend it: the task fails at once and says what to do."""


class VendorUnavailableError(RetryableError):
    """The vendor gave no usable answer within the retry budget."""


class RateLimitedError(RetryableError):
    """
    The vendor answered 429 until the retry budget was used up.

    :param message: what was refused and what to do.
    :param retry_after: seconds that the vendor asked to wait, ``None`` when it did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, maybe_applied=False)
        self.retry_after = retry_after


class ExportNotReadyError(RetryableError):
    """Amplitude has not finished the export within ``export_timeout``; a retry continues the same export."""

    segment_touched = False


class ExportFailedError(RetryableError):
    """Amplitude gave the export up or no longer knows it; a retry requests a new one."""

    segment_touched = False


class IncompleteExportError(RetryableError):
    """The downloaded file is cut short or damaged; a retry downloads the same export again."""

    segment_touched = False


class SyncStoppedError(RetryableError):
    """The task was killed or marked in the UI while it ran: nothing more was sent."""


class SegmentNotCreatedError(RetryableError):
    """The answer to creating a segment was lost; a retry looks for the segment before it creates one."""

    segment_touched = False


class SegmentVanishedError(RetryableError):
    """The segment was deleted while the task ran; a retry looks for it, and creates it where it may."""


class NoRoomError(RetryableError):
    """The disk of the worker has no room for the files of the run; a retry may run where there is some."""


class SnapshotStorageError(RetryableError):
    """The storage of the snapshots is away, or does not let us read, write, list or delete."""


class VerificationError(RetryableError):
    """Read back after the writes, the segment does not hold what it should."""

    segment_touched = True


class ConfigurationError(PermanentError):
    """A parameter or a connection field is missing or has a wrong value."""

    segment_touched = False


class AuthenticationError(PermanentError):
    """A key is wrong or lacks a permission; the message names the key and its connection field."""


class WrongRegionError(PermanentError):
    """The account lives in the other region."""


class PlanError(PermanentError):
    """The plan of the Amplitude project does not include the cohort API."""

    segment_touched = False


class QuotaReachedError(PermanentError):
    """The exports of the month are used up, but for the reserve; only the new month mends it."""

    segment_touched = False


class UnknownCohortError(PermanentError):
    """Amplitude knows no cohort with this id in the connection's project."""

    segment_touched = False


class ArchivedCohortError(PermanentError):
    """The cohort is archived in Amplitude."""

    segment_touched = False


class GroupCohortError(PermanentError):
    """The cohort holds groups such as accounts, not people."""

    segment_touched = False


class MissingPropertyError(PermanentError):
    """The export has no column for the mapped property."""

    segment_touched = False


class UnknownSegmentError(PermanentError):
    """Customer.io knows no segment with this id in the connection's workspace."""


class DataDrivenSegmentError(PermanentError):
    """Customer.io computes the members of this segment itself."""

    segment_touched = False


class AmbiguousSegmentError(PermanentError):
    """More than one segment carries the name."""

    segment_touched = False


class RequestRejectedError(PermanentError):
    """
    The vendor refused the request as such.

    :param message: what was refused and the vendor's reason.
    :param status: the HTTP status code.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SnapshotMissingError(PermanentError):
    """There is no snapshot of the moment that was asked for, nor of any before it."""

    segment_touched = False


class SnapshotDamagedError(PermanentError):
    """A snapshot does not hold what its manifest says: nothing of it is used."""

    segment_touched = False


class ForeignSnapshotError(PermanentError):
    """A snapshot is of another segment, workspace or ``id_type``: its people belong elsewhere."""

    segment_touched = False


class StaleSegmentError(PermanentError):
    """A segment has had no good run for longer than its ``max_age``."""

    segment_touched = False


class GuardTrippedError(PermanentError):
    """
    The planned change looked dangerous, so nothing was written.

    :param message: every trip in words.
    :param trips: the names of the guards that tripped.
    """

    segment_touched = False

    def __init__(self, message: str, trips: Sequence[str]) -> None:
        super().__init__(message)
        self.trips = tuple(trips)
