"""A run and the snapshots of its segment: the one that it takes, and the one that it goes back to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError, SnapshotStorageError
from airflow_provider_cio_cohort.snapshots.entry import Entry
from airflow_provider_cio_cohort.snapshots.manifest import Manifest, Origin
from airflow_provider_cio_cohort.snapshots.moments import moment_of, parse_moment
from airflow_provider_cio_cohort.snapshots.retention import Retention
from airflow_provider_cio_cohort.snapshots.store import Segment, SnapshotStore, run_of, some_moments
from airflow_provider_cio_cohort.snapshots.subject import Subject
from airflow_provider_cio_cohort.sync.identifiers import CohortIdentifiers
from airflow_provider_cio_cohort.sync.report import SyncReport

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import (
        AmplitudeCohortToCustomerIOOperator,
    )
    from airflow_provider_cio_cohort.transfers.rendered import RunParameters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunSnapshots:
    """
    The snapshots of a segment, as one run uses them.

    :param store: where they are.
    :param retention: how long they are kept.
    :param origin: the run.
    :param zone: the timezone of its DAG.
    :param user_id_property: the property that holds the identifiers.
    """

    store: SnapshotStore
    retention: Retention
    origin: Origin
    zone: tzinfo | None
    user_id_property: str

    def keep(self, people: CohortIdentifiers, report: SyncReport, workspace_id: int | None) -> None:
        """
        Take a snapshot of what was synced, and delete those that are too old.

        :param people: who it was.
        :param report: of the sync, which went well.
        :param workspace_id: the segment's workspace.
        :raises SnapshotStorageError: if it cannot be kept.
        """
        now = datetime.now(UTC)
        segment = Segment(workspace_id, report.segment_id, report.segment_name)
        try:
            moment = moment_of(self.origin, self.store.entries(), run_of(self.origin), now)
            kept = self.store.keep(people.path, self.origin, segment, self.user_id_property, now, moment)
        except SnapshotStorageError as error:
            raise SnapshotStorageError(
                f"The segment is as it should be, but no snapshot of it could be kept.\n{error.headline}. "
                "A retry compares again, which costs no export, and tries to keep the snapshot."
            ) from None
        deleted = self.retention.apply(self.store, workspace_id, now)
        log.info(
            "Kept a snapshot of %s identifiers, of %s; %s older ones were deleted.",
            f"{kept.identifiers:,}",
            kept.moment,
            f"{deleted:,}",
        )

    def wanted(self, snapshot_at: str | None) -> datetime:
        """
        Return the moment to go back to.

        :param snapshot_at: what the form says; ``None`` for the run's own logical date.
        :raises ConfigurationError: if neither is there.
        """
        if snapshot_at is not None:
            return parse_moment(snapshot_at, self.zone)
        if self.origin.logical_date is not None:
            return self.origin.logical_date
        found = self.store.snapshots()
        there = f"There are snapshots of {some_moments(found)}" if found else "There is none yet"
        raise ConfigurationError(
            "source is snapshot, but nothing says of when: this run has no logical date.\n"
            f"Set snapshot_at in the form to one of the moments, or to a later time. {there}."
        )

    def choose(self, snapshot_at: str | None, workspace_id: int | None) -> tuple[Entry, Manifest]:
        """
        Return the snapshot to go back to.

        :param snapshot_at: what the form says.
        :param workspace_id: the segment's workspace.
        :raises PermanentError: if there is none, or it is damaged or another segment's.
        """
        entry = self.store.find(self.wanted(snapshot_at))
        manifest = self.store.manifest(entry)
        manifest.check(self.store.subject, workspace_id)
        return entry, manifest


def snapshots_of(
    operator: AmplitudeCohortToCustomerIOOperator, context: Mapping[str, Any], run: RunParameters
) -> RunSnapshots | None:
    """
    Return the snapshots of a task's segment; ``None`` if it keeps none.

    :param operator: the task.
    :param context: its context.
    :param run: the run's parameters.
    """
    if run.snapshot_path is None:
        return None
    subject = Subject(
        customer_io_conn_id=operator.customer_io_conn_id,
        segment=run.segment.named,
        id_type=operator.id_type,
        mode=operator.mode,
        cohort_id=run.cohort_id,
    )
    return RunSnapshots(
        store=SnapshotStore(run.snapshot_path, subject),
        retention=Retention(operator.snapshot_keep_days, operator.snapshot_keep_last),
        origin=_origin(operator, context),
        zone=getattr(context.get("dag"), "timezone", None),
        user_id_property=operator.user_id_property,
    )


def _origin(operator: AmplitudeCohortToCustomerIOOperator, context: Mapping[str, Any]) -> Origin:
    run = context.get("dag_run")
    run_type, index = getattr(run, "run_type", ""), getattr(context.get("ti"), "map_index", None)
    times = ("run_after", "logical_date", "data_interval_start", "data_interval_end")
    return Origin(
        dag_id=operator.dag_id,
        task_id=operator.task_id,
        map_index=-1 if index is None else index,
        run_id=getattr(run, "run_id", ""),
        run_type=str(getattr(run_type, "value", run_type)),
        **{name: getattr(run, name, None) for name in times},
    )


def restore(
    operator: AmplitudeCohortToCustomerIOOperator, context: Any, run: RunParameters
) -> dict[str, Any]:
    """
    Put a segment back to what it was, as a sync does: guards, difference, verification, report.

    Amplitude is not asked for anything.

    :param operator: the task.
    :param context: its context.
    :param run: the run's parameters.
    """
    snapshots = snapshots_of(operator, context, run)
    if snapshots is None:
        raise ConfigurationError(
            "source is snapshot, but this sync keeps no snapshots.\n"
            "It has no snapshot_path, so there is nothing to go back to."
        )
    operator.find_segment(run)
    entry, manifest = snapshots.choose(run.snapshot_at, operator.carried["workspace_id"])
    log.info(
        "Going back to the snapshot of %s, %s identifiers.", manifest.moment, f"{manifest.identifiers:,}"
    )
    if manifest.cohort_id != run.cohort_id:
        log.warning("The snapshot was taken when the sync followed another cohort, %s.", manifest.cohort_id)
    last = operator._last_good(context)
    with operator.private_directory() as directory:
        path = directory / "cohort"
        with operator.segment_read_aside(run, directory, manifest.identifiers) as aside:
            snapshots.store.fetch(entry, manifest, path)
        people = CohortIdentifiers(path, manifest.identifiers, 0, manifest.identifiers)
        # It is known to be whole, so it is never short: what the last sync had may be what is to be undone.
        options = operator.options(
            run, announced=people.cohort_rows, source="snapshot", snapshot_at=manifest.moment
        )
        report = operator.fill(context, run, people, None, options, aside).to_dict()
    if not run.dry_run:
        # The next sync is held against what was restored, and does not take the cohort for unchanged.
        last.save(report, None)
        operator.announce(context, report, {})
    return report
