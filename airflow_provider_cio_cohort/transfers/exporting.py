"""What operators have in common that work with an export: get one, wait for it, go on when it is there."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseOperatorLink

from airflow_provider_cio_cohort.assets import cohort_asset
from airflow_provider_cio_cohort.compatibility import conf
from airflow_provider_cio_cohort.links import AmplitudeCohortLink
from airflow_provider_cio_cohort.transfers import parameters
from airflow_provider_cio_cohort.transfers.export_state import Export, ExportState
from airflow_provider_cio_cohort.transfers.export_wait import EXPORT_HOLD, ExportWait
from airflow_provider_cio_cohort.transfers.misspelt import check_configuration
from airflow_provider_cio_cohort.transfers.touched import Touched

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort


class ExportingOperator(BaseOperator):
    """
    An operator that needs the export of a cohort.

    :param cohort_id: the Amplitude cohort.
    :param amplitude_conn_id: the connection to one Amplitude project.
    :param poll_interval: seconds between two looks at the export.
    :param export_timeout: seconds that a try waits for the export.
    :param export_reserve: exports of the month that are left alone.
    :param deferrable: wait in the triggerer, without holding a worker.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (AmplitudeCohortLink(),)
    #: Whether the task keeps its slot for a while after it has requested an export.
    hold_slot = False

    def __init__(
        self,
        *,
        cohort_id: str,
        amplitude_conn_id: str = "amplitude_default",
        poll_interval: float = 10,
        export_timeout: float = 3600,
        export_reserve: int = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.amplitude_conn_id = amplitude_conn_id
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.export_reserve = export_reserve
        self.deferrable = deferrable
        parameters.check_number(poll_interval, "poll_interval", above=0)
        parameters.check_number(export_timeout, "export_timeout", above=0)
        parameters.check_number(export_reserve, "export_reserve")
        #: What a deferral must not lose: when the task began (epoch seconds), and what its links lead to.
        self.carried: dict[str, Any] = {}
        #: Whether this run has changed who is in a segment.
        self.touched = Touched({})
        self._cohort = cohort_asset(amplitude_conn_id, cohort_id)

    @cached_property
    def amplitude(self) -> AmplitudeHook:
        """The hook of the Amplitude project."""
        from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook

        return AmplitudeHook(self.amplitude_conn_id)

    @property
    def wanted_properties(self) -> tuple[str, ...]:
        """The properties that the export must hold."""
        raise NotImplementedError

    def start(self, context: Context) -> Any:
        """
        Check what can be checked without an export, get the export, and go on.

        :param context: the task's context.
        """
        raise NotImplementedError

    def exported(self, context: Context, export: Export, request_id: str, cohort: Mapping[str, Any]) -> Any:
        """
        Go on: the export is finished.

        :param context: the task's context.
        :param export: the export.
        :param request_id: what Amplitude calls it.
        :param cohort: what Amplitude's list told of the cohort; empty if it is not listed.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """
        Do the task; every error that ends it says whether anybody was added or removed.

        :param context: the task's context.
        """
        self.touched = Touched(context)
        with self.touched.told():
            check_configuration(context)
            return self.start(context)

    def begin(self) -> None:
        """Take note of the time, and of where the cohort is to be looked at."""
        cohort_id = parameters.as_text(self.cohort_id, "cohort_id")
        self.carried = {"began": time.time(), "cohort_url": self.amplitude.cohort_url(cohort_id)}

    def export_of(self, context: Context) -> Export:
        """
        Return the export that this task works with.

        :param context: the task's context.
        """
        wanted = {
            "cohort_id": parameters.as_text(self.cohort_id, "cohort_id"),
            "properties": sorted(self.wanted_properties),
            "amplitude_conn_id": self.amplitude_conn_id,
        }
        return ExportState(context, wanted)

    def get_export(self, context: Context, cohort: Cohort | None) -> Any:
        """
        Request an export or continue one, wait for it, and go on.

        :param context: the task's context.
        :param cohort: the cohort as Amplitude's list shows it.
        """
        from airflow_provider_cio_cohort.transfers.quota import check_quota

        computed_at = cohort.last_computed if cohort else None
        export = self.export_of(context)
        request_id = export.load(computed_at)
        wait = self._wait()
        if request_id is None:
            wait = self._wait(hold=self.hold_slot)
            month = check_quota(self.amplitude, self.export_reserve)
            cohort_id = parameters.as_text(self.cohort_id, "cohort_id")
            request_id = self.amplitude.request_export(cohort_id, *self.wanted_properties)
            export.save(request_id, computed_at, month)
            self.log.info("Requested an export of cohort %s.", cohort_id)
        facts = asdict(cohort) if cohort else {}
        with export.forgotten_if_failed():
            if wait.hold or not self.amplitude.export_finished(request_id):
                if self.deferrable:
                    trigger, timeout = wait.deferral(self.amplitude_conn_id, request_id)
                    self.defer(
                        trigger=trigger,
                        timeout=timeout,
                        method_name="execute_complete",
                        kwargs={"cohort": facts, "carried": self.carried},
                    )
                wait.on_worker(self.amplitude, request_id)
            return self.exported(context, export, request_id, facts)

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        cohort: dict[str, Any] | None = None,
        carried: dict[str, Any] | None = None,
    ) -> Any:
        """
        Go on when the triggerer has waited for the export.

        :param context: the task's context.
        :param event: what the trigger yielded.
        :param cohort: what Amplitude's list told of the cohort; empty if it is not listed.
        :param carried: what the task knew before it was deferred.
        """
        facts = cohort or {}
        self.carried = carried or {}
        self.touched = Touched(context)
        with self.touched.told():
            export = self.export_of(context)
            return self._go_on(context, export, event, facts)

    def _go_on(self, context: Context, export: Export, event: Any, facts: Mapping[str, Any]) -> Any:
        with export.forgotten_if_failed():
            request_id = self._wait().read_event(event)
            export.load(facts.get("last_computed"))
            return self.exported(context, export, request_id, facts)

    def on_kill(self) -> None:
        """Let the hook send nothing more."""
        self.amplitude.stop()

    def _wait(self, *, hold: bool = False) -> ExportWait:
        from airflow_provider_cio_cohort.hooks.policy import settings

        seconds = settings({"export_hold": EXPORT_HOLD})["export_hold"] if hold else 0.0
        return ExportWait(self.cohort_id, self.poll_interval, self.export_timeout, seconds)
