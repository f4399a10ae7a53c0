"""
Amplitude's cohort API: its addresses, and what its responses mean.

Shared by the hook (``requests``) and the trigger (``aiohttp``). Sources: Amplitude's "Behavioral Cohorts API"
reference, and responses recorded by third parties where the reference says nothing.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from airflow_provider_cio_cohort.cohorts import describe_wrong_id, is_cohort_id
from airflow_provider_cio_cohort.exceptions import (
    AmplitudePlanError,
    AuthenticationError,
    CohortSyncError,
    ConfigurationError,
    ExportFailedError,
    RateLimitedError,
    UnknownCohortError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.api import Api, ApiResponse, quoted
from airflow_provider_cio_cohort.hooks.connection import (
    base_url_of,
    basic_header,
    key_of,
    region_of,
)
from airflow_provider_cio_cohort.hooks.http_options import HTTP_KEYS

CONN_TYPE = "amplitude"
DEFAULT_CONN_ID = "amplitude_default"
EXTRA_KEYS = ("region", "organization", *HTTP_KEYS)
#: Amplitude's web application. Not documented: these are the addresses that users see in the browser.
_AMPLITUDE = {"us": "https://app.amplitude.com", "eu": "https://app.eu.amplitude.com"}
#: Shows a cohort without the organization's name to users of a single organization.
_AMPLITUDE_BARE = {"us": "https://analytics.amplitude.com", "eu": "https://analytics.eu.amplitude.com"}
#: The name of the status call in messages.
EXPORT_STATUS = "reading the status of an export"
HOSTS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}

_WORDS_OF_A_PLAN = re.compile(
    r"\b(plan|upgrade|paid|subscription|enterprise|growth|not (?:enabled|available))\b", re.I
)
_IN_PROGRESS = re.compile(r"PROGRESS|PENDING|QUEUED|RUNNING|STARTED")


class AmplitudeApi(Api):
    """
    Amplitude's API, as one connection describes it.

    :param connection: the Airflow connection: API key, secret key, host.
    :param extra: its extra, which may name the region.
    :param region: a region to use instead of the connection's.
    """

    def __init__(self, connection: Any, extra: dict[str, Any], region: str | None = None) -> None:
        self.region = region or region_of(connection, extra)
        self.api_key = key_of(connection, connection.login, "API key (field login)")
        self.secret_key = key_of(connection, connection.password, "secret key (field password)")
        self.has_own_host = bool((connection.host or "").strip())
        default = HOSTS[self.region]
        base_url = base_url_of(connection, "the field host", connection.host, default, connection.port)
        authorization = basic_header(self.api_key, self.secret_key)
        secrets = (self.api_key, self.secret_key)
        super().__init__("Amplitude", base_url, connection.conn_id, authorization, secrets)

    def message_in(self, payload: Any) -> str:
        """Return Amplitude's message: from the envelope, or from the short form ``{"details": …}``."""
        error = payload.get("error")
        if isinstance(error, dict):
            metadata = error.get("metadata")
            details = metadata.get("details") if isinstance(metadata, dict) else None
            return str(details or error.get("message") or error.get("type") or "")
        return str(payload.get("details") or payload.get("message") or error or "")

    def error_for_status(self, response: ApiResponse, detail: str, what: str) -> CohortSyncError | None:
        """Distinguish wrong keys from a plan without the cohort API."""
        place = f"connection {self.conn_id!r}"
        if response.status in (401, 402, 403):
            if response.status == 402 or _WORDS_OF_A_PLAN.search(detail):
                return AmplitudePlanError(
                    f"Amplitude's plan does not let {place} use the cohort API.\n"
                    f"{quoted(detail)}It needs a Growth or Enterprise plan, or the add-on."
                )
            if "secret" in detail.lower():
                return AuthenticationError(
                    f"Amplitude knows the API key of {place}, but not the secret key (field password).\n"
                    f"{quoted(detail)}Copy it again from Amplitude's project settings into the connection."
                )
            return AuthenticationError(
                f"Amplitude does not accept the API key (field login) of {place}.\n"
                f"{quoted(detail)}Check the key, and that the project is in the region {self.region}."
            )
        if 300 <= response.status < 400:
            return WrongRegionError(
                f"{self.base_url} answered {what} with a redirect, which no Amplitude API does.\n"
                f"Check the host and the region of {place} ({self.region})."
            )
        return None

    def export_path(self, cohort_id: str) -> str:
        """Return the path that starts an export."""
        return f"/api/5/cohorts/request/{cohort_path_part(cohort_id)}"

    def status_path(self, request_id: str) -> str:
        """Return the path of an export's status."""
        return f"/api/5/cohorts/request-status/{_path_part(request_id)}"

    def file_path(self, request_id: str) -> str:
        """Return the path of an export's file."""
        return f"/api/5/cohorts/request/{_path_part(request_id)}/file"

    def read_status(
        self, response: ApiResponse, cohort_id: str | None = None, *, is_young: bool = False
    ) -> bool:
        """
        Return whether an export is finished.

        The status code decides (202 in progress, 200 completed). The text has been seen in two spellings and
        is read loosely. Anything else is a failure.

        :param cohort_id: the cohort that the export must be of, if the response names it; ``None`` for any.
        :param is_young: whether Amplitude may not know it yet.
        :raises ExportFailedError: if Amplitude gave up on the export, does not know it although it is not
            young, or says that it is of another cohort.
        :raises CohortSyncError: if the request failed.
        """
        unknown = response.status == 404 or "no job exists" in self.vendor_message(response).lower()
        if unknown and response.status < 500:
            if is_young:
                return False
            raise ExportFailedError(
                "Amplitude no longer knows the export that was requested.\n"
                f"A retry requests a new one (connection {self.conn_id!r})."
            )
        error = self.error_for(response, EXPORT_STATUS)
        if isinstance(error, RateLimitedError):
            return False  # here a 429 only means: keep polling
        if error:
            raise error
        payload = response.payload if isinstance(response.payload, dict) else {}
        found = payload.get("cohort_id")
        if cohort_id is not None and found is not None and str(found) != cohort_id:
            raise ExportFailedError(
                f"The export is of Amplitude's cohort {str(found)[:40]!r}, not of {cohort_id!r}.\n"
                f"It is not used. A retry requests a new one (connection {self.conn_id!r})."
            )
        text = re.sub(r"[^A-Z]", "", str(payload.get("async_status", "")).upper())
        completed = text in ("", "SUCCESS") or (text.endswith("COMPLETED") and "NOT" not in text)
        if response.status == 200 and completed:
            return True
        if _IN_PROGRESS.search(text) or (response.status == 202 and completed):
            return False
        raise ExportFailedError(
            f"Amplitude ended the export with HTTP {response.status}, status {text[:40] or 'none'}.\n"
            f"A retry requests a new one (connection {self.conn_id!r})."
        )

    def unknown_cohort(self, cohort_id: str) -> UnknownCohortError:
        """Return the error for a cohort that this project does not have."""
        return UnknownCohortError(
            f"Amplitude has no cohort {cohort_id!r} in the project of connection {self.conn_id!r}.\n"
            "Correct cohort_id, the last part of the cohort's address in Amplitude, or amplitude_conn_id; "
            "`airflow cohort-sync cohorts` lists those that can be seen."
        )


def cohort_url(region: str, organization: str | None, cohort_id: str) -> str:
    """
    Return the page of a cohort.

    :param region: ``us`` or ``eu``.
    :param organization: the part after ``/analytics/`` in Amplitude's addresses, if the connection has it.
    """
    cohort = quote(cohort_id, safe="")
    if organization:
        return f"{_AMPLITUDE[region]}/analytics/{quote(organization, safe='')}/cohort/{cohort}"
    return f"{_AMPLITUDE_BARE[region]}/cohort/{cohort}"


def cohort_path_part(cohort_id: str) -> str:
    """
    Return a cohort id that is safe in a path.

    :param cohort_id: 7 or 8 lowercase letters and digits, as Amplitude makes them.
    :raises ConfigurationError: if it is not a cohort id.
    """
    if not is_cohort_id(cohort_id):
        problem, advice = describe_wrong_id(cohort_id)
        raise ConfigurationError(f"{problem}\n{advice} Correct cohort_id.")
    return cohort_id


def _path_part(request_id: str) -> str:
    return quote(request_id, safe="").replace(".", "%2E")
