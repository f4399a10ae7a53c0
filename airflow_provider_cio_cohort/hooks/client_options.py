"""From what ``requests`` takes for proxies and TLS to what ``aiohttp`` takes."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from airflow_provider_cio_cohort.exceptions import ConfigurationError


def environment_of(session: Session, url: str) -> dict[str, Any]:
    """
    Return proxies and certificates for an address, of a session and of the environment.

    Left to itself, requests lets the environment win over the session.

    :param session: the session, as the connection has it.
    :param url: the address.
    """
    merged = session.merge_environment_settings(url, session.proxies, None, session.verify, session.cert)
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def client_options(url: str, given: Mapping[str, Any], conn_id: str) -> dict[str, Any]:
    """
    Return what a request of ``aiohttp`` to an address takes; reads the files of certificates.

    :param url: the address.
    :param given: what :func:`environment_of` returned.
    :param conn_id: the connection, for messages.
    :raises ConfigurationError: if the proxy is of a kind that ``aiohttp`` does not know.
    """
    options: dict[str, Any] = {}
    if proxy := select_proxy(url, given["proxies"]):
        options["proxy"] = proxy if "://" in proxy else f"http://{proxy}"
        scheme = urlsplit(options["proxy"]).scheme
        if scheme not in ("http", "https"):
            raise ConfigurationError(
                f"The proxy for connection {conn_id!r} is of an unknown kind: {scheme}.\n"
                "Name one of http or https, in proxies of the connection's extra or in the environment."
            )
    if url.startswith("https"):
        options["ssl"] = _context(given["verify"], given["cert"])
    return options


def _context(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    # Only these are trusted, as requests does it: not the system's beside them.
    place = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    folder = Path(place).is_dir()
    context = ssl.create_default_context(cafile=None if folder else place, capath=place if folder else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    return context
