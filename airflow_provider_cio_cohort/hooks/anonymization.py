"""
What may be known of an HTTP exchange with the vendors: an allow-list.

Kept are the names of known fields, parameters and headers, the values of enumerations, counts, and the known
words of a vendor's messages. Everything else becomes a placeholder, see :mod:`.placeholders`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from airflow_provider_cio_cohort.hooks.allow_list import (
    CHARSET,
    CHOSEN,
    COLUMNS,
    COUNTS,
    ENUMERATIONS,
    FIELDS,
    FORMS,
    HEADERS,
    KINDS,
    MEDIA_TYPES,
    MESSAGES,
    MOST_COUNT,
    PARAMETERS,
    ROUTES,
    WORDS,
)
from airflow_provider_cio_cohort.hooks.placeholders import Placeholders, white_space

_DEEPEST = 40
#: Seconds that a date may be away from now.
_FARTHEST = 10**9
_WORD = re.compile(r"[^\s/.,:;()]+")
_HIDDEN = "***"
_PROPERTY_PREFIX = "gp:"


@dataclass(frozen=True)
class _Place:
    """Where a value stands in JSON; if the company has chosen the fields there, their names say nothing."""

    field: str = ""
    parent: str = ""
    is_sent: bool = False
    is_chosen: bool = False
    depth: int = 0

    def at(self, name: str) -> _Place:
        """Return the place of a field of an object here."""
        is_chosen = self.is_chosen or name in CHOSEN or name not in FIELDS
        return _Place(name, self.field, self.is_sent, is_chosen, self.depth + 1)


class Anonymizer:
    """
    Makes a recording's exchanges anonymous.

    :param own: beginnings of the texts that the caller makes up itself, see :class:`.Placeholders`.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.placeholders = Placeholders(own)
        self._hosts: dict[tuple[str, str], str] = {}
        self._routes = {tuple(route.split("/")): api for route, api in ROUTES.items()}

    # ---- JSON

    def json(self, value: Any, *, is_sent: bool = False) -> Any:
        """
        Return JSON with placeholders.

        :param value: the value, as Python has it.
        :param is_sent: whether we have sent it.
        """
        return self._json(value, _Place(is_sent=is_sent))

    def _json(self, value: Any, place: _Place) -> Any:
        if place.depth > _DEEPEST:
            return None
        if isinstance(value, dict):
            return {
                name if name in FIELDS else self.placeholders.field(name): self._json(item, place.at(name))
                for name, item in value.items()
            }
        if isinstance(value, list):
            inside = replace(place, depth=place.depth + 1)
            return [self._json(item, inside) for item in value]
        if isinstance(value, str):
            return self._text(value, place)
        if value is None or isinstance(value, bool):
            return value
        is_count = place.field in COUNTS and isinstance(value, int) and 0 <= value <= MOST_COUNT
        return value if is_count and not place.is_chosen else self.placeholders.number(value)

    def _text(self, value: str, place: _Place) -> str:
        field = place.field
        if place.parent == "countGroup" and value in ENUMERATIONS["countGroup"]:
            return value
        if not place.is_chosen:
            if value in ENUMERATIONS.get(field, ()) or (field in FORMS and FORMS[field].fullmatch(value)):
                return value
            if field in MESSAGES and not place.is_sent:
                return known_words(value)
        return self.placeholders.text(value, KINDS.get(field, "text"), is_sent=place.is_sent)

    # ---- addresses

    def path(self, path: str) -> tuple[str, str]:
        """
        Return a path with placeholders, and the API that has the route, empty if none has.

        :param path: the path, percent-encoded.
        """
        parts = path.split("/")
        for route, api in self._routes.items():
            if len(route) == len(parts) and all(
                known in ("*", part) for known, part in zip(route, parts, strict=True)
            ):
                named = [
                    self._part(part, "id") if known == "*" else part
                    for known, part in zip(route, parts, strict=True)
                ]
                return "/".join(named), api
        return "/".join(self._part(part, "path") for part in parts), ""

    def _part(self, part: str, kind: str) -> str:
        return quote(self.placeholders.text(unquote(part), kind, is_sent=kind == "id"), safe="")

    def query(self, query: str) -> list[list[str]]:
        """
        Return the parameters of a query with placeholders.

        :param query: the query, percent-encoded.
        """
        return [
            [name if name in PARAMETERS else self.placeholders.field(name), self._parameter(name, value)]
            for name, value in parse_qsl(query, keep_blank_values=True)
        ]

    def _parameter(self, name: str, value: str) -> str:
        form, kind = PARAMETERS.get(name, ("", "text"))
        if re.fullmatch(form, value):
            return value
        return self.column(value) if kind == "property" else self.placeholders.text(value, kind, is_sent=True)

    def host(self, netloc: str, api: str) -> str:
        """
        Return the name of a host: that of the API that it serves, otherwise ``storage-1`` and so on.

        :param api: the API; empty if the path is of none.
        """
        netloc = netloc.lower()
        if not api:
            api = next((known for host, known in self._hosts if host == netloc), "")
        if (netloc, api) not in self._hosts:
            number = 1 + sum(known == api for _, known in self._hosts)
            self._hosts[netloc, api] = f"{api or 'storage'}{'' if api and number == 1 else f'-{number}'}"
        return self._hosts[netloc, api]

    def location(self, value: str, url: str) -> str:
        """Return where a redirect leads, in the form in which it was written."""
        try:
            parts = urlsplit(value.strip())
            own = urlsplit(url)
            is_usable = bool(value.strip()) and (not parts.netloc or bool(parts.hostname)) and parts.port != 0
        except ValueError:
            is_usable = False
        if not is_usable:
            return "" if not value.strip() else "//"
        scheme = value.strip().partition(":")[0] if parts.scheme else ""
        if scheme and scheme.lower() not in ("http", "https"):
            return "other:"
        path, api = self.path(parts.path)
        host = f"//{self.host(parts.netloc.rpartition('@')[2], api)}" if parts.netloc else ""
        query = "&".join(f"{quote(name)}={quote(text, safe='')}" for name, text in self.query(parts.query))
        fragment = "#fragment" if parts.fragment else ""
        # A relative address is of the host that was asked; this gives it its name before others get theirs.
        self.host(own.netloc, self.path(own.path)[1])
        return f"{scheme}{':' if scheme else ''}{host}{path}{'?' if query else ''}{query}{fragment}"

    # ---- headers

    def authorization(self, value: str) -> str:
        """
        Return the header Authorization with a placeholder for the key.

        :param value: the header; empty for none.
        """
        scheme, _, key = value.partition(" ")
        if scheme not in ("Basic", "Bearer"):
            scheme, key = "Other", value
        return f"{scheme} {self.placeholders.text(key, 'key')}" if value else ""

    def headers(self, headers: Mapping[str, str], url: str) -> tuple[dict[str, str], int]:
        """
        Return the known headers of a response, and the number of the others.

        A date becomes the seconds by which it is ahead of now, such as ``now+30``.
        """
        names = {name.lower(): name for name in HEADERS}
        kept: dict[str, str] = {}
        others = 0
        for name, value in headers.items():
            known = names.get(name.lower())
            if known is None:
                others += 1
            else:
                kept[known] = self._header(known, str(value), url)
        return kept, others

    def _header(self, name: str, value: str, url: str) -> str:
        text = value.strip()
        if not text or (HEADERS[name] and re.fullmatch(HEADERS[name], text, re.IGNORECASE | re.ASCII)):
            return text
        if name == "Location":
            return self.location(value, url)
        if name == "Content-Type":
            return _media_type(text)
        if name in ("Date", "Retry-After") and (seconds := _seconds_from_now(text)) is not None:
            return f"now{seconds:+d}"
        if name == "Content-Length":
            return "of the body"
        return self.placeholders.text(text, "text")

    # ---- columns

    def column(self, title: str) -> str:
        """
        Return the title of an export's column: as it is, or the placeholder of a property.

        :param title: the title, with or without ``gp:``.
        """
        core = title.strip()
        start = title.index(core)
        bare = core.removeprefix(_PROPERTY_PREFIX)
        named = bare if bare in COLUMNS else self.placeholders.text(bare, "property")
        prefix = core.removesuffix(bare)
        return f"{white_space(title[:start])}{prefix}{named}{white_space(title[start + len(core) :])}"


def known_words(message: str) -> str:
    """Return a vendor's message with all but its known words hidden."""
    # Names and keys may be of known words, but hardly of these alone.
    words = " ".join(message[:2000].split())
    words = _WORD.sub(lambda found: _known(found[0]), words)
    return re.sub(r"\*{3}(?:[\s/.,:;()]*\*{3})+", _HIDDEN, words)


def _known(word: str) -> str:
    parts = re.split(r"[-_]", word)
    return word if word.lower() in WORDS or {part.lower() for part in parts} <= WORDS else _HIDDEN


def _media_type(value: str) -> str:
    media = value.partition(";")[0].strip().lower()
    charset = CHARSET.search(value)
    known = media if media in MEDIA_TYPES else "other/other"
    return f"{known}; charset={charset[1].lower()}" if charset else known


def _seconds_from_now(value: str) -> int | None:
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(-_FARTHEST, min(_FARTHEST, round(seconds)))
