"""The Customer.io hook: segments by the App API, their membership by App (read) and Track (write)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Any

from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_cio_cohort.exceptions import (
    AmbiguousSegmentError,
    CohortSyncError,
    RequestRejectedError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks import creation, people
from airflow_provider_cio_cohort.hooks.api import Api
from airflow_provider_cio_cohort.hooks.auth import BearerAuth
from airflow_provider_cio_cohort.hooks.customer_io_api import DEFAULT_CONN_ID, AppApi, TrackApi, pace_of
from airflow_provider_cio_cohort.hooks.halt import Halt
from airflow_provider_cio_cohort.hooks.http import VendorHook
from airflow_provider_cio_cohort.hooks.membership import MemberPage, Membership, SegmentMember
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.segments import (
    Account,
    Segment,
    as_manual,
    parse_account,
    parse_segment,
    unknown_segment,
)

#: The App API takes 10 requests a second for a workspace; a little less leaves room for jitter on the way.
APP_REQUESTS_PER_SECOND = 9.5


class CustomerIOHook(VendorHook):
    """
    Talks to Customer.io's App and Track APIs.

    :param customer_io_conn_id: a connection of type ``customer_io``: one workspace's Site ID (login),
        Tracking API key (password), ``app_api_key``, ``region``, and base URLs where a proxy or a sandbox
        stands in for Customer.io.
    :param method: the HTTP method of :meth:`run`.
    """

    conn_name_attr = "customer_io_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "customer_io"
    hook_name = "Customer.io"

    def __init__(self, customer_io_conn_id: str = default_conn_name, method: str = "GET") -> None:
        super().__init__(method, customer_io_conn_id)
        self.customer_io_conn_id = customer_io_conn_id

    @cached_property
    def track(self) -> TrackApi:
        """The Track API, as the connection sees it."""
        return TrackApi(self.connection, self.connection.extra_dejson)

    @cached_property
    def app(self) -> AppApi:
        """The App API, as the connection sees it."""
        return AppApi(self.connection, self.connection.extra_dejson)

    @cached_property
    def track_pacer(self) -> Pacer:
        """The pace of the Track API, from the connection, of which each task gets its part."""
        return Pacer.within(pace_of(self.connection, self.connection.extra_dejson), self.stopped.wait)

    @cached_property
    def app_pacer(self) -> Pacer:
        """The pace of the App API, of which each task at work on the workspace gets its part."""
        pace = pace_of(self.connection, self.connection.extra_dejson, APP_REQUESTS_PER_SECOND)
        return Pacer(pace, sleep=self.stopped.wait)

    def route(self, path: str) -> tuple[Api, AuthBase, Pacer | None]:
        """Return the Track API for ``/api/v1/…``, the App API for any other path."""
        if path.lstrip("/").startswith("api/"):
            return self.track, self.track_auth, self.track_pacer
        return self.app, self.app_auth, self.app_pacer

    # ---- segments

    def list_segments(self) -> list[Segment]:
        """Return every segment of the workspace (``GET /v1/segments``; it has no paging)."""
        payload = self._app("GET", "/v1/segments", "listing the segments")
        return [parse_segment(item) for item in payload.get("segments") or []]

    def find_segment(self, name: str) -> Segment | None:
        """
        Return the manual segment of that name, or ``None``.

        :param name: the whole name; case matters.
        :raises AmbiguousSegmentError: if several segments carry it.
        :raises DataDrivenSegmentError: if Customer.io computes its members.
        """
        found = [segment for segment in self.list_segments() if segment.name == name]
        if len(found) > 1:
            ids = ", ".join(str(segment.id) for segment in found)
            raise AmbiguousSegmentError(
                f"Customer.io has {len(found)} segments with the name {name!r} (ids {ids}).\n"
                f"Set segment_id instead of segment_name, or delete one (connection {self.http_conn_id!r})."
            )
        return as_manual(found[0]) if found else None

    def get_segment(self, segment_id: int) -> Segment:
        """
        Return the manual segment with that id.

        :param segment_id: its id.
        :raises UnknownSegmentError: if there is none.
        :raises DataDrivenSegmentError: if Customer.io computes its members.
        """
        payload = self.of_segment("GET", segment_id, "", f"reading segment {segment_id}")
        return as_manual(parse_segment(payload.get("segment")))

    def create_segment(self, name: str, description: str = "") -> Segment:
        """
        Create a manual segment, or return the one of that name if it is there meanwhile.

        Names need not be unique, so a request whose answer was lost is never simply sent again: the list
        is looked at first.

        :param name: its name.
        :param description: what Customer.io's users read about it.
        :raises SegmentNotCreatedError: if no answer came, and it does not show in the list.
        """
        return creation.create_segment(self, name, description)

    def delete_segment(self, segment_id: int) -> None:
        """
        Delete a segment.

        :param segment_id: its id.
        :raises UnknownSegmentError: if there is none.
        """
        what = f"deleting segment {segment_id}"
        self.of_segment("DELETE", segment_id, "", what, json_expected=False)

    # ---- membership

    def count_members(self, segment_id: int) -> int:
        """
        Return how many people are in a segment.

        :param segment_id: its id.
        """
        payload = self.of_segment("GET", segment_id, "/customer_count", f"counting segment {segment_id}")
        return int(payload.get("count") or 0)

    def stream_members(self, segment_id: int) -> Iterator[SegmentMember]:
        """
        Yield everybody in a segment; one page is in memory at a time.

        :param segment_id: its id.
        """
        return chain.from_iterable(page.members() for page in self.stream_member_pages(segment_id))

    def stream_member_pages(
        self, segment_id: int, halt: Halt | None = None, total: int | None = None
    ) -> Iterator[MemberPage]:
        """
        Yield everybody in a segment, up to 30,000 at once; one page is in memory at a time.

        :param segment_id: its id.
        :param halt: when set, no further page is asked for; the hook's own by default.
        :param total: how many they are, for the log; asked for if it is not known.
        """
        return Membership(self, segment_id).pages(halt, total)

    def add_members(
        self, segment_id: int, values: Iterable[str], id_type: str = "id", total: int | None = None
    ) -> int:
        """
        Add people to a manual segment and return how many identifiers were sent.

        Customer.io ignores people that it does not know, without a word.

        :param segment_id: its id.
        :param values: identifiers, any number.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log.
        """
        return Membership(self, segment_id).change("add_customers", values, id_type, total)

    def remove_members(
        self, segment_id: int, values: Iterable[str], id_type: str = "id", total: int | None = None
    ) -> int:
        """
        Remove people from a manual segment and return how many identifiers were sent.

        :param segment_id: its id.
        :param values: identifiers, any number; those of non-members have no effect.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log.
        """
        return Membership(self, segment_id).change("remove_customers", values, id_type, total)

    def count_people(self, values: Iterable[str], id_type: str = "id") -> int:
        """
        Return how many of these identifiers are somebody in the workspace.

        Source: ``POST /v1/customers/attributes``, which leaves unknown identifiers out of its answer; what it
        tells of the others is dropped.

        :param values: distinct identifiers; a hundred cost one of the App API's 10 requests a second.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :raises AuthenticationError: if the App API key may not look people up.
        """
        return people.count(self, values, id_type)

    # ---- keys and regions

    @cached_property
    def account(self) -> Account:
        """Whose keys these are: proves the Site ID and the Tracking API key, on either region's host."""
        path = "/api/v1/accounts/region"
        answer = self.call(self.track, self.track_auth, "GET", path, what="asking for the account's region")
        return parse_account(answer.payload)

    def check_track(self) -> None:
        """
        Make a cheap call that tells whether the Track API's keys and the region are right.

        :raises AuthenticationError: if a key is wrong.
        :raises WrongRegionError: if the workspace lives in the other region.
        """
        region = self.account.region
        if region in ("us", "eu") and region != self.track.region:
            raise WrongRegionError(
                f"The Customer.io workspace of connection {self.http_conn_id!r} lives in the region "
                f"{region!r}, not {self.track.region!r}.\nSet the connection's region to {region}."
            )

    def check(self) -> None:
        """
        Make cheap calls that tell whether all three keys and the region are right.

        :raises AuthenticationError: if a key is wrong; the message names it.
        :raises WrongRegionError: if the workspace lives in the other region.
        """
        self.check_track()
        self.list_segments()

    def test_connection(self) -> tuple[bool, str]:
        """Try the connection, and say in words which key is wrong, or which region is right."""
        self.policy = self.policy.for_a_click()
        try:
            self.check()
        except CohortSyncError as error:
            return False, str(error)
        return True, f"Connected to Customer.io ({self.track.region}): Site ID and both API keys are right."

    # ---- inside

    @cached_property
    def track_auth(self) -> HTTPBasicAuth:
        """Who we are to the Track API."""
        return HTTPBasicAuth(self.track.site_id, self.track.api_key)

    @cached_property
    def app_auth(self) -> BearerAuth:
        """Who we are to the App API."""
        return BearerAuth(self.app.api_key)

    def _app(self, method: str, path: str, what: str, **kwargs: Any) -> dict[str, Any]:
        answer = self.call(self.app, self.app_auth, method, path, what=what, pacer=self.app_pacer, **kwargs)
        return answer.payload if isinstance(answer.payload, dict) else {}

    def of_segment(self, method: str, segment_id: int, path: str, what: str, **kwargs: Any) -> dict[str, Any]:
        """
        Call the App API about a segment, and return the answer's JSON.

        :param method: the HTTP method.
        :param segment_id: its id.
        :param path: what follows the id in the path.
        :param what: what is being done, for messages.
        :param kwargs: see :meth:`call`.
        :raises UnknownSegmentError: if there is none.
        """
        try:
            return self._app(method, f"/v1/segments/{segment_id:d}{path}", what, **kwargs)
        except RequestRejectedError as error:
            if error.status == 404:
                raise unknown_segment(self.http_conn_id, segment_id) from None
            raise
