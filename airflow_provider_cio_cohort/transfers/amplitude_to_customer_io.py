"""The operator that makes a Customer.io segment equal to an Amplitude cohort."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, conf

from airflow_provider_cio_cohort.assets import segment_asset
from airflow_provider_cio_cohort.links import AmplitudeCohortLink, CustomerIOSegmentLink
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.export_state import Export, GivenExport
from airflow_provider_cio_cohort.transfers.filling import PLAN_KEY, SegmentFillingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["PLAN_KEY", "AmplitudeCohortToCustomerIOOperator"]


class AmplitudeCohortToCustomerIOOperator(SegmentFillingOperator):
    """
    Make a Customer.io segment equal to an Amplitude cohort, and return a report of counts.

    Checks keys, regions, cohort and segment before it spends an export; compares the cohort with the real
    members; refuses a dangerous change before the first write; sends only the difference; reads it back.

    :param cohort_id: the Amplitude cohort, such as ``a1b2c3d``: the last part of its address. (templated)
    :param segment_name: the Customer.io segment; one that does not exist is created as a manual segment.
        Exactly one of ``segment_name`` and ``segment_id`` is given. (templated)
    :param segment_id: the Customer.io segment. (templated)
    :param user_id_property: the Amplitude property that is the Customer.io identifier: ``user_id``,
        ``amplitude_id``, or any user property.
    :param id_type: which identifier of Customer.io it is: ``id``, ``email`` or ``cio_id``.
    :param mode: ``mirror``: the segment becomes the cohort; ``add_only``: nobody is removed.
    :param max_removal_percent: refuse to remove more than this share of the segment, 0 to 100; ``None``
        turns the guard off. Up to 20 removals are never refused.
    :param max_shortfall_percent: refuse to remove anybody for a cohort that has so much fewer members than
        Amplitude announces, or than the last good sync had, 0 to 100; ``None`` turns the guard off.
    :param min_match_rate: refuse to write when a smaller share of the identifiers is somebody in Customer.io,
        0 to 1; ``None`` turns the guard off.
    :param adopt_segment: in mirror mode, remove people also from a segment that no sync made for this
        cohort. (templated)
    :param allow_large_removal: let this run remove more than ``max_removal_percent``. (templated)
    :param allow_empty_cohort: let this run empty the segment. (templated)
    :param allow_short_cohort: let this run pass ``max_shortfall_percent``. (templated)
    :param allow_low_match: let this run pass ``min_match_rate``. (templated)
    :param dry_run: look and report, but write nothing; leaves what the guards say as the XCom ``plan``.
        (templated)
    :param approved_plan: a ``plan`` that somebody has let through: its guards do not trip for a change that
        is no larger. (templated)
    :param skip_unchanged: end without an export when Amplitude has not computed the cohort anew since the
        last good sync, and the segment has as many members as it had then.
    :param source: ``cohort``, or ``snapshot``: put the segment back to what it was; Amplitude is not asked.
        (templated)
    :param snapshot_at: the moment to which ``source`` ``snapshot`` goes back, in ISO 8601; when it is empty,
        the run's logical date. The newest snapshot that is not younger is taken. (templated)
    :param snapshot_path: where each good run keeps the identifiers that it has synced, as
        ``ObjectStoragePath`` takes it, such as ``s3://aws_default@bucket/cohorts``; ``None`` keeps none.
        (templated)
    :param snapshot_keep_days: how long a snapshot is kept.
    :param snapshot_keep_last: so many of the newest snapshots are kept however old they are.
    :param request_id: an export that :class:`.AmplitudeCohortExportOperator` has requested; this task
        requests none. (templated)
    :param customer_io_conn_id: the connection to one Customer.io workspace. (templated)
    :param amplitude_conn_id: the connection to one Amplitude project. (templated)
    :param poll_interval: seconds between two looks at the export.
    :param export_timeout: seconds that a try waits for the export.
    :param export_reserve: exports of the month that are left alone: with no more left, the task fails.
    :param deferrable: wait in the triggerer, without holding a worker.
    :raises PermanentError: if no retry can mend it; ends the task at once.
    :raises RetryableError: if a retry can; see :mod:`airflow_provider_cio_cohort.exceptions`.
    """

    template_fields: Sequence[str] = (
        "cohort_id",
        "segment_name",
        "segment_id",
        "adopt_segment",
        "allow_large_removal",
        "allow_empty_cohort",
        "allow_short_cohort",
        "allow_low_match",
        "dry_run",
        "approved_plan",
        "source",
        "snapshot_at",
        "snapshot_path",
        "request_id",
        "amplitude_conn_id",
        "customer_io_conn_id",
    )
    ui_color = "#e6f4ea"
    operator_extra_links: Collection[BaseOperatorLink] = (AmplitudeCohortLink(), CustomerIOSegmentLink())

    def __init__(
        self,
        *,
        cohort_id: str,
        segment_name: str | None = None,
        segment_id: int | str | None = None,
        user_id_property: str = "user_id",
        id_type: str = "id",
        mode: str = "mirror",
        max_removal_percent: float | None = 50,
        max_shortfall_percent: float | None = 30,
        min_match_rate: float | None = None,
        adopt_segment: bool | str = False,
        allow_large_removal: bool | str = False,
        allow_empty_cohort: bool | str = False,
        allow_short_cohort: bool | str = False,
        allow_low_match: bool | str = False,
        dry_run: bool | str = False,
        approved_plan: str | dict[str, Any] | None = None,
        skip_unchanged: bool = False,
        source: str = "cohort",
        snapshot_at: str | None = None,
        snapshot_path: str | None = None,
        snapshot_keep_days: float = 30,
        snapshot_keep_last: int = 3,
        request_id: str | None = None,
        customer_io_conn_id: str = "customer_io_default",
        amplitude_conn_id: str = "amplitude_default",
        poll_interval: float = 10,
        export_timeout: float = 3600,
        export_reserve: int = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(
            cohort_id=cohort_id,
            amplitude_conn_id=amplitude_conn_id,
            poll_interval=poll_interval,
            export_timeout=export_timeout,
            export_reserve=export_reserve,
            deferrable=deferrable,
            **kwargs,
        )
        self.segment_name = segment_name
        self.segment_id = segment_id
        self.user_id_property = parameters.as_text(user_id_property, "user_id_property")
        self.id_type: Any = id_type
        self.mode: Any = mode
        self.max_removal_percent = max_removal_percent
        self.max_shortfall_percent = max_shortfall_percent
        self.min_match_rate = min_match_rate
        self.adopt_segment = adopt_segment
        self.allow_large_removal = allow_large_removal
        self.allow_empty_cohort = allow_empty_cohort
        self.allow_short_cohort = allow_short_cohort
        self.allow_low_match = allow_low_match
        # Hides BaseOperator.dry_run(), which nothing calls since Airflow 3: the parameter's name counts more.
        self.dry_run = dry_run  # type: ignore[assignment, method-assign]
        self.approved_plan = approved_plan
        self.skip_unchanged = skip_unchanged
        self.source = source
        self.snapshot_at = snapshot_at
        self.snapshot_path = snapshot_path
        self.snapshot_keep_days = snapshot_keep_days
        self.snapshot_keep_last = snapshot_keep_last
        self.request_id = request_id
        self.customer_io_conn_id = customer_io_conn_id
        parameters.check_sync(self)
        if self._cohort is not None and self._cohort not in self.inlets:
            self.inlets.append(self._cohort)
        self._segment = segment_asset(customer_io_conn_id, segment_name, segment_id)
        ends = self.inlets if dry_run is True else self.outlets
        if self._segment is not None and self._segment not in ends:
            ends.append(self._segment)

    @property
    def wanted_properties(self) -> tuple[str, ...]:
        """The properties that the export must hold."""
        return (self.user_id_property,)

    def start(self, context: Context) -> dict[str, Any]:
        """Check both ends, get the export, and sync; or go back to a snapshot."""
        from airflow_provider_cio_cohort.transfers.endpoints import check_cohort
        from airflow_provider_cio_cohort.transfers.rendered import rendered
        from airflow_provider_cio_cohort.transfers.snapshotting import restore, snapshots_of

        run = rendered(self)
        self.begin()
        if run.from_snapshot:
            return restore(self, context, run)
        cohort = check_cohort(self.amplitude, run.cohort_id)
        segment = self.find_segment(run)
        if self.skip_unchanged and not run.dry_run and cohort and segment:
            members = self.customer_io.count_members(segment.id)
            if unchanged := self._last_good(context).unchanged(cohort.last_computed, members):
                self.announce(context, unchanged, {})
                return unchanged
        snapshots = snapshots_of(self, context, run)
        if snapshots and not run.dry_run:
            snapshots.store.check_writable()  # before an export is spent, and anybody added or removed
        report: dict[str, Any] = self.get_export(context, cohort)
        return report

    def export_of(self, context: Context) -> Export:
        """Return the export that was given, or that this task requests itself."""
        if self.request_id is None:
            return super().export_of(context)
        return GivenExport(parameters.as_request_id(self.request_id))

    def exported(
        self, context: Context, export: Export, request_id: str, cohort: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Download the export, compare, write, verify, keep a snapshot, and return the report."""
        from airflow_provider_cio_cohort.transfers.cohort_download import CohortDownload
        from airflow_provider_cio_cohort.transfers.rendered import rendered
        from airflow_provider_cio_cohort.transfers.snapshotting import snapshots_of

        run = rendered(self)
        last, snapshots = self._last_good(context), snapshots_of(self, context, run)
        with self.private_directory() as directory:
            download = CohortDownload(
                self.amplitude, request_id, self.user_id_property, self.id_type, directory
            )
            with self.segment_read_aside(run, directory, cohort.get("size")) as aside:
                people = download.run(cohort.get("size"))
            previous = ((last.load() or {}).get("report") or {}).get("identifiers")
            options = self.options(run, announced=cohort.get("size"), previous=previous)
            report = self.fill(context, run, people, cohort.get("name"), options, aside)
            if snapshots and not run.dry_run:
                snapshots.keep(people, report, self.carried.get("workspace_id"))
        if not run.dry_run:
            export.used()
            last.save(report.to_dict(), export.computed_at)
            self.announce(context, report.to_dict(), export.month)
        return report.to_dict()
