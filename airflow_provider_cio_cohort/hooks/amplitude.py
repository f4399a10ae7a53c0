"""The Amplitude hook: cohorts, their exports and files, and the month's usage."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    RequestRejectedError,
    VendorUnavailableError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.amplitude_api import (
    CONN_TYPE,
    DEFAULT_CONN_ID,
    EXPORT_STATUS,
    EXTRA_KEYS,
    AmplitudeApi,
    cohort_url,
)
from airflow_provider_cio_cohort.hooks.api import IncompleteResponseError, list_in
from airflow_provider_cio_cohort.hooks.base import VendorHook
from airflow_provider_cio_cohort.hooks.cancellation import CancelToken
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.connection import basic_header, other_region, region_name
from airflow_provider_cio_cohort.hooks.export_download import ExportDownload
from airflow_provider_cio_cohort.hooks.retry import Result

#: Columns that every export has without being requested.
BUILT_IN_PROPERTIES = ("user_id", "amplitude_id")


@dataclass(frozen=True)
class Cohort:
    """
    A cohort in Amplitude's list.

    :param id: 7 or 8 lowercase letters and digits.
    :param name: its name.
    :param size: members when it was last computed; ``None`` if it never was.
    :param archived: whether it is archived.
    :param group: what its members are: ``User`` for people.
    :param last_computed: epoch seconds; ``None`` if it never was.
    """

    id: str
    name: str
    size: int | None
    archived: bool
    group: str
    last_computed: int | None


@dataclass(frozen=True)
class Usage:
    """
    The exports of the calendar month.

    :param limit: how many the plan includes; ``None`` if Amplitude does not say.
    :param used: how many were requested.
    :param resets_at: when the count is reset, as Amplitude writes it.
    """

    limit: int | None
    used: int | None
    resets_at: str | None


class AmplitudeHook(VendorHook):
    """
    Calls Amplitude's cohort API.

    :param amplitude_conn_id: a connection of type ``amplitude``: one project's API key (login) and secret
        key (password), its ``region``, and a host where a proxy or a sandbox stands in for Amplitude.
    :param method: the HTTP method of :meth:`run`.
    """

    conn_name_attr = "amplitude_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    extra_keys = EXTRA_KEYS
    hook_name = "Amplitude"

    def __init__(self, amplitude_conn_id: str = default_conn_name, method: str = "GET") -> None:
        super().__init__(method, amplitude_conn_id)
        self.amplitude_conn_id = amplitude_conn_id
        #: When Amplitude has accepted the exports of this hook, in epoch seconds by request id.
        self._accepted: dict[str, float | None] = {}

    @cached_property
    def api(self) -> AmplitudeApi:
        """Amplitude's API, as the connection describes it."""
        return AmplitudeApi(self.connection, self.connection.extra_dejson)

    def _apis(self) -> tuple[AmplitudeApi]:
        return (self.api,)

    @cached_property
    def client(self) -> ApiClient[AmplitudeApi]:
        """The client of Amplitude's API."""
        return ApiClient(self.api, self.transport)

    def client_for(self, path: str) -> ApiClient[AmplitudeApi]:
        """Return the client of the one API."""
        return self.client

    def cohort_url(self, cohort_id: str) -> str:
        """
        Return the address of a cohort's page in Amplitude.

        :param cohort_id: its id.
        """
        given = str(self.connection.extra_dejson.get("organization") or "").strip()
        address = re.search(r"/analytics/([^/?#]+)", given)
        return cohort_url(self.api.region, address[1] if address else given, cohort_id)

    def list_cohorts(self) -> list[Cohort]:
        """
        Return the discoverable cohorts; costs none of the month's exports.

        Source: ``GET /api/3/cohorts``; it has no paging.
        """
        return self._get("/api/3/cohorts", "listing the cohorts", _cohorts)

    def find_cohort(self, cohort_id: str) -> Cohort | None:
        """
        Return a cohort, or ``None``; a cohort that is not discoverable is not found, but can be exported.

        :param cohort_id: its id.
        """
        return next((cohort for cohort in self.check() if cohort.id == cohort_id), None)

    def request_export(self, cohort_id: str, *properties: str) -> str:
        """
        Start an export and return its request id. **Costs one of the month's exports, every time.**

        So the request is repeated only if it is certain that Amplitude did not receive it.

        :param cohort_id: the cohort.
        :param properties: properties that the export is to have beside the built-in ids, with or without the
            prefix ``gp:``; a user property that is named like a built-in id needs it.
        :raises UnknownCohortError: if the project has no such cohort.
        """
        api = self.api
        names = set(map(_asked_for, properties)).difference(BUILT_IN_PROPERTIES)
        params = {"props": 1, "propKeys": sorted(names)} if names else None
        what = f"requesting an export of cohort {cohort_id}"
        try:
            request_id = self.client.request(
                "GET",
                api.export_path(cohort_id),
                what=what,
                read=lambda payload: _request_id(payload, cohort_id),
                params=params,
                idempotent=False,
            )
        except RequestRejectedError as error:
            if error.status == 404:
                raise api.unknown_cohort(cohort_id) from None
            raise
        except VendorUnavailableError as error:
            if not error.maybe_applied:
                raise
            raise VendorUnavailableError(
                f"{error} Amplitude may have counted it as one of the month's exports; a retry uses "
                "another one."
            ) from None
        self._accepted[request_id] = time.time()
        return request_id

    def export_finished(
        self, request_id: str, cohort_id: str | None = None, requested_at: float | None = None
    ) -> bool:
        """
        Return whether an export is ready to be downloaded; costs nothing.

        Amplitude may not know an export that was requested moments ago: for ``export_grace`` seconds of
        ``[cio_cohort]``, it counts as not ready.

        :param request_id: what :meth:`request_export` returned.
        :param cohort_id: the cohort that it must be of; ``None`` for any.
        :param requested_at: when it was requested, in epoch seconds; ``None`` if unknown, or if this hook has
            requested it.
        :raises ExportFailedError: if Amplitude gave up on it, does not know it, or says that it is of another
            cohort.
        """
        client = self.client
        accepted_at = self._accepted.setdefault(request_id, self.policy.by_this_clock(requested_at))

        def ask() -> bool:
            response = client.send("GET", client.api.status_path(request_id), EXPORT_STATUS)
            return client.api.read_status(response, cohort_id, is_young=self.policy.is_young(accepted_at))

        return client.retried(ask)

    def download_export(
        self,
        request_id: str,
        path: Path,
        cancel: CancelToken | None = None,
        *,
        announced: int | None = None,
    ) -> int:
        """
        Download a finished export, decompressed, and return its size in bytes; costs nothing.

        How Amplitude exports an empty cohort is not documented. Where its list says that the cohort has no
        members, a file that is missing, blank or ``[]`` is one: an empty file of 0 bytes is written. Where
        the last line of a complete file has no line end, one is added.

        The file is kept for seven days and may be downloaded again. For a large file, Amplitude redirects to
        a signed URL that is valid for a minute and refuses requests with our keys.

        :param request_id: what :meth:`request_export` returned.
        :param path: the file to write.
        :param cancel: once cancelled, nothing more is read; the hook's own token also counts.
        :param announced: members that Amplitude's list says the cohort has; ``None`` if it says nothing.
        :raises ExportFailedError: if Amplitude no longer has the file.
        :raises IncompleteExportError: if the file is not complete.
        :raises ExportTooLargeError: if the file is far larger than the cohort can be.
        """
        return ExportDownload(self.client, request_id, path, cancel, announced=announced).run()

    def usage(self) -> Usage:
        """Return how many exports the month had; costs none (``GET /api/3/cohorts/usage``)."""
        return self._get("/api/3/cohorts/usage", "reading the month's usage", _usage)

    def check(self) -> list[Cohort]:
        """
        Check the keys, the region and the plan by a cheap call, and return the cohorts.

        :raises ConfigurationError: if a field of the connection is missing or wrong.
        :raises WrongRegionError: if the project lives in the other region.
        :raises AuthenticationError: if a key is wrong.
        :raises AmplitudePlanError: if the plan has no cohort API.
        """
        self._read_settings(self.api)
        try:
            return self.list_cohorts()
        except AuthenticationError:
            if not self.api.has_own_host and self._lives_in_other_region():
                region = other_region(self.api.region)
                raise WrongRegionError(
                    f"The Amplitude project of connection {self.http_conn_id!r} lives in the region "
                    f"{region!r}, not {self.api.region!r}.\n"
                    f"Set the connection's region to {region_name(region)}."
                ) from None
            if self._are_swapped():
                raise AuthenticationError(
                    f"The API key and the secret key of connection {self.http_conn_id!r} are swapped.\n"
                    "Amplitude accepts them the other way round: put the API key into the field login, the "
                    "secret key into the field password."
                ) from None
            raise

    def test_connection(self) -> tuple[bool, str]:
        """Check the connection; the message names a wrong key or the right region."""
        self.policy = self.policy.for_interactive_use()
        try:
            self.check()
            usage = self.usage()
        except CohortSyncError as error:
            return False, str(error)
        spent = "" if usage.limit is None else f" Exports this month: {usage.used} of {usage.limit}."
        return True, f"Connected to Amplitude ({self.api.region}): both keys are right.{spent}"

    def _get(self, path: str, what: str, read: Callable[[Any], Result]) -> Result:
        return self.client.request("GET", path, what=what, read=read)

    def _lives_in_other_region(self) -> bool:
        elsewhere = AmplitudeApi(self.connection, self.connection.extra_dejson, other_region(self.api.region))
        client = ApiClient(elsewhere, self.transport)
        return client.accepts("/api/3/cohorts", "asking the other region", elsewhere.authorization)

    def _are_swapped(self) -> bool:
        swapped = basic_header(self.api.secret_key, self.api.api_key)
        return self.client.accepts("/api/3/cohorts", "trying the keys the other way round", swapped)


def _asked_for(name: str) -> str:
    bare = name.removeprefix("gp:")
    return name if bare in BUILT_IN_PROPERTIES else bare


def _cohorts(payload: Any) -> list[Cohort]:
    return [_cohort(item) for item in list_in(payload, "cohorts") if isinstance(item, dict)]


def _request_id(payload: Any, cohort_id: str) -> str:
    request_id = payload.get("request_id") if isinstance(payload, dict) else None
    if not request_id:
        raise IncompleteResponseError("a request id")
    if str(payload.get("cohort_id") or cohort_id) != cohort_id:
        raise IncompleteResponseError("the cohort that was asked for")
    return str(request_id)


def _usage(payload: Any) -> Usage:
    # Only third parties document the shape, so any other shape is accepted.
    given = payload if isinstance(payload, dict) else {}
    rest = given.get("rest_download")
    rest = rest if isinstance(rest, dict) else given
    return Usage(_integer(rest.get("limit")), _integer(rest.get("usage")), _text(rest.get("resets_at")))


def _cohort(item: dict[str, Any]) -> Cohort:
    definition = item.get("definition")
    count_group = definition.get("countGroup") if isinstance(definition, dict) else None
    group = count_group.get("name") if isinstance(count_group, dict) else None
    return Cohort(
        id=str(item.get("id")),
        name=str(item.get("name") or ""),
        size=_integer(item.get("size")),
        archived=item.get("archived") is True,
        group=str(group or "User"),
        last_computed=_integer(item.get("lastComputed")),
    )


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
