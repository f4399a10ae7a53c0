"""What one run of a sync needs from outside: both vendors, Airflow's stores, snapshots, and a way to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_cio_cohort.engine.customer_io import SegmentStore
from airflow_provider_cio_cohort.engine.members import MemberPage
from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
from airflow_provider_cio_cohort.state import StateStore
from airflow_provider_cio_cohort.sync.memory import VendorFacts

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.hooks.cancellation import CancelToken


class Cohort(Protocol):
    """A cohort as Amplitude's list shows it; :class:`.hooks.amplitude.Cohort` is one."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def size(self) -> int | None:
        """Members when it was last computed; ``None`` if it never was."""

    @property
    def archived(self) -> bool:
        """Whether it was archived."""

    @property
    def group(self) -> str:
        """What its members are: ``User`` for people."""

    @property
    def last_computed(self) -> int | None:
        """When it was last computed, in epoch seconds; ``None`` if it never was."""


class Usage(Protocol):
    """The exports of the month; :class:`.hooks.amplitude.Usage` is one."""

    @property
    def limit(self) -> int | None:
        """How many the plan has; ``None`` if Amplitude does not say."""

    @property
    def used(self) -> int | None:
        """How many were used; ``None`` if Amplitude does not say."""

    @property
    def resets_at(self) -> str | None:
        """When the count starts again."""


class Amplitude(Protocol):
    """An Amplitude project; :class:`.AmplitudeHook` is one."""

    @property
    def amplitude_conn_id(self) -> str:
        """Its connection, for messages."""

    @property
    def cancel_token(self) -> CancelToken:
        """Once cancelled, nothing more is sent."""

    def stop(self) -> None:
        """Send nothing more."""

    def trust_keys(self) -> None:
        """Treat the keys as accepted before, as after a wait in the same run."""

    def cohort_url(self, cohort_id: str) -> str:
        """Return the cohort's page in Amplitude."""

    def find_cohort(self, cohort_id: str) -> Cohort | None:
        """Return a cohort, ``None`` if the list does not show it."""

    def usage(self) -> Usage:
        """Return the exports of the month."""

    def request_export(self, cohort_id: str, *properties: str) -> str:
        """Request an export, which counts, and return its id."""

    def export_finished(
        self, request_id: str, cohort_id: str | None = None, requested_at: float | None = None
    ) -> bool:
        """Say whether an export has been computed, and is of the cohort."""

    def download_export(self, request_id: str, path: Path, *, announced: int | None = None) -> int:
        """Download an export of a cohort of the announced size, and return the file's size in bytes."""


class Segment(Protocol):
    """A segment as Customer.io shows it; :class:`.hooks.customer_io_api.Segment` is one."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str:
        """Its description."""

    @property
    def is_manual(self) -> bool:
        """Whether people are added to it, instead of Customer.io computing them."""


class CustomerIO(SegmentStore, Protocol):
    """A Customer.io workspace; :class:`.CustomerIOHook` is one."""

    @property
    def customer_io_conn_id(self) -> str:
        """Its connection, for messages."""

    @property
    def cancel_token(self) -> CancelToken:
        """Once cancelled, nothing more is sent."""

    @property
    def workspace_id(self) -> int | None:
        """The number of the workspace of the Track API's keys; ``None`` if Customer.io does not say."""

    @property
    def keys_fingerprint(self) -> str:
        """A fingerprint of the three keys, and of where they are used."""

    @property
    def digest_key(self) -> bytes:
        """A secret that keys the digests of a plan."""

    def stop(self) -> None:
        """Send nothing more."""

    def trust_keys(self) -> None:
        """Treat the keys as accepted before, as after a wait in the same run."""

    def stream_member_pages(
        self, segment_id: int, cancel: CancelToken | None = None, total: int | None = None
    ) -> Iterator[MemberPage]:
        """Yield everybody in the segment, many at once, until ``cancel`` is cancelled."""

    def check_track(self) -> None:
        """Check the Track API's keys, and the region."""

    def accepts_identifier(self, id_type: str) -> bool | None:
        """Say whether the workspace uses a kind of identifier; ``None`` if that is unknown."""

    def list_segments(self) -> Sequence[Segment]:
        """Return all segments."""

    def find_segment(self, name: str, listed: Sequence[Any] | None = None) -> Segment | None:
        """Return the manual segment of that name, of those that were just listed."""

    def get_segment(self, segment_id: int) -> Segment:
        """Return the manual segment of that number."""

    def create_segment(self, name: str, description: str = "", *, unique_names: bool = False) -> Segment:
        """Create a manual segment; the request may be repeated if names are unique."""


class RestorePoint(Protocol):
    """A snapshot to restore; :class:`.snapshots.run.RestorePoint` is one."""

    @property
    def reference(self) -> str:
        """Which snapshot it is, as :meth:`Snapshots.keep` returned it."""

    @property
    def moment(self) -> str:
        """What it is the state of, in ISO 8601."""

    @property
    def identifiers(self) -> int:
        """How many it holds."""

    @property
    def cohort_id(self) -> str:
        """The cohort that the sync used then."""

    def fetch(self, path: Path) -> None:
        """Write its identifiers to a file."""


class Tracked(Protocol):
    """Whom a sync with ``mode: tracked`` has added; :class:`.snapshots.run.Tracked` is one."""

    @property
    def base(self) -> str:
        """The snapshot that tells, for :meth:`Snapshots.keep_pending`."""

    @property
    def problem(self) -> str:
        """Why it is unknown, in words; empty if it is known."""

    @property
    def added(self) -> Sequence[Path]:
        """Files with those whom good runs have added."""

    @property
    def pending(self) -> Sequence[Path]:
        """Files with those whom later runs were about to add."""


class Snapshots(Protocol):
    """The snapshots of the segment; :class:`.RunSnapshots` is one."""

    def check_writable(self) -> None:
        """Make sure that a snapshot can be stored."""

    def keep(
        self,
        identifiers: Path,
        *,
        segment_id: int | None,
        segment_name: str,
        workspace_id: int | None,
        reasons: Mapping[str, int] | None = None,
    ) -> str:
        """Store what was synced, delete the snapshots that are too old, and return which one was stored."""

    def fetch(self, reference: str, path: Path) -> bool:
        """Write the identifiers of a snapshot to a file; ``False`` if it does not exist any more."""

    def keep_pending(
        self,
        identifiers: Path,
        base: str,
        *,
        segment_id: int | None,
        segment_name: str,
        workspace_id: int | None,
    ) -> None:
        """Store whom a run is about to add."""

    def fetch_tracked(
        self,
        directory: Path,
        *,
        segment_id: int | None,
        workspace_id: int | None,
        is_made: bool,
        last_snapshot: str | None,
        last_count: int,
        dry_run: bool,
    ) -> Tracked:
        """Write to files whom the sync has added, as far as the storage tells."""

    def restore_point(self, snapshot_at: str | None, workspace_id: int | None) -> RestorePoint:
        """Return the snapshot to restore, of a workspace that is known to be this one."""


@dataclass(frozen=True)
class Ports:
    """
    Everything outside a run that it uses.

    :param amplitude: the project.
    :param customer_io: the workspace.
    :param owner: whose sync it is, as the DAG's id: other DAGs do not use what it remembers.
    :param task_store: what outlives the tries of the task.
    :param segment_store: what outlives the runs, of the segment's asset.
    :param run_store: what outlives the runs without an asset's store, for as long as Airflow keeps XComs.
    :param snapshots: of the segment; ``None`` if the sync keeps none.
    :param unmatched: the files of those whom runs have not matched; ``None`` if the sync keeps none.
    :param workspace_of: returns the workspace's number of another Customer.io connection; ``None`` if that
        is unknown.
    :param on_segment: called with the segment's number once it is known; ``None`` where there is no segment.
    :param before_writing: called before the first write.
    :param form: the parameters that the DAG's form sets for a run; ``None`` if that is not known.
    :param verify_timeouts: how long a write may take to become visible in a read.
    :param facts: what is known of the workspace.
    :param clock: returns the time, in epoch seconds.
    """

    amplitude: Amplitude
    customer_io: CustomerIO
    owner: str
    task_store: StateStore = field(default_factory=lambda: StateStore(None))
    segment_store: StateStore = field(default_factory=lambda: StateStore(None))
    run_store: StateStore = field(default_factory=lambda: StateStore(None))
    snapshots: Snapshots | None = None
    unmatched: Snapshots | None = None
    workspace_of: Callable[[str], int | None] = lambda conn_id: None
    on_segment: Callable[[int | None], object] = lambda segment_id: None
    before_writing: Callable[[], object] = lambda: None
    form: Collection[str] | None = None
    verify_timeouts: VerifyTimeouts = field(default_factory=VerifyTimeouts)
    facts: VendorFacts = field(default_factory=VendorFacts)
    clock: Callable[[], float] = time.time


#: Facts of a cohort as plain data, as a deferral keeps them.
CohortFacts = Mapping[str, Any]
