"""Problems of a YAML file, and the text of its values in messages."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_LONGEST = 60

#: A path in a file, such as ``("syncs", 2, "targets", 0, "mode")``.
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """
    A problem of a file.

    :param line: the line, from 1.
    :param path: the path in the tree, which is in the defaults if the value comes from there.
    :param message: what is wrong, and what to do.
    :param where: the file, the line, the sync and the key as text; empty until the loader knows which sync
        has the problem.
    """

    line: int
    path: Place
    message: str
    where: str = ""

    @property
    def key(self) -> str | None:
        """The key of the sync, the target or the defaults that has the problem, if it is about one."""
        in_target = self.path[2:3] == ("targets",) and len(self.path) > 3
        depth = {"syncs": 4 if in_target else 2, "defaults": 1}.get(str(self.path[0]), 0)
        return str(self.path[depth]) if len(self.path) > depth else None

    @property
    def dotted_path(self) -> str:
        """The path as text, such as ``syncs[2].targets[0].mode``."""
        return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class CohortSyncConfigError(ValueError):
    """
    The YAML file cannot be understood as a whole, so none of its syncs can be built.

    A mistake in one sync never raises this: that sync becomes a DAG that shows the mistake.
    """


def show(value: Any) -> str:
    """
    Return a value of the YAML file as text for messages: quoted, on one line, and shortened.

    :param value: the parsed value.
    """
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
        return f'"{escaped if len(escaped) <= _LONGEST else escaped[:_LONGEST] + "…"}"'
    try:
        shown = reprlib.repr(value)
    except ValueError:  # Python refuses to print a number of more than 4,300 digits
        return "a number with thousands of digits"
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """
    Return a sentence with the most similar names; empty if there are none.

    :param wrong: the unknown name.
    :param known: the allowed names.
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(by_lower[name] for name in close)}?" if close else ""
