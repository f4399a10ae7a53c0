"""What is wrong with a YAML file, and how its values are shown in messages."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic_core import PydanticCustomError

_LONGEST = 60


class CohortSyncConfigError(ValueError):
    """
    The YAML file cannot be understood as a whole, so none of its syncs can be built.

    A mistake in one sync never raises: that sync becomes a DAG that says what is wrong.
    """


def show(value: Any) -> str:
    """
    Return a value of the YAML file as a message shows it: quoted, on one line, never long.

    :param value: what YAML made of it.
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
    Return a sentence that suggests what was meant, or nothing.

    :param wrong: what is written.
    :param known: what may be written.
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(wrong.lower(), by_lower, n=2, cutoff=0.6)
    return f" Did you mean {' or '.join(by_lower[name] for name in close)}?" if close else ""


def wrong_key(key: str, message: str) -> PydanticCustomError:
    """
    Return what a check of several keys raises, which pydantic alone would not lay to one of them.

    :param key: the key to correct.
    :param message: what is wrong and what to do.
    """
    return PydanticCustomError("sync", "{message}", {"key": key, "message": message})
