"""All that is public, and the page on which a reader would look for it."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

from airflow.cli.cli_config import ActionCommand, GroupCommand

from airflow_provider_cio_cohort.cli.commands import get_cli_commands
from airflow_provider_cio_cohort.dag_generation.alert_keys import AlertKeys
from airflow_provider_cio_cohort.dag_generation.schema import json_schema
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.get_provider_info import get_provider_info
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook, Cohort, Usage
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.operators.amplitude import AmplitudeCohortExportOperator
from airflow_provider_cio_cohort.operators.approval import ApproveChangeOperator
from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
from airflow_provider_cio_cohort.triggers.amplitude import AmplitudeExportTrigger
from dev.public_names import MODULES, PACKAGE, public_names

#: Where the classes and functions of a public module are described.
PAGE_OF = {
    "assets": "watching.md",
    "dag_generation": "yaml.md",
    "exceptions": "errors.md",
    "hooks.amplitude": "operator.md",
    "hooks.customer_io": "operator.md",
    "operators.amplitude": "operator.md",
    "operators.approval": "operator.md",
    "overview": "page.md",
    "sandbox": "sandbox.md",
    "transfers.amplitude_to_customer_io": "operator.md",
    "triggers.amplitude": "operator.md",
}
#: Classes whose parameters and methods users write down.
OPERATORS = (
    AmplitudeCohortToCustomerIOOperator,
    AmplitudeCohortExportOperator,
    ApproveChangeOperator,
    AmplitudeExportTrigger,
)
HOOKS = (AmplitudeHook, CustomerIOHook)
#: What a hook has without an underscore for the modules beside it: how a request is made, not what for.
INSIDE = {"api", "app", "app_client", "client", "client_for", "track", "track_client"}


def is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith(PACKAGE)


def parameters(function: Any) -> set[str]:
    """Return the names that a caller may write down."""
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    found = inspect.signature(function).parameters.values()
    return {each.name for each in found if each.kind not in several} - {"self", "cls"}


def constructor(kind: type) -> set[str]:
    """Return the parameters of a class; where it hands others on, those of the class of ours behind it."""
    found: set[str] = set()
    for base in kind.__mro__:
        if is_ours(base) and "__init__" in vars(base):
            found |= parameters(base.__init__)
            if not any(each.kind is each.VAR_KEYWORD for each in inspect.signature(base).parameters.values()):
                break
    return found


def methods(kind: type) -> dict[str, Any]:
    """Return what may be called or read of a class, without what it has for the modules beside it."""
    return {
        name: value
        for base in filter(is_ours, reversed(kind.__mro__))
        for name, value in vars(base).items()
        if not name.startswith("_")
        and name not in INSIDE
        and (inspect.isfunction(value) or isinstance(value, property) or hasattr(value, "attrname"))
    }


def _of_methods(kind: type) -> Iterator[str]:
    for name, value in methods(kind).items():
        yield name
        if inspect.isfunction(value) and name in vars(kind):
            yield from parameters(value)


def _fields(*kinds: type) -> set[str]:
    return {field.name for kind in kinds for field in dataclasses.fields(kind)}


def _names_in(module: str, *, of_errors: bool) -> set[str]:
    """Return the names of a public module: its errors, which have a page to themselves, or all others."""
    return {
        name.rpartition(".")[2]
        for name, value in public_names().items()
        if name.rpartition(".")[0] == f"{PACKAGE}.{module}"
        and (inspect.isclass(value) and issubclass(value, Exception)) is of_errors
    }


def public() -> dict[str, tuple[str, set[str]]]:
    """Return the names of each kind, with the page that must have them."""
    info = get_provider_info()
    found = {
        "keys of a file": ("yaml.md", set(json_schema()["properties"])),
        "keys of a sync": ("yaml.md", {*Sync.model_fields, "targets"}),
        "keys of an alert": ("yaml.md", set(AlertKeys.model_fields)),
        "options": ("settings.md", set(info["config"]["cio_cohort"]["options"])),
        "fields of the report": ("operator.md", _fields(SyncReport)),
        "fields of what a hook returns": ("operator.md", _fields(Cohort, Usage)),
        "parameters and methods of the sandbox": (
            "sandbox.md",
            {*constructor(Sandbox), *_of_methods(Sandbox)},
        ),
        "types and fields of connections": (
            "setting-up.md",
            {each["connection-type"] for each in info["connection-types"]}
            | {field for each in info["connection-types"] for field in each["conn-fields"]},
        ),
    }
    for kind in (*OPERATORS, *HOOKS):
        found[f"parameters of {kind.__name__}"] = ("operator.md", constructor(kind))
    for kind in HOOKS:
        found[f"methods of {kind.__name__}"] = ("operator.md", set(_of_methods(kind)))
    for module in MODULES:
        found[f"names in {module}"] = (
            PAGE_OF[module],
            {f"{PACKAGE}.{module}", *_names_in(module, of_errors=False)},
        )
    errors = {name for module in MODULES for name in _names_in(module, of_errors=True)}
    found["errors"] = ("errors.md", {f"{PACKAGE}.exceptions", *errors})
    return found


def commands() -> dict[str, tuple[str, ...]]:
    """Return the flags of every command of ``airflow cohort-sync``, each flag by its longest name."""
    (group,) = get_cli_commands()
    assert isinstance(group, GroupCommand)
    return dict(_commands(group, ""))


def _commands(group: GroupCommand, before: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for each in group.subcommands:
        name = f"{before} {each.name}".strip()
        if isinstance(each, ActionCommand):
            yield name, tuple(max(arg.flags, key=len) for arg in each.args if arg.flags[0].startswith("-"))
        else:
            yield from _commands(each, name)
