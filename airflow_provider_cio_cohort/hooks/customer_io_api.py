"""
Customer.io's Track and App APIs: their addresses, and what their responses mean.

Sources: Customer.io's OpenAPI descriptions of the Track and App APIs, and responses recorded by its own
SDKs' tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    ConfigurationError,
    DataDrivenSegmentError,
    RequestRejectedError,
    UnknownSegmentError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.api import Api, ApiResponse, IncompleteResponseError, list_in, quoted
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.connection import (
    base_url_of,
    basic_header,
    key_of,
    number_in,
    other_region,
    region_name,
    region_of,
)
from airflow_provider_cio_cohort.hooks.http_options import HTTP_KEYS
from airflow_provider_cio_cohort.hooks.retry import Result

CONN_TYPE = "customer_io"
DEFAULT_CONN_ID = "customer_io_default"
EXTRA_KEYS = (
    "app_api_key",
    "region",
    "track_base_url",
    "app_base_url",
    "requests_per_second",
    "max_concurrent_tasks",
    *HTTP_KEYS,
)
#: Customer.io's web application. Not documented: these are the addresses that users see in the browser.
_CUSTOMER_IO = {"us": "https://fly.customer.io", "eu": "https://eu.fly.customer.io"}
TRACK_HOSTS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
APP_HOSTS = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}
DEFAULT_REQUESTS_PER_SECOND = 100.0
CIO_PREFIX = "cio_"


def respelt(cio_id: str) -> str:
    """Return a ``cio_id`` with its prefix if it has none, and without it if it has one."""
    return cio_id.removeprefix(CIO_PREFIX) if cio_id.startswith(CIO_PREFIX) else f"{CIO_PREFIX}{cio_id}"


class _CustomerIOApi(Api):
    #: The keys' names in messages: for a first line, and with the fields of the connection.
    keys, fields = "", ""
    #: A hint for messages about a rejected key that is one of the other API's.
    hint = ""
    page_statuses = (400, 401, 403, 404, 407)

    def __init__(
        self,
        name: str,
        base_url: str,
        connection: Any,
        region: str,
        authorization: str,
        secrets: tuple[str, ...],
    ) -> None:
        super().__init__(name, base_url, connection.conn_id, authorization, secrets)
        self.region = region

    def error_for_status(self, response: ApiResponse, detail: str, what: str) -> CohortSyncError | None:
        """Return an error that names the wrong key or the wrong region."""
        place = f"connection {self.conn_id!r}"
        if 300 <= response.status < 400:
            # A client that follows it would turn a POST into a GET without our key, and report success.
            return WrongRegionError(
                f"{self.name} directs {place} to a data centre outside the region {self.region!r}.\n"
                f"{quoted(detail)}Set the connection's region to {region_name(other_region(self.region))}."
            )
        if response.status == 401:
            return AuthenticationError(
                f"{self.name} does not accept {self.keys} of {place}.\n"
                f"{quoted(detail)}{self.hint}Copy the {self.fields} again from Customer.io into the "
                f"connection, and check that the workspace is in the region {self.region}."
            )
        if response.status == 403:
            return AuthenticationError(
                f"{self.name} does not let {self.keys} do this: {what}.\n"
                f"{quoted(detail)}Check in Customer.io what the {self.fields} of {place} may do, and from "
                "which IP addresses."
            )
        return None


class TrackApi(_CustomerIOApi):
    """
    The Track API, which adds and removes a segment's members.

    :param connection: the Airflow connection: Site ID and Tracking API key.
    :param extra: its extra: region, ``track_base_url``.
    """

    keys = "the Site ID and Tracking API key"
    fields = "Site ID (field login) and Tracking API key (field password)"

    def __init__(self, connection: Any, extra: dict[str, Any]) -> None:
        region = region_of(connection, extra)
        self.site_id = key_of(connection, connection.login, "Site ID (field login)")
        self.api_key = key_of(connection, connection.password, "Tracking API key (field password)")
        app_key = str(extra.get("app_api_key") or "").strip()
        if app_key == self.api_key:
            self.hint = "The Tracking API key equals the App API key, which must be a different key. "
        elif app_key == self.site_id:
            self.hint = "The Site ID equals the App API key, which must be a different key. "
        base_url = base_url_of(connection, "track_base_url", extra.get("track_base_url"), TRACK_HOSTS[region])
        authorization = basic_header(self.site_id, self.api_key)
        secrets = (self.site_id, self.api_key)
        super().__init__("Customer.io's Track API", base_url, connection, region, authorization, secrets)

    def message_in(self, payload: Any) -> str:
        """Return the message in ``meta``: one error, or a list of them."""
        meta = payload.get("meta")
        if not isinstance(meta, dict):
            return ""
        errors = meta.get("errors")
        return "; ".join(map(str, errors)) if isinstance(errors, list) else str(meta.get("error") or "")


class AppApi(_CustomerIOApi):
    """
    The App API, which lists segments and their members.

    :param extra: its extra: ``app_api_key``, region, ``app_base_url``.
    """

    keys = "the App API key"
    fields = "App API key (field app_api_key)"

    def __init__(self, connection: Any, extra: dict[str, Any]) -> None:
        region = region_of(connection, extra)
        self.api_key = key_of(connection, extra.get("app_api_key"), "App API key (field app_api_key)")
        if self.api_key == (connection.password or "").strip():
            self.hint = "It equals the Tracking API key, which must be a different key. "
        elif self.api_key == (connection.login or "").strip():
            self.hint = "It is the same as the Site ID, which the App API does not accept. "
        base_url = base_url_of(connection, "app_base_url", extra.get("app_base_url"), APP_HOSTS[region])
        authorization = f"Bearer {self.api_key}"
        super().__init__(
            "Customer.io's App API", base_url, connection, region, authorization, (self.api_key,)
        )

    def message_in(self, payload: Any) -> str:
        """Return the messages of the ``errors`` list."""
        errors = payload.get("errors")
        if not isinstance(errors, list):
            return str(payload.get("error") or "")
        return "; ".join(str(e.get("detail") or e.get("code") or "") for e in errors if isinstance(e, dict))


def segment_url(region: str, workspace_id: int | None, segment_id: int | None) -> str:
    """
    Return the page of a segment, or of all segments where there is none yet.

    :param region: ``us`` or ``eu``.
    :param workspace_id: the workspace; ``None`` for the one that the user opened last.
    :param segment_id: the segment, or ``None``.
    """
    workspace = "last" if workspace_id is None else str(workspace_id)
    segment = "" if segment_id is None else f"/{segment_id}"
    return f"{_CUSTOMER_IO[region]}/workspaces/{workspace}/journeys/segments{segment}"


def max_concurrent_tasks(connection: Any, extra: dict[str, Any]) -> int:
    """
    Return how many tasks may use the workspace at once; they share its rate limits equally.

    :param extra: its extra: ``max_concurrent_tasks``.
    :raises ConfigurationError: if it is not a whole number above 0.
    """
    value = extra.get("max_concurrent_tasks")
    if value in (None, ""):
        return 1
    text = "" if isinstance(value, bool) else str(value).strip()
    tasks = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if tasks == 0:
        raise ConfigurationError(
            f"max_concurrent_tasks of connection {connection.conn_id!r} must be a whole number above 0.\n"
            "Correct it in the connection, or leave the field empty."
        )
    return tasks


def pace_of(connection: Any, extra: dict[str, Any], whole: float | None = None) -> float:
    """
    Return the requests a second that a task may send to an API.

    :param extra: its extra: ``max_concurrent_tasks``, and for the Track API ``requests_per_second``.
    :param whole: requests a second that the tasks share; ``None`` for those of the Track API.
    :raises ConfigurationError: if a value of the extra is not a number of requests or tasks.
    """
    whole = _requests_per_second(connection, extra) if whole is None else whole
    return whole / max_concurrent_tasks(connection, extra)


def _requests_per_second(connection: Any, extra: dict[str, Any]) -> float:
    value = extra.get("requests_per_second")
    if value in (None, ""):
        return DEFAULT_REQUESTS_PER_SECOND
    pace = number_in(value, 0.01, 100_000)
    if pace is None:
        raise ConfigurationError(
            f"requests_per_second of connection {connection.conn_id!r} must be a number, 0.01 or more.\n"
            "Correct it in the connection, without a unit, or leave the field empty."
        )
    return pace


@dataclass(frozen=True)
class Segment:
    """
    A segment as Customer.io shows it.

    :param id: its id.
    :param name: its name; it cannot be changed through the API, and need not be unique.
    :param description: its description.
    :param is_manual: whether people can be added and removed; otherwise Customer.io computes it.
    """

    id: int
    name: str
    description: str
    is_manual: bool


@dataclass(frozen=True)
class Account:
    """
    The account of a pair of Track API keys.

    :param region: where the workspace lives.
    :param workspace_id: its number in the addresses of its pages; ``None`` if unknown.
    """

    region: str
    workspace_id: int | None


def parse_account(item: Any) -> Account:
    """
    Read the response about the keys.

    :param item: the response's JSON.
    :raises IncompleteResponseError: if it names no region.
    """
    facts = item if isinstance(item, dict) else {}
    region, workspace_id = facts.get("region"), facts.get("environment_id")
    if not isinstance(region, str) or not region:
        raise IncompleteResponseError("the account's region")
    return Account(region, workspace_id if isinstance(workspace_id, int) else None)


def parse_segment(item: Any) -> Segment:
    """
    Read a segment from a response.

    :param item: the value of ``segment``, or an item of the list ``segments``.
    :raises IncompleteResponseError: if it has no id.
    """
    if not isinstance(item, dict) or not isinstance(item.get("id"), int):
        raise IncompleteResponseError("the id of a segment")
    return Segment(
        id=item["id"],
        name=str(item.get("name") or ""),
        description=str(item.get("description") or ""),
        is_manual=item.get("type") == "manual",
    )


def segment_in(payload: Any) -> Segment:
    """
    Read a response with one segment.

    :raises IncompleteResponseError: if it has no segment, or that has no id.
    """
    return parse_segment(payload.get("segment") if isinstance(payload, dict) else None)


def segments_in(payload: Any) -> list[Segment]:
    """
    Read a response that lists segments.

    :raises IncompleteResponseError: if it has no list, or a segment has no id.
    """
    return [parse_segment(item) for item in list_in(payload, "segments")]


def count_in(payload: Any) -> int:
    """
    Read a response that counts a segment.

    :raises IncompleteResponseError: if it holds no number.
    """
    count = payload.get("count") if isinstance(payload, dict) else None
    if isinstance(count, bool) or not isinstance(count, int):
        raise IncompleteResponseError("'count'")
    return count


def as_manual(segment: Segment) -> Segment:
    """
    Return the segment if people can be added to it.

    :raises DataDrivenSegmentError: if Customer.io computes its members.
    """
    if not segment.is_manual:
        raise DataDrivenSegmentError(
            f"Customer.io's segment {segment.name!r} ({segment.id}) is data-driven, so nobody can be "
            "added.\n"
            "Customer.io computes its members. Choose a manual segment, or a new name to have a segment "
            "created."
        )
    return segment


def unknown_segment(conn_id: str, segment_id: int) -> UnknownSegmentError:
    """Return the error for a segment that a workspace does not have."""
    return UnknownSegmentError(
        f"Customer.io has no segment {segment_id} in the workspace of connection {conn_id!r}.\n"
        "Correct segment_id, the number in the segment's address in Customer.io, or customer_io_conn_id; "
        "`airflow cohort-sync segments` lists them."
    )


def request_segment(
    app: ApiClient[AppApi],
    method: str,
    segment_id: int,
    path: str,
    what: str,
    read: Callable[[Any], Result],
    **options: Any,
) -> Result:
    """
    Send a request about a segment, and return what ``read`` makes of the response.

    :param path: the rest of the path, after the id.
    :param what: what is being done, for messages.
    :param read: see :meth:`.ApiClient.request`.
    :param options: see :meth:`.ApiClient.request`.
    :raises UnknownSegmentError: if there is none.
    """
    try:
        return app.request(method, f"/v1/segments/{segment_id:d}{path}", what=what, read=read, **options)
    except RequestRejectedError as error:
        if error.status == 404:
            raise unknown_segment(app.api.conn_id, segment_id) from None
        raise
