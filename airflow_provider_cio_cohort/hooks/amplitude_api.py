"""
Amplitude's cohort API: where it is, and what its answers mean.

Shared by the hook (``requests``) and the trigger (``aiohttp``). Vendor facts: Amplitude's "Behavioral
Cohorts API" reference, and answers recorded by third parties where it is silent.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    ConfigurationError,
    ExportFailedError,
    PlanError,
    RateLimitedError,
    UnknownCohortError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.api import Answer, Api, said
from airflow_provider_cio_cohort.hooks.connection import base_url_of, key_of, region_of

DEFAULT_CONN_ID = "amplitude_default"
HOSTS = {"us": "https://amplitude.com", "eu": "https://analytics.eu.amplitude.com"}

_COHORT_ID = re.compile(r"[A-Za-z0-9_-]+")
_WORDS_OF_A_PLAN = re.compile(
    r"\b(plan|upgrade|paid|subscription|enterprise|growth|not (?:enabled|available))\b", re.I
)
_IN_PROGRESS = re.compile(r"PROGRESS|PENDING|QUEUED|RUNNING|STARTED")


class AmplitudeApi(Api):
    """
    Amplitude, as one connection sees it.

    :param connection: the Airflow connection: API key, secret key, host.
    :param extra: its extra, which may name the region.
    :param region: look at this region instead of the connection's.
    """

    def __init__(self, connection: Any, extra: dict[str, Any], region: str | None = None) -> None:
        self.region = region or region_of(connection, extra)
        self.api_key = key_of(connection, connection.login, "API key (field login)")
        self.secret_key = key_of(connection, connection.password, "secret key (field password)")
        self.has_own_host = bool((connection.host or "").strip())
        base_url = base_url_of(connection, connection.host, HOSTS[self.region])
        parts = urlsplit(base_url)
        if self.has_own_host and connection.port and parts.port is None:
            base_url = urlunsplit(parts._replace(netloc=f"{parts.netloc}:{connection.port}"))
        super().__init__("Amplitude", base_url, connection.conn_id, (self.api_key, self.secret_key))

    def detail(self, payload: Any) -> str:
        """Return Amplitude's own words: of the envelope, or of the short form ``{"details": …}``."""
        error = payload.get("error")
        if isinstance(error, dict):
            metadata = error.get("metadata")
            details = metadata.get("details") if isinstance(metadata, dict) else None
            return str(details or error.get("message") or error.get("type") or "")
        return str(payload.get("details") or payload.get("message") or error or "")

    def refused(self, answer: Answer, detail: str, what: str) -> CohortSyncError | None:
        """Tell wrong keys from a plan without the cohort API."""
        place = f"connection {self.conn_id!r}"
        if answer.status in (401, 402, 403):
            if answer.status == 402 or _WORDS_OF_A_PLAN.search(detail):
                return PlanError(
                    f"Amplitude's plan does not let {place} use the cohort API.\n"
                    f"{said(detail)}It takes a Growth or Enterprise plan, or the add-on."
                )
            if "secret" in detail.lower():
                return AuthenticationError(
                    f"Amplitude knows the API key of {place}, but not the secret key (field password).\n"
                    f"{said(detail)}Copy it anew from Amplitude's project settings into the connection."
                )
            return AuthenticationError(
                f"Amplitude does not accept the API key (field login) of {place}.\n"
                f"{said(detail)}Check the key, and that the project is in the region {self.region}."
            )
        if 300 <= answer.status < 400:
            return WrongRegionError(
                f"{self.base_url} answered {what} with a redirect, as no Amplitude API does.\n"
                f"Check the host and the region of {place} ({self.region})."
            )
        return None

    def export_path(self, cohort_id: str) -> str:
        """Return the path that starts an export."""
        return f"/api/5/cohorts/request/{cohort_path_part(cohort_id)}"

    def status_path(self, request_id: str) -> str:
        """Return the path that tells how far an export is."""
        return f"/api/5/cohorts/request-status/{_path_part(request_id)}"

    def file_path(self, request_id: str) -> str:
        """Return the path of an export's file."""
        return f"/api/5/cohorts/request/{_path_part(request_id)}/file"

    def read_status(self, answer: Answer) -> bool:
        """
        Say whether an export is finished.

        The status code is what counts (202 in progress, 200 completed); the text, which has been seen in
        two spellings, is read loosely, and anything that neither knows is a failure.

        :param answer: the answer of the status call.
        :raises ExportFailedError: if Amplitude gave the export up or does not know it.
        :raises CohortSyncError: if the answer is none.
        """
        what = "asking how far an export is"
        if answer.status == 404 or "no job exists" in self.words(answer).lower():
            raise ExportFailedError(
                "Amplitude no longer knows the export that was requested.\n"
                f"A retry requests a new one (connection {self.conn_id!r})."
            )
        error = self.judge(answer, what)
        if isinstance(error, RateLimitedError):
            return False  # here a 429 only means: keep polling
        if error:
            raise error
        payload = answer.payload if isinstance(answer.payload, dict) else {}
        text = re.sub(r"[^A-Z]", "", str(payload.get("async_status", "")).upper())
        completed = text in ("", "SUCCESS") or (text.endswith("COMPLETED") and "NOT" not in text)
        if answer.status == 200 and completed:
            return True
        if _IN_PROGRESS.search(text) or (answer.status == 202 and completed):
            return False
        raise ExportFailedError(
            f"Amplitude ended the export with HTTP {answer.status}, status {text[:40] or 'none'}.\n"
            f"A retry requests a new one (connection {self.conn_id!r})."
        )

    def unknown_cohort(self, cohort_id: str) -> UnknownCohortError:
        """Return the error for a cohort that this project does not have."""
        return UnknownCohortError(
            f"Amplitude has no cohort {cohort_id!r} in the project of connection {self.conn_id!r}.\n"
            "Correct cohort_id, the last part of the cohort's address in Amplitude, or amplitude_conn_id; "
            "`airflow cohort-sync cohorts` lists those that can be seen."
        )


def cohort_path_part(cohort_id: str) -> str:
    """
    Return a cohort id that is safe in a path.

    :param cohort_id: 7 or 8 lowercase letters and digits, as Amplitude makes them.
    :raises ConfigurationError: if it is no id.
    """
    if not _COHORT_ID.fullmatch(cohort_id):
        raise ConfigurationError(
            f"{cohort_id!r} is no cohort id: those are letters and digits, such as 'a1b2c3d'.\n"
            "Correct cohort_id: it is the last part of the cohort's address in Amplitude."
        )
    return cohort_id


def _path_part(request_id: str) -> str:
    return quote(request_id, safe="").replace(".", "%2E")
