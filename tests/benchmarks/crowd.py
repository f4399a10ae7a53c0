"""Millions of people: only their numbers are stored; everything else is derived from the numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, overload

from airflow_provider_cio_cohort.sandbox.segments import Person

#: Numbers of nine digits are spread over the identifiers, so that no order of numbers is one of identifiers.
NUMBERS = 10**9
_SPREAD = 618_033_989
_GATHER = pow(_SPREAD, -1, NUMBERS)
_DIGITS = 9
_USER = "user-"
_AMPLITUDE = "731"
_CIO = "b30"  # a cio_id is hexadecimal, and no other person's starts like this
_DOMAIN = "@crowd.test"
_GAP = "\0"
_LOOKS = {
    "user_id": f"{_USER}{_GAP}",
    "amplitude_id": f"{_AMPLITUDE}{_GAP}",
    "mail": f"{_USER}{_GAP}{_DOMAIN}",
}
#: One in this many people is in Amplitude but does not exist in Customer.io; and in an export with addresses,
#: another one has an id that does not exist, and is found by the address.
UNKNOWN_EVERY = 10
_BY_MAIL = 5
_ELSEWHERE = f"left-{_GAP}"


class Names(NamedTuple):
    """The identifiers of a person of the crowd in Customer.io."""

    id: str
    cio_id: str
    email: str | None = None


class Crowd:
    """
    People who are numbers: the sandbox's ``NumberedPeople``.

    :param size: the number of people in Amplitude, from 0 on; every tenth does not exist in Customer.io.
    :param emails: whether they have e-mail addresses.
    :raises ValueError: if there are more people than numbers of nine digits.
    """

    def __init__(self, size: int, emails: bool = False) -> None:
        if not 0 <= size <= NUMBERS:
            raise ValueError(f"A crowd has 0 to {NUMBERS:,} people.")
        self.size = size
        self.emails = emails

    def known(self, start: int, stop: int) -> int:
        """Return how many of the numbers from ``start`` up to ``stop`` exist in Customer.io."""
        stop = min(stop, self.size)
        numbers = range(start, stop)
        return len(numbers) - len(numbers[-start % UNKNOWN_EVERY :: UNKNOWN_EVERY])

    def names(self, number: int) -> Names:
        """Return the identifiers of a person."""
        digits = _digits([number])[0]
        email = f"{_USER}{digits}{_DOMAIN}" if self.emails else None
        return Names(f"{_USER}{digits}", f"{_CIO}{digits}", email)

    def people(self, numbers: Iterable[int]) -> list[Person]:
        """Return some as people."""
        return [Person(names.id, names.email, names.cio_id) for names in map(self.names, numbers)]

    def numbers_of(self, values: Sequence[str], id_type: str) -> tuple[list[int], Sequence[str]]:
        """
        Return the numbers of the people who exist in Customer.io, and the values outside of the crowd.

        :param values: identifiers.
        :param id_type: ``id``, ``cio_id``, or ``email`` if the crowd has addresses.
        """
        if id_type == "email" and self.emails and all(value.endswith(_DOMAIN) for value in values):
            return self.numbers_of([value.removesuffix(_DOMAIN) for value in values], "id")
        start = {"id": _USER, "cio_id": _CIO}.get(id_type)
        if not self.size or start is None:
            return [], values
        if (digits := _all_digits(values, start)) is None:
            mine = [value for value in values if _all_digits([value], start)]
            digits = [value.removeprefix(start) for value in mine]
            values = [value for value in values if not _all_digits([value], start)]
        else:
            values = ()
        size = self.size
        numbers = [number * _GATHER % NUMBERS for number in map(int, digits)]
        return [n for n in numbers if n < size and n % UNKNOWN_EVERY], values

    def as_json(self, numbers: Iterable[int], email: bool) -> tuple[str, str]:
        """
        Return the items of the lists ``identifiers`` and ``ids`` of a page of members.

        :param numbers: the members.
        :param email: whether e-mail addresses are identifiers.
        """
        digits = _digits(numbers)
        address = f'"{_USER}{_GAP}{_DOMAIN}"' if self.emails else "null"
        shown = f'"email": {address}, ' if email else ""
        entry = f'{{{shown}"id": "{_USER}{_GAP}", "cio_id": "{_CIO}{_GAP}"}}, '
        return _woven(entry, digits)[:-2], _woven(f'"{_USER}{_GAP}", ', digits)[:-2]


class CrowdRows(Sequence[Mapping[str, str]]):
    """
    A cohort's rows, from one number of the crowd up to another, as the sandbox's ``CsvRows``.

    :param start: the first number.
    :param stop: the number after the last.
    :param known: whether it has only people who exist in Customer.io.
    """

    def __init__(self, start: int, stop: int, known: bool = False) -> None:
        self._numbers: Sequence[int] = range(start, stop)
        if known:
            self._numbers = array("Q", (number for number in self._numbers if number % UNKNOWN_EVERY))
        #: Cached files of exports, by their properties and settings; the rows never change.
        self.files: dict[tuple[object, ...], bytes] = {}

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Mapping[str, str]: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Mapping[str, str]]: ...

    def __getitem__(self, place: int | slice) -> Mapping[str, str] | Sequence[Mapping[str, str]]:
        """Return a row, or several."""
        if isinstance(place, slice):
            return [self[number] for number in range(len(self))[place]]
        digits = _digits([self._numbers[place]])[0]
        return {name: look.replace(_GAP, digits) for name, look in _LOOKS.items()}

    def lines(self, columns: Iterable[str], tab: str, end: str, at_once: int) -> Iterator[str]:
        """
        Yield the rows as CSV.

        :param columns: the columns.
        :param tab: the text before every value.
        :param end: the end of a line.
        :param at_once: the number of rows in each text.
        """
        looks = [_LOOKS.get(column, "") for column in columns]
        line = ",".join(f'"{tab}{look}"' for look in looks) + end
        by_mail = line.replace(_LOOKS["user_id"] + '"', _ELSEWHERE + '"') if _LOOKS["mail"] in looks else line
        for first in range(0, len(self), at_once):
            numbers = self._numbers[first : first + at_once]
            if by_mail == line:
                yield _woven(line, _digits(numbers))
                continue
            yield _woven(line, _digits(each for each in numbers if each % UNKNOWN_EVERY != _BY_MAIL))
            yield _woven(by_mail, _digits(each for each in numbers if each % UNKNOWN_EVERY == _BY_MAIL))


def _digits(numbers: Iterable[int]) -> list[str]:
    return [f"{number * _SPREAD % NUMBERS:09}" for number in numbers]


def _all_digits(values: Sequence[str], start: str) -> list[str] | None:
    """Return the digits of the values, ``None`` unless all are of the crowd; without a loop, for speed."""
    if set(map(len, values)) != {len(start) + _DIGITS}:
        return None
    first, *digits = "".join(values).split(start)
    if first or len(digits) != len(values) or set(map(len, digits)) != {_DIGITS}:
        return None
    together = "".join(digits)
    return digits if together.isascii() and together.isdigit() else None


def _woven(template: str, texts: list[str]) -> str:
    """Return the template once for each text, with the text in all its gaps."""
    fixed = template.split(_GAP)
    width = 2 * len(fixed) - 1
    parts = [""] * (width * len(texts))
    for place, piece in enumerate(fixed):
        parts[2 * place :: width] = [piece] * len(texts)
    for place in range(1, width, 2):
        parts[place::width] = texts
    return "".join(parts)
