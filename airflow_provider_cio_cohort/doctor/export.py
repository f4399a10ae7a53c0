"""The doctor's export: spends one of the month's exports to see how Amplitude answers each of its steps."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from airflow_provider_cio_cohort.doctor.asking import (
    REQUESTS_PER_SECOND,
    Ask,
    ProbeStoppedError,
    ask_each,
    paced,
)
from airflow_provider_cio_cohort.doctor.export_file import FileForm, form_of, rows_of
from airflow_provider_cio_cohort.doctor.lines import Finding, Status
from airflow_provider_cio_cohort.exceptions import CohortSyncError, VendorUnavailableError
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.api import ApiResponse, list_in
from airflow_provider_cio_cohort.hooks.export_download import ExportDownload, FileResponse, ReceivedFile
from airflow_provider_cio_cohort.sync.workdir import run_directory

#: Seconds for which the export is waited for.
TIMEOUT = 3600.0
#: Seconds between two status calls; the first comes at once.
POLL_INTERVAL = 2.0
#: Status calls that are shown.
FIRST_ANSWERS = 5

_REDIRECTS = range(300, 400)
_STORAGE_HOSTS = (".amazonaws.com", ".storage.googleapis.com", "storage.googleapis.com", ".cloudfront.net")
_ADVICE = "Check the cohort's id and the connection, and run the doctor again."


@dataclass
class _Export:
    """One export, as far as it has come; its parameters are those of :func:`probe_export`."""

    hook: AmplitudeHook
    cohort_id: str
    user_property: str | None
    timeout: float
    poll_interval: float
    directory: Path
    size: int | None = None
    is_archived: bool = False
    used: list[int | None] = field(default_factory=list)
    request_id: str = ""
    requested_at: float = 0.0
    requested_epoch: float = 0.0
    answers_cohort_id: bool = False
    download: ExportDownload | None = None

    def ask(self, path: str, what: str) -> ApiResponse:
        """Return the response, whatever its status; one that no vendor means is asked for again."""
        client = self.hook.client

        def once() -> ApiResponse:
            client.rate_limiter.wait(self.hook.cancel_token.wait)
            response = client.send("GET", path, what)
            error = client.api.error_for(response, what, json_expected=False)
            if isinstance(error, VendorUnavailableError):
                raise error
            return response

        return client.retried(once)

    @property
    def path(self) -> Path:
        """The file of the first download."""
        return self.directory / "export.csv"


def probe_export(
    hook: AmplitudeHook,
    cohort_id: str,
    *,
    user_property: str | None = None,
    requests_per_second: float = REQUESTS_PER_SECOND,
    timeout: float = TIMEOUT,
    poll_interval: float = POLL_INTERVAL,
) -> Iterator[Finding]:
    """
    Export a cohort, and yield the lines one by one. **Costs one of the month's exports.**

    The file is kept in a private directory, which is removed at the end. No line holds any of its values, an
    address of the storage, or a title of a column.

    :param user_property: a property that the file is to have as well, to see the name of its column;
        ``None`` for none.
    :param requests_per_second: the pace of all requests.
    :param timeout: seconds for which the export is waited for.
    :param poll_interval: seconds between two status calls.
    """
    with paced(requests_per_second, hook.client), run_directory() as directory:
        export = _Export(hook, cohort_id, user_property, timeout, poll_interval, directory)
        steps = {
            "export.list": _ask_list,
            "export.unknown_id": _ask_unknown_id,
            "export.request": _ask_request,
            "export.status": _ask_status,
            "export.file": _ask_file,
            "export.header": _ask_header,
            "export.rows": _ask_rows,
            "export.second_file": _ask_second_file,
            "export.latency": _ask_latency,
        }
        questions: list[tuple[str, Ask]] = [(name, partial(ask, export)) for name, ask in steps.items()]
        yield from ask_each(
            questions, ("export.list", "export.request", "export.status", "export.file", "export.header")
        )


def _ask_list(export: _Export) -> Iterator[Finding]:
    response = export.ask("/api/3/cohorts", "listing the cohorts")
    if response.status != 200:
        yield _refused("export.list", "The list of cohorts", response.status)
        raise ProbeStoppedError("Amplitude does not list the cohorts.")
    cohorts = [each for each in list_in(response.payload, "cohorts") if isinstance(each, dict)]
    cohort = next((each for each in cohorts if str(each.get("id")) == export.cohort_id), None)
    if cohort is not None:
        size = cohort.get("size")
        export.size = size if isinstance(size, int) else None
        export.is_archived = cohort.get("archived") is True
    size_seen = "without a size" if export.size is None else f"with {export.size:,} members"
    yield Finding(
        "export.list",
        Status.WARNING if cohort is None else Status.OK,
        "The cohort is not in the list." if cohort is None else f"The cohort is in the list, {size_seen}.",
        "Size and file cannot be compared." if export.size is None else "",
    )


def _ask_unknown_id(export: _Export) -> Iterator[Finding]:
    made_up = f"cohort-sync-doctor-{secrets.token_hex(8)}"
    status = export.ask(export.hook.api.status_path(made_up), "reading the status of no export").status
    yield Finding(
        "export.unknown_id",
        Status.OK if status in (400, 404) else Status.WARNING,
        f"The status of an export that does not exist is answered with HTTP {status}.",
        facts={"amplitude.unknown_export_status": status},
    )


def _ask_request(export: _Export) -> Iterator[Finding]:
    export.used.append(_used(export))
    hook, name = export.hook, "export.request"
    client, what = hook.client, "requesting the export"
    params = None
    if export.user_property is not None:
        params = {"props": 1, "propKeys": [export.user_property.removeprefix("gp:")]}
    client.rate_limiter.wait(hook.cancel_token.wait)
    export.requested_at, export.requested_epoch = time.monotonic(), time.time()
    # Sent once: a repeated request would cost another export.
    try:
        response = client.send("GET", client.api.export_path(export.cohort_id), what, params=params)
    except VendorUnavailableError as error:
        if not error.maybe_applied:
            raise
        yield _maybe_spent(f"There is no answer: {error.headline}")
        raise ProbeStoppedError("Whether Amplitude has started the export is not known.") from None
    payload = response.payload if isinstance(response.payload, dict) else {}
    facts: dict[str, Any] = {}
    if export.is_archived:
        facts["amplitude.archived_can_export"] = response.status < 300
    is_started = 200 <= response.status < 300 and payload.get("request_id")
    if not is_started and not 400 <= response.status < 500:
        yield _maybe_spent(
            f"The request for the export is answered with HTTP {response.status} alone.", facts
        )
        raise ProbeStoppedError("Whether Amplitude has started the export is not known.")
    if not is_started:
        yield _refused(name, "The request for the export", response.status, facts)
        raise ProbeStoppedError("Amplitude did not start the export.")
    export.request_id = str(payload["request_id"])
    export.answers_cohort_id = "cohort_id" in payload
    yield Finding(
        name,
        Status.OK,
        f"The request for the export is answered with HTTP {response.status}.",
        facts=facts,
    )


def _ask_status(export: _Export) -> Iterator[Finding]:
    """Ask until the export is finished, and note the first answers."""
    client = export.hook.client
    path, what = client.api.status_path(export.request_id), "reading the status of the export"
    answers: list[str] = []
    known_after: float | None = None
    finished, text = False, ""
    while not finished:
        response = export.ask(path, what)
        elapsed = time.monotonic() - export.requested_at
        payload = response.payload if isinstance(response.payload, dict) else {}
        text = _plain(payload.get("async_status"))
        answer = f"HTTP {response.status}{f' {text}' if text else ''}"
        if not answers or not answers[-1].startswith(f"{answer} "):
            answers.append(f"{answer} after {elapsed:.1f} s")
        if text and known_after is None:
            known_after = elapsed
        export.answers_cohort_id = export.answers_cohort_id or "cohort_id" in payload
        is_young = export.hook.policy.is_young(export.requested_epoch)
        finished = client.api.read_status(response, export.cohort_id, is_young=is_young)
        if not finished and elapsed > export.timeout:
            raise ProbeStoppedError(f"The export is not finished after {elapsed:.0f} s.")
        if not finished:
            export.hook.cancel_token.wait(export.poll_interval)
    seconds = time.monotonic() - export.requested_at
    yield Finding(
        "export.status",
        Status.OK,
        f"The status: {'; '.join(answers[:FIRST_ANSWERS])}. It was finished "
        f"{seconds:.1f} s after the request.",
        facts={
            "amplitude.first_status": answers[0].partition(" after ")[0],
            "amplitude.status_known_after": round(known_after or 0, 2),
            "amplitude.export_seconds": round(seconds, 2),
            "amplitude.completed_text": text,
            "amplitude.answers_cohort_id": export.answers_cohort_id,
        },
    )


def _ask_file(export: _Export) -> Iterator[Finding]:
    """Download the file, and describe its way."""
    client = export.hook.client
    export.download = ExportDownload(client, export.request_id, export.path, announced=export.size)
    export.download.run()
    responses, received = export.download.responses, export.download.received
    last = responses[-1]
    way = _last_way(responses)
    hops = [f"HTTP {at.status} to {_host_class(export.hook, to.url)}" for at, to in pairwise(way)]
    facts: dict[str, Any] = {
        "amplitude.delivery": "redirect" if hops else "inline",
        "amplitude.redirects": len(hops),
        "amplitude.content_encoding": last.headers.get("Content-Encoding", "")[:40],
        "amplitude.length_proven_by": _proof(last, received),
        "amplitude.gzip_layers": received.layers if received else None,
        "amplitude.last_line_ends": received.last_line_ends if received else None,
        "amplitude.file_is_late": any(each.status >= 400 for each in responses) and last.status < 400,
    }
    if hops:
        facts["amplitude.redirect_form"] = _form_of(way[0].headers.get("Location", ""))
        facts["amplitude.signed_url_seconds"] = _seconds_of(way[1].url)
    if export.size == 0:
        facts["amplitude.empty_cohort_file"] = _empty_form(last, received)
    way_in_words = f"by {len(hops)} redirects ({', '.join(hops)})" if hops else "inline"
    yield Finding(
        "export.file",
        Status.OK,
        f"The file came {way_in_words}, "
        f"Content-Encoding {facts['amplitude.content_encoding'] or 'none'}, compressed "
        f"{facts['amplitude.gzip_layers'] or 0} times; its end is proven by "
        f"{facts['amplitude.length_proven_by']}.",
        facts=facts,
    )


def _ask_header(export: _Export) -> Iterator[Finding]:
    if not _has_content(export):
        return
    form = form_of(export.path, export.user_property)
    facts: dict[str, Any] = {
        "amplitude.line_end": form.line_end,
        "amplitude.blank_last_line": form.blank_last_line,
        "amplitude.columns_twice": list(form.repeats),
        "amplitude.leading_tab": form.has_tabs,
        "amplitude.quoted": form.is_quoted,
        "amplitude.byte_order_mark": form.has_mark,
    }
    if form.property_column is not None:
        facts["amplitude.property_column"] = form.property_column
    yield Finding(
        "export.header",
        Status.WRONG if form.lacks else Status.WARNING if form.property_column == "missing" else Status.OK,
        _in_words(form),
        "Syncs cannot read such a file." if form.lacks else "",
        "Check the property's name." if form.property_column == "missing" else "",
        facts,
    )


def _ask_rows(export: _Export) -> Iterator[Finding]:
    if not _has_content(export):
        return
    found = rows_of(export.path)
    facts: dict[str, Any] = {"amplitude.longest_user_id": found.longest}
    compared = "the list has no size"
    if export.size is not None:
        facts["amplitude.rows_beyond_list"] = found.rows - export.size
        compared = f"{found.rows - export.size:+,} compared with the list"
    yield Finding(
        "export.rows",
        Status.OK if found.rows == export.size else Status.WARNING,
        f"The file has {found.rows:,} rows ({compared}), {found.without_user_id:,} of them without a "
        f"user_id; the longest user_id has {found.longest:,} characters.",
        facts=facts,
    )


def _ask_second_file(export: _Export) -> Iterator[Finding]:
    """Download the file again, and see what the month's count makes of it."""
    export.used.append(_used(export))
    second = export.directory / "second.csv"
    again = ExportDownload(export.hook.client, export.request_id, second, announced=export.size)
    again.run()
    export.used.append(_used(export))
    is_equal = export.download is not None and _same(export.download.received, again.received)
    before, between, after = export.used[-3:]
    facts: dict[str, Any] = {"amplitude.second_file_is_equal": is_equal}
    if before is not None and between is not None and after is not None:
        facts["amplitude.export_cost"] = between - before
        facts["amplitude.second_file_cost"] = after - between
    cost = facts.get("amplitude.second_file_cost")
    yield Finding(
        "export.second_file",
        Status.OK if is_equal and cost in (0, None) else Status.WARNING,
        f"A second download is {'equal' if is_equal else 'different'}. Exports of the month: "
        f"{facts.get('amplitude.export_cost', '?')} for the request, {'?' if cost is None else cost} for it.",
        "A retry of a download costs nothing." if cost == 0 else "",
        facts=facts,
    )


def _ask_latency(export: _Export) -> Iterator[Finding]:
    latency = export.hook.client.latency or 0
    yield Finding(
        "export.latency",
        Status.OK,
        f"The quickest response took {latency:.3f} s.",
        facts={"amplitude.quickest_response": round(latency, 3)},
    )


def _refused(name: str, what: str, status: int, facts: dict[str, Any] | None = None) -> Finding:
    return Finding(
        name,
        Status.WRONG,
        f"{what} is refused with HTTP {status}.",
        "Nothing of the month's exports was spent.",
        _ADVICE,
        {"amplitude.refused_status": status, **(facts or {})},
    )


def _maybe_spent(seen: str, facts: dict[str, Any] | None = None) -> Finding:
    return Finding(
        "export.request",
        Status.UNKNOWN,
        seen,
        "It may have cost one of the month's exports.",
        "Compare amplitude.usage with the line of this run before you spend another export.",
        facts or {},
    )


def _has_content(export: _Export) -> bool:
    return export.path.exists() and export.path.stat().st_size > 0


def _used(export: _Export) -> int | None:
    """Return the month's exports so far; ``None`` if Amplitude does not say."""
    try:
        return export.hook.usage().used
    except CohortSyncError:
        return None


def _same(first: ReceivedFile | None, second: ReceivedFile | None) -> bool:
    if first is None or second is None:
        return first is second
    return (first.size, first.checksum) == (second.size, second.checksum)


def _plain(text: Any) -> str:
    """Return the vendor's word for a status, without anything that it could quote."""
    return re.sub(r"[^A-Z _]", "", str(text or "").upper())[:40]


def _last_way(responses: list[FileResponse]) -> list[FileResponse]:
    """Return the responses of the last try: its redirects, and the file."""
    start = len(responses) - 1
    while start and responses[start - 1].status in _REDIRECTS:
        start -= 1
    return responses[start:]


def _host_class(hook: AmplitudeHook, url: str) -> str:
    """Return whose host it is: ``amplitude``, ``storage`` or ``other``."""
    parts, own = urlsplit(url), urlsplit(hook.api.base_url)
    host = (parts.hostname or "").lower()
    if (
        parts.netloc.lower() == own.netloc.lower()
        or host == "amplitude.com"
        or host.endswith(".amplitude.com")
    ):
        return "amplitude"
    return "storage" if host.endswith(_STORAGE_HOSTS) else "other"


def _form_of(location: str) -> str:
    if location.startswith("//"):
        return "scheme_relative"
    if location.startswith("/"):
        return "relative"
    scheme, _, rest = location.partition("://")
    return "absolute" if scheme in ("http", "https") and "#" not in rest else "unusual"


def _seconds_of(url: str) -> int | None:
    """Return for how long a signed URL says that it is valid."""
    text = parse_qs(urlsplit(url).query).get("X-Amz-Expires", [""])[0]
    return int(text) if text.isascii() and text.isdigit() else None


def _proof(response: FileResponse, received: ReceivedFile | None) -> str:
    if "Content-Length" in response.headers:
        return "Content-Length"
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        return "chunks"
    return "gzip" if received and received.layers else "nothing"


def _empty_form(response: FileResponse, received: ReceivedFile | None) -> str:
    if response.status in (204, 404):
        return {204: "no content", 404: "not found"}[response.status]
    start = received.start if received else b""
    if start.strip() == b"[]":
        return "[]"
    if start.strip():
        return "header"
    return "blank line" if start else "nothing"


def _in_words(form: FileForm) -> str:
    parts = [
        f"{form.columns} columns, {'quoted' if form.is_quoted else 'not quoted'}",
        f"lines end with {form.line_end}",
    ]
    parts += [f"{name} is missing" for name in form.lacks]
    parts += [f"{name} comes twice" for name in form.repeats]
    parts += ["values begin with a tab"] * form.has_tabs
    parts += ["it ends with a blank line"] * form.blank_last_line
    parts += ["it begins with a byte order mark"] * form.has_mark
    if form.property_column:
        parts.append(f"the property's column is {form.property_column}")
    return f"The header: {'; '.join(parts)}."
