"""The Customer.io hook: segments through the App API, their members through App (read) and Track (write)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from airflow_provider_cio_cohort.exceptions import (
    AmbiguousSegmentError,
    AuthenticationError,
    CohortSyncError,
    RequestRejectedError,
    SegmentNotCreatedError,
    VendorUnavailableError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.base import VendorHook
from airflow_provider_cio_cohort.hooks.batches import SentPeople
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.connection import basic_header, region_name
from airflow_provider_cio_cohort.hooks.customer_io_api import (
    CONN_TYPE,
    DEFAULT_CONN_ID,
    EXTRA_KEYS,
    Account,
    AppApi,
    Segment,
    TrackApi,
    as_manual,
    pace_of,
    parse_account,
    request_segment,
    segment_in,
    segments_in,
)
from airflow_provider_cio_cohort.hooks.membership import (
    MemberPage,
    MembershipReader,
    MembershipWriter,
    SegmentMember,
)
from airflow_provider_cio_cohort.hooks.people import BLOCK, FoundPeople, PeopleLookup
from airflow_provider_cio_cohort.hooks.rate_limit import RateLimiter
from airflow_provider_cio_cohort.state import fingerprint

#: Works on either region's host, and only with the right keys.
ACCOUNT = "/api/v1/accounts/region"
#: The App API takes 10 requests a second for a workspace; a little less leaves room for jitter on the way.
APP_REQUESTS_PER_SECOND = 9.5
#: How many of them may follow each other at once, where none was sent before.
APP_REQUESTS_AT_ONCE = 10
#: Characters of its description by which a segment is recognised whose name the vendor has changed.
TELLING_CHARACTERS = 60


class CustomerIOHook(VendorHook):
    """
    Calls Customer.io's App and Track APIs.

    :param customer_io_conn_id: a connection of type ``customer_io``: one workspace's Site ID (login),
        Tracking API key (password), ``app_api_key``, ``region``, and base URLs where a proxy or a sandbox
        stands in for Customer.io.
    :param method: the HTTP method of :meth:`run`.
    """

    conn_name_attr = "customer_io_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    extra_keys = EXTRA_KEYS
    hook_name = "Customer.io"

    def __init__(self, customer_io_conn_id: str = default_conn_name, method: str = "GET") -> None:
        super().__init__(method, customer_io_conn_id)
        self.customer_io_conn_id = customer_io_conn_id
        #: The ids of the segments when they were last listed; ``None`` if they never were.
        self.segment_ids: frozenset[int] | None = None

    @cached_property
    def track(self) -> TrackApi:
        """The Track API, as the connection describes it."""
        return TrackApi(self.connection, self.connection.extra_dejson)

    @cached_property
    def app(self) -> AppApi:
        """The App API, as the connection describes it."""
        return AppApi(self.connection, self.connection.extra_dejson)

    def _apis(self) -> tuple[TrackApi, AppApi]:
        return self.track, self.app

    @cached_property
    def track_client(self) -> ApiClient[TrackApi]:
        """The client of the Track API, at this task's share of the connection's requests a second."""
        pace = pace_of(self.connection, self.connection.extra_dejson)
        return ApiClient(self.track, self.transport, RateLimiter.within(pace))

    @cached_property
    def app_client(self) -> ApiClient[AppApi]:
        """The client of the App API, at this task's share of its requests a second."""
        pace = pace_of(self.connection, self.connection.extra_dejson, APP_REQUESTS_PER_SECOND)
        at_once = int(APP_REQUESTS_AT_ONCE * pace / APP_REQUESTS_PER_SECOND)
        return ApiClient(self.app, self.transport, RateLimiter(pace, at_once=max(at_once, 1)))

    def client_for(self, path: str) -> ApiClient[Any]:
        """Return the client of the Track API for ``/api/v1/…``, that of the App API for any other path."""
        return self.track_client if path.lstrip("/").startswith("api/") else self.app_client

    # ---- segments

    def list_segments(self) -> list[Segment]:
        """Return every segment of the workspace (``GET /v1/segments``; it has no paging)."""
        segments = self.app_client.request(
            "GET", "/v1/segments", what="listing the segments", read=segments_in
        )
        self.segment_ids = frozenset(segment.id for segment in segments)
        return segments

    def find_segment(self, name: str, listed: Sequence[Segment] | None = None) -> Segment | None:
        """
        Return the manual segment of that name, or ``None``.

        :param name: the whole name; case matters.
        :param listed: the workspace's segments; listed now if not given.
        :raises AmbiguousSegmentError: if several segments have it.
        :raises DataDrivenSegmentError: if Customer.io computes its members.
        """
        segments = self.list_segments() if listed is None else listed
        found = [segment for segment in segments if segment.name == name]
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
        what = f"reading segment {segment_id}"
        return as_manual(request_segment(self.app_client, "GET", segment_id, "", what, segment_in))

    def create_segment(self, name: str, description: str = "", *, unique_names: bool = False) -> Segment:
        """
        Create a manual segment, or return the one of that name if the response was lost.

        Names need not be unique, so a request whose response was lost is not simply repeated: the segments
        are listed first. Customer.io may change the name; then a segment that did not exist when the segments
        were last listed, and whose description begins with this one's, is the new one.

        :param name: its name.
        :param description: its description in Customer.io.
        :param unique_names: whether the workspace refuses a second segment of the same name, so that a
            request whose segment is not listed may be repeated.
        :return: the segment as Customer.io stores it.
        :raises SegmentNotCreatedError: if no response came, and the segment is not listed.
        """
        before = self.segment_ids
        for again in (False, True) if unique_names else (False,):
            try:
                return self._create_segment(name, description, idempotent=again)
            except VendorUnavailableError as error:
                lost = error
            except RequestRejectedError:
                if not again:
                    raise
                # Otherwise, the name is taken: by the segment of the first request.
            if found := self._find_created(name, description, before):
                return found
        raise SegmentNotCreatedError(
            f"It is not known whether the segment was created: {name!r}.\n{lost.headline} A retry looks "
            "for it before it creates one."
        )

    def _create_segment(self, name: str, description: str, *, idempotent: bool) -> Segment:
        return self.app_client.request(
            "POST",
            "/v1/segments",
            what="creating a segment",
            read=segment_in,
            json={"segment": {"name": name, "description": description}},
            idempotent=idempotent,
        )

    def _find_created(self, name: str, description: str, before: frozenset[int] | None) -> Segment | None:
        """Return the segment that was created although the response was lost, under whatever name."""
        if found := self.find_segment(name):
            return found
        if before is None or not description:  # an old segment of this description could be mistaken for it
            return None
        start = description[:TELLING_CHARACTERS]
        made = [
            segment
            for segment in self.list_segments()
            if segment.is_manual and segment.id not in before and segment.description.startswith(start)
        ]
        return made[0] if len(made) == 1 else None

    def delete_segment(self, segment_id: int) -> None:
        """
        Delete a segment.

        :param segment_id: its id.
        :raises UnknownSegmentError: if there is none.
        """
        what = f"deleting segment {segment_id}"
        request_segment(self.app_client, "DELETE", segment_id, "", what, lambda _: None, json_expected=False)

    # ---- membership

    def count_members(self, segment_id: int) -> int:
        """
        Return how many people are in a segment.

        :param segment_id: its id.
        """
        return MembershipReader(self.app_client, segment_id).count()

    def stream_members(self, segment_id: int) -> Iterator[SegmentMember]:
        """
        Yield the members of a segment; one page is in memory at a time.

        :param segment_id: its id.
        """
        return chain.from_iterable(page.members() for page in self.stream_member_pages(segment_id))

    def stream_member_pages(
        self, segment_id: int, cancel: CancelToken | None = None, total: int | None = None
    ) -> Iterator[MemberPage]:
        """
        Yield the members of a segment in pages of up to 30,000; one page is in memory at a time.

        :param segment_id: its id.
        :param cancel: once cancelled, no further page is requested; the hook's own token also counts.
        :param total: how many they are, for the log and to notice an endless list; counted if not given.
        :raises VendorUnavailableError: if the list goes on far beyond that number.
        """
        return MembershipReader(self.app_client, segment_id).pages(cancel, total)

    def add_members(
        self,
        segment_id: int,
        values: Iterable[str],
        id_type: str = "id",
        total: int | None = None,
        cancel: CancelToken | None = None,
    ) -> SentPeople:
        """
        Add people to a manual segment, and return how many identifiers were accepted, and which were not.

        Customer.io ignores unknown identifiers without reporting them. A batch that it refuses because of
        single identifiers is sent without these.

        :param segment_id: its id.
        :param values: identifiers, any number.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log.
        :param cancel: once cancelled, no further batch is sent; the hook's own token also counts.
        :raises SyncStoppedError: if it is cancelled before all is sent.
        :raises RequestRejectedError: if the request itself is refused, or more than a few identifiers are.
        """
        writer = MembershipWriter(self.track_client, segment_id)
        return writer.change("add_customers", values, id_type, total, cancel)

    def remove_members(
        self,
        segment_id: int,
        values: Iterable[str],
        id_type: str = "id",
        total: int | None = None,
        cancel: CancelToken | None = None,
    ) -> SentPeople:
        """
        Remove people from a manual segment, and return how many identifiers were accepted, and which were
        not.

        A batch that Customer.io refuses because of single identifiers is sent without these. Its reference
        says that nobody without an ``id`` is removed, whatever the response.

        :param segment_id: its id.
        :param values: identifiers, any number; those of non-members have no effect.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log.
        :param cancel: once cancelled, no further batch is sent; the hook's own token also counts.
        :raises SyncStoppedError: if it is cancelled before all is sent.
        :raises RequestRejectedError: if the request itself is refused, or more than a few identifiers are.
        """
        writer = MembershipWriter(self.track_client, segment_id)
        return writer.change("remove_customers", values, id_type, total, cancel)

    def find_people(
        self,
        values: Iterable[str],
        id_type: str = "id",
        cancel: CancelToken | None = None,
        *,
        until_found: bool = False,
    ) -> FoundPeople:
        """
        Look up which of these identifiers exist in the workspace.

        Source: ``POST /v1/customers/attributes``, which leaves out unknown identifiers. Everything else that
        it returns about people is dropped. If it refuses a batch because of one identifier, the others are
        still looked up.

        :param values: distinct identifiers; a hundred cost one of the App API's 10 requests a second.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param cancel: once cancelled, no further batch is looked up; the hook's own token also counts.
        :param until_found: whether to stop after the first request that finds anybody.
        :raises AuthenticationError: if the App API key may not look people up.
        :raises RequestRejectedError: if the workspace does not identify people by ``id_type``.
        """
        return PeopleLookup(self.app_client, id_type, cancel).run(values, until_found=until_found)

    def find_people_in_blocks(
        self,
        values: Iterable[str],
        id_type: str = "id",
        *,
        total: int,
        size: int = BLOCK,
        cancel: CancelToken | None = None,
    ) -> Iterator[tuple[list[str], FoundPeople]]:
        """
        Look up many identifiers, block by block, and yield each block with what :meth:`find_people` finds.

        Progress is logged. Nothing more is looked up once the caller takes no further block.

        :param values: distinct identifiers; a thousand take a second.
        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param total: how many they are, for the log.
        :param size: identifiers in a block.
        :param cancel: once cancelled, no further batch is looked up; the hook's own token also counts.
        :raises AuthenticationError: if the App API key may not look people up.
        :raises RequestRejectedError: if the workspace does not identify people by ``id_type``.
        """
        return PeopleLookup(self.app_client, id_type, cancel).blocks(values, total, size)

    def accepts_identifier(self, id_type: str, cancel: CancelToken | None = None) -> bool | None:
        """
        Return whether the workspace identifies people by this kind of identifier; writes nothing.

        Source: ``POST /v1/customers/attributes`` answers 400 for e-mail addresses where the workspace has not
        enabled them as identifiers.

        :param id_type: ``id``, ``email`` or ``cio_id``.
        :param cancel: once cancelled, nothing is sent; the hook's own token also counts.
        :return: ``None`` if unknown, because the App API key may not look people up.
        """
        return PeopleLookup(self.app_client, id_type, cancel).accepts_identifier()

    # ---- keys and regions

    @cached_property
    def account(self) -> Account:
        """The account of the Site ID and the Tracking API key; checks them on either region's host."""
        what = "asking for the account's region"
        try:
            return self.track_client.request("GET", ACCOUNT, what=what, read=parse_account)
        except AuthenticationError:
            place = f"connection {self.http_conn_id!r}"
            site_id, key, app_key = self.track.site_id, self.track.api_key, self.app.api_key
            if key != site_id and self._accepts(key, site_id):
                raise AuthenticationError(
                    f"The Site ID and the Tracking API key of {place} are swapped.\n"
                    "Customer.io accepts them the other way round: put the Site ID into the field login, the "
                    "key into the field password."
                ) from None
            if key != app_key and self._accepts(site_id, app_key):
                raise AuthenticationError(
                    f"The Tracking API key of {place} is in the field of the App API key.\n"
                    "Customer.io accepts what is in app_api_key as the Tracking API key: put it into the "
                    "field password, and the App API key into app_api_key."
                ) from None
            raise

    @property
    def workspace_id(self) -> int | None:
        """The number of the workspace of the Track API's keys; ``None`` if Customer.io does not say."""
        return self.account.workspace_id

    @cached_property
    def keys_fingerprint(self) -> str:
        """A fingerprint of the three keys, and of where they are used."""
        track, app = self.track, self.app
        return fingerprint(track.base_url, track.site_id, track.api_key, app.base_url, app.api_key)

    @property
    def digest_key(self) -> bytes:
        """A secret that keys digests, so that they reveal nothing about the people."""
        return self.app.api_key.encode()

    def check_track(self) -> None:
        """
        Check the Track API's keys and the region by a cheap call.

        :raises ConfigurationError: if a field of the connection is missing or wrong.
        :raises AuthenticationError: if a key is wrong.
        :raises WrongRegionError: if the workspace lives in the other region.
        """
        self._read_settings(self.track_client.api, self.app_client.api)  # their paces are read, too
        region = self.account.region
        if region in ("us", "eu") and region != self.track.region:
            raise WrongRegionError(
                f"The Customer.io workspace of connection {self.http_conn_id!r} lives in the region "
                f"{region!r}, not {self.track.region!r}.\n"
                f"Set the connection's region to {region_name(region)}."
            )

    def check(self) -> None:
        """
        Check all three keys and the region by cheap calls.

        :raises AuthenticationError: if a key is wrong; the message names it.
        :raises WrongRegionError: if the workspace lives in the other region.
        """
        self.check_track()
        self.list_segments()

    def test_connection(self) -> tuple[bool, str]:
        """Check the connection; the message names a wrong key or the right region."""
        self.policy = self.policy.for_interactive_use()
        try:
            self.check()
        except CohortSyncError as error:
            return False, str(error)
        return True, (
            f"Connected to Customer.io ({self.track.region}): the Site ID and Tracking API key are accepted, "
            "and so is the App API key. The first sync shows whether they belong to the same workspace."
        )

    # ---- inside

    def _accepts(self, user: str, password: str) -> bool:
        what = "trying the keys in each other's place"
        return self.track_client.accepts(ACCOUNT, what, basic_header(user, password))
