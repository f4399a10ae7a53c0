"""An export that several tasks share."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator, BaseOperatorLink

from airflow_provider_cio_cohort.assets import as_dataset, cohort_asset, known_segment
from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException, conf
from airflow_provider_cio_cohort.exceptions import CohortSyncError, SyncStoppedError
from airflow_provider_cio_cohort.state import WriteMarker, task_store
from airflow_provider_cio_cohort.sync.export import CohortExport, Export, ExportMemory, ExportOf
from airflow_provider_cio_cohort.sync.parameters import (
    REQUIRED,
    SharedExportParameters,
    TaskParameters,
    is_template,
)
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortLink
from airflow_provider_cio_cohort.transfers.context import (
    add_event,
    check_backfill,
    check_run_conf,
    count_exports,
    keep_export,
    known,
    place_of,
    ports_of,
)

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_cio_cohort.sync.run import CohortSync


class AmplitudeCohortExportOperator(BaseOperator):
    """
    Export a cohort once, for any number of tasks on any machine; returns what was exported.

    Give that as ``export`` to :class:`.AmplitudeCohortToCustomerIOOperator`: a dict with ``request_id``,
    ``cohort_id``, ``properties``, ``amplitude_conn_id``, ``requested_at``, ``computed_at`` and ``month``.
    Amplitude keeps the file for seven days, and downloading it costs none of the month's exports.

    {parameters}
    :raises PermanentError: if no retry can help; ends the task at once.
    :raises RetryableError: if a retry can.
    """

    __doc__ = str(__doc__).replace("{parameters}", SharedExportParameters.described())
    template_fields: Sequence[str] = SharedExportParameters.templated()
    ui_color = "#e6f0fa"
    operator_extra_links: Collection[BaseOperatorLink] = (AmplitudeCohortLink(),)

    def __init__(
        self,
        *,
        cohort_id: str = REQUIRED,
        properties: Sequence[str] = ("user_id",),
        syncs: Sequence[Mapping[str, Any]] = (),
        source: str = "cohort",
        hold_slot: bool = False,
        amplitude_conn_id: str = "amplitude_default",
        poll_interval: float = 10,
        export_timeout: float = 3600,
        export_reserve: int = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.properties = properties
        self.syncs = syncs
        self.source = source
        self.hold_slot = hold_slot
        self.amplitude_conn_id = amplitude_conn_id
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.export_reserve = export_reserve
        self.deferrable = deferrable
        SharedExportParameters.check(self._values(), kwargs.get("default_args"), place_of(self))
        #: The parameters that templates set.
        self.templates = frozenset(name for name in self.template_fields if is_template(getattr(self, name)))
        #: What must survive a deferral: what the link leads to, and what the export is of.
        self.carried: dict[str, Any] = {}
        self._export: CohortExport | None = None
        self._checked: list[CohortSync] = []
        self._cohort = cohort_asset(amplitude_conn_id, cohort_id)
        if self._cohort is not None and self._cohort not in self.outlets:
            self.outlets.append(self._cohort)
        #: The segments of the syncs as assets, with what is remembered of them.
        self.segment_assets = (
            [_segment_of(each) for each in syncs] if isinstance(syncs, (list, tuple)) else []
        )
        self.inlets.extend(dict.fromkeys(each for each in self.segment_assets if each is not None))

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SharedExportParameters.model_fields}

    @property
    def parameters(self) -> SharedExportParameters:
        """
        The parameters of the run, once the templates are rendered.

        :raises ConfigurationError: if one is wrong.
        """
        return SharedExportParameters.from_task(self._values(), self.templates)

    def execute(self, context: Context) -> dict[str, Any] | None:
        """
        Check the cohort, request or continue the export, and wait; for a snapshot, do nothing.

        :param context: the task's context.
        """
        start = getattr(context.get("ti"), "start_date", None)
        with self._run(context) as (needed, parameters):
            return self._start(context, needed, parameters, start.timestamp() if start else time.time())

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        cohort: dict[str, Any] | None = None,
        carried: dict[str, Any] | None = None,
        export: dict[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        """
        Continue after the triggerer has waited for the export; one that is no longer wanted is not used.

        :param context: the task's context.
        :param event: what the trigger yielded.
        :param cohort: what Amplitude's list said about the cohort; empty if it is not listed.
        :param carried: what the task knew before it was deferred.
        :param export: the export that the triggerer waited for.
        """
        from airflow_provider_cio_cohort.transfers.deferral import read_event

        self.carried = carried or {}
        with self._run(context) as (needed, parameters):
            awaited = Export.from_dict(export)
            if awaited is None or self.carried.get("of") != needed.wanted.binding:
                self.log.warning(
                    "The task was changed while it waited for its export, so the export is not used: "
                    "starting again."
                )
                return self._start(context, needed, parameters, time.time())
            read_event(needed, awaited, event, self.carried.get("limit", ""))
            return self._finish(context, needed, awaited, cohort or {})

    def on_kill(self) -> None:
        """Send nothing more."""
        if self._export is not None:
            self._export.amplitude.stop()
        for sync in self._checked:
            sync.stop()

    @contextmanager
    def _run(self, context: Context) -> Iterator[tuple[CohortExport, SharedExportParameters]]:
        with WriteMarker(context, lambda: known(self.carried)).around(self.on_kill):
            check_run_conf(context, {"source": self.source})
            check_backfill(context)
            parameters = self.parameters
            self._export = self.cohort_export(context, parameters)
            yield self._export, parameters

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """Return the lineage: the cohort is not made of the segments, although the task reads them."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        dataset = None if self._cohort is None else as_dataset(self._cohort, None)
        return OperatorLineage(outputs=[] if dataset is None else [dataset])

    def _start(
        self,
        context: Context,
        needed: CohortExport,
        parameters: SharedExportParameters,
        has_slot_since: float,
    ) -> dict[str, Any] | None:
        from airflow_provider_cio_cohort.sync.run import check_cohort
        from airflow_provider_cio_cohort.transfers.deferral import hold_left

        began = time.time()
        self.carried = {
            "cohort_id": parameters.cohort_id,
            "cohort_url": needed.amplitude.cohort_url(parameters.cohort_id),
            "of": needed.wanted.binding,
        }
        if parameters.source == "snapshot":
            self.log.info("This run restores a snapshot, so nothing is exported.")
            self.outlets = [asset for asset in self.outlets if asset != self._cohort]
            return None
        cohort = check_cohort(needed.amplitude, parameters.cohort_id)
        self.carried["cohort_name"] = cohort.name if cohort else None
        self._check_syncs(context, needed, parameters.syncs)
        export = needed.request(cohort.last_computed if cohort else None)
        keep_export(context, export)
        hold = hold_left(has_slot_since) if export.is_new and parameters.hold_slot else 0.0
        facts = {"size": cohort.size} if cohort else {}
        if hold or not needed.is_ready(export):
            if self.deferrable:
                self._wait_or_defer(needed, export, facts, began, hold)
            else:
                needed.wait(export, hold)
        return self._finish(context, needed, export, facts)

    def _wait_or_defer(
        self, needed: CohortExport, export: Export, cohort: dict[str, Any], began: float, hold: float
    ) -> None:
        """
        Wait here while the task has to keep its slot anyway, and for the rest of the export in the triggerer.

        A task that resumes has to wait for a slot of its pool again, beside those that have not begun, and
        its second process costs as much as the first. Only as many tasks as the pool has slots wait here.
        """
        from airflow_provider_cio_cohort.transfers.deferral import (
            deferral,
            longest_wait,
            wait_before_deferral,
        )

        longest, self.carried["limit"] = longest_wait(needed, self.execution_timeout, began)
        here = min(wait_before_deferral(), longest) if hold else 0.0
        since = time.time()
        if here and needed.is_finished_within(here, export, hold):
            return
        waited = time.time() - since
        trigger, timeout = deferral(needed, export, max(0.0, longest - waited), max(0.0, hold - waited))
        self.defer(
            trigger=trigger,
            timeout=timeout,
            method_name="execute_complete",
            kwargs={"cohort": cohort, "carried": self.carried, "export": export.to_dict()},
        )

    def _finish(
        self, context: Context, needed: CohortExport, export: Export, cohort: Mapping[str, Any]
    ) -> dict[str, Any]:
        needed.memory.used(export)
        facts = {"size": cohort.get("size"), **known(self.carried), **export.month}
        add_event(context, self._cohort, facts)
        count_exports(needed.wanted.amplitude_conn_id, export.month)
        return export.to_dict()

    def _check_syncs(self, context: Context, needed: CohortExport, syncs: Sequence[TaskParameters]) -> None:
        """
        Check what the syncs need; those that cannot run do not keep the others from getting their export.

        :raises CohortSyncError: if none can run; that of the first.
        """
        from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
        from airflow_provider_cio_cohort.sync.run import CohortSync

        workspaces = cache(CustomerIOHook)
        assets = self.segment_assets if len(self.segment_assets) == len(syncs) else [None] * len(syncs)
        problems: list[tuple[TaskParameters, Exception]] = []
        for parameters, asset in zip(syncs, assets, strict=True):
            ports = ports_of(
                parameters,
                context,
                (self.dag_id, self.task_id),
                asset,
                amplitude=needed.amplitude,
                customer_io=workspaces(parameters.customer_io_conn_id),
            )
            sync = CohortSync(parameters, ports)
            self._checked.append(sync)
            try:
                sync.check_for_export(needed.wanted)
            except SyncStoppedError:
                raise
            except (CohortSyncError, AirflowNotFoundException) as error:
                problems.append((parameters, error))
        if problems and len(problems) == len(syncs):
            raise problems[0][1]
        for parameters, problem in problems:
            self.log.warning(
                "Exporting the cohort for the other syncs: that to the segment %s %r (connection %r) could "
                "not run. %s",
                *parameters.named,
                parameters.customer_io_conn_id,
                problem,
            )

    def cohort_export(self, context: Mapping[str, Any], parameters: SharedExportParameters) -> CohortExport:
        """
        Return the export that this task needs.

        :param context: the task's context.
        :param parameters: the run's parameters.
        """
        from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook

        return CohortExport(
            amplitude=AmplitudeHook(parameters.amplitude_conn_id),
            wanted=ExportOf.of(parameters.cohort_id, parameters.properties, parameters.amplitude_conn_id),
            memory=ExportMemory(task_store(context)),
            poll_interval=parameters.poll_interval,
            timeout=parameters.export_timeout,
            reserve=parameters.export_reserve,
        )


def _segment_of(sync: Any) -> Asset | None:
    """Return the segment of a sync, as the task that fills it has it."""
    if not isinstance(sync, Mapping):
        return None
    conn_id = sync.get("customer_io_conn_id", TaskParameters.model_fields["customer_io_conn_id"].default)
    return known_segment(conn_id, sync.get("segment_name"), sync.get("segment_id"))
