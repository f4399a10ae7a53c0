"""Every message that the package raises, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from airflow_provider_cio_cohort import exceptions

PACKAGE = Path(exceptions.__file__).parent
#: Placeholders for the whole message of another exception, which is looked at where that one is raised.
HANDED_ON = ("error", "error.headline", "message", "lost", "str(error)")


def leaves(root: type[Exception] = exceptions.CohortSyncError) -> Iterator[type[exceptions.CohortSyncError]]:
    """All public classes of the tree that are raised, not only caught."""
    below = [kind for kind in root.__subclasses__() if kind.__module__ == exceptions.__name__]
    for kind in below:
        yield from leaves(kind)
    if not below or root is exceptions.ConfigurationError:
        yield root  # type: ignore[misc]


@dataclass(frozen=True)
class Message:
    """
    A message as the source has it.

    :param place: file and line.
    :param kind: the exception's class.
    :param parts: literals, and placeholders as expressions.
    """

    place: str
    kind: str
    parts: tuple[str | ast.expr, ...]

    @property
    def is_handed_on(self) -> bool:
        """Whether it begins with the message of another exception."""
        first = self.parts[0]
        return isinstance(first, ast.expr) and ast.unparse(first) in HANDED_ON

    @property
    def placeholders(self) -> list[ast.expr]:
        """What the message is filled with."""
        return [part for part in self.parts if isinstance(part, ast.expr)]

    def shown(self, placeholder: str) -> str:
        """The message with this for each placeholder."""
        return "".join(part if isinstance(part, str) else placeholder for part in self.parts)


@cache
def messages() -> tuple[Message, ...]:
    """Every message with which an exception of ours is made."""
    names = {kind.__name__ for kind in _all(exceptions.CohortSyncError)} | {"_FileNotFoundError"}
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    everywhere = {name: text for tree in sources.values() for name, text in _constants(tree)}
    found = []
    for path, tree in sources.items():
        constants = {**everywhere, **dict(_constants(tree))}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names and node.args:
                place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                parts = tuple(_parts(node.args[0], constants))
                found.append(Message(place, ast.unparse(node.func), parts))
    return tuple(found)


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            for name in node.targets:
                if isinstance(node.value.value, str):
                    yield ast.unparse(name), node.value.value


def _all(kind: type) -> Iterator[type]:
    yield kind
    for each in kind.__subclasses__():
        yield from _all(each)


def _parts(node: ast.expr, constants: dict[str, str]) -> Iterator[str | ast.expr]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        for value in node.values:
            yield from _parts(value, constants)
    elif isinstance(node, ast.FormattedValue):
        yield constants.get(ast.unparse(node.value), node.value)
    else:
        yield node
