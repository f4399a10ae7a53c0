"""An export that several tasks share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.export_state import Export
from airflow_provider_cio_cohort.transfers.exporting import ExportingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class AmplitudeCohortExportOperator(ExportingOperator):
    """
    Export a cohort once, for any number of tasks on any machine; returns the export's request id.

    Give that as ``request_id`` to :class:`.AmplitudeCohortToCustomerIOOperator`. Amplitude keeps the file for
    seven days, and downloading it costs none of the month's exports.

    :param cohort_id: the Amplitude cohort. (templated)
    :param properties: the properties that the tasks map: each one's ``user_id_property``.
    :param amplitude_conn_id: the connection to one Amplitude project. (templated)
    :param source: ``cohort``, or ``snapshot``: the tasks go back to a snapshot, so nothing is exported.
        (templated)
    :param poll_interval: seconds between two looks at the export.
    :param export_timeout: seconds that a try waits for the export.
    :param export_reserve: exports of the month that are left alone: with no more left, the task fails.
    :param deferrable: wait in the triggerer, without holding a worker.
    :param hold_slot: end no sooner than ``[cio_cohort] export_hold`` after an export was requested, so that a
        pool of few slots keeps Amplitude's 60 exports in 10 minutes as well.
    :raises PermanentError: if no retry can mend it; ends the task at once.
    :raises RetryableError: if a retry can.
    """

    template_fields: Sequence[str] = ("cohort_id", "source", "amplitude_conn_id")
    ui_color = "#e6f0fa"

    def __init__(
        self,
        *,
        cohort_id: str,
        properties: Sequence[str] = ("user_id",),
        source: str = "cohort",
        hold_slot: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(cohort_id=cohort_id, **kwargs)
        self.source = source
        self.hold_slot = hold_slot
        if isinstance(properties, str) or not properties:
            raise ConfigurationError(
                "properties must be a list of at least one property's name.\n"
                "Give each task's user_id_property."
            )
        if self._cohort is not None and self._cohort not in self.outlets:
            self.outlets.append(self._cohort)
        self.properties = [parameters.as_text(name, "properties") for name in properties]

    @property
    def wanted_properties(self) -> tuple[str, ...]:
        """The properties that the export must hold."""
        return tuple(self.properties)

    def start(self, context: Context) -> str | None:
        """Check the cohort, request the export (or continue it), and wait; nothing of that for a snapshot."""
        from airflow_provider_cio_cohort.transfers.endpoints import check_cohort

        self.begin()
        if parameters.as_source(self.source) == "snapshot":
            self.log.info("This run goes back to a snapshot, so nothing is exported.")
            self.outlets = [asset for asset in self.outlets if asset != self._cohort]
            return None
        cohort = check_cohort(self.amplitude, parameters.as_text(self.cohort_id, "cohort_id"))
        return str(self.get_export(context, cohort))

    def exported(self, context: Context, export: Export, request_id: str, cohort: Mapping[str, Any]) -> str:
        """Return the request id."""
        from airflow_provider_cio_cohort.transfers.outcome import add_event, count_exports

        export.used()
        add_event(context, self._cohort, {"size": cohort.get("size"), **export.month})
        count_exports(self.amplitude_conn_id, export.month)
        return request_id
