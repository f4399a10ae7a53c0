"""The people of the sandbox's Customer.io, and the members of its segments."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from typing import Protocol

from airflow_provider_cio_cohort.sandbox.settings import Settings

_BLOCK = 65_536


@dataclass
class Person:
    """
    A person; only ``cio_id`` always exists and never changes.

    :param id: the identifier chosen by the company.
    :param email: the e-mail address.
    :param cio_id: the identifier chosen by Customer.io.
    """

    id: str | None
    email: str | None
    cio_id: str

    def __hash__(self) -> int:
        return hash(self.cio_id)


class NumberedPeople(Protocol):
    """
    A crowd: people whom a workspace has beside those that were added, kept as numbers below ``size``.

    A segment takes one byte for each of them, so there can be millions.
    """

    size: int

    def people(self, numbers: Sequence[int]) -> list[Person]:
        """Return the people with these numbers."""

    def numbers_of(self, values: Sequence[str], id_type: str) -> tuple[list[int], Sequence[str]]:
        """
        Return the numbers of the people with these identifiers, and the other identifiers.

        :param values: identifiers.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        """

    def as_json(self, numbers: Sequence[int], email: bool) -> tuple[str, str]:
        """
        Return the items of the lists ``identifiers`` and ``ids`` of a page of members, as JSON.

        :param numbers: the members.
        :param email: whether e-mail addresses are identifiers.
        """


class NoNumberedPeople:
    """A crowd of nobody, the default of a workspace."""

    size = 0

    def people(self, numbers: Sequence[int]) -> list[Person]:
        """Return no people."""
        return []

    def numbers_of(self, values: Sequence[str], id_type: str) -> tuple[list[int], Sequence[str]]:
        """Return no numbers, and all the identifiers."""
        return [], values

    def as_json(self, numbers: Sequence[int], email: bool) -> tuple[str, str]:
        """Return no items."""
        return "", ""


class Members:
    """
    Who is in a segment, in a fixed order: people, then those of the crowd.

    :param crowd: the workspace's crowd.
    """

    def __init__(self, crowd: NumberedPeople) -> None:
        self.people: dict[str, Person] = {}
        self.crowd = crowd
        self._flags = bytearray(crowd.size)  # by number in the crowd: 1 for a member
        self._flagged: int | None = 0

    def __len__(self) -> int:
        """Return the number of members."""
        if self._flagged is None:
            self._flagged = self._flags.count(1)
        return len(self.people) + self._flagged

    def copy(self) -> Members:
        """Return an independent copy."""
        other = Members(self.crowd)
        other.people, other._flags, other._flagged = dict(self.people), self._flags[:], self._flagged
        return other

    def change(self, joins: bool, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """
        Add or remove people.

        :param joins: whether they join.
        :param people: the people.
        :param numbers: people of the crowd, by their numbers.
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

        :param start: the position of the first, from 0.
        :param limit: the maximum number.
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


class View:
    """
    The members that a read returns while changes are not yet visible.

    :param members: the actual members.
    """

    def __init__(self, members: Members) -> None:
        self._members = members
        self._shown: Members | None = None
        self._coming: deque[tuple[float, bool, list[Person], Sequence[int]]] = deque()

    @property
    def shown(self) -> Members:
        """The members that a read returns now."""
        if self._shown is None:
            return self._members
        while self._coming and self._coming[0][0] <= time.monotonic():
            self._shown.change(*self._coming.popleft()[1:])
        if not self._coming:
            self._shown = None
            return self._members
        return self._shown

    def change(self, joins: bool, people: list[Person], numbers: Sequence[int], after: float) -> None:
        """
        Note a change, before it is applied to the members.

        :param joins: whether they join.
        :param people: the people.
        :param numbers: people of the crowd, by their numbers.
        :param after: seconds until it is visible.
        """
        if after:
            if self._shown is None:
                self._shown = self._members.copy()
            self._coming.append((time.monotonic() + after, joins, people, numbers))
        elif self._shown is not None:
            self._shown.change(joins, people, numbers)

    def change_now(self, joins: bool, people: list[Person]) -> None:
        """
        Make a change visible at once, and drop pending changes of these people.

        :param joins: whether they join.
        :param people: the people.
        """
        if self._shown is None:
            return
        self._shown.change(joins, people)
        for _, _, changed, _ in self._coming:
            changed[:] = [person for person in changed if person not in people]


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
    crowd: NumberedPeople
    created_at: int = field(default_factory=lambda: int(time.time()))

    def __post_init__(self) -> None:
        self._members = Members(self.crowd)
        self._read = View(self._members)
        self._counted = View(self._members)
        self._server = random.Random(self.id)  # noqa: S311

    @property
    def members(self) -> list[Person]:
        """All members, visible or not."""
        people, numbers = self._members.page(0, len(self._members))
        return people + self.crowd.people(numbers)

    @property
    def shown(self) -> Members:
        """The members that a read returns now."""
        return self._members if self._is_ahead() else self._read.shown

    @property
    def count(self) -> int:
        """The current result of ``customer_count``."""
        if self._is_ahead():
            return len(self._members)
        return len(self._read.shown if self.settings.count_after < 0 else self._counted.shown)

    def _is_ahead(self) -> bool:
        """Say whether the server that answers next is ahead of the others."""
        return self._server.random() < self.settings.fresh_share

    def add(self, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """Add people and people of the crowd; existing members stay."""
        self._change(True, list(people), numbers)

    def remove(self, people: Iterable[Person], numbers: Sequence[int] = ()) -> None:
        """Remove people and people of the crowd; others are ignored."""
        needs_id = self.settings.removal_needs_id
        self._change(False, [person for person in people if person.id is not None or not needs_id], numbers)

    def begin_with(self, people: Iterable[Person]) -> None:
        """Add the initial members."""
        self._members.change(True, people)

    def by_hand_add(self, people: Iterable[Person]) -> None:
        """
        Add people as a user of Customer.io's UI does, visible at once.

        :param people: the people; existing members stay.
        """
        self._change_by_hand(True, list(people))

    def by_hand_remove(self, people: Iterable[Person]) -> None:
        """
        Remove people as a user of Customer.io's UI does: visible at once, with or without an ``id``.

        :param people: the people; others are ignored.
        """
        self._change_by_hand(False, list(people))

    def replace(self, old: Person, new: Person) -> None:
        """
        Replace a member by another person.

        :param old: the person to remove.
        :param new: the person to add, if the other was a member.
        """
        was_in = old.cio_id in self._members.people
        self.by_hand_remove([old])
        if was_in:
            self.by_hand_add([new])

    def _change(self, joins: bool, people: list[Person], numbers: Sequence[int]) -> None:
        visible_after, count_after = self.settings.visible_after, self.settings.count_after
        self._read.change(joins, people, numbers, visible_after)
        if count_after >= 0:
            self._counted.change(joins, people, numbers, count_after)
        self._members.change(joins, people, numbers)

    def _change_by_hand(self, joins: bool, people: list[Person]) -> None:
        for view in (self._read, self._counted):
            view.change_now(joins, people)
        self._members.change(joins, people)
