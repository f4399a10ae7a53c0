"""Looks people up in Customer.io by their identifiers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from airflow_provider_cio_cohort.exceptions import AuthenticationError, RequestRejectedError
from airflow_provider_cio_cohort.hooks.api import IncompleteResponseError, list_in
from airflow_provider_cio_cohort.hooks.batches import is_encodable
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.customer_io_api import AppApi, respelt
from airflow_provider_cio_cohort.hooks.progress import Progress

#: The most identifiers that the App API looks up in a call. Source: ``POST /v1/customers/attributes``.
IDENTIFIERS_PER_LOOKUP = 100
#: Identifiers in a block of :meth:`PeopleLookup.blocks`: two seconds of the App API's pace.
BLOCK = 2_000
#: How often refused batches are halved in one look-up: two requests each time, so about a minute of the App
#: API's pace. After that, all identifiers of a refused batch count as refused.
MOST_HALVINGS = 250
#: Statuses for a batch that is too large, or with values that the workspace does not accept.
_REFUSED = (400, 413)
#: A valid value that no person has, by kind of identifier.
_PLAIN = {"email": "nobody@example.invalid"}


@dataclass(frozen=True)
class FoundPeople:
    """
    What a look-up found.

    :param count: identifiers that exist in Customer.io.
    :param identifiers: the identifier of each person found, as Customer.io writes it; people whose answer
        does not show it are counted, but not listed.
    :param refused: identifiers that Customer.io refuses to look up; whether they exist is unknown.
    :param asked: how many identifiers were looked up, those that were refused included.
    :param cio_ids: the ``cio_id`` of each of these people; empty if the answer does not show it.
    :param rejected: the ``refused`` identifiers.
    """

    count: int
    identifiers: list[str] = field(repr=False)
    refused: int
    asked: int
    cio_ids: list[str] = field(default_factory=list, repr=False)
    rejected: list[str] = field(default_factory=list, repr=False)


class PeopleLookup:
    """
    Looks up identifiers of one kind.

    :param id_type: ``id``, ``email`` or ``cio_id``.
    :param cancel: once cancelled, no further batch is looked up; the client's own token also counts.
    :param progress: counts each batch, where there are many.
    """

    def __init__(
        self,
        app: ApiClient[AppApi],
        id_type: str,
        cancel: CancelToken | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.app = app
        self.id_type = id_type
        self.cancel = cancel
        self.progress = progress
        #: How an identifier may be spelt, from how it was given; the first that finds people is the only one.
        self._spellings: tuple[Callable[[str], str], ...] = (str, respelt) if id_type == "cio_id" else (str,)
        self._accepted: bool | None = None
        self._halvings = 0
        self._asked = 0
        self._count = 0
        self._rejected: list[str] = []
        self._seen: set[str] = set()
        self._identifiers: list[str] = []
        self._cio_ids: list[str] = []

    def run(self, values: Iterable[str], *, until_found: bool = False) -> FoundPeople:
        """
        Look identifiers up.

        :param values: distinct identifiers, any number.
        :param until_found: whether to stop after the first request that finds anybody.
        :raises RequestRejectedError: if Customer.io accepts no identifier of that kind.
        """
        iterator = self._encodable(values)
        while batch := list(islice(iterator, IDENTIFIERS_PER_LOOKUP)):
            self._look_up(batch)
            if self.progress:
                self.progress.step(len(batch))
            if until_found and self._count:
                break
        found = self._count, self._identifiers, len(self._rejected), self._asked
        return FoundPeople(*found, self._cio_ids, self._rejected)

    def blocks(
        self, values: Iterable[str], total: int, size: int = BLOCK
    ) -> Iterator[tuple[list[str], FoundPeople]]:
        """
        Look many identifiers up, and yield each block of them with what was found; progress is logged.

        :param values: distinct identifiers; one block is in memory at a time.
        :param total: how many they are, for the log.
        :param size: identifiers in a block.
        :raises RequestRejectedError: if Customer.io accepts no identifier of that kind.
        """
        interval = self.app.transport.policy.progress_interval
        progress = Progress("Looking people up", "identifiers", "", interval, total)
        iterator = iter(values)
        while block := list(islice(iterator, size)):
            yield block, PeopleLookup(self.app, self.id_type, self.cancel, progress).run(block)

    def _encodable(self, values: Iterable[str]) -> Iterator[str]:
        """Yield what can be encoded in UTF-8, and count the rest as refused."""
        for value in values:
            self._asked += 1
            if is_encodable(value):
                yield value
            else:
                self._rejected.append(value)

    def accepts_identifier(self) -> bool | None:
        """Return whether Customer.io accepts that kind; see :meth:`.CustomerIOHook.accepts_identifier`."""
        try:
            self._ask([_PLAIN.get(self.id_type, "0")])
        except AuthenticationError:
            return None
        except RequestRejectedError as error:
            return False if error.status == 400 else None
        return True

    def _look_up(self, batch: list[str]) -> None:
        """Look up a batch; where it is refused, halve it until what is refused stands alone."""
        parts = [batch]
        while parts:
            part = parts.pop()
            try:
                people = self._ask_in_each_spelling(part)
            except RequestRejectedError as error:
                if error.status not in _REFUSED or not self._kind_is_accepted():
                    raise
                if len(part) == 1 or self._halvings >= MOST_HALVINGS:
                    self._rejected += part
                    continue
                self._halvings += 1
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
            else:
                self._take(people, len(part))

    def _ask_in_each_spelling(self, values: list[str]) -> list[_Person]:
        """Look identifiers up; where how they are spelt is not documented, until any of them is found."""
        refusal, people = None, None
        for spell in self._spellings:
            try:
                people = self._ask(list(map(spell, values)))
            except RequestRejectedError as error:
                if error.status not in _REFUSED:
                    raise
                refusal = refusal or error
            else:
                if people:
                    self._spellings = (spell,)
                    break
        if people is None and refusal is not None:
            raise refusal
        return people or []

    def _kind_is_accepted(self) -> bool:
        if self._accepted is None:
            self._accepted = self.accepts_identifier() is True
        return self._accepted

    def _take(self, people: Sequence[_Person], asked: int) -> None:
        new = 0
        for person in people:
            if person.key is not None and person.key in self._seen:
                continue
            new += 1
            if person.key is not None:
                self._seen.add(person.key)
            if person.identifier is not None:
                self._identifiers.append(person.identifier)
                self._cio_ids.append(person.cio_id or "")
        self._count += min(new, asked)

    def _ask(self, values: list[str]) -> list[_Person]:
        return self.app.request(
            "POST",
            "/v1/customers/attributes",
            what="looking people up",
            read=partial(_people_in, id_type=self.id_type),
            params={"id_type": self.id_type},
            json={"ids": values},
            personal=True,
            cancel=self.cancel,
        )


class _Person(NamedTuple):
    """A person in a response: a key that tells people apart, the identifier looked up, the ``cio_id``."""

    key: str | None
    identifier: str | None
    cio_id: str | None


def _people_in(payload: Any, id_type: str) -> list[_Person]:
    return [_person(item, id_type) for item in list_in(payload, "customers")]


def _person(item: Any, id_type: str) -> _Person:
    customer = item.get("customer", item) if isinstance(item, dict) else None
    if not isinstance(customer, dict):
        raise IncompleteResponseError("the identifiers of a person")
    found = identifiers_in(customer)
    key = next((f"{kind} {value}" for kind, value in found.items() if value is not None), None)
    return _Person(key, found.get(id_type), found["cio_id"])


def identifiers_in(person: dict[str, Any]) -> dict[str, str | None]:
    """
    Return the identifiers of a person as text, the one that never changes first.

    :param person: the person, as Customer.io shows it in a look-up or in a membership.
    """
    places = [person.get("identifiers"), person, person.get("attributes")]
    return {kind: _text_at(places, kind) for kind in ("cio_id", "id", "email")}


def _text_at(places: list[Any], kind: str) -> str | None:
    for place in places:
        value = place.get(kind) if isinstance(place, dict) else None
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return None
