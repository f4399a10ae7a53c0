"""Who the people of the sandbox's Customer.io are, and who is in which segment."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice

from airflow_provider_cio_cohort.sandbox.crowd import Crowd
from airflow_provider_cio_cohort.sandbox.settings import Settings

_BLOCK = 65_536


@dataclass(frozen=True)
class Person:
    """
    A person; only ``cio_id`` is always there.

    :param id: the identifier that the company chose.
    :param email: the e-mail address.
    :param cio_id: the identifier that Customer.io chose.
    """

    id: str | None
    email: str | None
    cio_id: str


class Members:
    """
    Who is in a segment, in an order that stays: people, and behind them those of the crowd.

    :param crowd: the workspace's crowd.
    """

    def __init__(self, crowd: Crowd) -> None:
        self.people: dict[str, Person] = {}
        self.crowd = crowd
        self._flags = bytearray(crowd.size)  # by the number of somebody in the crowd
        self._flagged: int | None = 0

    def __len__(self) -> int:
        """Return how many they are."""
        if self._flagged is None:
            self._flagged = self._flags.count(1)
        return len(self.people) + self._flagged

    def copy(self) -> Members:
        """Return the same members, who no longer change with these."""
        other = Members(self.crowd)
        other.people, other._flags, other._flagged = dict(self.people), self._flags[:], self._flagged
        return other

    def change(self, joins: bool, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """
        Let people join or leave.

        :param joins: whether they join.
        :param people: people.
        :param numbers: people of the crowd.
        """
        for person in people:
            if joins:
                self.people[person.cio_id] = person
            else:
                self.people.pop(person.cio_id, None)
        if numbers:
            flags, flag = self._flags, int(joins)
            for number in numbers:
                flags[number] = flag
            self._flagged = None

    def page(self, start: int, limit: int) -> tuple[list[Person], list[int]]:
        """
        Return some members: people, and numbers of the crowd.

        :param start: the place of the first, from 0.
        :param limit: how many.
        """
        people = list(islice(self.people.values(), start, start + limit))
        place, at = max(start - len(self.people), 0), 0
        while at < len(self._flags) and place >= (here := self._flags.count(1, at, at + _BLOCK)):
            place, at = place - here, at + _BLOCK
        with memoryview(self._flags) as flags, flags[at:] as rest:
            flagged = compress(range(at, len(flags)), rest)
            return people, list(islice(flagged, place, place + limit - len(people)))

    def count_crowd(self, start: int, stop: int) -> int:
        """Return how many of the crowd's numbers from ``start`` up to ``stop`` are members."""
        return self._flags.count(1, start, stop)


@dataclass
class Segment:
    """
    A segment.

    :param id: its id.
    :param name: its name.
    :param description: its description.
    :param type: ``manual`` or ``dynamic``.
    :param settings: how the sandbox behaves.
    :param crowd: the workspace's crowd.
    """

    id: int
    name: str
    description: str
    type: str
    settings: Settings
    crowd: Crowd
    created_at: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._members = Members(self.crowd)
        self._shown: Members | None = None
        self._coming: deque[tuple[float, bool, list[Person], Sequence[int]]] = deque()

    @property
    def members(self) -> list[Person]:
        """Everybody who is in it, shown already or not."""
        people, numbers = self._members.page(0, len(self._members))
        return people + [person_of(self.crowd, number) for number in numbers]

    @property
    def shown(self) -> Members:
        """Everybody whom a read shows by now."""
        if self._shown is None:
            return self._members
        while self._coming and self._coming[0][0] <= time.monotonic():
            self._shown.change(*self._coming.popleft()[1:])
        if not self._coming:
            self._shown = None
            return self._members
        return self._shown

    def add(self, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """Add people, and people of the crowd; those who are in it stay."""
        self._change(True, list(people), numbers)

    def remove(self, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """Remove people, and people of the crowd; those who are not in it do not matter."""
        needs_id = self.settings.removal_needs_id
        self._change(False, [person for person in people if person.id is not None or not needs_id], numbers)

    def begin_with(self, people: Iterable[Person]) -> None:
        """Add people who were there all along."""
        self._members.change(True, people)

    def _change(self, joins: bool, people: list[Person], numbers: Sequence[int]) -> None:
        if self.settings.visible_after:
            if self._shown is None:
                self._shown = self._members.copy()
            self._coming.append((time.monotonic() + self.settings.visible_after, joins, people, numbers))
        elif self._shown is not None:
            self._shown.change(joins, people, numbers)
        self._members.change(joins, people, numbers)


def person_of(crowd: Crowd, number: int) -> Person:
    """Return somebody of the crowd as a person."""
    names = crowd.names(number)
    return Person(names.id, None, names.cio_id)
