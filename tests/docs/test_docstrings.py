"""Whatever is public says in its docstring what it is, and what each of its parameters means."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from dev.public_names import public_names
from tests.docs.public import is_ours, parameters


def explained(value: Any) -> set[str]:
    return set(re.findall(r":param (\w+):", inspect.getdoc(value) or ""))


def wanted(value: Any) -> set[str]:
    if "__dataclass_fields__" in vars(value):  # and not: is_dataclass(), for Airflow's operators are some
        return {field.name for field in dataclasses.fields(value)}
    if inspect.isclass(value):
        return parameters(value.__init__) if "__init__" in vars(value) else set()
    return parameters(value)


def methods_of(kind: type) -> dict[str, list[Any]]:
    """Return what users may call or read, each with what it overrides in our own code."""
    found: dict[str, list[Any]] = {}
    for base in filter(is_ours, kind.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("_"):
                found.setdefault(name, []).append(value)
    return found


def problems_of(name: str, value: Any, overridden: list[Any]) -> Iterator[str]:
    if not value.__doc__:
        yield f"{name} has no docstring"
    if inspect.isclass(value) or inspect.isfunction(value):
        said = explained(value).union(*map(explained, overridden))
        yield from (f"{name} does not explain {each}" for each in sorted(wanted(value) - said))


def test_the_docstrings_explain_every_parameter() -> None:
    problems = []
    for name, value in public_names().items():
        if inspect.isclass(value) or inspect.isfunction(value):
            problems += problems_of(name, value, [])
        if inspect.isclass(value):
            for method, (own, *overridden) in methods_of(value).items():
                if isinstance(own, property) or hasattr(own, "attrname") or inspect.isfunction(own):
                    problems += problems_of(f"{name}.{method}", own, overridden)
    assert not problems, "\n".join(problems)
