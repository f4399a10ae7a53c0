"""
Keeps the secrets of a notifier out of the logs.

The address of a webhook is often its only secret: Slack, Teams and others put a token into the path or the
query. Errors of HTTP clients quote it, and Airflow masks only passwords and extras of connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from airflow.sdk import BaseHook, BaseNotifier
from airflow.sdk.log import mask_secret

from airflow_provider_cio_cohort.compatibility import amask_secret, get_async_connection

_HIDDEN = "***"
_LONGEST = 500
#: A path or a query, the host before it, and a user name and password before that.
_ADDRESS = re.compile(r"(https?://)?(?:[^\s/?'\"<>()]*@)?([^\s/?'\"<>()@]*)[/?][^\s'\"<>]*")
_EMAIL = re.compile(r"[^\s@\"'<>,;:=&?/(){}]+@[^\s@\"'<>,;&?/(){}]+")
#: The names of arguments that hold an address or a key.
_ADDRESS_ARGUMENT = re.compile(r"endpoint|url|uri|webhook", re.IGNORECASE)
_KEY_ARGUMENT = re.compile(
    r"token|secret|password|(api|access|routing|integration|service)_?key", re.IGNORECASE
)
_SHORTEST = 5  # Airflow masks nothing shorter


def scrub(text: str, hide: Iterable[str] = ()) -> str:
    """Return the text of an error without paths and queries of addresses, keys and e-mail addresses."""
    for hidden in sorted(hide, key=len, reverse=True):
        text = text.replace(hidden, _HIDDEN)
    text = text[: 4 * _LONGEST]
    text = _ADDRESS.sub(lambda found: f"{found[1] or ''}{found[2]}/{_HIDDEN}", text)
    text = _EMAIL.sub(_HIDDEN, text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def mask(notifier: BaseNotifier, arguments: Mapping[str, Any]) -> list[str]:
    """
    Let Airflow mask the secrets of a notifier in all logs of this process, and return them.

    :param notifier: the notifier, with its templates rendered.
    :param arguments: the arguments that the alert gives it.
    """
    addresses = [_host_of(conn_id) for conn_id in _connections(notifier)]
    hidden = list(_secrets(notifier, arguments, addresses))
    for text in hidden:
        mask_secret(text)
    return hidden


async def mask_async(notifier: BaseNotifier, arguments: Mapping[str, Any]) -> list[str]:
    """
    Do the same in the triggerer, without blocking its loop.

    :param notifier: the notifier, with its templates rendered.
    :param arguments: the arguments that the alert gives it.
    """
    addresses = [await _host_of_async(conn_id) for conn_id in _connections(notifier)]
    hidden = list(_secrets(notifier, arguments, addresses))
    for text in hidden:
        await amask_secret(text)
    return hidden


def _host_of(conn_id: str) -> str:
    try:
        return BaseHook.get_connection(conn_id).host or ""
    except Exception:  # the notifier reports it, if it needs the connection
        return ""


async def _host_of_async(conn_id: str) -> str:
    try:
        return (await get_async_connection(conn_id)).host or ""
    except Exception:  # the notifier reports it, if it needs the connection
        return ""


def _connections(notifier: BaseNotifier) -> list[str]:
    named = (value for name, value in vars(notifier).items() if name.endswith("conn_id"))
    return [value for value in named if isinstance(value, str) and value]


def _secrets(notifier: BaseNotifier, arguments: Mapping[str, Any], addresses: Iterable[str]) -> Iterator[str]:
    for address in addresses:
        yield from _after_the_host(address.partition("://")[2] or address)
    for name, given in arguments.items():
        value = getattr(notifier, name, given)
        if not isinstance(value, str) or "alert." in str(given):
            continue  # the words of an alert are no secret
        if _KEY_ARGUMENT.search(name) and len(value) >= _SHORTEST:
            yield value
        elif "://" in value:
            yield from _after_the_host(value.partition("://")[2])
        elif _ADDRESS_ARGUMENT.search(name):
            yield from _after_the_host(f"/{value.lstrip('/')}")


def _after_the_host(address: str) -> Iterator[str]:
    """Yield path and query of an address without its scheme, as they are and as a client sends them."""
    start = re.search(r"[/?]", address)
    if start is None:
        return
    whole = address[start.start() :].rstrip("/")
    path, _, query = whole.partition("?")
    parts = {whole, path, *(value for _, value in parse_qsl(query))}
    yield from sorted({each for part in parts for each in (part, quote(part)) if len(each) >= _SHORTEST})
