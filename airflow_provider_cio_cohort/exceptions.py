"""
The errors of this package, as one tree: the branch says whether a retry can help.

::

    CohortSyncError                       every error that a hook or a task of this package raises
    ├── RetryableError                    Airflow's retries apply
    │   ├── VendorUnavailableError        connection fault, 5xx, a proxy's HTML, broken JSON
    │   ├── RateLimitedError              429 for longer than ``retry_timeout`` (``retry_after``)
    │   ├── ExportNotReadyError           not computed within ``export_timeout``; a retry continues to wait
    │   ├── ExportFailedError             Amplitude gave up on it or lost it; a retry requests a new one
    │   ├── IncompleteExportError         the file is cut or damaged; a retry downloads the same export again
    │   ├── ExportTooLargeError           the file is far larger than the cohort can be
    │   ├── TriggererError                the triggerer cannot wait for the export; a retry continues it
    │   ├── SyncStoppedError              the task was killed while it ran
    │   ├── SegmentNotCreatedError        unknown whether the segment was created; a retry looks for it
    │   ├── MembershipMismatchError       the members read and the segment's count do not agree
    │   ├── StateStoreError               Airflow's state store cannot be reached before the first write
    │   ├── SegmentDeletedError           the segment was deleted while the task ran; a retry looks again
    │   ├── DiskFullError                 the worker's disk is too full for the run's files
    │   ├── SnapshotStorageError          the storage of the snapshots cannot be read or written
    │   └── VerificationError             read back, the segment does not hold what it should
    └── PermanentError                    ends the task at once (an AirflowFailException)
        ├── ConfigurationError            a parameter or a connection field is missing or wrong
        │   ├── MappingError              cohort and segment cannot be compared: no identifier matches
        │   ├── SegmentConflictError      another sync of the same file writes to the same segment
        │   ├── WorkspaceMismatchError    the two API keys of a connection belong to two workspaces
        │   └── KeysNotProvenError        nothing shows whether they do, and people may have to be written
        ├── AuthenticationError           a key is wrong; the message names which
        ├── WrongRegionError              the account lives in the other region
        ├── AmplitudePlanError            the Amplitude plan has no cohort API
        ├── QuotaReachedError             only the reserved exports of the month are left
        ├── UnknownCohortError            no such cohort in this Amplitude project
        ├── ArchivedCohortError           the cohort is archived
        ├── GroupCohortError              the cohort holds groups (accounts), not people
        ├── MissingPropertyError          the export has no column for a mapped property
        ├── ExportEncodingError           too many identifiers of the export are not valid UTF-8
        ├── ExportMismatchError           the export is of another cohort, property or connection
        ├── OutdatedExportError           the segment has already been synced from a later export
        ├── UnknownSegmentError           no such segment in this Customer.io workspace
        ├── DataDrivenSegmentError        Customer.io computes this segment itself, so nobody can be added
        ├── AmbiguousSegmentError         several segments have the name
        ├── NotRemovableError             people cannot be removed through Customer.io's API
        ├── RequestRejectedError          the vendor refused the request itself (``status``)
        ├── SnapshotMissingError          there is no snapshot at or before the requested time
        ├── SnapshotDamagedError          a snapshot does not hold what its manifest says
        ├── SnapshotMismatchError         a snapshot is of another segment, workspace or ``id_type``
        ├── StaleSegmentError             a segment has had no good run for longer than its ``max_age``
        └── GuardTrippedError             the change looked dangerous: nothing was written, or nobody removed

A message's first line (``headline``) says what is wrong and where, short enough for a pager; the lines below
say what happened to the segment and what to do. No message holds a key, a person's identifier or a signed
URL.

``dag_generation.CohortSyncConfigError`` is not in the tree: it is raised where no DAG can be generated from a
YAML file, so that there is no task yet that could fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_cio_cohort.compatibility import AirflowException, AirflowFailException


class CohortSyncError(AirflowException):
    """
    Base of every error that a hook or a task of this package raises.

    :param message: a headline that says what is wrong and where; below it, what else is known and what to do.
    """

    #: Whether people may have been added to the segment or removed from it; ``None`` where that depends on
    #: when the error occurs. A task sets it on the error that it ends with, for all tries of the run.
    segment_touched: bool | None = None
    #: The same as a sentence, the first one below the headline; empty until a task sets it.
    consequence: str = ""
    #: The sentence of the message that quotes the vendor, who may name anything; empty if none does.
    quotation: str = ""

    @property
    def headline(self) -> str:
        """The first line: what is wrong and where, short enough for a pager."""
        return str(self).partition("\n")[0]

    @property
    def own_words(self) -> str:
        """The whole message without what it quotes of the vendor."""
        return str(self).replace(self.quotation, "") if self.quotation else str(self)

    def __str__(self) -> str:
        """Return the whole message: the headline, what happened to the segment, and what to do."""
        headline, _, rest = super().__str__().partition("\n")
        below = " ".join(part for part in (self.consequence, rest) if part)
        return f"{headline}\n{below}" if below else headline


class RetryableError(CohortSyncError):
    """
    A later try can succeed: Airflow's ``retries`` apply.

    :param message: what happened, where, and what to do.
    :param maybe_applied: whether the request may have taken effect even so.
    """

    def __init__(self, message: str, *, maybe_applied: bool = True) -> None:
        super().__init__(message)
        self.maybe_applied = maybe_applied


class PermanentError(CohortSyncError, AirflowFailException):
    """No retry can help: the task fails at once, and the message says what to do."""


class VendorUnavailableError(RetryableError):
    """The vendor gave no usable answer within ``retry_timeout``."""


class RateLimitedError(RetryableError):
    """
    The vendor answered 429 until ``retry_timeout`` was over.

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
    """Amplitude gave up on the export or no longer knows it; a retry requests a new one."""

    segment_touched = False


class IncompleteExportError(RetryableError):
    """The downloaded file is cut short or damaged; a retry downloads the same export again."""

    segment_touched = False


class TriggererError(RetryableError):
    """The triggerer cannot wait for the export, such as without the connection; a retry continues it."""

    segment_touched = False


class ExportTooLargeError(RetryableError):
    """
    The file is far larger than the cohort can be.

    A retry reads the size of the cohort anew, and downloads the same export again.
    """

    segment_touched = False


class SyncStoppedError(RetryableError):
    """The task was killed or marked in the UI while it ran: nothing more was sent."""


class SegmentNotCreatedError(RetryableError):
    """The answer to creating a segment was lost; a retry looks for the segment before it creates one."""

    segment_touched = False


class MembershipMismatchError(RetryableError):
    """The members on Customer.io's pages and the segment's count still differ after several readings."""


class StateStoreError(RetryableError):
    """Airflow's state store could not be read, or its entries not be marked as outdated."""

    segment_touched = False


class SegmentDeletedError(RetryableError):
    """The segment was deleted while the task ran; a retry looks for it, and creates it if the sync may."""


class DiskFullError(RetryableError):
    """The worker's disk has no space for the run's files; a retry may run on another worker."""


class SnapshotStorageError(RetryableError):
    """The storage of the snapshots is unavailable, or refuses to read, write, list or delete."""


class VerificationError(RetryableError):
    """Read back after the writes, the segment does not hold what it should."""

    segment_touched = True


class ConfigurationError(PermanentError):
    """A parameter or a connection field is missing or has a wrong value."""

    segment_touched: bool | None = False


class MappingError(ConfigurationError):
    """
    Cohort and segment cannot be compared: one side lacks the key, or no identifier of the cohort matches.

    Usually ``user_id_property`` or ``id_type`` is wrong, or one in ``identifiers``; ``allow_no_match`` lets
    one run pass.
    """

    segment_touched = None


class SegmentConflictError(ConfigurationError):
    """Another sync of the same file writes to the same segment, and they would undo each other's work."""


class WorkspaceMismatchError(ConfigurationError):
    """The App API key does not see what the Track API's keys write: they belong to two workspaces."""

    segment_touched = True


class KeysNotProvenError(ConfigurationError):
    """
    Nothing shows whether all keys of a connection belong to one workspace, so no more was written.

    No write has become visible, and none had to: who exists cannot be looked up, or is refused.
    """

    segment_touched = True


class AuthenticationError(PermanentError):
    """
    A key is wrong or lacks a permission; the message names the key and its connection field.

    :param message: which key, and what to do.
    :param keys_worked: whether the vendor has accepted the same key before, so that the request is repeated
        once.
    """

    def __init__(self, message: str, *, keys_worked: bool = False) -> None:
        super().__init__(message)
        self.keys_worked = keys_worked


class WrongRegionError(PermanentError):
    """The account lives in the other region."""


class AmplitudePlanError(PermanentError):
    """The plan of the Amplitude project does not include the cohort API."""

    segment_touched = False


class QuotaReachedError(PermanentError):
    """Only the reserved exports of the month are left; the count is reset with the new month."""

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


class ExportEncodingError(PermanentError):
    """Too many identifiers of the export are not valid UTF-8, in two downloads of it."""

    segment_touched = False


class ExportMismatchError(PermanentError):
    """The export that this task was given is of another cohort, property or connection."""

    segment_touched = False


class OutdatedExportError(PermanentError):
    """The export is older than the one from which the segment was synced last, and is not replaced."""

    segment_touched = False


class UnknownSegmentError(PermanentError):
    """Customer.io knows no segment with this id in the connection's workspace."""


class DataDrivenSegmentError(PermanentError):
    """Customer.io computes the members of this segment itself."""

    segment_touched = False


class AmbiguousSegmentError(PermanentError):
    """More than one segment has the name."""

    segment_touched = False


class RequestRejectedError(PermanentError):
    """
    The vendor refused the request itself; a retry would be refused as well.

    :param message: what was refused and the vendor's reason.
    :param status: the HTTP status code.
    :param detail: the vendor's reason alone, without keys and people; empty if it is not known.
    """

    def __init__(self, message: str, status: int, detail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.detail = detail


class NotRemovableError(PermanentError):
    """
    People who should leave the segment cannot be removed through Customer.io's API.

    They have no ``id`` (an error only with ``on_not_removable: fail``), or Customer.io refuses theirs.
    """

    segment_touched = True


class SnapshotMissingError(PermanentError):
    """There is no snapshot at or before the requested time."""

    segment_touched = False


class SnapshotDamagedError(PermanentError):
    """A snapshot does not hold what its manifest says: nothing of it is used."""

    segment_touched = False


class SnapshotMismatchError(PermanentError):
    """A snapshot is of another segment, workspace or ``id_type``: its people belong elsewhere."""

    segment_touched = False


class StaleSegmentError(PermanentError):
    """A segment has had no good run for longer than its ``max_age``."""

    segment_touched = False


class GuardTrippedError(PermanentError):
    """
    The planned change looked dangerous: nothing was written, or with ``on_guard: add_only`` nobody removed.

    :param message: every trip in words.
    :param trips: the names of the guards that tripped.
    :param report: the counts of a run that has added people and removed nobody; ``None`` if it wrote nothing.
    """

    def __init__(self, message: str, trips: Sequence[str], report: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.trips = tuple(trips)
        self.report = report
