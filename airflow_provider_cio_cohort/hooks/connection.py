"""Reads and checks what the hooks need from an Airflow connection."""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Sequence
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from requests import PreparedRequest, RequestException

from airflow_provider_cio_cohort.compatibility import AirflowException
from airflow_provider_cio_cohort.exceptions import ConfigurationError

#: What connections call the regions, besides ``us`` and ``eu``. Airflow takes every text of an extra for a
#: secret when it reads a connection, and begins a task's log with a warning of one that is too short to mask.
_LONG_NAMES = {"us": "united states", "eu": "europe"}
#: The types of our connections, and the parameter that names one.
PARAMETERS = {"amplitude": "amplitude_conn_id", "customer_io": "customer_io_conn_id"}
#: Fields and keys of the extra that hold text. A number in their place may have lost digits.
_TEXT_FIELDS = ("login", "password", "host", "schema")
_TEXT_KEYS = ("app_api_key", "region", "organization", "track_base_url", "app_base_url")


def check_connection(connection: Any, conn_type: str, known: Sequence[str]) -> Any:
    """
    Return a connection of the right type whose extra has no unknown key and whose text fields hold text.

    This comes before any key is read: the keys of one vendor must not be sent to the other.

    :param known: the keys that its extra may have.
    :return: the connection, read anew if its URI begins with ``customer_io://``.
    :raises ConfigurationError: if it is of another type, its extra is not a JSON object or has an unknown
        key, or what must be text is something else.
    """
    connection = _with_its_type(connection)
    found = (connection.conn_type or "").strip().lower().replace("-", "_")
    if found != conn_type:
        raise _wrong_type(connection, found, conn_type)
    check_text_fields(connection)
    extra = _extra_of(connection)
    unknown = [key for key, value in extra.items() if key not in known and value not in (None, "")]
    if unknown:
        keys = " and ".join(_with_suggestion(key, known) for key in unknown)
        raise ConfigurationError(
            f"The extra of connection {connection.conn_id!r} has an unknown key: {keys}.\n"
            f"Correct or remove it. The keys are {', '.join(known)}."
        )
    for name in _TEXT_KEYS:
        _check_text(connection, f"{name} in the extra", extra.get(name))
    return connection


def check_text_fields(connection: Any) -> None:
    """
    Check that keys and addresses are text; a connection in JSON may hold numbers.

    :raises ConfigurationError: if a field is something else.
    """
    for name in _TEXT_FIELDS:
        _check_text(connection, f"The field {name}", getattr(connection, name, None))


def _check_text(connection: Any, place: str, value: Any) -> None:
    if value is None or isinstance(value, str):
        return
    raise ConfigurationError(
        f"{place} of connection {connection.conn_id!r} is {_kind(value)}, not text.\n"
        "Put it in quotes where the connection is defined: a number may have lost digits."
    )


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list) else "an object"


def _with_its_type(connection: Any) -> Any:
    """
    Read a connection whose URI begins with ``customer_io://`` as Airflow reads ``customer-io://``.

    An underscore is not allowed in the scheme of a URI, so Airflow takes the whole of it for a path.
    """
    path = connection.schema if not connection.conn_type and isinstance(connection.schema, str) else ""
    conn_type = next((kind for kind in PARAMETERS if "_" in kind and path.startswith(f"{kind[1:]}//")), None)
    if conn_type is None:
        return connection
    user, _, place = path.removeprefix(f"{conn_type[1:]}//").rpartition("@")
    login, _, password = user.partition(":")
    host, _, schema = place.partition("/")
    host, _, port = host.partition(":")
    return type(connection)(
        conn_id=connection.conn_id,
        conn_type=conn_type,
        host=host,
        schema=schema,
        login=login,
        password=password,
        port=int(port) if port.isascii() and port.isdigit() else None,
        extra=connection.extra,
    )


def _wrong_type(connection: Any, found: str, conn_type: str) -> ConfigurationError:
    parameter, other = PARAMETERS.get(conn_type, "the parameter"), PARAMETERS.get(found)
    if other:
        advice = f"{parameter} and {other} look swapped: name each vendor's connection in its own parameter"
    else:
        advice = f"Name a connection of type {conn_type} in {parameter}, or correct the connection's type"
    kind = f"is of type {found!r}" if found else "has no type"
    return ConfigurationError(
        f"Connection {connection.conn_id!r} {kind}; it must be {conn_type!r}.\n"
        f"None of its keys was used. {advice}."
    )


def _extra_of(connection: Any) -> dict[str, Any]:
    """Return the extra; Airflow returns an empty one if it cannot parse it."""
    text = connection.extra
    try:
        extra = json.loads(text) if text else {}
    except (TypeError, ValueError):
        extra = None
    if isinstance(extra, dict):
        return extra
    twice = isinstance(extra, str)
    found = ", but text: it was encoded twice" if twice else ", but a list" if isinstance(extra, list) else ""
    raise ConfigurationError(
        f"The extra of connection {connection.conn_id!r} is not a JSON object{found}.\n"
        'Correct it: it is written as {"region": "us"}.'
    )


def _with_suggestion(key: str, known: Sequence[str]) -> str:
    shown = repr(key if len(key) <= 40 else f"{key[:40]}…")
    close = difflib.get_close_matches(key.strip().lower(), known, 1)
    return f"{shown} (did you mean {close[0]!r}?)" if close else shown


def key_of(connection: Any, value: str | None, field: str) -> str:
    """
    Return a key from a connection.

    :param field: what the connection form calls it.
    :raises ConfigurationError: if it is missing or has characters that no key has.
    """
    key = (value or "").strip()
    if not key:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} has no {field}.\nEnter it where the connection is defined."
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError(
            f"The {field} of connection {connection.conn_id!r} has characters that no key has.\n"
            "Copy it again from the vendor into the connection."
        )
    return key


def base_url_of(
    connection: Any, field: str, address: str | None, default: str, port: int | str | None = None
) -> str:
    """
    Return the base URL that a connection field asks for.

    :param connection: the Airflow connection; its schema counts where ``address`` has no scheme.
    :param address: a host or a URL; empty for ``default``.
    :param default: the region's base URL.
    :param port: the port where ``address`` names none; ``None`` for the scheme's own.
    :raises ConfigurationError: if it is not an address, or contains credentials or a query.
    """
    address = (address or "").strip()
    if not address:
        return default
    if "://" not in address:
        address = f"{(connection.schema or '').strip() or 'https'}://{address}"
    try:
        parts = urlsplit(address)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(
                f"An address of connection {connection.conn_id!r} contains credentials or a query.\n"
                "Keys belong in their own fields: leave only scheme, host and port in the address."
            )
        if port and parts.port is None:
            address = urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}"))
    except ValueError:  # of a port or an IPv6 address; what is wrong is said below
        pass
    if flaw := flaw_of_url(address):
        raise ConfigurationError(
            f"The address in {field} of connection {connection.conn_id!r} {flaw}.\n"
            "Write a host, or a URL such as https://proxy.example.com:8443."
        )
    return address.rstrip("/")


def flaw_of_url(address: str) -> str:
    """Return what is wrong with a URL of HTTP, none of whose parts is repeated; empty if it is usable."""
    if not address.isprintable() or " " in address:
        return "contains a space or an invisible character"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return f"has an unknown scheme: {parts.scheme[:20]}" if parts.scheme else "has no scheme"
    try:
        has_port = parts.port != 0
    except ValueError:  # not a number; or the rest of a password with a slash
        has_port = False
    if not has_port:
        return "has a port that is not a number from 1 to 65535"
    if not parts.hostname:
        return "has no host"
    try:
        PreparedRequest().prepare_url(address, None)
    except (RequestException, ValueError):
        return "is not a URL"
    return ""


def secrets_of(connection: Any, extra: dict[str, Any]) -> list[str]:
    """Return every key of a connection, and the Basic header that is made of it."""
    login, password = str(connection.login or "").strip(), str(connection.password or "").strip()
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

    :raises ConfigurationError: if there is no such region.
    """
    given = str(extra.get("region") or "us").strip().lower()
    for region, name in _LONG_NAMES.items():
        if given in (region, name):
            return region
    raise ConfigurationError(
        f"Connection {connection.conn_id!r} names the region {given!r}, "
        f"not one of {', '.join(_LONG_NAMES.values())}.\nCorrect the connection's region."
    )


def region_name(region: str) -> str:
    """Return what to write into a connection for a region."""
    return _LONG_NAMES[region]


def other_region(region: str) -> str:
    """Return the region that is not ``region``."""
    return "eu" if region == "us" else "us"


def number_in(value: Any, least: float, most: float) -> float | None:
    """
    Return a number of an extra, which may be text; ``None`` if it is none within the bounds.

    :param least: the least number that is allowed.
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if least <= number <= most else None


# ---- a connection that Airflow does not find


def check_backends(conn_id: str) -> str:
    """
    Say why Airflow cannot read a connection: it reports one that it cannot read as not defined.

    :return: which secrets backend failed, with the kind of its error; empty if none did.
    :raises ConfigurationError: if a secrets backend has it, and what it has is not a connection.
    """
    try:
        from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
    except ImportError:  # not part of Airflow's public interface
        return ""
    failed = ""
    for backend in ensure_secrets_backend_loaded():
        name, connection, problem = type(backend).__name__, None, ""
        try:
            connection = backend.get_connection(conn_id=conn_id)
        except (ValueError, TypeError, AirflowException) as error:
            problem = _flaw_of_definition(error)
        except Exception as error:  # the backend is away, or its own keys are wrong
            failed = failed or f"the secrets backend {name} failed ({type(error).__name__})"
        if connection is not None:
            check_text_fields(connection)
        if problem:  # raised out here, because the cause may show the connection's keys
            raise ConfigurationError(
                f"Connection {conn_id!r} is defined, but Airflow cannot read it.\n"
                f"What {name} has for it {problem}. Write it as JSON, or as a URI whose "
                "special characters are percent-encoded."
            )
    return failed


def _flaw_of_definition(error: Exception) -> str:
    """Return what is wrong with a connection, without any of its values."""
    if isinstance(error, JSONDecodeError):
        return f"is not valid JSON: {error}"
    if "`port`" in str(error):
        return "has a port that is not a number"
    if isinstance(error, TypeError) and (
        found := re.search(r"unexpected keyword argument '(\w+)'", str(error))
    ):
        return f"has a field that connections do not have: {found[1]}"
    return f"is not a connection ({type(error).__name__})"
