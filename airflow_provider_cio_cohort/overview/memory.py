"""
Remembers rows of Airflow's database by their versions, so that the next look reads only what has changed.

Nothing is shown from memory alone: each look asks the database which rows there are now, in which version.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar, cast

_LOOKS = 50
Source = TypeVar("Source")
Made = TypeVar("Made")


class Memory:
    """
    What a process has read, by subject: the rows of each, by their versions.

    It knows no users: callers ask only for subjects that the user may see. Subjects that the last 50 looks
    did not ask for are forgotten. Threads may share one; at worst, two of them read the same.
    """

    def __init__(self) -> None:
        self._look = 0
        self._rows: dict[Hashable, tuple[int, Mapping[Any, Any]]] = {}
        self._made: dict[Hashable, tuple[int, Any, Any]] = {}

    def begin(self) -> None:
        """Begin a look, and forget what the last ones did not ask for."""
        self._look += 1
        if self._look % _LOOKS:
            return
        all_kept: tuple[dict[Hashable, Any], ...] = (self._rows, self._made)
        for kept in all_kept:
            for subject, (last, *_) in list(kept.items()):
                if last <= self._look - _LOOKS:
                    kept.pop(subject, None)

    def rows(self, subject: Hashable) -> Mapping[Any, Any]:
        """
        Return the rows of a subject when they were last kept; none if they never were.

        :param subject: what they belong to.
        """
        return self._rows.get(subject, (0, {}))[1]

    def keep(self, subject: Hashable, rows: Mapping[Any, Any]) -> None:
        """
        Keep the rows of a subject, and no others.

        :param subject: what they belong to.
        :param rows: all of them, by their versions; those that :meth:`rows` has returned if none has changed.
        """
        self._rows[subject] = (self._look, rows)

    def made(self, subject: Hashable, source: Source, make: Callable[[Source], Made]) -> Made:
        """
        Return what is made of a subject's rows; made only once of the same ones.

        :param subject: what is made, and of what.
        :param source: the rows that were kept, or what was made of them before; the very object.
        :param make: makes it, always the same of the same source.
        """
        _, known, found = self._made.get(subject, (0, None, None))
        if known is not source:
            found = make(source)
        self._made[subject] = (self._look, source, found)
        return cast("Made", found)
