"""The one test person of a probe: who it is, and whose an identifier is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.exceptions import AuthenticationError, RequestRejectedError
from airflow_provider_cio_cohort.hooks.api import IncompleteResponseError, list_in
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX
from airflow_provider_cio_cohort.hooks.people import identifiers_in


@dataclass(frozen=True, repr=False)
class Person:
    """
    The identifiers of the test person.

    :param id: the identifier that the company chose; ``None`` without one.
    :param email: the e-mail address; ``None`` without one, or if Customer.io does not show it.
    :param cio_id: the identifier that Customer.io chose, without ``cio_``.
    """

    id: str | None
    email: str | None
    cio_id: str


@dataclass(frozen=True, repr=False)
class LookUp:
    """
    What a look-up answers.

    :param status: the HTTP status: 200, 400 if it refuses the identifier, 403 if the key may not look up.
    :param people: the people found, as Customer.io shows them.
    """

    status: int
    people: tuple[dict[str, Any], ...] = ()

    @property
    def is_wrapped(self) -> bool:
        """Whether each person is ``{"customer": {…}}``."""
        return any("customer" in person for person in self.people)

    @property
    def profiles(self) -> list[dict[str, Any]]:
        """The people, unwrapped."""
        return [person.get("customer", person) for person in self.people]


def look_up(hook: CustomerIOHook, value: str, id_type: str) -> LookUp:
    """
    Look up who has an identifier; changes nothing.

    :param id_type: ``id``, ``email`` or ``cio_id``.
    """
    try:
        people = hook.app_client.request(
            "POST",
            "/v1/customers/attributes",
            what="looking the test person up",
            read=lambda payload: people_in(payload, "customers"),
            params={"id_type": id_type},
            json={"ids": [value]},
            personal=True,
        )
    except RequestRejectedError as error:
        return LookUp(error.status)
    except AuthenticationError:
        hook.list_segments()  # raises if it is the key that is wrong, not its rights
        return LookUp(403)
    return LookUp(200, tuple(people))


def people_with_email(hook: CustomerIOHook, email: str) -> set[str] | None:
    """Return the ``cio_id`` of all who have an e-mail address, identifier or not; ``None`` if unknown."""
    try:
        people = hook.app_client.request(
            "GET",
            "/v1/customers",
            what="asking whose the test person's e-mail address is",
            read=lambda payload: people_in(payload, "results"),
            params={"email": email},
            personal=True,
        )
    except (RequestRejectedError, AuthenticationError):
        return None
    return {cio_id_of(person) for person in people}


def cio_id_of(profile: dict[str, Any]) -> str:
    """
    Return the ``cio_id`` of a person, without ``cio_``; empty if it is not shown.

    :param profile: the person, as Customer.io shows it.
    """
    return (identifiers_in(profile)["cio_id"] or "").removeprefix(CIO_PREFIX)


def people_in(payload: Any, name: str) -> list[dict[str, Any]]:
    """
    Return the people in a response, as Customer.io shows them.

    :raises IncompleteResponseError: if it has no such list.
    """
    items = list_in(payload, name)
    if not all(isinstance(item, dict) for item in items):
        raise IncompleteResponseError(f"the people in {name!r}")
    return items
