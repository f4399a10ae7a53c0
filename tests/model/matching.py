"""Whom rows with several identifiers lead to, by the vendors' own state and in the simplest way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.segments import Person

#: A row's values, in order of preference, in the form in which they are compared.
Row = tuple[str, ...]
#: A row that leads to nobody or to two people: what names it, the reason, and the kind of that identifier.
Ended = tuple[str, str, str]
_FEWEST_BYTES = 150


def mapping_of(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the properties and the kinds of identifiers of a sync with several; empty for any other."""
    return [(each["property"], each["id_type"]) for each in parameters.get("identifiers", ())]


def rows_of(rows: Iterable[Mapping[str, str]], parameters: Mapping[str, Any]) -> set[Row]:
    """Return rows that have any identifier; a tab before one is an artefact of exports."""
    found = set()
    for row in rows:
        values = [(row.get(name, "").lstrip("\t"), kind) for name, kind in mapping_of(parameters)]
        found.add(tuple(value.lower() if kind == "email" else value for value, kind in values))
    return {row for row in found if any(row)}


@dataclass
class Led:
    """
    Whom rows lead to.

    :param by: the people, each with the place of the first identifier that leads to them.
    :param kept: members who may be meant by rows of which it is not certain whom they lead to.
    :param ended: the rows that lead to nobody or to two people.
    :param anyone: people who have any identifier of any row.
    :param sure: people who have the first identifier of a row, whatever becomes of others.
    """

    by: dict[str, int] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    ended: set[Ended] = field(default_factory=set)
    anyone: set[str] = field(default_factory=set)
    sure: set[str] = field(default_factory=set)

    @property
    def wanted(self) -> set[str]:
        """Who belongs in the segment."""
        return self.by.keys() | self.kept

    def count(self, *reasons: str) -> int:
        """Return how many rows have ended for one of these reasons."""
        return sum(reason in reasons for _, reason, _ in self.ended)

    @property
    def unmatched(self) -> int:
        """How many rows lead to nobody, for certain."""
        return self.count("unknown", "too_long", "mistyped")

    @property
    def identifiers(self) -> int:
        """How many identifiers the report counts: people, and rows that lead to nobody."""
        return len(self.wanted) + self.unmatched + self.count("rejected")

    def matched_by(self, kinds: Sequence[str]) -> dict[str, int]:
        """Return how many people each kind of identifier was the first to find."""
        return {kind: sum(kinds[place] == kind for place in self.by.values()) for kind in kinds}


def lead(rows: Iterable[Row], kinds: Sequence[str], workspace: Workspace, members: Set[str]) -> Led:
    """
    Return whom rows lead to.

    :param rows: the rows.
    :param kinds: which of Customer.io's identifiers their values are.
    :param workspace: the workspace.
    :param members: who is in the segment, by ``cio_id``: they are found in it, all others by a look-up.
    """
    led = Led()
    for row in rows:
        values = [(place, *each) for place, each in enumerate(zip(row, kinds, strict=True)) if each[0]]
        for place, value, kind in values:
            owners = {each.cio_id for each in workspace.people.values() if _key(each, kind) == value}
            led.anyone |= owners
            if place == values[0][0] and value == value.strip():
                led.sure |= owners
        _lead(led, values, workspace, members)
    return led


def _lead(led: Led, values: Sequence[tuple[int, str, str]], workspace: Workspace, members: Set[str]) -> None:
    shows_mail = workspace.settings.email_identifies
    first = refused = None
    person, two = "", False
    for place, value, kind in values:
        first = first or (value, kind)
        present = sorted(
            each.cio_id
            for each in workspace.people.values()
            if each.cio_id in members and _key(each, kind) == value and (kind != "email" or shows_mail)
        )
        if person:
            two = two or (bool(present) and person not in present)
        elif refused:
            led.kept.update(present)
        elif not present and _is_refused(value, kind, workspace):
            refused = (value, kind)
        elif found := present or _look_up(value, kind, workspace):
            person = found[0]
            for each in found:
                led.by[each] = min(place, led.by.get(each, place))
    assert first is not None
    if refused:
        led.ended.add((refused[0], "rejected", refused[1]))
    elif two:
        led.ended.add((first[0], "conflicting", first[1]))
    elif not person:
        led.ended.add((first[0], _why(*first), first[1]))


def _key(person: Person, kind: str) -> str | None:
    return (person.email or "").lower() if kind == "email" else person.id


def _is_refused(value: str, kind: str, workspace: Workspace) -> bool:
    pattern = workspace.settings.lookup_refuses
    return bool(pattern and re.search(pattern, value)) and (kind != "id" or len(value) <= _FEWEST_BYTES)


def _look_up(value: str, kind: str, workspace: Workspace) -> list[str]:
    """Return the person whom a look-up shows to have exactly this identifier."""
    if kind == "id" and len(value) > _FEWEST_BYTES:
        return []
    people, _ = workspace.find([value], kind)
    return [person.cio_id for person in people if _key(person, kind) == value]


def _why(value: str, kind: str) -> str:
    if kind == "id" and len(value.encode()) > _FEWEST_BYTES:
        return "too_long"
    return "unknown" if value == value.strip() and value.isprintable() else "mistyped"
