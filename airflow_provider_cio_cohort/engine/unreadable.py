"""
Identifiers of an export that are not valid UTF-8.

Each byte that cannot be decoded is a lone surrogate in the text, as Python's ``surrogateescape`` makes it.
Such an identifier is never sent. What can be read of it still says whose it may be.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

_ASCII = re.compile("[\x00-\x7f]")
_UNREADABLE = re.compile("[\udc80-\udcff]+")
#: Encodings that write some other characters with a byte of ASCII in them.
_ASCII_WITHIN = ("cp932", "gb18030", "big5hkscs", "cp949")


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


def matcher_of(identifiers: Iterable[str], normalise: Callable[[str], str] = str) -> Callable[[str], bool]:
    """
    Return a function that says whether an identifier may be one of these.

    Almost every encoding writes ASCII characters as themselves, and them alone, with bytes below 128. So an
    unreadable byte stands for one other character or for none. Identifiers are looked up by their ASCII
    characters, so that thousands of unreadable ones take hardly longer than one. The few encodings that are
    different are tried one by one.

    Of an identifier that is all unreadable, only the length is known: it may be any that has no ASCII
    character and is not longer.

    :param identifiers: identifiers that are not readable.
    :param normalise: gives an identifier the form in which it is compared.
    """
    exact: set[str] = set()
    # By ASCII characters: what can be read between them, and how long each stretch there may be.
    similar: dict[str, set[tuple[tuple[str, ...], tuple[int, ...]]]] = defaultdict(set)
    for identifier in identifiers:
        exact.update(map(normalise, _decoded(identifier)))
        text = normalise(identifier)
        stretches = _ASCII.split(text)
        readable = tuple(_UNREADABLE.sub("", stretch) for stretch in stretches)
        similar[_ascii(text)].add((readable, tuple(map(len, stretches))))

    def may_be(text: str) -> bool:
        if text in exact:
            return True
        known = similar.get(_ascii(text))
        if not known:
            return False
        stretches = _ASCII.split(text)
        return any(all(map(_fits, stretches, *each)) for each in known)

    return may_be


def _ascii(text: str) -> str:
    return text if text.isascii() else text.encode("ascii", "ignore").decode()


def _fits(stretch: str, readable: str, length: int) -> bool:
    characters = iter(stretch)
    return len(stretch) <= length and all(each in characters for each in readable)


def _decoded(identifier: str) -> Iterable[str]:
    content = identifier.encode("utf-8", "surrogateescape")
    for encoding in _ASCII_WITHIN:
        try:
            yield content.decode(encoding)
        except UnicodeDecodeError:
            continue
