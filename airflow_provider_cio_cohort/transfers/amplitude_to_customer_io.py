"""The operator that makes a Customer.io segment equal to an Amplitude cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, conf

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.sync.engine import MODES, Options, SegmentSync
from airflow_provider_cio_cohort.sync.guards import Limits
from airflow_provider_cio_cohort.sync.identifiers import ID_TYPES
from airflow_provider_cio_cohort.sync.verify import Patience
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.export_state import ExportState
from airflow_provider_cio_cohort.transfers.export_wait import ExportWait
from airflow_provider_cio_cohort.transfers.ownership import describe

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.transfers.endpoints import SegmentChoice


@dataclass(frozen=True)
class _Run:
    """The templated parameters of one run, in their own types."""

    cohort_id: str
    segment: SegmentChoice
    wait: ExportWait
    allow_large_removal: bool
    allow_empty_cohort: bool
    dry_run: bool


class AmplitudeCohortToCustomerIOOperator(BaseOperator):
    """
    Make a Customer.io segment equal to an Amplitude cohort, and return a report of counts.

    Checks keys, regions, cohort and segment before it spends an export; compares the cohort with the real
    members; refuses a dangerous removal before the first write; sends only the difference; reads it back.

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
    :param adopt_segment: in mirror mode, remove people also from a segment that no sync made for this
        cohort.
    :param allow_large_removal: let this run remove more than ``max_removal_percent``. (templated)
    :param allow_empty_cohort: let this run empty the segment. (templated)
    :param dry_run: look and report, but write nothing. (templated)
    :param amplitude_conn_id: the connection to one Amplitude project. (templated)
    :param customer_io_conn_id: the connection to one Customer.io workspace. (templated)
    :param poll_interval: seconds between two looks at the export.
    :param export_timeout: seconds that a try waits for the export.
    :param deferrable: wait in the triggerer, without holding a worker.
    :raises PermanentError: if no retry can mend it; ends the task at once.
    :raises RetryableError: if a retry can; see :mod:`airflow_provider_cio_cohort.exceptions`.
    """

    template_fields: Sequence[str] = (
        "cohort_id",
        "segment_name",
        "segment_id",
        "allow_large_removal",
        "allow_empty_cohort",
        "dry_run",
        "amplitude_conn_id",
        "customer_io_conn_id",
    )
    ui_color = "#e6f4ea"

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
        adopt_segment: bool = False,
        allow_large_removal: bool | str = False,
        allow_empty_cohort: bool | str = False,
        dry_run: bool | str = False,
        amplitude_conn_id: str = "amplitude_default",
        customer_io_conn_id: str = "customer_io_default",
        poll_interval: float = 10,
        export_timeout: float = 3600,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.segment_name = segment_name
        self.segment_id = segment_id
        self.user_id_property = parameters.as_text(user_id_property, "user_id_property")
        self.id_type: Any = id_type
        self.mode: Any = mode
        self.max_removal_percent = max_removal_percent
        self.adopt_segment = adopt_segment
        self.allow_large_removal = allow_large_removal
        self.allow_empty_cohort = allow_empty_cohort
        # Hides BaseOperator.dry_run(), which nothing calls since Airflow 3: the parameter's name counts more.
        self.dry_run = dry_run  # type: ignore[assignment, method-assign]
        self.amplitude_conn_id = amplitude_conn_id
        self.customer_io_conn_id = customer_io_conn_id
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.deferrable = deferrable
        if (segment_name is None) == (segment_id is None):
            raise ConfigurationError("Give exactly one of segment_name and segment_id.")
        parameters.check_choice(id_type, "id_type", ID_TYPES)
        parameters.check_choice(mode, "mode", MODES)
        parameters.check_number(poll_interval, "poll_interval", above=0)
        parameters.check_number(export_timeout, "export_timeout", above=0)
        if max_removal_percent is not None:
            parameters.check_number(max_removal_percent, "max_removal_percent", upto=100)

    @cached_property
    def amplitude(self) -> AmplitudeHook:
        """The hook of the Amplitude project."""
        from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook

        return AmplitudeHook(self.amplitude_conn_id)

    @cached_property
    def customer_io(self) -> CustomerIOHook:
        """The hook of the Customer.io workspace."""
        from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

        return CustomerIOHook(self.customer_io_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, request the export (or continue it), wait, and sync."""
        from airflow_provider_cio_cohort.transfers.endpoints import check_cohort

        run = self._rendered()
        cohort = check_cohort(self.amplitude, run.cohort_id)
        self.customer_io.check_track()
        run.segment.find(self.customer_io)
        export = self._export_state(context, run.cohort_id)
        request_id = export.load(cohort.last_computed if cohort else None)
        if request_id is None:
            request_id = self.amplitude.request_export(run.cohort_id, self.user_id_property)
            export.save(request_id)
            self.log.info("Requested an export of cohort %s.", run.cohort_id)
        name = cohort.name if cohort else None
        with export.forgotten_if_failed():
            if not self.amplitude.export_finished(request_id):
                if self.deferrable:
                    trigger, timeout = run.wait.deferral(self.amplitude_conn_id, request_id)
                    self.defer(
                        trigger=trigger,
                        timeout=timeout,
                        method_name="execute_complete",
                        kwargs={"cohort_name": name},
                    )
                run.wait.on_worker(self.amplitude, request_id)
            return self._sync(run, export, request_id, name)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, cohort_name: str | None = None
    ) -> dict[str, Any]:
        """
        Go on when the triggerer has waited for the export.

        :param event: what the trigger yielded.
        :param cohort_name: the cohort's name, where Amplitude's list shows it.
        """
        run = self._rendered()
        export = self._export_state(context, run.cohort_id)
        with export.forgotten_if_failed():
            request_id = run.wait.read_event(event)
            return self._sync(run, export, request_id, cohort_name)

    def on_kill(self) -> None:
        """Let both hooks send nothing more."""
        self.amplitude.stop()
        self.customer_io.stop()

    def _rendered(self) -> _Run:
        """Read the templated parameters, which come as text where a template made them."""
        from airflow_provider_cio_cohort.transfers.endpoints import SegmentChoice

        cohort_id = parameters.as_text(self.cohort_id, "cohort_id")
        if self.segment_id is not None:
            segment = SegmentChoice(parameters.as_segment_id(self.segment_id), None)
        else:
            segment = SegmentChoice(None, parameters.as_text(self.segment_name, "segment_name"))
        return _Run(
            cohort_id=cohort_id,
            segment=segment,
            wait=ExportWait(cohort_id, self.poll_interval, self.export_timeout),
            allow_large_removal=parameters.as_flag(self.allow_large_removal, "allow_large_removal"),
            allow_empty_cohort=parameters.as_flag(self.allow_empty_cohort, "allow_empty_cohort"),
            dry_run=parameters.as_flag(self.dry_run, "dry_run"),  # type: ignore[arg-type]
        )

    def _export_state(self, context: Context, cohort_id: str) -> ExportState:
        wanted = {
            "cohort_id": cohort_id,
            "property": self.user_id_property,
            "amplitude_conn_id": self.amplitude_conn_id,
        }
        return ExportState(context, wanted)

    def _sync(
        self, run: _Run, export: ExportState, request_id: str, cohort_name: str | None
    ) -> dict[str, Any]:
        from airflow_provider_cio_cohort.sync.cohort_file import read_property

        with TemporaryDirectory(prefix="cio-cohort-") as name:
            directory = Path(name)
            file = directory / "export.csv"
            size = self.amplitude.download_export(request_id, file)
            self.log.info("Downloaded the export: %s bytes.", f"{size:,}")
            description = None if run.dry_run else describe(run.cohort_id, cohort_name, self.mode)
            target = run.segment.open(self.customer_io, run.cohort_id, description=description)
            sleep = self.customer_io.stopped.wait
            sync = SegmentSync(self.customer_io, target, self._options(run), directory, sleep)
            report = sync.run(read_property(file, self.user_id_property))
        export.forget()
        self.log.info("%s\n%s", report.summary(), report.as_table())
        return report.to_dict()

    def _options(self, run: _Run) -> Options:
        from airflow_provider_cio_cohort.hooks.policy import settings

        return Options(
            cohort_id=run.cohort_id,
            id_type=self.id_type,
            mode=self.mode,
            dry_run=run.dry_run,
            limits=Limits(
                max_removal_percent=self.max_removal_percent,
                adopt_segment=self.adopt_segment,
                allow_large_removal=run.allow_large_removal,
                allow_empty_cohort=run.allow_empty_cohort,
            ),
            patience=Patience(**settings(asdict(Patience()), prefix="verify_")),
        )
