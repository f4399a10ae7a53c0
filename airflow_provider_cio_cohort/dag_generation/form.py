"""The trigger form of a sync: settings for a single manual run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from airflow.sdk import Param

from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.sync.parameters import InForm, SyncParameters, TaskParameters


def fields(sync: Sync, targets: Mapping[str, Sync]) -> dict[str, InForm]:
    """
    Return the parameters in the form of a sync: those that can have an effect in a run of it.

    Those that choose a snapshot are for a single run, so they are no keys of the YAML file.

    :param targets: its targets, which share the form; empty if it has none.
    """
    each = list(targets.values()) or [sync]
    marks = TaskParameters.in_form().items()
    return {name: mark for name, mark in marks if any(map(mark.applies_to, each))}


def form(sync: Sync, targets: Mapping[str, Sync]) -> dict[str, Param]:
    """
    Return the fields of the trigger form, with the values of the YAML file as defaults.

    :param sync: the sync; with targets, the first of them.
    :param targets: its targets, which share the form; empty if it has none.
    """
    each = list(targets.values()) or [sync]
    return {name: _field(name, mark, each) for name, mark in fields(sync, targets).items()}


def _field(name: str, mark: InForm, each: Sequence[Sync]) -> Param:
    field = TaskParameters.model_fields[name]
    values_beside = {key: _shown(each, key) for key in mark.beside}
    set_beside = {key: value for key, value in values_beside.items() if value != "off"} or values_beside
    shown = f" ({', '.join(f'{key}: {value}' for key, value in set_beside.items())})" if set_beside else ""
    default, kind = field.default, _kind(field.annotation)
    if name in SyncParameters.model_fields:
        values = {getattr(target, name) for target in each}
        default = values.pop() if len(values) == 1 else default
    if mark.section:
        kind["section"] = mark.section
    return Param(default, title=field.title, description=f"{field.description}{shown}", **kind)


def _kind(annotation: Any) -> dict[str, Any]:
    """Return the JSON Schema of a field; Airflow marks a field as required unless its type allows null."""
    if annotation is bool:
        return {"type": ["boolean", "null"]}
    choices = get_args(annotation)
    if any(get_args(choice)[:1] == (int,) for choice in choices):
        return {"type": ["integer", "null"], "minimum": 1}
    if all(isinstance(choice, str) for choice in choices):
        return {"type": ["string", "null"], "enum": list(choices)}
    return {"type": ["string", "null"]}


def _shown(each: Sequence[Sync], key: str) -> str:
    values = {getattr(target, key) for target in each}
    if len(values) > 1:
        return "set per target"
    value = values.pop()
    if value is None:
        return "off"
    return f"{value:g}" if isinstance(value, float | int) else str(value)
