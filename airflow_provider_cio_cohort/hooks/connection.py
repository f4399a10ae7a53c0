"""Reads and checks what the hooks need from an Airflow connection, with its proxies and certificates."""

from __future__ import annotations

import base64
import difflib
import json
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from requests import PreparedRequest, RequestException, Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_cio_cohort.exceptions import ConfigurationError

REGIONS = ("us", "eu")
#: The types of our connections, and the parameter that names one.
PARAMETERS = {"amplitude": "amplitude_conn_id", "customer_io": "customer_io_conn_id"}
#: Fields and keys of the extra that hold text. A number in their place may have lost digits.
_TEXT_FIELDS = ("login", "password", "host", "schema")
_TEXT_KEYS = ("app_api_key", "region", "organization", "track_base_url", "app_base_url")


def check_connection(connection: Any, conn_type: str, known: Sequence[str]) -> Any:
    """
    Return a connection of the right type whose extra has no unknown key and whose text fields hold text.

    This comes before any key is read: the keys of one vendor must not be sent to the other.

    :param connection: the Airflow connection.
    :param conn_type: the type that is expected.
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

    :param connection: the Airflow connection.
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

    :param connection: the Airflow connection.
    :param value: the field's value.
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
    :param field: the field's name.
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
    if flaw := _flaw_of(address):
        raise ConfigurationError(
            f"The address in {field} of connection {connection.conn_id!r} {flaw}.\n"
            "Write a host, or a URL such as https://proxy.example.com:8443."
        )
    return address.rstrip("/")


def _flaw_of(address: str) -> str:
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
    """
    Return every key of a connection, and the Basic header that is made of it.

    :param connection: the Airflow connection.
    :param extra: its extra.
    """
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


_LONGEST_TIMEOUT = 86_400.0
#: Keys of an extra for the HTTP client; ``proxy`` and ``verify_ssl`` are synonyms of the first two.
HTTP_KEYS = ("proxies", "verify", "cert", "timeout", "trust_env", "proxy", "verify_ssl")


@dataclass(frozen=True)
class HttpOptions:
    """
    A connection's options for the HTTP client.

    :param proxies: addresses of proxies by the scheme of what is called.
    :param verify: whether a server's certificate is checked; or the path of those that are trusted.
    :param cert: the path of a client certificate, or those of a certificate and its key.
    :param timeout: seconds to wait for the next bytes; ``None`` for the time-out of the settings.
    :param trust_env: whether proxies and certificates of the environment count.
    """

    proxies: dict[str, str] = field(default_factory=dict)
    verify: bool | str = True
    cert: str | tuple[str, ...] | None = None
    timeout: float | None = None
    trust_env: bool = True


def http_options(connection: Any, extra: dict[str, Any]) -> HttpOptions:
    """
    Return the options for the HTTP client; no other key of the extra reaches it, nor becomes a header.

    The keys are those of Airflow's HTTP provider. A connection that is written as a URI can only hold
    text, so each value may be text.

    :param connection: the Airflow connection, to name it.
    :param extra: its extra.
    :raises ConfigurationError: if the client cannot use a value.
    """
    given = {name: value for name, value in extra.items() if value not in (None, "")}
    options: dict[str, Any] = {}
    proxies = given.get("proxies", given.get("proxy"))
    if proxies is not None:
        options["proxies"] = _proxies(connection, proxies)
    verify = given.get("verify", given.get("verify_ssl"))
    if verify is not None:
        options["verify"] = _verify(connection, verify)
    if "cert" in given:
        options["cert"] = _cert(connection, given["cert"])
    if "trust_env" in given:
        options["trust_env"] = _trust_env(connection, given["trust_env"])
    if "timeout" in given:
        options["timeout"] = _seconds(connection, given["timeout"])
    return HttpOptions(**options)


def environment_of(session: Session, url: str) -> dict[str, Any]:
    """
    Return proxies and certificates for an address, of a session and of the environment, for ``requests``.

    Left to itself, requests lets the environment win over the session.

    :param session: the session, as the connection has it.
    :param url: the address.
    :raises ConfigurationError: if the environment names a proxy that neither client can use.
    """
    merged = session.merge_environment_settings(url, session.proxies, None, session.verify, session.cert)
    proxy = select_proxy(url, merged["proxies"])
    if proxy and (flaw := _flaw_of(_with_scheme(proxy))):
        raise ConfigurationError(  # a connection's own was checked when it was read
            f"The environment's proxy for {urlsplit(url).hostname} {flaw}.\n{_HOW_PROXIES}, in HTTPS_PROXY, "
            "HTTP_PROXY or ALL_PROXY of the environment; or set trust_env: false in the connection's extra."
        )
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def aiohttp_options(session: Session, url: str, conn_id: str) -> dict[str, Any]:
    """
    Return the same as the arguments of a request of ``aiohttp``; reads the files of certificates.

    :param session: the session, as the connection has it.
    :param url: the address.
    :param conn_id: the connection, for messages.
    :raises ConfigurationError: if the environment names a proxy that no client can use, or a certificate
        cannot be read.
    """
    given, options = environment_of(session, url), dict[str, Any]()
    if proxy := select_proxy(url, given["proxies"]):
        options["proxy"] = _with_scheme(proxy)
    if url.startswith("https"):
        try:
            options["ssl"] = _context(given["verify"], given["cert"])
        except OSError as error:  # such as an ssl.SSLError
            raise ConfigurationError(
                f"The TLS certificates for connection {conn_id!r} cannot be read ({type(error).__name__}).\n"
                "Correct verify or cert in the connection's extra, or REQUESTS_CA_BUNDLE in the environment."
            ) from None
    return options


_HOW_PROXIES = (
    "Write http://host:port or https://host:port, with a password's special characters percent-encoded"
)
_PROXY_KEY = re.compile(r"(http|https|all)(://[^/\s]+)?|no_proxy")


def _proxies(connection: Any, value: Any) -> dict[str, str]:
    value = _unpacked(value)
    proxies = {"http": value, "https": value} if isinstance(value, str) else value
    if not isinstance(proxies, dict):
        raise _wrong(connection, "proxies", "an address, or addresses by scheme")
    proxies = {key: proxy for key, proxy in proxies.items() if proxy not in (None, "")}
    if not all(isinstance(proxy, str) for proxy in proxies.values()):
        raise _wrong(connection, "proxies", "an address, or addresses by scheme")
    for key, proxy in proxies.items():
        if not _PROXY_KEY.fullmatch(key):
            raise _wrong(connection, "proxies", "an address, or addresses by scheme: http, https or all")
        flaw = "" if key == "no_proxy" else _flaw_of(_with_scheme(proxy))
        if flaw:
            raise ConfigurationError(
                f"The proxy in the extra of connection {connection.conn_id!r} {flaw}.\n"
                f"{_HOW_PROXIES}, in the key proxies."
            )
    return proxies


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"


def _unpacked(value: Any) -> Any:
    """Return what a text holds in JSON: the extra of a connection that is written as a URI is only text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _verify(connection: Any, value: Any) -> bool | str:
    flag = _flag(value)
    if flag is not None:
        return flag
    if isinstance(value, str) and Path(value).exists():
        return value
    raise _wrong(connection, "verify", "true, false, or the path of a file with certificates that exists")


def _cert(connection: Any, value: Any) -> str | tuple[str, ...]:
    value = _unpacked(value)
    paths = [value] if isinstance(value, str) else value
    usable = isinstance(paths, list | tuple) and 1 <= len(paths) <= 2
    if usable and all(isinstance(path, str) and Path(path).is_file() for path in paths):
        return value if isinstance(value, str) else tuple(paths)
    raise _wrong(connection, "cert", "the path of a file that exists, or those of a certificate and its key")


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def _trust_env(connection: Any, value: Any) -> bool:
    flag = _flag(value)
    if flag is None:
        raise _wrong(connection, "trust_env", "true or false")
    return flag


def number_in(value: Any, least: float, most: float) -> float | None:
    """
    Return a number of an extra, which may be text; ``None`` if it is none within the bounds.

    :param value: the value of a key.
    :param least: the least number that is allowed.
    :param most: the greatest one.
    """
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if least <= number <= most else None


def _seconds(connection: Any, value: Any) -> float:
    seconds = number_in(value, 0.001, _LONGEST_TIMEOUT)
    if seconds is None:
        raise _wrong(connection, "timeout", "a number of seconds above 0 and up to 86400")
    return seconds


def _wrong(connection: Any, name: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} in the extra of connection {connection.conn_id!r} has a wrong value.\n"
        f"Correct it: it must be {expected}."
    )


def _context(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    # As in requests, only these are trusted, not the system's certificates as well.
    place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    folder = Path(place).is_dir()
    context = ssl.create_default_context(cafile=None if folder else place, capath=place if folder else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    return context
