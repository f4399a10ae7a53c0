"""The public names, which the docs describe and a release keeps compatible."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

PACKAGE = "airflow_provider_cio_cohort"
#: The public modules; everything else may change in any release.
MODULES = (
    "assets",
    "dag_generation",
    "exceptions",
    "hooks.amplitude",
    "hooks.customer_io",
    "operators.amplitude",
    "operators.approval",
    "overview",
    "sandbox",
    "transfers.amplitude_to_customer_io",
    "triggers.amplitude",
)


def public_names() -> dict[str, Any]:
    """Return every public class and function by its dotted name."""
    return {
        f"{PACKAGE}.{module}.{name}": value for module in MODULES for name, value in _names_of(module).items()
    }


def _names_of(module: str) -> dict[str, Any]:
    found = importlib.import_module(f"{PACKAGE}.{module}")
    if hasattr(found, "__all__"):
        return {name: getattr(found, name) for name in found.__all__}
    return {
        name: value
        for name, value in vars(found).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == found.__name__
    }
