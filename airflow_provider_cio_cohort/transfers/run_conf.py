"""
Refuses a run whose configuration has no effect, or a backfill that does not say what it is for.

Airflow accepts any key. A run that is triggered with ``{"dry_rum": true}``, or with ``{"params": {"dry_run":
true}}``, or with the right key where the configuration does not override parameters, would write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from airflow_provider_cio_cohort.exceptions import ConfigurationError

#: How similar a key and a field must be to count as the same, 0 to 1.
_ALIKE = 0.8
#: Keys under which parameters are sometimes nested, which has no effect.
_NESTED = ("params", "conf", "config")
_TRUE = ("true", "1", "yes", "on")


def check_run_conf(context: Mapping[str, Any], effective: Mapping[str, Any]) -> None:
    """
    Check what the run was triggered with; keys unlike any field of the DAG are ignored.

    :param context: the task's context.
    :param effective: the parameters that a run may set, as they are in this task.
    :raises ConfigurationError: if a key looks like a misspelt field of the DAG, or has no effect.
    """
    given = getattr(context.get("dag_run"), "conf", None) or {}
    if not isinstance(given, Mapping):
        return
    fields = {_bare(name): name for name in getattr(context.get("dag"), "params", None) or {}}
    for key in given:
        alike = get_close_matches(_bare(key), fields, n=1, cutoff=_ALIKE)
        if key in fields.values() or not alike:
            continue
        raise ConfigurationError(
            f"The run was triggered with {str(key)[:100]!r}, which is not a field of this DAG.\n"
            f"Did you mean {fields[alike[0]]!r}? Trigger a new run with the right name; this run keeps "
            "what it was given."
        )
    for prefix, asked in _asked(given):
        for name in _without_effect(asked, effective):
            raise ConfigurationError(
                f"The run was triggered with {prefix}{name}, which has no effect in this task.\n"
                f"The task would write something that you did not ask for. Give {name} at the top level of "
                "the configuration, declare it in the DAG's params, pass it to the operator, and let "
                "configurations override params (dag_run_conf_overrides_params in [core])."
            )


def _asked(given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what was asked for: at the top of the configuration, and nested in it."""
    yield "", given
    for name in _NESTED:
        if isinstance(given.get(name), Mapping):
            yield f"{name}.", given[name]


def _without_effect(asked: Mapping[str, Any], effective: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was asked for without effect: to write nothing, or to restore a snapshot."""
    if _is_true(effective.get("dry_run")):
        return  # nothing is written in any case
    if "dry_run" in effective and _is_true(asked.get("dry_run")):
        yield "dry_run"
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

    :param context: the task's context.
    :raises ConfigurationError: if the run belongs to a backfill and its configuration has no ``source``, or
        only that of the day when the run was triggered by hand.
    """
    run = context.get("dag_run")
    run_type = getattr(run, "run_type", "")
    if str(getattr(run_type, "value", run_type)) != "backfill":
        return
    if _FIELD not in (getattr(context.get("dag"), "params", None) or {}):
        return
    conf = getattr(run, "conf", None)
    source = conf.get(_FIELD) if isinstance(conf, Mapping) else None
    if source == "cohort" and str(getattr(run, "run_id", "")).startswith(_BY_HAND):
        # The form of a single run always sends the field, and the backfill may have sent none.
        raise ConfigurationError(
            "This run was triggered by hand to sync the cohort, and a backfill runs it again.\n"
            "To roll back, set Source to snapshot in the backfill, and tick 'Override parameters on existing "
            "runs': without it, the run keeps what it was triggered with. To sync today's members, trigger a "
            "new run."
        )
    if source:
        return
    raise ConfigurationError(
        "This run belongs to a backfill and does not say where its members come from.\n"
        "Set Source to snapshot (to roll back) or cohort (to sync today's members), and tick 'Override "
        "parameters on existing runs': without it, Airflow sends none of the form's fields. By the API or "
        'from a terminal, give the backfill the configuration {"source": "snapshot"} or '
        '{"source": "cohort"}.'
    )
