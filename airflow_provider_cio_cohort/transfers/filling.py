"""What a sync does with a segment, wherever the people come from: finds it, fills it, tells the result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import Asset

from airflow_provider_cio_cohort.exceptions import SegmentVanishedError, UnknownSegmentError
from airflow_provider_cio_cohort.sync.engine import Options, SegmentSync
from airflow_provider_cio_cohort.sync.identifiers import CohortIdentifiers
from airflow_provider_cio_cohort.sync.reading import SegmentReading
from airflow_provider_cio_cohort.sync.report import SyncReport
from airflow_provider_cio_cohort.sync.room import check_room, full_disk_named
from airflow_provider_cio_cohort.sync.verify import Patience
from airflow_provider_cio_cohort.transfers.exporting import ExportingOperator
from airflow_provider_cio_cohort.transfers.last_good import LastGood
from airflow_provider_cio_cohort.transfers.ownership import describe

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.hooks.segments import Segment
    from airflow_provider_cio_cohort.transfers.rendered import RunParameters

#: Where a dry run leaves what it would have asked somebody.
PLAN_KEY = "plan"


class ReadAside(NamedTuple):
    """
    A segment whose members are read while something else goes on.

    :param segment: the segment.
    :param members: the reading.
    """

    segment: Segment
    members: SegmentReading


class SegmentFillingOperator(ExportingOperator):
    """An operator that fills a segment; see :class:`.AmplitudeCohortToCustomerIOOperator`."""

    customer_io_conn_id: str
    user_id_property: str
    id_type: Any
    mode: Any
    snapshot_path: str | None
    #: The segment as an asset, which carries the memory of its last good sync from run to run.
    _segment: Asset | None = None
    _directory: Path | None = None

    @cached_property
    def customer_io(self) -> CustomerIOHook:
        """The hook of the Customer.io workspace."""
        from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

        return CustomerIOHook(self.customer_io_conn_id)

    def find_segment(self, run: RunParameters) -> Segment | None:
        """
        Check the keys of the workspace, and return the segment; ``None`` where a run would create it.

        :param run: the run's parameters.
        """
        self.customer_io.check_track()
        segment = run.segment.find(self.customer_io)
        self.carried["workspace_id"] = self.customer_io.account.workspace_id
        self.link_to(segment.id if segment else None)
        return segment

    @contextmanager
    def private_directory(self) -> Iterator[Path]:
        """
        Make a directory for the people of this run, which goes with it however it ends.

        :raises SyncStoppedError: if a kill has taken the files away.
        """
        from airflow_provider_cio_cohort.transfers.collector import old_objects_set_aside
        from airflow_provider_cio_cohort.transfers.run_directory import run_directory

        with run_directory() as directory, full_disk_named(directory), old_objects_set_aside():
            self._directory = directory
            try:
                yield directory
            except FileNotFoundError:
                # A kill takes the files away from under whoever was about to open one.
                self.customer_io.stopped.check("it was done with the run's files")
                raise

    @contextmanager
    def segment_read_aside(
        self, run: RunParameters, directory: Path, announced: int | None
    ) -> Iterator[ReadAside | None]:
        """
        Make sure that the run's files have room, and read the segment while the block fetches the cohort.

        :param run: the run's parameters.
        :param directory: the run's private directory.
        :param announced: members of the cohort, if they are known.
        :return: ``None`` where there is no segment yet.
        :raises NoRoomError: if there is too little room.
        """
        from airflow_provider_cio_cohort.hooks.halt import Halt

        hook = self.customer_io
        segment = run.segment.find(hook)
        members_now = hook.count_members(segment.id) if segment else 0
        check_room(directory, announced, members_now, self.id_type)
        if segment is None:
            yield None
            return
        halt = Halt(hook.stopped)
        pages = hook.stream_member_pages(segment.id, halt, members_now)
        with SegmentReading(pages, self.id_type, directory, halt.set) as members:
            yield ReadAside(segment, members)

    def fill(
        self,
        context: Context,
        run: RunParameters,
        people: CohortIdentifiers,
        name: str | None,
        options: Options,
        aside: ReadAside | None = None,
    ) -> SyncReport:
        """
        Compare, guard, write and verify; what a dry run would have asked somebody is left as an XCom.

        :param context: the task's context.
        :param run: the run's parameters.
        :param people: who is to be in the segment, in the run's private directory.
        :param name: the cohort's, for the description of a segment that has to be created.
        :param options: how it is to be done.
        :param aside: the segment, if it has been read while the people were fetched.
        """
        description = None if run.dry_run else describe(run.cohort_id, name, self.mode)
        found = aside.segment if aside else None
        target = run.segment.open(self.customer_io, run.cohort_id, description=description, found=found)
        self.link_to(target.id)
        wait = self.customer_io.stopped.wait
        sync = SegmentSync(self.customer_io, target, options, people.path.parent, wait, self.touched.note)
        try:
            report = sync.run(people, aside.members.count() if aside else None)
        except UnknownSegmentError as error:
            raise SegmentVanishedError(
                f"{error.headline}\nIt was there when the task began: a retry looks for it again."
            ) from None
        self.log.info("%s\n%s", report.summary(), report.as_table())
        if run.dry_run:
            # Nothing has become of the segment, so Airflow is to make no event of this success.
            self.outlets = [asset for asset in self.outlets if asset != self._segment]
            context["ti"].xcom_push(PLAN_KEY, sync.plan)
        return report

    def options(self, run: RunParameters, **facts: Any) -> Options:
        """
        Return how a run is to be done.

        :param run: the run's parameters.
        :param facts: what is known of where the identifiers come from.
        """
        from airflow_provider_cio_cohort.hooks.policy import settings

        return Options(
            cohort_id=run.cohort_id,
            id_type=self.id_type,
            mode=self.mode,
            dry_run=run.dry_run,
            limits=run.limits,
            patience=Patience(**settings(asdict(Patience()), prefix="verify_")),
            **facts,
        )

    def link_to(self, segment_id: int | None) -> None:
        """
        Let the task's link lead to the segment.

        :param segment_id: its id, if it has one yet.
        """
        from airflow_provider_cio_cohort.hooks.web import segment_url

        region, workspace_id = self.customer_io.track.region, self.carried.get("workspace_id")
        self.carried["segment_url"] = segment_url(region, workspace_id, segment_id)

    def announce(self, context: Context, report: dict[str, Any], month: Mapping[str, Any]) -> None:
        """
        Tell Airflow what came of it: the event of the segment's asset, and metrics.

        :param context: the task's context.
        :param report: the counts.
        :param month: what Amplitude said of the month when an export was requested.
        """
        from airflow_provider_cio_cohort.transfers import outcome

        duration = round(max(time.time() - self.carried.get("began", time.time()), 0.0), 3)
        outcome.add_event(context, self._segment, {**report, "duration": duration, **month})
        outcome.count({"dag_id": self.dag_id, "task_id": self.task_id}, report, duration)
        outcome.count_exports(self.amplitude_conn_id, month)

    def on_kill(self) -> None:
        """Let both hooks send nothing more, and leave no file: Airflow kills what does not end in seconds."""
        super().on_kill()
        self.customer_io.stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _last_good(self, context: Context) -> LastGood:
        deciding = ("cohort_id", "user_id_property", "id_type", "mode", "amplitude_conn_id")
        of = {name: str(getattr(self, name)) for name in deciding}
        return LastGood(context, self._segment, of, self.snapshot_path)
