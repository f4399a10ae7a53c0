"""
Remembers rows of Airflow's database by their versions, so that the next look reads only what has changed.

Nothing is shown from memory alone: each look asks the database which rows there are now, in which version.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

_LOOKS = 50
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
        self._made: dict[Hashable, tuple[Mapping[Any, Any], Any]] = {}

    def begin(self) -> None:
        """Begin a look, and forget what the last ones did not ask for."""
        self._look += 1
        if self._look % _LOOKS:
            return
        for subject, (last, _) in list(self._rows.items()):
            if last <= self._look - _LOOKS:
                self._rows.pop(subject, None)
                self._made.pop(subject, None)

    def rows(self, subject: Hashable) -> Mapping[Any, Any]:
        """Return the rows of a subject when they were last kept; none if they never were."""
        return self._rows.get(subject, (0, {}))[1]

    def keep(self, subject: Hashable, rows: Mapping[Any, Any]) -> None:
        """
        Keep the rows of a subject, and no others.

        :param subject: what they belong to.
        :param rows: all of them, by their versions; those that :meth:`rows` has returned if none has changed.
        """
        self._rows[subject] = (self._look, rows)

    def made(self, subject: Hashable, rows: Mapping[Any, Any], make: Callable[[Any], Made]) -> Made:
        """
        Return what is made of a subject's rows; made only once of the same rows.

        :param subject: what they belong to.
        :param rows: the rows as kept; not taken from memory, where another thread may have put older ones.
        :param make: makes it, always the same of the same rows.
        """
        source, found = self._made.get(subject, (None, None))
        if source is not rows:
            found = make(rows)
            self._made[subject] = (rows, found)
        return found  # type: ignore[return-value]  # what ``make`` returned, now or before
