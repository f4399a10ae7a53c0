"""
Airflow's side of a run: what it was triggered with, which is checked; the hooks, stores and snapshots that it
uses; the event of its asset and the metrics that it reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator

from airflow_provider_cio_cohort.assets import late_segments
from airflow_provider_cio_cohort.compatibility import stats
from airflow_provider_cio_cohort.exceptions import CohortSyncError, ConfigurationError
from airflow_provider_cio_cohort.state import REQUESTED_EXPORT, asset_store, run_store, task_store
from airflow_provider_cio_cohort.sync.parameters import InForm, SyncParameters, TaskParameters

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.snapshots.layout import Kind, Origin, Subject
    from airflow_provider_cio_cohort.snapshots.run import RunSnapshots
    from airflow_provider_cio_cohort.sync.export import Export
    from airflow_provider_cio_cohort.sync.ports import Amplitude, Ports

log = logging.getLogger(__name__)


def place_of(task: BaseOperator) -> str:
    """Return which task of which DAG it is, for messages."""
    return place(task.task_id, task.dag if task.has_dag() else None)  # type: ignore[no-untyped-call]


def place(task_id: str, dag: DAG | None) -> str:
    """
    Return the same of a task that is not complete yet.

    :param dag: its DAG, if it has one.
    """
    return f"Task {task_id} of DAG {dag.dag_id}" if dag is not None else f"Task {task_id}"


# ---- what the run was triggered with
#
# Airflow accepts any key. A run that is triggered with {"dry_rum": true}, or with {"params": {"dry_run":
# true}}, or with the right key where the configuration does not override parameters, would write.

#: How similar a key and a field must be to count as the same, 0 to 1.
_ALIKE = 0.8
#: Keys under which parameters are sometimes nested, which has no effect.
_NESTED = ("params", "conf", "config")
_TRUE = ("true", "1", "yes", "on")


def check_run_conf(context: Mapping[str, Any], effective: Mapping[str, Any]) -> None:
    """
    Check what the run was triggered with; keys unlike any field of the DAG are ignored.

    :param effective: the parameters that a run may set, as they are in this task.
    :raises ConfigurationError: if a key looks like a misspelt field of the DAG, or has no effect.
    """
    given = getattr(context.get("dag_run"), "conf", None) or {}
    if not isinstance(given, Mapping):
        return
    params, hidden = _form(context.get("dag"))
    fields = {_bare(name): name for name in (*params, *hidden)}
    for key in given:
        alike = get_close_matches(_bare(key), fields, n=1, cutoff=_ALIKE)
        if key in fields.values() or not alike:
            continue
        raise ConfigurationError(
            f"The run was triggered with {str(key)[:100]!r}, which is not a field of this DAG.\n"
            f"Did you mean {fields[alike[0]]!r}? Trigger a new run with the right name; this run keeps "
            "what it was given."
        )
    _check_hidden(given, hidden)
    for prefix, asked in _asked(given):
        for name in _without_effect(asked, effective):
            raise ConfigurationError(
                f"The run was triggered with {prefix}{name}, which has no effect in this task.\n"
                f"The task would write something that you did not ask for. Give {name} at the top level of "
                "the configuration, declare it in the DAG's params, pass it to the operator, and let "
                "configurations override params (dag_run_conf_overrides_params in [core])."
            )


def _form(dag: Any) -> tuple[Collection[str], dict[str, InForm]]:
    """Return the fields of a DAG's form, and those that it lacks because they cannot apply to its sync."""
    params, marks = getattr(dag, "params", None) or {}, TaskParameters.in_form()
    always = {name for name, mark in marks.items() if mark.always}
    if "cohort-sync" not in (getattr(dag, "tags", None) or ()) or not always <= {*params}:
        return params, {}  # a DAG with params of its own
    return params, {name: mark for name, mark in marks.items() if name not in params}


def _check_hidden(given: Mapping[str, Any], hidden: Mapping[str, InForm]) -> None:
    """Refuse to sync the cohort where a snapshot was asked for; log what has no effect, and does no harm."""
    for name, mark in hidden.items():
        wanted = given.get(name)
        if name in ("source", "snapshot_at"):
            if wanted and wanted != "cohort":
                raise ConfigurationError(
                    f"The run was triggered with {name}, but this sync keeps no snapshots.\n"
                    f"{name} applies only to a sync with {mark.condition}. To sync the cohort, trigger a run "
                    f"without it; to keep snapshots from now on, set {mark.condition}."
                )
        elif _is_true(wanted):
            log.warning(
                "The run was triggered with %s, which has no effect: it applies only to a sync with %s.",
                name,
                mark.condition,
            )


def _asked(given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what was asked for: at the top of the configuration, and nested in it."""
    yield "", given
    for name in _NESTED:
        if isinstance(given.get(name), Mapping):
            yield f"{name}.", given[name]


def _without_effect(asked: Mapping[str, Any], effective: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was asked for without effect: to write nothing or little, or to restore a snapshot."""
    if _is_true(effective.get("dry_run")):
        return  # nothing is written in any case
    if "dry_run" in effective and _is_true(asked.get("dry_run")):
        yield "dry_run"
    is_limited = "limit" in effective and asked.get("limit") not in (None, "")
    if is_limited and str(asked["limit"]).strip() != str(effective["limit"]).strip():
        yield "limit"
    for name in ("source", "snapshot_at"):
        wanted = asked.get(name)
        if name not in effective or not wanted or wanted == "cohort":
            continue
        if name == "source" and wanted != "snapshot":
            continue  # not a key of this DAG
        if str(wanted).strip() != str(effective[name]).strip():
            yield name


def _is_true(value: Any) -> bool:
    return value is True or str(value).strip().lower() in _TRUE


def _bare(name: Any) -> str:
    return "".join(sign for sign in str(name).lower() if sign.isalnum())


_FIELD = "source"
#: The prefix of the ids of runs that neither a backfill nor the schedule created.
_BY_HAND = "manual__"


def check_backfill(context: Mapping[str, Any]) -> None:
    """
    Check the configuration of a backfill's run; other runs, and DAGs without the field ``source``, pass.

    :raises ConfigurationError: if the run belongs to a backfill and its configuration has no ``source``, or
        only that of the day when the run was triggered by hand.
    """
    run = context.get("dag_run")
    run_type = getattr(run, "run_type", "")
    if str(getattr(run_type, "value", run_type)) != "backfill":
        return
    params, hidden = _form(context.get("dag"))
    if _FIELD not in params and _FIELD not in hidden:
        return
    conf = getattr(run, "conf", None)
    source = conf.get(_FIELD) if isinstance(conf, Mapping) else None
    if source == "cohort" and _FIELD in params and str(getattr(run, "run_id", "")).startswith(_BY_HAND):
        # The form of a single run always sends the field, and the backfill may have sent none.
        raise ConfigurationError(
            "This run was triggered by hand to sync the cohort, and a backfill runs it again.\n"
            "To roll back, set Source to snapshot in the backfill, and tick 'Override parameters on existing "
            "runs': without it, the run keeps what it was triggered with. To sync today's members, trigger a "
            "new run."
        )
    if source:
        return
    if _FIELD in hidden:
        raise ConfigurationError(
            "This run belongs to a backfill, and this sync keeps no snapshots that it could restore.\n"
            "Every run of the backfill would sync today's members, and cost an export. Trigger a single run "
            'instead; or, to have these runs, give the backfill the configuration {"source": "cohort"}, '
            "and let it override the parameters of existing runs."
        )
    raise ConfigurationError(
        "This run belongs to a backfill and does not say where its members come from.\n"
        "Set Source to snapshot (to roll back) or cohort (to sync today's members), and tick 'Override "
        "parameters on existing runs': without it, Airflow sends none of the form's fields. By the API or "
        'from a terminal, give the backfill the configuration {"source": "snapshot"} or '
        '{"source": "cohort"}.'
    )


def check_limited_retry(context: Mapping[str, Any], limit: Any) -> None:
    """
    Refuse another try of a limited run where nothing tells whom the first has added.

    :param limit: the run's limit, as it is rendered.
    :raises ConfigurationError: if an earlier try may have added people, whom this one would not know.
    """
    is_first = (getattr(context.get("ti"), "try_number", 1) or 1) <= 1
    if is_first or str(limit or "").strip() in ("", "None") or task_store(context).exists:
        return
    raise ConfigurationError(
        "This run is limited, and an earlier try of it may have added people already.\n"
        "Before Airflow 3.3, nothing is kept that would tell whom, so this try could add others. Trigger a "
        "new run with the limit."
    )


# ---- what the run uses


def ports_of(
    parameters: TaskParameters,
    context: Mapping[str, Any],
    task: tuple[str, str],
    asset: Asset | None,
    *,
    is_late: bool = False,
    amplitude: Amplitude | None = None,
    customer_io: CustomerIOHook | None = None,
    workspace: Asset | None = None,
    link_to: Callable[[str], object] = lambda url: None,
    before_writing: Callable[[], object] = lambda: None,
    form: Collection[str] | None = None,
) -> Ports:
    """
    Return everything outside a run that it uses.

    :param task: the ids of its DAG and of the task.
    :param asset: the segment, one of the task's inlets or outlets; ``None`` where a template sets it.
    :param is_late: whether it is neither, because only the run knows which segment it is.
    :param amplitude: the project's hook; ``None`` for a new one.
    :param customer_io: the workspace's hook; ``None`` for a new one.
    :param workspace: the asset of the Customer.io connection, which holds what the doctor has seen; ``None``
        for none.
    :param link_to: called with the segment's address in Customer.io, once it is known.
    :param before_writing: called before the first write.
    :param form: the parameters that the DAG's form sets for a run; ``None`` if that is not known.
    """
    from airflow_provider_cio_cohort.engine.verify import VerifyTimeouts
    from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
    from airflow_provider_cio_cohort.hooks.customer_io_api import segment_url
    from airflow_provider_cio_cohort.hooks.retry import settings
    from airflow_provider_cio_cohort.snapshots.layout import UNMATCHED
    from airflow_provider_cio_cohort.sync.memory import VendorFacts
    from airflow_provider_cio_cohort.sync.ports import Ports

    hook = customer_io or CustomerIOHook(parameters.customer_io_conn_id)
    late = (late_segments(), asset.uri) if is_late and asset is not None else None
    facts = VendorFacts.read(asset_store(context, workspace), lambda: hook.keys_fingerprint)

    def on_segment(segment_id: int | None) -> None:
        link_to(segment_url(hook.track.region, hook.workspace_id, segment_id))

    return Ports(
        amplitude=amplitude or AmplitudeHook(parameters.amplitude_conn_id),
        customer_io=hook,
        owner=task[0],
        task_store=task_store(context),
        segment_store=asset_store(context, *(late or (asset,))),
        run_store=run_store(context),
        snapshots=snapshots_of(parameters, context, task),
        unmatched=snapshots_of(parameters, context, task, UNMATCHED),
        workspace_of=_workspace_of,
        on_segment=on_segment,
        before_writing=before_writing,
        form=form,
        verify_timeouts=facts.timeouts(
            VerifyTimeouts(**settings(asdict(VerifyTimeouts()), prefix="verify_"))
        ),
        facts=facts,
    )


def subject_of(parameters: SyncParameters) -> Subject:
    """Return what a sync's snapshots are of."""
    from airflow_provider_cio_cohort.snapshots.layout import Subject

    return Subject(
        customer_io_conn_id=parameters.customer_io_conn_id,
        segment=parameters.named,
        id_type=parameters.compared_by,
        mode=parameters.mode,
        cohort_id=parameters.cohort_id,
    )


def snapshots_of(
    parameters: TaskParameters,
    context: Mapping[str, Any],
    task: tuple[str, str],
    kind: Kind | None = None,
) -> RunSnapshots | None:
    """
    Return what is kept of the segment; ``None`` if the sync keeps none of it.

    :param task: the ids of its DAG and of the task.
    :param kind: what; ``None`` for the snapshots.
    """
    from airflow_provider_cio_cohort.snapshots.layout import SNAPSHOTS
    from airflow_provider_cio_cohort.snapshots.run import Retention, RunSnapshots
    from airflow_provider_cio_cohort.snapshots.store import SnapshotStore

    kind = kind or SNAPSHOTS
    path: str | None = getattr(parameters, kind.parameter)
    if path is None:
        return None
    return RunSnapshots(
        store=SnapshotStore(path, subject_of(parameters), kind),
        retention=Retention(parameters.snapshot_keep_days, parameters.snapshot_keep_last),
        origin=_origin(context, *task),
        zone=getattr(context.get("dag"), "timezone", None),
        user_id_property=parameters.mapped[0],
    )


def _workspace_of(conn_id: str) -> int | None:
    from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

    try:
        return CustomerIOHook(conn_id).workspace_id
    except CohortSyncError as error:  # the other sync's run will say so
        log.warning("Cannot find out which workspace connection %r belongs to: %s", conn_id, error.headline)
        return None


def _origin(context: Mapping[str, Any], dag_id: str, task_id: str) -> Origin:
    from airflow_provider_cio_cohort.snapshots.layout import Origin

    run = context.get("dag_run")
    run_type, index = getattr(run, "run_type", ""), getattr(context.get("ti"), "map_index", None)
    times = ("run_after", "logical_date", "data_interval_start", "data_interval_end")
    return Origin(
        dag_id=dag_id,
        task_id=task_id,
        map_index=-1 if index is None else index,
        run_id=getattr(run, "run_id", ""),
        run_type=str(getattr(run_type, "value", run_type)),
        **{name: getattr(run, name, None) for name in times},
    )


# ---- what the run reports: counts only

#: What a task finds out about its two ends that tells people which they are.
_KNOWN = ("cohort_id", "cohort_name", "cohort_url", "segment_url")


def known(carried: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what a task has found out about the cohort and the segment, for its event and a failure.

    :param carried: what the task carries over a deferral.
    """
    return {name: carried[name] for name in _KNOWN if carried.get(name)}


def keep_export(context: Mapping[str, Any], export: Export) -> None:
    """
    Keep that a task has an export, so that it is counted however the run ends.

    :param export: the export, of this try or an earlier one.
    """
    run_store(context).set(REQUESTED_EXPORT, {"requested_at": export.requested_at, **export.month})


def add_event(
    context: Mapping[str, Any],
    asset: Asset | None,
    facts: Mapping[str, Any],
    aliases: Sequence[AssetAlias] = (),
) -> None:
    """
    Let the event that Airflow makes of a task's success carry counts.

    :param asset: what was filled, or ``None``.
    :param aliases: the outlets that stand for the asset, if it is none itself.
    """
    events = context.get("outlet_events")
    if asset is None or events is None:
        return
    for alias in aliases:
        events[alias].add(asset, extra=dict(facts))
    if not aliases:
        events[asset].extra = dict(facts)


def count_sync(tags: Mapping[str, str], report: Mapping[str, Any], duration: float) -> None:
    """
    Send a sync's metrics, where Airflow is set to send any.

    :param duration: seconds from the first try's start, the wait for the export included.
    """
    tags = dict(tags)
    stats.incr("cio_cohort.members_added", report["added"], tags=tags)
    stats.incr("cio_cohort.members_removed", report["removed"], tags=tags)
    stats.gauge("cio_cohort.segment_size", report["segment_after"], tags=tags)
    # What a part of the cohort has come to is not what the segment lacks.
    is_part = report.get("limit") is not None or report.get("left_to_remove")
    for name in () if is_part else ("not_removable", "rejected"):
        stats.gauge(f"cio_cohort.{name}", report[name], tags=tags)
    for name in ("tracked", "unmatched", "joined_elsewhere", "left_elsewhere"):
        if report[name] is not None:
            stats.gauge(f"cio_cohort.{name}", report[name], tags=tags)
    if report["match_rate"] is not None:
        stats.gauge("cio_cohort.match_rate", report["match_rate"], tags=tags)
    stats.timing("cio_cohort.duration", timedelta(seconds=duration), tags=tags)


def count_exports(conn_id: str, month: Mapping[str, Any]) -> None:
    """
    Send how many exports an Amplitude project has left this month.

    :param month: what :func:`.check_quota` returned.
    """
    if month:
        left = max(month["exports_limit"] - month["exports_used"], 0)
        stats.gauge("cio_cohort.exports_left", left, tags={"amplitude_conn_id": conn_id})
