"""
Identifiers of an export that are not valid UTF-8.

Each byte that cannot be decoded is a lone surrogate in the text, as Python's ``surrogateescape`` makes it.
Such an identifier is never sent. What can be read of it still says whose it may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNREADABLE = re.compile("([\udc80-\udcff]+)")


def is_readable(text: str) -> bool:
    """
    Say whether a text holds nothing that could not be decoded.

    :param text: an identifier, or many of them together.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def pattern_of(identifiers: Iterable[str]) -> re.Pattern[str] | None:
    """
    Return a pattern of all identifiers that these may stand for; ``None`` if they tell too little.

    An identifier counts only where at least half of it can be read: otherwise, it may be almost anybody's.

    :param identifiers: identifiers that are not readable.
    """
    patterns = sorted({_pattern(each) for each in identifiers if _tells_enough(each)})
    return re.compile("|".join(patterns), re.DOTALL) if patterns else None


def _tells_enough(identifier: str) -> bool:
    unreadable = sum(map(len, _UNREADABLE.findall(identifier)))
    return len(identifier) - unreadable >= unreadable


def _pattern(identifier: str) -> str:
    return "".join(map(_part, _UNREADABLE.split(identifier)))


def _part(text: str) -> str:
    # In any encoding, a character takes at least one byte.
    return re.escape(text) if is_readable(text) else f".{{0,{len(text)}}}"
