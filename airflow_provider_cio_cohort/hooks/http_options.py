"""The proxies, certificates and time-out of a connection, as its extra and the environment set them."""

from __future__ import annotations

import json
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.hooks.connection import flaw_of_url, number_in

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
    :raises ConfigurationError: if the environment names a proxy that neither client can use.
    """
    merged = session.merge_environment_settings(url, session.proxies, None, session.verify, session.cert)
    proxy = select_proxy(url, merged["proxies"])
    if proxy and (flaw := flaw_of_url(_with_scheme(proxy))):
        raise ConfigurationError(  # a connection's own was checked when it was read
            f"The environment's proxy for {urlsplit(url).hostname} {flaw}.\n{_HOW_PROXIES}, in HTTPS_PROXY, "
            "HTTP_PROXY or ALL_PROXY of the environment; or set trust_env: false in the connection's extra."
        )
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def aiohttp_options(session: Session, url: str, conn_id: str) -> dict[str, Any]:
    """
    Return the same as the arguments of a request of ``aiohttp``; reads the files of certificates.

    :param session: the session, as the connection has it.
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
        flaw = "" if key == "no_proxy" else flaw_of_url(_with_scheme(proxy))
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
