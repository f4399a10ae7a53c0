"""
Customer.io's Track and App APIs: where they are, and what their answers mean.

Vendor facts: Customer.io's OpenAPI descriptions of the Track and App APIs, and answers recorded by its
own SDKs' tests.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_cio_cohort.exceptions import (
    AuthenticationError,
    CohortSyncError,
    ConfigurationError,
    WrongRegionError,
)
from airflow_provider_cio_cohort.hooks.api import Answer, Api, said
from airflow_provider_cio_cohort.hooks.connection import base_url_of, key_of, other_region, region_of

DEFAULT_CONN_ID = "customer_io_default"
TRACK_HOSTS = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}
APP_HOSTS = {"us": "https://api.customer.io", "eu": "https://api-eu.customer.io"}
DEFAULT_REQUESTS_PER_SECOND = 100.0


class _CustomerIOApi(Api):
    #: What a message calls its keys: for a pager, and with the fields of the connection.
    keys, fields = "", ""
    page_statuses = (400, 401, 403, 404, 407)

    def __init__(
        self, name: str, base_url: str, connection: Any, region: str, secrets: tuple[str, ...]
    ) -> None:
        super().__init__(name, base_url, connection.conn_id, secrets)
        self.region = region

    def refused(self, answer: Answer, detail: str, what: str) -> CohortSyncError | None:
        """Name the wrong key or the wrong region."""
        place = f"connection {self.conn_id!r}"
        if 300 <= answer.status < 400:
            # A client that follows it would turn a POST into a GET without our key, and report success.
            return WrongRegionError(
                f"{self.name} sends {place} to another data centre than that of region {self.region!r}.\n"
                f"{said(detail)}Set the connection's region to {other_region(self.region)}."
            )
        if answer.status == 401:
            return AuthenticationError(
                f"{self.name} does not accept {self.keys} of {place}.\n"
                f"{said(detail)}Copy the {self.fields} anew from Customer.io into the connection, "
                f"and check that the workspace is in the region {self.region}."
            )
        if answer.status == 403:
            return AuthenticationError(
                f"{self.name} does not let {self.keys} do this: {what}.\n"
                f"{said(detail)}Check in Customer.io what the {self.fields} of {place} may do, and from "
                "which IP addresses."
            )
        return None


class TrackApi(_CustomerIOApi):
    """
    The Track API, which changes who is in a segment.

    :param connection: the Airflow connection: Site ID and Tracking API key.
    :param extra: its extra: region, ``track_base_url``.
    """

    keys = "the Site ID and Tracking API key"
    fields = "Site ID (field login) and Tracking API key (field password)"

    def __init__(self, connection: Any, extra: dict[str, Any]) -> None:
        region = region_of(connection, extra)
        self.site_id = key_of(connection, connection.login, "Site ID (field login)")
        self.api_key = key_of(connection, connection.password, "Tracking API key (field password)")
        base_url = base_url_of(connection, extra.get("track_base_url"), TRACK_HOSTS[region])
        super().__init__(
            "Customer.io's Track API", base_url, connection, region, (self.site_id, self.api_key)
        )

    def detail(self, payload: Any) -> str:
        """Return the words in ``meta``: one error, or a list of them."""
        meta = payload.get("meta")
        if not isinstance(meta, dict):
            return ""
        errors = meta.get("errors")
        return "; ".join(map(str, errors)) if isinstance(errors, list) else str(meta.get("error") or "")


class AppApi(_CustomerIOApi):
    """
    The App API, which lists segments and their members.

    :param connection: the Airflow connection.
    :param extra: its extra: ``app_api_key``, region, ``app_base_url``.
    """

    keys = "the App API key"
    fields = "App API key (field app_api_key)"

    def __init__(self, connection: Any, extra: dict[str, Any]) -> None:
        region = region_of(connection, extra)
        self.api_key = key_of(connection, extra.get("app_api_key"), "App API key (field app_api_key)")
        base_url = base_url_of(connection, extra.get("app_base_url"), APP_HOSTS[region])
        super().__init__("Customer.io's App API", base_url, connection, region, (self.api_key,))

    def detail(self, payload: Any) -> str:
        """Return the words of the ``errors`` list."""
        errors = payload.get("errors")
        if not isinstance(errors, list):
            return str(payload.get("error") or "")
        return "; ".join(str(e.get("detail") or e.get("code") or "") for e in errors if isinstance(e, dict))


def tasks_at_once(connection: Any, extra: dict[str, Any]) -> int:
    """
    Return how many tasks may be at work on the workspace at once; each gets that part of its pace.

    :param connection: the Airflow connection.
    :param extra: its extra: ``tasks_at_once``.
    :raises ConfigurationError: if it is no whole number above 0.
    """
    value = extra.get("tasks_at_once")
    if value in (None, ""):
        return 1
    text = "" if isinstance(value, bool) else str(value).strip()
    tasks = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if tasks == 0:
        raise ConfigurationError(
            f"tasks_at_once of connection {connection.conn_id!r} must be a whole number above 0.\n"
            "Correct it in the connection, or leave the field empty."
        )
    return tasks


def pace_of(connection: Any, extra: dict[str, Any], whole: float | None = None) -> float:
    """
    Return how many requests a second an API is to get from a task.

    :param connection: the Airflow connection.
    :param extra: its extra: ``tasks_at_once``, and for the Track API ``requests_per_second``.
    :param whole: requests a second that the tasks share; ``None`` for those of the Track API.
    :raises ConfigurationError: if one of the extra's is no number above 0.
    """
    whole = _requests_per_second(connection, extra) if whole is None else whole
    return whole / tasks_at_once(connection, extra)


def _requests_per_second(connection: Any, extra: dict[str, Any]) -> float:
    value = extra.get("requests_per_second")
    if value in (None, ""):
        return DEFAULT_REQUESTS_PER_SECOND
    try:
        pace = float(value)
    except (TypeError, ValueError):
        pace = 0.0
    if not 0 < pace <= 100_000:
        raise ConfigurationError(
            f"requests_per_second of connection {connection.conn_id!r} must be a number above 0.\n"
            "Correct it in the connection, or leave the field empty."
        )
    return pace
