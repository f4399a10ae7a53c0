"""Replaces private values by placeholders of the same kind: the same value by the same one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from airflow_provider_cio_cohort.hooks.allow_list import NOBODY

#: What the numbers that stand for other numbers begin after.
FIRST_NUMBER = 900_000_000
#: The domain of every e-mail address; no one can have one there.
DOMAIN = "example.com"
#: Bytes of the longest identifier that Customer.io takes.
MOST_BYTES = 150
_CIO_PREFIX = "cio_"
_KEPT_WHITE_SPACE = " \t\r\n"
_MOST_WHITE_SPACE = 8
#: Characters by which a shortened text is recognised as one of our own.
_TELLING = 8
_HEXADECIMAL = frozenset("0123456789abcdef")
_CASES = (str.lower, str.upper, str.swapcase)


class Placeholders:
    """
    The placeholders of one recording.

    Of a value remain: white space at its ends, the prefix ``cio_``, whether it is an e-mail address or a
    whole number, whether its letters are large or small, and whether it has more than 150 bytes or
    characters. A value that differs from another one only by its case has that one's placeholder in its case.

    :param own: beginnings of the texts that the caller makes up itself; these are no secret, and are kept.
    """

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.own = tuple(own)
        self._counts: Counter[str] = Counter()
        self._known: dict[str, str] = {}
        self._by_folded: dict[str, list[str]] = {}
        self._floats: dict[str, float] = {}
        self._fields: dict[str, str] = {}
        self._sent: set[str] = set()

    def text(self, value: str, kind: str, *, is_sent: bool = False) -> str:
        """
        Return the placeholder of a text.

        :param kind: the first word of the placeholder, such as ``name``.
        :param is_sent: whether we have sent it; then a text with one of our own beginnings is kept as it is.
        """
        core = value.strip()
        if not core:
            return white_space(value)
        if self._is_own(core, is_sent=is_sent):
            return value
        before, after = value[: value.index(core)], value[value.index(core) + len(core) :]
        prefix = _CIO_PREFIX if core.startswith(_CIO_PREFIX) and core != _CIO_PREFIX else ""
        inner = self._of(core.removeprefix(prefix), kind)
        return f"{white_space(before)}{prefix}{inner}{white_space(after)}"

    def number(self, value: float) -> float:
        """
        Return a number in the place of another one; a whole number has the placeholder of its digits as text.

        :param value: the number, with or without decimals.
        """
        if isinstance(value, int):
            digits = self._of(str(abs(value)), "id")
            return -int(digits) if value < 0 else int(digits)
        if repr(value) not in self._floats:
            self._floats[repr(value)] = self._next("number") + 0.5
        return self._floats[repr(value)]

    def field(self, name: str) -> str:
        """Return the placeholder of a name that is not known: a field, or a parameter."""
        if name not in self._fields:
            self._fields[name] = f"field-{self._next('field')}"
        return self._fields[name]

    def _is_own(self, core: str, *, is_sent: bool) -> bool:
        start = max((own for own in self.own if core.startswith(own)), key=len, default=None)
        if is_sent and start is not None:
            self._sent |= {core, " ".join(core.split())}
            return True
        if len(core) >= _TELLING and any(text.startswith(core) for text in self._sent):
            return True  # the vendor may shorten it
        # Left over from an earlier call: nothing but a random number may follow.
        return start is not None and _HEXADECIMAL.issuperset(core[len(start) :].strip())

    def _of(self, core: str, kind: str) -> str:
        if core in NOBODY:
            return core
        found = self._known.get(core)
        if found is None:
            others = self._by_folded.setdefault(core.casefold(), [])
            found = self._in_another_case(core, others) or self._new(core, kind)
            self._known[core] = found
            others.append(core)
        return found

    def _in_another_case(self, core: str, others: list[str]) -> str | None:
        for other in others:
            for change in _CASES:
                if core.isascii() and other.isascii() and change(other) == core:
                    return change(self._known[other])
        return None

    def _new(self, core: str, kind: str) -> str:
        if core.isascii() and core.isdigit():
            zero = "0" if core.startswith("0") and core != "0" else ""
            number = str(FIRST_NUMBER + self._next("number"))
            return zero + (number.ljust(MOST_BYTES + 1, "0") if len(core) > MOST_BYTES else number)
        if core.lower() == core.upper():
            return _as_long(f"{FIRST_NUMBER + self._next('number')}-", core, "0")
        if "@" in core[1:-1]:
            found = _as_long(f"person-{self._next('person')}", core, f"@{DOMAIN}")
        else:
            found = _as_long(f"{kind}-{self._next(kind)}", core)
        if core.isupper():
            return found.upper()
        return found if core.islower() else found.capitalize()

    def _next(self, kind: str) -> int:
        self._counts[kind] += 1
        return self._counts[kind]


def _as_long(start: str, value: str, end: str = "") -> str:
    """Return a placeholder with more than 150 characters or bytes if the value has more."""
    fill = "x" if value.lower() != value.upper() else "-"
    if len(value) > MOST_BYTES:
        return start.ljust(MOST_BYTES + 1 - len(end), fill) + end
    if len(value.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        return start.ljust(MOST_BYTES - 1 - len(end), fill) + "·" + end
    return start + end


def white_space(text: str) -> str:
    """Return white space, but only as much and of the kinds that may be known."""
    return "".join(c if c in _KEPT_WHITE_SPACE else " " for c in text[:_MOST_WHITE_SPACE])
