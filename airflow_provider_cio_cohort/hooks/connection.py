"""What the hooks read from an Airflow connection."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_cio_cohort.exceptions import ConfigurationError

REGIONS = ("us", "eu")


def key_of(connection: Any, value: str | None, field: str) -> str:
    """
    Return a key from a connection.

    :param connection: the Airflow connection.
    :param value: the field's value.
    :param field: what the connection form calls it.
    :raises ConfigurationError: if it is missing or holds what no key can.
    """
    key = (value or "").strip()
    if not key:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has no {field}.\nEnter it where the connection is defined."
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            f"The {field} of connection {connection.conn_id!r} holds characters no key has.\n"
            "Copy it anew from the vendor into the connection."
        )
    return key


def base_url_of(connection: Any, address: str | None, default: str) -> str:
    """
    Return the base URL that a connection field asks for.

    :param connection: the Airflow connection; its schema counts where ``address`` has no scheme.
    :param address: a host or a URL; empty for ``default``.
    :param default: the region's base URL.
    :raises ConfigurationError: if it holds credentials or a query.
    """
    address = (address or "").strip().rstrip("/")
    if not address:
        return default
    if "://" not in address:
        address = f"{connection.schema or 'https'}://{address}"
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"An address of connection {connection.conn_id!r} holds credentials or a query.\n"
            "Keys belong into their own fields: leave only scheme, host and port in the address."
        )
    return address


def secrets_of(connection: Any, extra: dict[str, Any]) -> list[str]:
    """
    Return every key of a connection, and the Basic header that is made of it.

    :param connection: the Airflow connection.
    :param extra: its extra.
    """
    login, password = (connection.login or "").strip(), (connection.password or "").strip()
    app_key = str(extra.get("app_api_key") or "").strip()
    return [secret for secret in (login, password, _base64(login, password), app_key) if secret]


def basic_header(user: str, password: str) -> str:
    """Return the Authorization header of HTTP Basic."""
    return f"Basic {_base64(user, password)}"


def _base64(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def region_of(connection: Any, extra: dict[str, Any]) -> str:
    """
    Return the region that a connection names, ``us`` if it names none.

    :param connection: the Airflow connection.
    :param extra: its extra.
    :raises ConfigurationError: if there is no such region.
    """
    region = str(extra.get("region") or "us").strip().lower()
    if region not in REGIONS:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} names the region {region!r}, "
            f"not one of {', '.join(REGIONS)}.\nCorrect the connection's region."
        )
    return region


def other_region(region: str) -> str:
    """Return the region that is not ``region``."""
    return "eu" if region == "us" else "us"
