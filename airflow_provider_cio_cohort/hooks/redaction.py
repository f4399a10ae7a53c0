"""Removes keys, e-mail addresses and signed URLs from messages and logs."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MAX_DETAIL = 300
HIDDEN = "***"

_EMAIL = re.compile(r"[^\s@\"'<>,;:=&?/]{1,64}@[^\s@\"'<>,;&?/]{1,255}")
_URL_QUERY = re.compile(r"(https?://[^\s?\"']*)\?[^\s\"']*")
_CREDENTIALS = re.compile(r"\b(Basic|Bearer)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_PATH_QUERY = re.compile(r"\?.*$", re.DOTALL)


def scrub(text: str, hide: Iterable[str] = ()) -> str:
    """
    Return a vendor's message as one short line without keys, credentials, e-mail addresses or queries.

    :param hide: keys and identifiers to remove.
    """
    text = text[: 20 * MAX_DETAIL]
    for value in hide:
        if value:
            text = text.replace(value, HIDDEN)
    text = _CREDENTIALS.sub(rf"\1 {HIDDEN}", text)
    text = _URL_QUERY.sub(rf"\1?{HIDDEN}", text)
    text = _EMAIL.sub(HIDDEN, text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_DETAIL else f"{text[:MAX_DETAIL]}…"


_QUOTED = re.compile(r"(?<!\w)([\"'`]).*?\1(?!\w)", re.DOTALL)
_PLAIN_WORD = re.compile(r"[A-Za-z]{1,20}(?:['_/-][A-Za-z]{1,20})*|\d{1,3}")
_AROUND_A_WORD = ".,;:!?()[]{}<>\"'`"
#: The shortest part of an identifier that could tell whose it is.
_TELLING = 3


def words_only(text: str, value: str) -> str:
    """
    Return a vendor's message about an identifier without anything that may be the identifier, or a person's.

    Only plain words and short numbers are kept, outside quotation marks, and none that the identifier
    contains: a message may quote it cut, in another case or encoded.
    """
    known = value.casefold()
    parts = set(re.split(r"\W+", known))

    def shown(word: str) -> str:
        core = word.strip(_AROUND_A_WORD)
        folded = core.casefold()
        if not core:
            return word
        telling = len(folded) >= _TELLING and folded in known
        telling = telling or (len(known) >= _TELLING and known in folded) or folded in parts
        return HIDDEN if telling or not _PLAIN_WORD.fullmatch(core) else word

    words = [shown(word) for word in _QUOTED.sub(HIDDEN, text).split()]
    kept = [word for at, word in enumerate(words) if word != HIDDEN or words[at - 1 : at] != [HIDDEN]]
    return scrub(" ".join(kept))


class _QueryFilter(logging.Filter):
    """
    Hides queries, which urllib3 logs at DEBUG level: that of an export's file is its signature.

    Its warning that it could not parse all headers is dropped: it quotes them, and the address.
    """

    def __init__(self) -> None:
        super().__init__()
        self.state = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(self.state, "active", False):
            return True
        if record.name == _QUOTES_HEADERS:
            return False
        if isinstance(record.args, tuple):
            record.args = tuple(
                _PATH_QUERY.sub(f"?{HIDDEN}", value) if isinstance(value, str) else value
                for value in record.args
            )
        return True


_QUOTES_HEADERS = "urllib3.connection"
_query_filter = _QueryFilter()
for _name in ("urllib3.connectionpool", _QUOTES_HEADERS):
    logging.getLogger(_name).addFilter(_query_filter)


@contextmanager
def queries_hidden() -> Iterator[None]:
    """Keep the query strings and headers of this thread's requests out of urllib3's log."""
    before = getattr(_query_filter.state, "active", False)
    _query_filter.state.active = True
    try:
        yield
    finally:
        _query_filter.state.active = before
