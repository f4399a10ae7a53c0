"""The data of the sandbox's Customer.io: workspaces with their people and segments."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable, Sequence
from types import EllipsisType

from airflow_provider_cio_cohort.sandbox.segments import NoNumberedPeople, NumberedPeople, Person, Segment
from airflow_provider_cio_cohort.sandbox.settings import Settings

MAX_ID = 150
FIRST_SEGMENT = 11


class Workspace:
    """
    A Customer.io workspace.

    :param settings: how the sandbox behaves.
    :param site_id: its Site ID.
    :param tracking_key: its Tracking API key.
    :param app_key: an App API key.
    :param region: ``us`` or ``eu``.
    :param crowd: people whom it has beside those that are added; ``None`` for none.
    :param environment_id: the number that Track's ``accounts/region`` tells; ``None`` where it tells none.
    :param others: the workspaces with which it may share the numbers of segments.
    """

    def __init__(
        self,
        settings: Settings,
        site_id: str,
        tracking_key: str,
        app_key: str,
        region: str = "us",
        crowd: NumberedPeople | None = None,
        environment_id: int | None = 77,
        others: Sequence[Workspace] = (),
    ) -> None:
        self.settings = settings
        self.site_id = site_id
        self.tracking_key = tracking_key
        self.app_key = app_key
        self.region = region
        self.crowd: NumberedPeople = crowd or NoNumberedPeople()
        self.environment_id = environment_id
        self.others = others
        self.segments: dict[int, Segment] = {}
        self.people: dict[str, Person] = {}
        self._by_id: dict[str, Person] = {}
        self._by_email: dict[str, Person] = {}
        self._last_segment = FIRST_SEGMENT - 1
        self._cio_ids = itertools.count(0xA30000000000)
        self._app_calls: deque[float] = deque()
        self._track_calls: deque[float] = deque()

    def add_person(self, id: str | None = None, email: str | None = None) -> Person:
        """
        Add a person, or return the person with this id, or with this address if no id is given.

        :param id: an identifier, or ``None``.
        :param email: an e-mail address, or ``None``.
        :raises ValueError: if the address identifies another person.
        """
        if id is not None and id in self._by_id:
            return self._by_id[id]
        namesake = self._with_identifying(email)
        if namesake and id is None:
            return namesake
        if namesake:
            raise ValueError("another person has this e-mail address")
        person = Person(id, email, f"{next(self._cio_ids):x}")
        self.people[person.cio_id] = person
        self._index(person)
        return person

    def rename_person(
        self,
        person: Person | str,
        *,
        id: str | EllipsisType | None = ...,
        email: str | EllipsisType | None = ...,
    ) -> None:
        """
        Change a person's identifiers, which every segment shows at once.

        :param person: the person, or an ``id``, e-mail address or ``cio_id``.
        :param id: the new ``id``, ``None`` for none; unchanged if omitted.
        :param email: the new e-mail address, in the same way.
        :raises ValueError: if there is no such person, or another person has the new identifier.
        """
        person = self.person(person)
        if isinstance(id, str) and self._by_id.get(id, person) is not person:
            raise ValueError("another person has this id")
        if isinstance(email, str) and self._with_identifying(email) not in (None, person):
            raise ValueError("another person has this e-mail address")
        self._forget(person)
        person.id = person.id if id is ... else id
        person.email = person.email if email is ... else email
        self._index(person)

    def delete_person(self, person: Person | str) -> None:
        """
        Delete a person, who leaves every segment at once.

        :param person: the person, or an ``id``, e-mail address or ``cio_id``.
        :raises ValueError: if there is no such person.
        """
        person = self.person(person)
        self._forget(person)
        del self.people[person.cio_id]
        for segment in list(self.segments.values()):
            segment.by_hand_remove([person])

    def merge_people(self, primary: Person | str, secondary: Person | str) -> None:
        """
        Merge two people: the first replaces the second in all segments, and the second is deleted.

        :param primary: the person who stays, or an ``id``, e-mail address or ``cio_id``.
        :param secondary: the person who is deleted, in the same way.
        :raises ValueError: if there is no such person, or both are the same.
        """
        primary, secondary = self.person(primary), self.person(secondary)
        if primary is secondary:
            raise ValueError("a person cannot be merged with themselves")
        for segment in list(self.segments.values()):
            segment.replace(secondary, primary)
        self.delete_person(secondary)

    def person(self, person: Person | str) -> Person:
        """
        Return a person.

        :param person: the person, or an ``id``, e-mail address or ``cio_id``.
        :raises ValueError: if the workspace has no such person.
        """
        if isinstance(person, Person):
            found = self.people.get(person.cio_id)
        else:
            found = self._by_id.get(person) or self._by_email.get(person.lower()) or self.people.get(person)
        if found is None:
            raise ValueError("the workspace has no such person")
        return found

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
        segment = Segment(self._next_number(), name, description, type, self.settings, self.crowd)
        segment.begin_with(self._by_id[member] if isinstance(member, str) else member for member in members)
        self._last_segment = segment.id
        self.segments[segment.id] = segment
        return segment

    def rename_segment(self, segment: Segment | int, name: str) -> None:
        """
        Rename a segment, which only Customer.io's UI can do; names need not be unique.

        :param segment: the segment, or its id.
        :param name: its new name.
        :raises ValueError: if there is no such segment.
        """
        self._existing(segment).name = name

    def delete_segment(self, segment: Segment | int) -> None:
        """
        Delete a segment; its id is not used again.

        :param segment: the segment, or its id.
        :raises ValueError: if there is no such segment.
        """
        del self.segments[self._existing(segment).id]

    def find_segment(self, name: str) -> Segment | None:
        """Return the first segment with this name."""
        return next((s for s in list(self.segments.values()) if s.name == name), None)

    def look_up(self, values: Sequence[str], id_type: str) -> list[Person]:
        """
        Return the people who have these identifiers; unknown ones are silently left out.

        :param values: identifiers.
        :param id_type: ``id`` (case-sensitive; its maximum length is the setting ``id_limit``), ``email``
            (case-insensitive) or ``cio_id``.
        """
        people, numbers = self.find(values, id_type)
        return people + self.crowd.people(numbers)

    def find(
        self, values: Sequence[str], id_type: str, takes_email: bool = False
    ) -> tuple[list[Person], list[int]]:
        """
        Do the same, and return the people of the crowd as numbers.

        :param values: identifiers.
        :param id_type: see :meth:`look_up`.
        :param takes_email: whether an e-mail address finds a person even if it is not an identifier.
        """
        if self.settings.identifiers_trimmed:
            values = [value.strip() for value in values]
        if id_type == "cio_id":
            prefix = "cio_" if self.settings.cio_prefix else ""
            values = [v.removeprefix(prefix) for v in values if v.startswith(prefix)]
        numbers, values = self.crowd.numbers_of(values, id_type)
        if id_type == "id":
            found = (self._by_id.get(value) for value in values if self._fits(value))
        elif id_type == "email":
            emails = self._by_email if self.settings.email_identifies or takes_email else {}
            found = (emails.get(value.lower()) for value in values)
        else:
            found = (self.people.get(value) for value in values)
        return [person for person in found if person is not None], numbers

    def with_email(self, email: str) -> list[Person]:
        """
        Return all people with an e-mail address, even if it is not an identifier.

        :param email: the address; case-insensitive.
        """
        return [p for p in list(self.people.values()) if p.email and p.email.lower() == email.lower()]

    def segment(self, number: str) -> Segment | None:
        """
        Return a segment.

        :param number: its id, as in a path.
        """
        usable = number.isascii() and number.isdigit() and len(number) < 19
        return self.segments.get(int(number)) if usable else None

    def app_is_busy(self) -> bool:
        """Count a call of the App API and return whether it exceeds the limit of this second."""
        return _over(self._app_calls, self.settings.app_per_second)

    def track_is_busy(self) -> bool:
        """Count a call of the Track API and return whether it exceeds the limit of this second."""
        return _over(self._track_calls, self.settings.track_per_second)

    def _next_number(self) -> int:
        sharing = () if self.settings.numbers_per_workspace else self.others
        return 1 + max(workspace._last_segment for workspace in (self, *sharing))

    def _existing(self, segment: Segment | int) -> Segment:
        found = self.segments.get(segment if isinstance(segment, int) else segment.id)
        if found is None:
            raise ValueError("the workspace has no such segment")
        return found

    def _fits(self, value: str) -> bool:
        counted = value.encode("utf-8", "replace") if self.settings.id_limit == "bytes" else value
        return len(counted) <= MAX_ID

    def _with_identifying(self, email: str | None) -> Person | None:
        if email is None or not self.settings.email_identifies:
            return None
        return self._by_email.get(email.lower())

    def _index(self, person: Person) -> None:
        if person.id is not None:
            self._by_id[person.id] = person
        if person.email is not None:
            self._by_email.setdefault(person.email.lower(), person)

    def _forget(self, person: Person) -> None:
        """Remove a person's identifiers from the indexes; others with the same address can still be found."""
        if person.id is not None:
            del self._by_id[person.id]
        if person.email is not None and self._by_email[person.email.lower()] is person:
            del self._by_email[person.email.lower()]
            for heir in self.with_email(person.email):
                if heir is not person:
                    self._index(heir)
                    break


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
