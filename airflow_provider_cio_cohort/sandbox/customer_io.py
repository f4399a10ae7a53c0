"""What the sandbox's Customer.io knows: workspaces, their people and segments."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Sequence

from airflow_provider_cio_cohort.sandbox.crowd import Crowd
from airflow_provider_cio_cohort.sandbox.segments import Person, Segment, person_of
from airflow_provider_cio_cohort.sandbox.settings import Settings

MAX_ID_BYTES = 150


class Workspace:
    """
    A Customer.io workspace.

    :param settings: how the sandbox behaves.
    :param site_id: its Site ID.
    :param tracking_key: its Tracking API key.
    :param app_key: an App API key.
    :param region: ``us`` or ``eu``.
    :param crowd: people whom it has beside those who are added.
    """

    def __init__(
        self,
        settings: Settings,
        site_id: str,
        tracking_key: str,
        app_key: str,
        region: str = "us",
        crowd: Crowd | None = None,
    ) -> None:
        self.settings = settings
        self.site_id = site_id
        self.tracking_key = tracking_key
        self.app_key = app_key
        self.region = region
        self.crowd = crowd or Crowd()
        self.environment_id = 77
        self.segments: dict[int, Segment] = {}
        self.people: dict[str, Person] = {}
        self._by_id: dict[str, Person] = {}
        self._by_email: dict[str, Person] = {}
        self._segment_ids = itertools.count(11)
        self._app_calls: deque[float] = deque()
        self._track_calls: deque[float] = deque()

    def add_person(self, id: str | None = None, email: str | None = None) -> Person:
        """
        Add a person, or return the one who has this id, or this address and no other id.

        :param id: an identifier, or ``None``.
        :param email: an e-mail address, or ``None``.
        :raises ValueError: if the address identifies another person: two cannot have it then.
        """
        if id is not None and id in self._by_id:
            return self._by_id[id]
        namesake = self.look_up([email], "email") if email is not None else []
        if namesake and id is None:
            return namesake[0]
        if namesake:
            raise ValueError("another person has this e-mail address")
        person = Person(id, email, f"{0xA30000000000 + len(self.people):x}")
        self.people[person.cio_id] = person
        if id is not None:
            self._by_id[id] = person
        if email is not None:
            self._by_email.setdefault(email.lower(), person)
        return person

    def add_segment(
        self,
        name: str,
        description: str = "",
        type: str = "manual",
        members: Iterable[Person | str] = (),
    ) -> Segment:
        """
        Add a segment; names need not be unique.

        :param name: its name.
        :param description: its description.
        :param type: ``manual`` or ``dynamic``.
        :param members: people, or their ids.
        """
        segment = Segment(next(self._segment_ids), name, description, type, self.settings, self.crowd)
        segment.begin_with(self._by_id[member] if isinstance(member, str) else member for member in members)
        self.segments[segment.id] = segment
        return segment

    def find_segment(self, name: str) -> Segment | None:
        """Return the first segment of that name."""
        return next((s for s in self.segments.values() if s.name == name), None)

    def look_up(self, values: Sequence[str], id_type: str) -> list[Person]:
        """
        Return the people who have these identifiers; unknown ones are left out without a word.

        :param values: identifiers.
        :param id_type: ``id`` (case counts, at most 150 bytes), ``email`` (case does not) or ``cio_id``.
        """
        people, numbers = self.find(values, id_type)
        return people + [person_of(self.crowd, number) for number in numbers]

    def find(self, values: Sequence[str], id_type: str) -> tuple[list[Person], list[int]]:
        """
        Do the same, with those of the crowd as numbers.

        :param values: identifiers.
        :param id_type: see :meth:`look_up`.
        """
        if id_type == "cio_id":
            prefix = "cio_" if self.settings.cio_prefix else ""
            values = [v.removeprefix(prefix) for v in values if v.startswith(prefix)]
        numbers, values = self.crowd.numbers_of(values, id_type)
        if id_type == "id":
            found = (self._by_id.get(v) for v in values if len(v.encode("utf-8", "replace")) <= MAX_ID_BYTES)
        elif id_type == "email":
            emails = self._by_email if self.settings.email_identifies else {}
            found = (emails.get(value.lower()) for value in values)
        else:
            found = (self.people.get(value) for value in values)
        return [person for person in found if person is not None], numbers

    def with_email(self, email: str) -> list[Person]:
        """
        Return everybody who has an e-mail address, whether it identifies people or not.

        :param email: the address; case does not count.
        """
        return [p for p in self.people.values() if p.email and p.email.lower() == email.lower()]

    def segment(self, number: str) -> Segment | None:
        """
        Return a segment.

        :param number: its id, as it stands in a path.
        """
        usable = number.isascii() and number.isdigit() and len(number) < 19
        return self.segments.get(int(number)) if usable else None

    def app_is_busy(self) -> bool:
        """Count a call of the App API and say whether it is one too many in this second."""
        return _over(self._app_calls, self.settings.app_per_second)

    def track_is_busy(self) -> bool:
        """Count a call of the Track API and say whether it is one too many in this second."""
        return _over(self._track_calls, self.settings.track_per_second)


def _over(calls: deque[float], limit: int) -> bool:
    if not limit:
        return False
    now = time.monotonic()
    while calls and now - calls[0] >= 1:
        calls.popleft()
    if len(calls) >= limit:
        return True
    calls.append(now)
    return False
