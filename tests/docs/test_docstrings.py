"""Whatever is public says in its docstring what it is, and what each of its parameters means."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

from dev.public_names import public_names
from tests.docs.public import is_ours, parameters

NAMES = {
    name: value
    for name, value in public_names().items()
    if inspect.isclass(value) or inspect.isfunction(value)
}
CLASSES = {name: value for name, value in NAMES.items() if inspect.isclass(value)}


def explained(value: Any) -> set[str]:
    return set(re.findall(r":param (\w+):", inspect.getdoc(value) or ""))


def wanted(value: Any) -> set[str]:
    if "__dataclass_fields__" in vars(value):  # and not: is_dataclass(), for Airflow's operators are some
        return {field.name for field in dataclasses.fields(value)}
    if inspect.isclass(value):
        return parameters(value.__init__) if "__init__" in vars(value) else set()
    return parameters(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_explains_every_parameter(name: str) -> None:
    assert vars(NAMES[name]).get("__doc__") or NAMES[name].__doc__
    assert wanted(NAMES[name]) - explained(NAMES[name]) == set()


def methods_of(kind: type) -> dict[str, list[Any]]:
    """Return what users may call or read, each with what it overrides in our own code."""
    found: dict[str, list[Any]] = {}
    for base in filter(is_ours, kind.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("_"):
                found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("name", CLASSES)
def test_the_methods_have_docstrings_that_explain_every_parameter(name: str) -> None:
    for method, (value, *overridden) in methods_of(CLASSES[name]).items():
        if isinstance(value, property) or hasattr(value, "attrname"):
            assert value.__doc__, f"{name}.{method}"
        elif inspect.isfunction(value):
            assert value.__doc__, f"{name}.{method}"
            said = explained(value).union(*map(explained, overridden))
            assert wanted(value) - said == set(), f"{name}.{method}"
