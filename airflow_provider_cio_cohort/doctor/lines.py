"""
What the doctor reports: a line for each question that it has asked.

Responses and errors become lines; an error is one, too, and hides no other.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from airflow_provider_cio_cohort.compatibility import AirflowNotFoundException
from airflow_provider_cio_cohort.exceptions import CohortSyncError, RetryableError
from airflow_provider_cio_cohort.hooks.api import Api, ApiResponse
from airflow_provider_cio_cohort.hooks.base import VendorHook
from airflow_provider_cio_cohort.hooks.client import ApiClient
from airflow_provider_cio_cohort.hooks.connection import check_backends
from airflow_provider_cio_cohort.hooks.http_options import aiohttp_options, environment_of

#: Seconds by which a clock may differ before it is worth a warning, and before syncs rely on it wrongly.
CLOCK_WARNING, CLOCK_WRONG = 60.0, 300.0
#: How many items a sentence lists at most.
LISTED = 5


class Status(StrEnum):
    """What a line says about the syncs."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    #: The question has no answer: a vendor is down, or an earlier line is wrong.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """
    A line of the report.

    :param name: identifies the question, such as ``customer_io.track_keys``; scripts rely on it.
    :param status: what the line says about the syncs.
    :param seen: what was seen, in a sentence without a key, a person or a cohort's name.
    :param meaning: what that means for syncs; empty if nothing.
    :param advice: what to do; empty if nothing.
    :param facts: the vendor's facts that were seen, by the keys of :data:`.facts.FACTS`: plain values.
    """

    name: str
    status: Status
    seen: str
    meaning: str = ""
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, str]:
        """Return the line as plain data, without its facts."""
        return {
            "name": self.name,
            "status": self.status.value,
            "seen": self.seen,
            "meaning": self.meaning,
            "advice": self.advice,
        }


class Heard(NamedTuple):
    """
    What a vendor answered to a request.

    :param response: the last response, whatever its status; ``None`` if none came.
    :param error: what it means for a run; ``None`` for a successful response.
    :param skew: seconds by which the vendor's clock is ahead of ours; ``None`` if its Date header is missing.
    """

    response: ApiResponse | None
    error: CohortSyncError | None
    skew: float | None


def hear(client: ApiClient[Any], path: str, what: str, params: Mapping[str, Any] | None = None) -> Heard:
    """
    Send a GET with the retries of the hook, and return what came, be it an error.

    :param what: what is being done, for messages.
    """
    response: ApiResponse | None = None
    skew: float | None = None

    def send_once() -> None:
        nonlocal response, skew
        client.rate_limiter.wait(client.transport.cancel_token.wait)
        before = time.time()
        response = client.send("GET", path, what, params=params)
        skew = _skew(response, before, time.time())
        if error := client.api.error_for(response, what):
            raise error

    try:
        client.retried(send_once)
    except CohortSyncError as error:
        return Heard(response, error, skew)
    return Heard(response, None, skew)


def _skew(response: ApiResponse, before: float, after: float) -> float | None:
    """Return by how much a Date header lies outside of the time of the request; it counts whole seconds."""
    value = next((value for name, value in response.headers.items() if name.lower() == "date"), "")
    try:
        date = parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return max(date - after, 0) + min(date + 1 - before, 0)


def failed(name: str, error: CohortSyncError, meaning: str = "") -> Finding:
    """Return the line of a question that an error answers."""
    status = Status.UNKNOWN if isinstance(error, RetryableError) else Status.WRONG
    headline, _, rest = error.own_words.partition("\n")
    return Finding(name, status, headline, meaning, rest)


def not_asked(names: Iterable[str], needed: Finding) -> Iterator[Finding]:
    """
    Yield the lines of questions that need the answer to another one.

    :param needed: the line that is not ok.
    """
    for name in names:
        seen = f"Not asked, because {needed.name} is {needed.status}."
        yield Finding(name, Status.UNKNOWN, seen, advice=f"See {needed.name}.")


def connection_line(name: str, hook: VendorHook, apis: Iterable[str]) -> Finding:
    """
    Return whether a connection can be read, with all of its fields.

    :param apis: the hook's attributes whose reading checks the fields.
    """
    conn_id = hook.http_conn_id
    try:
        regions = {getattr(hook, api).region for api in apis}
    except AirflowNotFoundException:
        add = f"airflow connections add {conn_id} --conn-type {hook.conn_type} …"
        if failing := check_backends(conn_id):
            return Finding(
                name,
                Status.WRONG,
                f"Airflow does not find connection {conn_id!r}, as far as it could look: {failing}.",
                "Syncs fail where it is not found. Tasks reach Airflow's database through the API server; "
                "this command reads it itself.",
                f"Let this command reach that backend; if the connection is not defined, add it: {add}",
            )
        return Finding(
            name,
            Status.WRONG,
            f"Airflow has no connection {conn_id!r} in its database, its environment or a secrets backend.",
            "Syncs that name it fail.",
            f"Add it: {add}",
        )
    except CohortSyncError as error:
        return failed(name, error, "Syncs of this connection fail before they send anything.")
    (region,) = regions
    return Finding(name, Status.OK, f"Connection {conn_id!r} can be read; its region is {region}.")


def network_line(name: str, hook: VendorHook, apis: Iterable[Api], region_hosts: Iterable[str]) -> Finding:
    """Return how requests leave this process: host, proxy, TLS; sends nothing."""
    ways, problems = [], []
    own = set(region_hosts)
    for api in apis:
        try:
            has_proxy = "proxy" in aiohttp_options(hook.session, api.base_url, hook.http_conn_id)
            verify = environment_of(hook.session, api.base_url)["verify"]
        except CohortSyncError as error:
            return failed(name, error, "Workers and triggerers cannot send anything.")
        place = "the vendor's host" if api.base_url in own else "an address of the connection's own"
        proxy = ", directly"
        if has_proxy:
            source = "connection" if hook.transport.options.proxies else "environment"
            proxy = f", through a proxy of the {source}"
        if not api.base_url.startswith("https"):
            tls = ", without TLS"
            if not _is_loopback(api.base_url):
                problems.append("the keys are sent without encryption")
        elif verify is False:
            tls = ", whose certificate is not checked"
            problems.append("whoever is between can read the keys")
        else:
            tls = ", checked with certificates of your own" if isinstance(verify, str) else ""
        ways.append(f"{api.name}: {place}{proxy}{tls}")
    seen = f"{'; '.join(ways)}."
    elsewhere = "Other machines may have other proxies and certificates in their environment."
    if problems:
        advice = "Use https, and name trusted certificates in verify of the connection's extra."
        return Finding(
            name, Status.WARNING, seen, f"{_sentence('; '.join(dict.fromkeys(problems)))} {elsewhere}", advice
        )
    return Finding(name, Status.OK, seen, elsewhere)


def host_line(name: str, heard: Heard) -> Finding:
    """Return whether a host can be reached from here, whatever it says about the keys."""
    response, error = heard.response, heard.error
    if response is None and error is not None:
        # Something here is wrong if the request could not even be sent; later, it may be the vendor.
        unsent = not getattr(error, "maybe_applied", True)
        headline, _, rest = str(error).partition("\n")
        return Finding(
            name,
            Status.WRONG if unsent else Status.UNKNOWN,
            headline,
            "A task on this machine could not reach it either.",
            f"{rest} Check firewall, DNS, proxy and certificates of this machine.",
        )
    if response is None or response.status >= 500 or response.is_page:
        if error is None:
            return Finding(name, Status.UNKNOWN, "An HTML page was answered, probably by a proxy.")
        return failed(name, error)
    return Finding(name, Status.OK, f"The host answers (HTTP {response.status}).")


def clock_line(name: str, skews: Iterable[float | None]) -> Finding:
    """
    Return how far this machine's clock is from the vendor's.

    :param skews: seconds by which the vendor's clock is ahead, one for each response.
    """
    known = [skew for skew in skews if skew is not None]
    if not known:
        return Finding(name, Status.UNKNOWN, "No response has a Date header.")
    worst = max(known, key=abs)
    if abs(worst) <= CLOCK_WARNING:
        return Finding(name, Status.OK, f"The clocks differ by less than {CLOCK_WARNING:.0f} s.")
    relation = "behind" if worst > 0 else "ahead of"
    return Finding(
        name,
        Status.WARNING if abs(worst) <= CLOCK_WRONG else Status.WRONG,
        f"This machine's clock is {abs(worst):,.0f} s {relation} the vendor's.",
        "The age of exports is misjudged, the order of exports may be, and storages refuse signed requests.",
        "Synchronize this machine's clock (NTP).",
    )


def listed(items: Iterable[object]) -> str:
    """Return some items as a sentence has them."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - LISTED:,} more" if len(texts) > LISTED else ""
    return ", ".join(texts[:LISTED]) + more


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
