"""The operator that makes a Customer.io segment equal to an Amplitude cohort."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseOperatorLink

from airflow_provider_cio_cohort.assets import (
    LATE_ALIAS,
    cohort_asset,
    known_segment,
    late_segments,
    settled,
    workspace_asset,
)
from airflow_provider_cio_cohort.compatibility import conf
from airflow_provider_cio_cohort.exceptions import GuardTrippedError, OutdatedExportError
from airflow_provider_cio_cohort.state import WriteMarker
from airflow_provider_cio_cohort.sync.export import Export
from airflow_provider_cio_cohort.sync.parameters import REQUIRED, TaskParameters, is_template
from airflow_provider_cio_cohort.transfers.context import (
    add_event,
    check_backfill,
    check_limited_retry,
    check_run_conf,
    count_exports,
    count_sync,
    keep_export,
    known,
    place,
    place_of,
    ports_of,
    snapshots_of,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial
    from airflow.sdk.types import TaskInstanceKey

    from airflow_provider_cio_cohort.engine.customer_io import Target
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.snapshots.run import RunSnapshots
    from airflow_provider_cio_cohort.sync.run import CohortSync, Preflight

#: Where a dry run leaves the change that a person would have to approve.
PLAN_KEY = "plan"


class AmplitudeCohortLink(BaseOperatorLink):
    """A task's button that leads to its cohort in Amplitude; the operator has it in ``carried``."""

    name = "Amplitude cohort"

    # Airflow calls this in the task's process whenever that ends, deferred included, and stores the answer.
    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the cohort's page; empty, which greys the button out, before the task knows it.

        :param operator: the task's operator.
        :param ti_key: which task instance it is.
        """
        return str(operator.carried.get("cohort_url") or "")


class CustomerIOSegmentLink(BaseOperatorLink):
    """A task's button that leads to its segment in Customer.io; the operator has it in ``carried``."""

    name = "Customer.io segment"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the segment's page; empty, which greys the button out, before the task knows it.

        :param operator: the task's operator.
        :param ti_key: which task instance it is.
        """
        return str(operator.carried.get("segment_url") or "")


class AmplitudeCohortToCustomerIOOperator(BaseOperator):
    """
    Make a Customer.io segment equal to an Amplitude cohort, and return a report of counts.

    Checks keys, regions, cohort and segment before it uses an export; compares the cohort with the real
    members; refuses a dangerous change before the first write; sends only the difference; reads it back. What
    happens in a run, and in which order, is in :class:`.CohortSync`.

    {parameters}
    :raises PermanentError: if no retry can help; ends the task at once.
    :raises RetryableError: if a retry can; see :mod:`airflow_provider_cio_cohort.exceptions`.
    """

    __doc__ = str(__doc__).replace("{parameters}", TaskParameters.described())
    template_fields: Sequence[str] = TaskParameters.templated()
    ui_color = "#e6f4ea"
    operator_extra_links: Collection[BaseOperatorLink] = (AmplitudeCohortLink(), CustomerIOSegmentLink())

    def __init__(
        self,
        *,
        cohort_id: str = REQUIRED,
        segment_name: str | None = None,
        segment_id: int | str | None = None,
        user_id_property: str = "user_id",
        id_type: str = "id",
        identifiers: Sequence[Mapping[str, str]] | None = None,
        people_segment_id: int | str | None = None,
        mode: str = "mirror",
        max_removal_percent: float | None = 50,
        max_removals: int | None = None,
        max_growth_percent: float | None = 200,
        max_additions: int | None = None,
        max_shortfall_percent: float | None = 30,
        min_match_rate: float | None = None,
        adopt_segment: bool | str = False,
        on_not_removable: str = "warn",
        on_guard: str = "fail",
        allow_large_removal: bool | str = False,
        allow_large_addition: bool | str = False,
        allow_empty_cohort: bool | str = False,
        allow_short_cohort: bool | str = False,
        allow_low_match: bool | str = False,
        allow_lost_tracking: bool | str = False,
        allow_no_match: bool | str = False,
        dry_run: bool | str = False,
        limit: int | str | None = None,
        approved_plan: str | dict[str, Any] | None = None,
        skip_unchanged: bool = False,
        source: str = "cohort",
        snapshot_at: str | None = None,
        snapshot_path: str | None = None,
        unmatched_path: str | None = None,
        snapshot_keep_days: float = 30,
        snapshot_keep_last: int = 3,
        export: str | dict[str, Any] | None = None,
        customer_io_conn_id: str = "customer_io_default",
        amplitude_conn_id: str = "amplitude_default",
        poll_interval: float = 10,
        export_timeout: float = 3600,
        export_reserve: int = 10,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        other_writers: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.segment_name = segment_name
        self.segment_id = segment_id
        self.user_id_property = user_id_property
        self.id_type: Any = id_type
        self.identifiers: Any = identifiers
        self.people_segment_id: Any = people_segment_id
        self.mode: Any = mode
        self.max_removal_percent = max_removal_percent
        self.max_removals = max_removals
        self.max_growth_percent = max_growth_percent
        self.max_additions = max_additions
        self.max_shortfall_percent = max_shortfall_percent
        self.min_match_rate = min_match_rate
        self.adopt_segment = adopt_segment
        self.on_not_removable: Any = on_not_removable
        self.on_guard: Any = on_guard
        self.allow_large_removal = allow_large_removal
        self.allow_large_addition = allow_large_addition
        self.allow_empty_cohort = allow_empty_cohort
        self.allow_short_cohort = allow_short_cohort
        self.allow_low_match = allow_low_match
        self.allow_lost_tracking = allow_lost_tracking
        self.allow_no_match = allow_no_match
        # Hides BaseOperator.dry_run(), which nothing calls since Airflow 3: the parameter's name counts more.
        self.dry_run = dry_run  # type: ignore[assignment, method-assign]
        self.limit: Any = limit
        self.approved_plan = approved_plan
        self.skip_unchanged = skip_unchanged
        self.source = source
        self.snapshot_at = snapshot_at
        self.snapshot_path = snapshot_path
        self.unmatched_path = unmatched_path
        self.snapshot_keep_days = snapshot_keep_days
        self.snapshot_keep_last = snapshot_keep_last
        self.export = export
        self.customer_io_conn_id = customer_io_conn_id
        self.amplitude_conn_id = amplitude_conn_id
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.export_reserve = export_reserve
        self.deferrable = deferrable
        self.other_writers = other_writers
        TaskParameters.check(self._values(), kwargs.get("default_args"), place_of(self))
        #: The parameters that templates set.
        self.templates = frozenset(name for name in self.template_fields if is_template(getattr(self, name)))
        #: What must survive a deferral: when the task began (epoch seconds), what its links lead to, and what
        #: the export is for.
        self.carried: dict[str, Any] = {}
        self._sync: CohortSync | None = None
        #: The segment as an asset, which carries what is remembered of it from run to run.
        self.segment_asset = known_segment(customer_io_conn_id, segment_name, segment_id)
        #: Whether only the run knows which segment it is: a template or a mapping decides.
        self.is_late = self.segment_asset is None or late_segments() in self.inlets
        #: The workspace as an asset, which carries what ``airflow cohort-sync doctor --save`` has seen of it.
        self.workspace_asset = workspace_asset(customer_io_conn_id)
        cohort = cohort_asset(amplitude_conn_id, cohort_id)
        if self.is_late:
            self.inlets, self.outlets = _late_ends(
                self.inlets, self.outlets, dry_run, cohort, self.workspace_asset
            )
            return
        ends = self.inlets if dry_run is True else self.outlets
        for asset, those in (
            (cohort, self.inlets),
            (self.segment_asset, ends),
            (self.workspace_asset, self.inlets),
        ):
            if asset is not None and asset not in those:
                those.append(asset)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """
        Return the operator with some of its parameters, for a mapped task.

        :param kwargs: what is the same for all of its parts; the rest comes from ``expand`` or
            ``expand_kwargs``.
        :raises ConfigurationError: if a parameter is wrong.
        """
        partial: OperatorPartial = super().partial(**kwargs)
        given = partial.kwargs
        dag = given["dag"]
        shared = {**dag.default_args, **kwargs} if dag is not None else kwargs
        values = {name: given[name] for name in TaskParameters.model_fields if name in given}
        mapped = {"cohort_id"} if "segment_id" in given else {"cohort_id", "segment_name"}
        TaskParameters.check(
            {**dict.fromkeys(mapped, "{{ mapped }}"), **values}, None, place(given["task_id"], dag)
        )
        usual = TaskParameters.model_fields["customer_io_conn_id"].default
        workspace = workspace_asset(shared.get("customer_io_conn_id", usual))
        given["inlets"], given["outlets"] = _late_ends(
            given["inlets"], given["outlets"], given.get("dry_run"), workspace
        )
        return partial

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TaskParameters.model_fields}

    @property
    def parameters(self) -> TaskParameters:
        """
        The parameters of the run, once the templates are rendered.

        :raises ConfigurationError: if one is wrong.
        """
        return TaskParameters.from_task(self._values(), self.templates)

    # ---- a run

    def execute(self, context: Context) -> dict[str, Any]:
        """
        Sync, and return the report; every error that ends the task says whether the segment was changed.

        :param context: the task's context.
        """
        with self._run(context) as sync:
            return self._start(context, sync)

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        cohort: dict[str, Any] | None = None,
        carried: dict[str, Any] | None = None,
        export: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """
        Continue after the triggerer has waited for the export.

        The DAG may have been changed meanwhile: an export of another cohort, or for another segment, is not
        used.

        :param context: the task's context.
        :param event: what the trigger yielded.
        :param cohort: what Amplitude's list said about the cohort; empty if it is not listed.
        :param carried: what the task knew before it was deferred.
        :param export: the export that the triggerer waited for.
        """
        from airflow_provider_cio_cohort.transfers.deferral import read_event

        self.carried = carried or {}
        with self._run(context) as sync:
            awaited = Export.from_dict(export)
            if awaited is None or self.carried.get("of") != sync.binding:
                self.log.warning(
                    "The sync was changed while it waited for its export, so the export is not used: "
                    "starting again."
                )
                return self._start(context, sync)
            read_event(sync.export, awaited, event, self.carried.get("limit", ""))
            sync.resume()
            return self._transfer(context, sync, awaited, cohort or {})

    def on_kill(self) -> None:
        """Send nothing more, and leave no file."""
        if self._sync is not None:
            self._sync.stop()

    @contextmanager
    def _run(self, context: Context) -> Iterator[CohortSync]:
        marker = WriteMarker(context, lambda: known(self.carried))
        with marker.around(self.on_kill):
            names = ("dry_run", "limit", "source", "snapshot_at")
            check_run_conf(context, {name: getattr(self, name) for name in names})
            check_backfill(context)
            check_limited_retry(context, self.limit)
            self._sync = self.cohort_sync(context, before_writing=marker.note)
            yield self._sync

    def _start(self, context: Context, sync: CohortSync, outdated: Export | None = None) -> dict[str, Any]:
        """Take all steps of a run; where it is deferred, :meth:`execute_complete` takes the last one."""
        self._begin(sync)
        if sync.parameters.from_snapshot:
            return self._finish(context, sync, sync.restore().to_dict(), {})
        found = sync.preflight()
        self.carried["cohort_name"] = found.cohort.name if found.cohort else None
        if found.unchanged is not None:
            return self._finish(context, sync, found.unchanged, {})
        export = sync.request_export(found, outdated)
        if sync.export.given is None:
            keep_export(context, export)
        goal = found.target
        if not sync.export.is_ready(export):
            if self.deferrable:
                self._defer(sync, export, found)
            sync.export.wait(export)
            goal = None
        return self._transfer(context, sync, export, found.facts, goal)

    def _begin(self, sync: CohortSync) -> None:
        cohort_id = sync.parameters.cohort_id
        self.carried = {
            "began": time.time(),
            "cohort_id": cohort_id,
            "cohort_url": sync.ports.amplitude.cohort_url(cohort_id),
            "of": sync.binding,
        }

    def _defer(self, sync: CohortSync, export: Export, found: Preflight) -> None:
        from airflow_provider_cio_cohort.transfers.deferral import deferral, longest_wait

        longest, limit = longest_wait(sync.export, self.execution_timeout, self.carried["began"])
        self.carried["limit"] = limit
        trigger, timeout = deferral(sync.export, export, longest)
        self.defer(
            trigger=trigger,
            timeout=timeout,
            method_name="execute_complete",
            kwargs={"cohort": found.facts, "carried": self.carried, "export": export.to_dict()},
        )

    def _transfer(
        self,
        context: Context,
        sync: CohortSync,
        export: Export,
        cohort: Mapping[str, Any],
        goal: Target | None = None,
    ) -> dict[str, Any]:
        try:
            report = sync.transfer(export, cohort, goal)
        except OutdatedExportError:
            if sync.parameters.export is not None:
                raise
        except GuardTrippedError as error:
            if error.report is not None:
                self._count(error.report)
            raise
        else:
            return self._finish(context, sync, report.to_dict(), export.month)
        return self._start(context, sync, outdated=export)

    def _finish(
        self, context: Context, sync: CohortSync, report: dict[str, Any], month: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Report the result to Airflow: the plan of a dry run; otherwise the asset's event, and metrics."""
        if sync.parameters.dry_run or report.get("limit") is not None:
            # The segment does not equal the cohort, so Airflow must create no asset event for this success.
            self.outlets = [asset for asset in self.outlets if asset != self.segment_asset]
        if sync.parameters.dry_run:
            context["ti"].xcom_push(PLAN_KEY, sync.plan)
            return report
        if report.get("limit") is None:
            facts = {**report, **known(self.carried), "duration": self._duration, **month}
            if self.is_late:
                aliases = [outlet for outlet in self.outlets if isinstance(outlet, AssetAlias)]
                add_event(context, self._segment(sync.parameters), facts, aliases)
            else:
                add_event(context, self.segment_asset, facts)
        self._count(report)
        count_exports(sync.parameters.amplitude_conn_id, month)
        return report

    @property
    def _duration(self) -> float:
        now = time.time()
        return round(max(now - float(self.carried.get("began", now)), 0.0), 3)

    def _count(self, report: Mapping[str, Any]) -> None:
        tags = {"dag_id": self.dag_id, "task_id": self.task_id}
        if self.is_late:
            tags["segment_id"] = str(report["segment_id"])  # the task may fill several
        count_sync(tags, report, self._duration)

    # ---- what a run reaches

    def cohort_sync(
        self,
        context: Mapping[str, Any],
        *,
        amplitude: AmplitudeHook | None = None,
        customer_io: CustomerIOHook | None = None,
        before_writing: Callable[[], object] = lambda: None,
    ) -> CohortSync:
        """
        Return the run of this task.

        :param context: the task's context.
        :param amplitude: the project's hook; ``None`` for a new one.
        :param customer_io: the workspace's hook; ``None`` for a new one.
        :param before_writing: called before the first write.
        :raises ConfigurationError: if a parameter is wrong.
        """
        from airflow_provider_cio_cohort.sync.run import CohortSync

        def link_to(url: str) -> None:
            self.carried["segment_url"] = url

        parameters, dag = self.parameters, context.get("dag")
        ports = ports_of(
            parameters,
            context,
            (self.dag_id, self.task_id),
            self._segment(parameters),
            is_late=self.is_late,
            amplitude=amplitude,
            customer_io=customer_io,
            workspace=self.workspace_asset,
            link_to=link_to,
            before_writing=before_writing,
            form=None if dag is None else self.templates.intersection(getattr(dag, "params", None) or ()),
        )
        return CohortSync(parameters, ports)

    def _segment(self, parameters: TaskParameters) -> Asset | None:
        if not self.is_late:
            return self.segment_asset
        return settled(parameters.customer_io_conn_id, parameters.segment_name, parameters.segment_id)

    def snapshots(self, parameters: TaskParameters, context: Mapping[str, Any]) -> RunSnapshots | None:
        """
        Return the snapshots of the segment; ``None`` if the sync keeps none.

        :param parameters: the run's parameters.
        :param context: the task's context.
        """
        return snapshots_of(parameters, context, (self.dag_id, self.task_id))

    def unmatched(self, parameters: TaskParameters, context: Mapping[str, Any]) -> RunSnapshots | None:
        """
        Return the files of those whom runs have not matched; ``None`` if the sync keeps none.

        :param parameters: the run's parameters.
        :param context: the task's context.
        """
        from airflow_provider_cio_cohort.snapshots.layout import UNMATCHED

        return snapshots_of(parameters, context, (self.dag_id, self.task_id), UNMATCHED)


def _late_ends(inlets: Any, outlets: Any, dry_run: Any, *assets: Asset | None) -> tuple[list[Any], list[Any]]:
    """Return the inlets and outlets of a task of which only its runs know the segment."""
    before = inlets if isinstance(inlets, Collection) else [inlets]
    after = outlets if isinstance(outlets, Collection) else [outlets]
    inlets, outlets = list(before or ()), list(after or ())
    inlets += [asset for asset in (late_segments(), *assets) if asset is not None and asset not in inlets]
    if dry_run is not True and not any(isinstance(outlet, AssetAlias) for outlet in outlets):
        outlets.append(LATE_ALIAS)
    return inlets, outlets
