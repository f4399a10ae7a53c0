"""The throwaway segment in which a probe writes and reads, with the test person in it or not."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_cio_cohort.doctor.asking import NoEffectError, ProbeStoppedError
from airflow_provider_cio_cohort.doctor.person import Person, cio_id_of, people_in
from airflow_provider_cio_cohort.doctor.throwaway import Throwaways
from airflow_provider_cio_cohort.exceptions import RequestRejectedError, UnknownSegmentError
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.customer_io_api import CIO_PREFIX, Segment, count_in, request_segment
from airflow_provider_cio_cohort.hooks.people import identifiers_in

#: The answer to a write that Customer.io accepts, whether or not it has an effect.
ACCEPTED = 200
#: When an effect is looked for, in shares of the time for which it is waited for; fewer in a short one.
LOOKS = (0.0, 0.1, 0.4, 1.0)
SHORT, SHORT_LOOKS = 1.0, (0.0, 1.0)
#: An effect is waited for so many times as long as the slowest that was measured.
PATIENCE = 2.0


class Stage:
    """
    The throwaway segment, which is made when it is first needed, and again if it is gone.

    :param person: the identifier of the test person, as the user names it.
    :param timeout: seconds for which the first effect is waited for.
    :param settle: seconds after which a write without an effect has none, at least.
    """

    def __init__(
        self,
        hook: CustomerIOHook,
        throwaways: Throwaways,
        person: str,
        id_type: str,
        timeout: float,
        settle: float,
    ) -> None:
        self.hook = hook
        self.throwaways = throwaways
        self.timeout = timeout
        self.settle = settle
        #: The kinds of identifiers of the test person; completed when Customer.io shows them.
        self.person: Person | None = None
        #: Seconds from each write to its effect in the membership, and in the count; ``None`` if it took too
        #: long.
        self.membership_lags: list[float | None] = []
        self.count_lags: list[float | None] = []
        #: Whether the test person could be removed; ``None`` until it was tried.
        self.removes: bool | None = None
        self._named = (person, id_type)
        self._segment: Segment | None = None

    @property
    def segment(self) -> Segment:
        """The throwaway segment."""
        if self._segment is None:
            self._segment = self.throwaways.make()
        return self._segment

    @property
    def surest(self) -> tuple[str, str]:
        """The identifier by which the test person is added and removed most surely, and its kind."""
        person = self.person
        return (person.id, "id") if person and person.id else self._named

    @property
    def patience(self) -> float:
        """Seconds for which an effect is waited for; without one by then, there is none."""
        seen = [lag for lag in self.membership_lags if lag is not None]
        return min(max(self.settle, PATIENCE * max(seen)), self.timeout) if seen else self.timeout

    # ---- writing

    def write(self, action: str, values: list[str], id_type: str, segment_id: int | None = None) -> int:
        """
        Add to a segment or remove from it, and return the HTTP status; 200 says nothing about the effect.

        :param action: ``add`` or ``remove``.
        :param values: identifiers of the test person, or of nobody.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param segment_id: another segment than the throwaway one.
        """
        number = self.segment.id if segment_id is None else segment_id
        try:
            self.hook.track_client.request(
                "POST",
                f"/api/v1/segments/{number:d}/{action}_customers",
                what="changing the members of the throwaway segment",
                read=lambda _: None,
                params={"id_type": id_type},
                json={"ids": values},
                json_expected=False,
                personal=True,
            )
        except RequestRejectedError as error:
            return error.status
        return ACCEPTED

    def has_effect(self, action: str, value: str, id_type: str) -> tuple[int, bool]:
        """
        Return the HTTP status of a write, and whether it has put the test person in or out.

        One without an effect is repeated once: Customer.io drops writes now and then.

        :param action: ``add`` or ``remove``.
        """
        adds = action == "add"
        self.place(not adds)
        status = self.write(action, [value], id_type)
        if status != ACCEPTED:
            return status, False
        if self.shows(adds):
            return status, True
        return self.write(action, [value], id_type), self.shows(adds)

    def place(self, present: bool) -> None:
        """
        Put the test person into the throwaway segment, or out of it.

        A person who cannot be removed gets a new throwaway segment.

        :param present: whether the person is to be in it.
        :raises NoEffectError: if the person cannot be added.
        """
        if self.holds_person() == present:
            return
        if not present and self.removes is False:
            self.renew()
            return
        value, id_type = self.surest
        self.write("add" if present else "remove", [value], id_type)
        if self.shows(present):
            return
        if present:
            raise NoEffectError("The test person was added again, and the segment does not show it.")
        self.renew()

    def renew(self) -> None:
        """Remove the throwaway segment; the next use makes a new one."""
        if self._segment is not None:
            self.throwaways.discard(self._segment)
            self._segment = None

    # ---- reading

    def page(self, start: str = "", limit: int = 100) -> dict[str, Any]:
        """
        Return a page of the members, as Customer.io shows it.

        :param start: the cursor.
        :param limit: the most members.
        :raises ProbeStoppedError: if anybody but the test person is in the segment.
        """
        params: dict[str, Any] = {"limit": limit, **({"start": start} if start else {})}
        what = "reading the members of the throwaway segment"
        payload: dict[str, Any] = self._request("/membership", what, _page_in, params)
        for member in payload["identifiers"]:
            self._check(member)
        return payload

    def holds_person(self) -> bool:
        """Return whether the membership shows the test person."""
        return bool(self.page()["identifiers"])

    def count(self) -> int:
        """Return the number of members that Customer.io counts."""
        return int(self._request("/customer_count", "counting the throwaway segment", count_in, None))

    def shows(self, present: bool) -> bool:
        """
        Wait until the membership shows the test person or no longer does, and return whether that happened.

        :param present: what is waited for.
        """
        begin, seconds = time.monotonic(), self.patience
        for share in LOOKS if seconds > SHORT else SHORT_LOOKS:
            self.hook.cancel_token.wait(begin + share * seconds - time.monotonic())
            if self.holds_person() == present:
                return True
        return False

    def measure(self, present: bool) -> int:
        """
        Add the test person or remove it, note how long that takes to show, and return the HTTP status.

        The time begins before the write is sent, so it is never too short.

        :param present: whether the person is added.
        """
        value, id_type = self.surest
        number = self.segment.id  # before the clock starts
        begin, seconds = time.monotonic(), self.patience
        status = self.write("add" if present else "remove", [value], id_type, number)
        membership = count = None
        while status == ACCEPTED and (membership is None or count is None):
            if membership is None and self.holds_person() == present:
                membership = time.monotonic() - begin
            if count is None and self.count() == int(present):
                count = time.monotonic() - begin
            if time.monotonic() - begin > seconds:
                break
        self.membership_lags.append(membership)
        self.count_lags.append(count)
        return status

    def _request(self, path: str, what: str, read: Any, params: Any) -> Any:
        number = self.segment.id
        try:
            return request_segment(self.hook.app_client, "GET", number, path, what, read, params=params)
        except UnknownSegmentError:
            self._segment = None
            raise

    def _check(self, member: dict[str, Any]) -> None:
        """Complete the test person from the first member, and stop if anybody else is a member."""
        found, cio_id = identifiers_in(member), cio_id_of(member)
        if self.person is not None:
            is_right = cio_id == self.person.cio_id
        else:
            value, id_type = self._named
            same = found[id_type] or ""
            is_right = bool(cio_id) and (
                same == value
                if id_type == "id"
                else same.removeprefix(CIO_PREFIX).lower() == value.removeprefix(CIO_PREFIX).lower()
            )
        if not is_right:
            raise ProbeStoppedError("Somebody else than the test person is in the throwaway segment.")
        known = self.person
        self.person = Person(found["id"], found["email"] or (known.email if known else None), cio_id)


def _page_in(payload: Any) -> dict[str, Any]:
    people = people_in(payload, "identifiers")
    return {**payload, "identifiers": people, "raw_identifiers": payload["identifiers"]}
