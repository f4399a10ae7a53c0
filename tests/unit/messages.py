"""Every message that the package raises, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort import exceptions

PACKAGE = Path(exceptions.__file__).parent
#: How long what stands in a placeholder usually is; anything else counts as a short word.
USUAL = {
    "what": 34,  # reading the members of segment 11234
    "self.name": 23,  # Customer.io's Track API
    "where": 23,
    "where (segment)": 36,
    "self.keys": 32,  # the Site ID and Tracking API key
    "self.base_url": 27,
    "place": 33,  # connection 'customer_io_default'
    "title": 44,  # Amplitude's cohort 'Weekly actives' (a1b2c3d)
    "field": 24,
    "found": 25,
    "problem": 32,
    "found.in_short": 62,
    "trips[0].short": 40,
    "show(value)": 16,
    "show(str(value))": 16,
}
SHORT_WORD = 12
NUMBER = 5
CONN_ID = 21  # 'customer_io_default'
SEGMENT_NAME = 25


def leaves(root: type[Exception] = exceptions.CohortSyncError) -> Iterator[type[exceptions.CohortSyncError]]:
    """All public classes of the tree that have no public class below them."""
    below = [kind for kind in root.__subclasses__() if kind.__module__ == exceptions.__name__]
    for kind in below:
        yield from leaves(kind)
    if not below:
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

    def __str__(self) -> str:
        return self.place

    @property
    def is_handed_on(self) -> bool:
        """Whether it begins with the message of another exception, which is judged where that is raised."""
        first = self.parts[0]
        return isinstance(first, ast.expr) and ast.unparse(first) in HANDED_ON

    def shown(self, fill: Any) -> str:
        """The message with something for each placeholder."""
        return "".join(part if isinstance(part, str) else fill(part) for part in self.parts)

    @property
    def usual(self) -> str:
        """The message with every placeholder as long as it usually is."""
        return self.shown(lambda part: "x" * _length(part))


#: Placeholders for the whole message of another exception.
HANDED_ON = ("error", "error.headline", "message", "lost", "str(error)")


def _length(placeholder: ast.expr) -> int:
    text = ast.unparse(placeholder)
    if "conn_id" in text:
        return CONN_ID
    if text in ("name", "segment.name"):
        return SEGMENT_NAME
    if "status" in text or "left" in text or "limit" in text or text.startswith("len("):
        return NUMBER
    return USUAL.get(text, SHORT_WORD)


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
