"""Problems of a YAML file, and the text of its values in messages and in Markdown."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LONGEST = 60
# A name that is so similar to a wrong one is certainly the one that was meant.
_SURE = 0.9
# Names are full of underscores and brackets, so these are escaped only where Markdown interprets them: an
# underscore at a word boundary, a bracket that could end a link text.
_MARKDOWN = re.compile(r"([\\`*#|~]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:]))")
_CODE = re.compile(r"[\w .@/\[\]-]+")

#: A path in a file, such as ``("syncs", 2, "targets", 0, "mode")``.
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """
    A problem of a file.

    :param line: the line, from 1.
    :param path: the path in the tree, which is in the defaults if the value comes from there.
    :param message: what is wrong, and what to do.
    :param where: the sync and the key as text; empty until the loader knows which sync has the problem.
    :param file: the file, as the reader of the message knows it; empty until the loader knows it.
    """

    line: int
    path: Place
    message: str
    where: str = ""
    file: str = ""

    @property
    def key(self) -> str | None:
        """The key of the sync, the target or the defaults that has the problem, if it is about one."""
        in_target = self.path[2:3] == ("targets",) and len(self.path) > 3
        depth = {"syncs": 4 if in_target else 2, "defaults": 1}.get(str(self.path[0]), 0)
        return str(self.path[depth]) if len(self.path) > depth else None

    @property
    def place(self) -> str:
        """The place as text, such as ``cohort_syncs.yaml:4: sync one, key mode``."""
        file = f"{self.file}:{self.line}" if self.file else ""
        return ": ".join(part for part in (file, self.where) if part)

    @property
    def text(self) -> str:
        """The problem without the file and the line."""
        return f"{self.where}: {self.message}" if self.where else self.message

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class CohortSyncConfigError(ValueError):
    """
    The YAML file cannot be understood as a whole, so none of its syncs can be built.

    A mistake in one sync never raises this: that sync becomes a DAG that shows the mistake.

    :param message: what is wrong, and what to do.
    :param path: the file; ``None`` for a mistake outside of any file.
    :param line: the line in it, from 1.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int = 1) -> None:
        super().__init__(message if path is None else f"{path}:{line}: {message}")
        self.message = message
        self.path = path
        self.line = line


class NoSyncsError(CohortSyncConfigError):
    """The list of syncs is empty, such as where all of them are commented out; no DAG is built."""


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
    if close and difflib.SequenceMatcher(None, wrong.lower(), close[0]).ratio() > _SURE:
        close = close[:1]
    return f" Did you mean {' or '.join(by_lower[name] for name in close)}?" if close else ""


def escape(text: object) -> str:
    """Escape a value of the YAML file for Markdown, on one line."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def code(text: object) -> str:
    """Return a name or an id as inline code, or escaped if it cannot be code."""
    return f"`{text}`" if _CODE.fullmatch(str(text)) else escape(text)
