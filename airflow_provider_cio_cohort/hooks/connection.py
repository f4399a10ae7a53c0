"""Reads and checks what the hooks need from an Airflow connection, with its proxies and certificates."""

from __future__ import annotations

import base64
import difflib
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_cio_cohort.exceptions import ConfigurationError

REGIONS = ("us", "eu")
#: The types of our connections, and the parameter that names one.
PARAMETERS = {"amplitude": "amplitude_conn_id", "customer_io": "customer_io_conn_id"}


def check_connection(connection: Any, conn_type: str, known: Sequence[str]) -> None:
    """
    Check that a connection is of the right type, and that its extra has no unknown key.

    This comes before any key is read: the keys of one vendor must not be sent to the other.

    :param connection: the Airflow connection.
    :param conn_type: the type that is expected.
    :param known: the keys that its extra may have.
    :raises ConfigurationError: if it is of another type, or its extra is not a JSON object or has an unknown
        key.
    """
    found = (connection.conn_type or "").strip().lower().replace("-", "_")
    if found != conn_type:
        raise _wrong_type(connection, found, conn_type)
    extra = _extra_of(connection)
    unknown = [key for key, value in extra.items() if key not in known and value not in (None, "")]
    if unknown:
        keys = " and ".join(_with_suggestion(key, known) for key in unknown)
        raise ConfigurationError(
            f"The extra of connection {connection.conn_id!r} has an unknown key: {keys}.\n"
            f"Correct or remove it. The keys are {', '.join(known)}."
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
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(
            f"The extra of connection {connection.conn_id!r} is not a JSON object.\n"
            'Correct it: it is written as {"region": "us"}.'
        )
    return extra


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


def base_url_of(connection: Any, address: str | None, default: str) -> str:
    """
    Return the base URL that a connection field asks for.

    :param connection: the Airflow connection; its schema counts where ``address`` has no scheme.
    :param address: a host or a URL; empty for ``default``.
    :param default: the region's base URL.
    :raises ConfigurationError: if it contains credentials or a query.
    """
    address = (address or "").strip().rstrip("/")
    if not address:
        return default
    if "://" not in address:
        address = f"{connection.schema or 'https'}://{address}"
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"An address of connection {connection.conn_id!r} contains credentials or a query.\n"
            "Keys belong in their own fields: leave only scheme, host and port in the address."
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
        options["trust_env"] = _flag(given["trust_env"]) is not False
    if "timeout" in given:
        options["timeout"] = _seconds(connection, given["timeout"])
    return HttpOptions(**options)


def environment_of(session: Session, url: str) -> dict[str, Any]:
    """
    Return proxies and certificates for an address, of a session and of the environment, for ``requests``.

    Left to itself, requests lets the environment win over the session.

    :param session: the session, as the connection has it.
    :param url: the address.
    """
    merged = session.merge_environment_settings(url, session.proxies, None, session.verify, session.cert)
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def aiohttp_options(session: Session, url: str, conn_id: str) -> dict[str, Any]:
    """
    Return the same as the arguments of a request of ``aiohttp``; reads the files of certificates.

    :param session: the session, as the connection has it.
    :param url: the address.
    :param conn_id: the connection, for messages.
    :raises ConfigurationError: if ``aiohttp`` does not support the proxy's scheme, or a certificate cannot
        be read.
    """
    given, options = environment_of(session, url), dict[str, Any]()
    if proxy := select_proxy(url, given["proxies"]):
        options["proxy"] = proxy if "://" in proxy else f"http://{proxy}"
        scheme = urlsplit(options["proxy"]).scheme
        if scheme not in ("http", "https"):
            raise ConfigurationError(
                f"The proxy for connection {conn_id!r} has an unknown scheme: {scheme}.\n"
                "Use http or https, in proxies of the connection's extra or in the environment."
            )
    if url.startswith("https"):
        try:
            options["ssl"] = _context(given["verify"], given["cert"])
        except OSError as error:  # such as an ssl.SSLError
            raise ConfigurationError(
                f"The TLS certificates for connection {conn_id!r} cannot be read ({type(error).__name__}).\n"
                "Correct verify or cert in the connection's extra, or REQUESTS_CA_BUNDLE in the environment."
            ) from None
    return options


def _proxies(connection: Any, value: Any) -> dict[str, str]:
    if isinstance(value, str):
        return {"http": value, "https": value}
    if isinstance(value, dict) and all(isinstance(proxy, str) for proxy in value.values()):
        return value
    raise _wrong(connection, "proxies", "an address, or addresses by scheme")


def _verify(connection: Any, value: Any) -> bool | str:
    flag = _flag(value)
    if flag is not None:
        return flag
    if isinstance(value, str) and Path(value).exists():
        return value
    raise _wrong(connection, "verify", "true, false, or the path of a file with certificates that exists")


def _cert(connection: Any, value: Any) -> str | tuple[str, ...]:
    paths = [value] if isinstance(value, str) else value
    usable = isinstance(paths, list | tuple) and 1 <= len(paths) <= 2
    if usable and all(isinstance(path, str) and Path(path).is_file() for path in paths):
        return value if isinstance(value, str) else tuple(paths)
    raise _wrong(connection, "cert", "the path of a file that exists, or those of a certificate and its key")


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def _seconds(connection: Any, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise _wrong(connection, "timeout", "a number of seconds above 0")
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
