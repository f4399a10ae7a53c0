"""The Amplitude hook: cohorts, their exports and files, and the month's usage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from requests.auth import AuthBase, HTTPBasicAuth

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    RequestRejectedError,
    VendorUnavailableError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.amplitude_api import DEFAULT_CONN_ID, AmplitudeApi
from airflow_provider_cio_cohort.hooks.api import Api
from airflow_provider_cio_cohort.hooks.connection import other_region
from airflow_provider_cio_cohort.hooks.export_file import ExportDownload
from airflow_provider_cio_cohort.hooks.http import VendorHook
from airflow_provider_cio_cohort.hooks.pace import Pacer
from airflow_provider_cio_cohort.hooks.web import cohort_url

#: Columns that every export has, so that nothing need be asked for.
BUILT_IN_PROPERTIES = ("user_id", "amplitude_id")


@dataclass(frozen=True)
class Cohort:
    """
    A cohort as Amplitude's list shows it.

    :param id: 7 or 8 lowercase letters and digits.
    :param name: its name.
    :param size: members when it was last computed; ``None`` if it never was.
    :param archived: whether it was put away.
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
    Exports of the calendar month.

    :param limit: how many the plan has; ``None`` if Amplitude did not say.
    :param used: how many were requested.
    :param resets_at: when the count starts anew, as Amplitude writes it.
    """

    limit: int | None
    used: int | None
    resets_at: str | None


class AmplitudeHook(VendorHook):
    """
    Talks to Amplitude's cohort API.

    :param amplitude_conn_id: a connection of type ``amplitude``: one project's API key (login) and secret
        key (password), its ``region``, and a host where a proxy or a sandbox stands in for Amplitude.
    :param method: the HTTP method of :meth:`run`.
    """

    conn_name_attr = "amplitude_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "amplitude"
    hook_name = "Amplitude"

    def __init__(self, amplitude_conn_id: str = default_conn_name, method: str = "GET") -> None:
        super().__init__(method, amplitude_conn_id)
        self.amplitude_conn_id = amplitude_conn_id

    @cached_property
    def api(self) -> AmplitudeApi:
        """Amplitude, as the connection sees it."""
        return AmplitudeApi(self.connection, self.connection.extra_dejson)

    @cached_property
    def auth(self) -> HTTPBasicAuth:
        """The project's keys, as a request carries them."""
        return HTTPBasicAuth(self.api.api_key, self.api.secret_key)

    def route(self, path: str) -> tuple[Api, AuthBase, Pacer | None]:
        """Return the one API."""
        return self.api, self.auth, None

    def cohort_url(self, cohort_id: str) -> str:
        """
        Return where a person looks at a cohort.

        :param cohort_id: its id.
        """
        organization = str(self.connection.extra_dejson.get("organization") or "").strip()
        return cohort_url(self.api.region, organization, cohort_id)

    def list_cohorts(self) -> list[Cohort]:
        """
        Return the cohorts that others may discover; costs none of the month's exports.

        Source: ``GET /api/3/cohorts``; it has no paging.
        """
        payload = self._get("/api/3/cohorts", "listing the cohorts")
        return [_cohort(item) for item in payload.get("cohorts") or [] if isinstance(item, dict)]

    def find_cohort(self, cohort_id: str) -> Cohort | None:
        """
        Return a cohort, or ``None``; one that is not discoverable is not listed, but may still export.

        :param cohort_id: its id.
        """
        return next((cohort for cohort in self.check() if cohort.id == cohort_id), None)

    def request_export(self, cohort_id: str, *properties: str) -> str:
        """
        Start an export and return its request id. **Costs one of the month's exports, every time.**

        So it is sent again only where it is certain that Amplitude did not take it.

        :param cohort_id: the cohort.
        :param properties: the properties that the export is to hold beside the built-in ids.
        :raises UnknownCohortError: if the project has no such cohort.
        """
        api = self.api
        names = {name.removeprefix("gp:") for name in properties}.difference(BUILT_IN_PROPERTIES)
        params = {"props": 1, "propKeys": sorted(names)} if names else None
        what = f"requesting an export of cohort {cohort_id}"
        try:
            answer = self.call(
                api, self.auth, "GET", api.export_path(cohort_id), what=what, params=params, idempotent=False
            )
        except RequestRejectedError as error:
            if error.status == 404:
                raise api.unknown_cohort(cohort_id) from None
            raise
        except VendorUnavailableError as error:
            if not error.maybe_applied:
                raise
            raise VendorUnavailableError(
                f"{error} Amplitude may have counted it as one of the month's exports; a retry is another."
            ) from None
        request_id = answer.payload.get("request_id") if isinstance(answer.payload, dict) else None
        if not request_id:
            raise VendorUnavailableError(
                f"Amplitude answered {what} without a request id.\nA retry may succeed."
            )
        return str(request_id)

    def export_finished(self, request_id: str) -> bool:
        """
        Say whether an export is ready to be downloaded; costs nothing.

        :param request_id: what :meth:`request_export` returned.
        :raises ExportFailedError: if Amplitude gave it up or does not know it.
        """
        api = self.api

        def once() -> bool:
            path = api.status_path(request_id)
            return api.read_status(self._send(api, self.auth, "GET", path, "asking how far an export is"))

        return self.retried(once)

    def download_export(self, request_id: str, path: Path) -> int:
        """
        Download a finished export, decompressed, and return its size in bytes; costs nothing.

        The link lives seven days and may be asked again; a large file lies behind a redirect to a signed
        URL that lives one minute and refuses our keys.

        :param request_id: what :meth:`request_export` returned.
        :param path: the file to write.
        :raises ExportFailedError: if Amplitude no longer has the file.
        :raises IncompleteExportError: if what came is not whole.
        """
        return ExportDownload(self, request_id, path).run()

    def usage(self) -> Usage:
        """Return how many exports the month had; costs none (``GET /api/3/cohorts/usage``)."""
        payload = self._get("/api/3/cohorts/usage", "reading the month's usage")
        rest = payload.get("rest_download")
        rest = rest if isinstance(rest, dict) else payload
        return Usage(_integer(rest.get("limit")), _integer(rest.get("usage")), _text(rest.get("resets_at")))

    def check(self) -> list[Cohort]:
        """
        Make a cheap call that tells whether keys, region and plan are right, and return the cohorts.

        :raises WrongRegionError: if the project lives in the other region.
        :raises AuthenticationError: if a key is wrong.
        :raises PlanError: if the plan has no cohort API.
        """
        try:
            return self.list_cohorts()
        except AuthenticationError:
            if not self.api.has_own_host and self._lives_in_other_region():
                region = other_region(self.api.region)
                raise WrongRegionError(
                    f"The Amplitude project of connection {self.http_conn_id!r} lives in the region "
                    f"{region!r}, not {self.api.region!r}.\nSet the connection's region to {region}."
                ) from None
            raise

    def test_connection(self) -> tuple[bool, str]:
        """Try the connection, and say in words which key is wrong, or which region is right."""
        self.policy = self.policy.for_a_click()
        try:
            self.check()
            usage = self.usage()
        except CohortSyncError as error:
            return False, str(error)
        spent = "" if usage.limit is None else f" Exports this month: {usage.used} of {usage.limit}."
        return True, f"Connected to Amplitude ({self.api.region}): both keys are right.{spent}"

    def _get(self, path: str, what: str) -> dict[str, Any]:
        payload = self.call(self.api, self.auth, "GET", path, what=what).payload
        return payload if isinstance(payload, dict) else {}

    def _lives_in_other_region(self) -> bool:
        elsewhere = AmplitudeApi(self.connection, self.connection.extra_dejson, other_region(self.api.region))
        try:
            answer = self._send(elsewhere, self.auth, "GET", "/api/3/cohorts", "asking the other region")
        except CohortSyncError:
            return False
        return answer.status == 200


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
