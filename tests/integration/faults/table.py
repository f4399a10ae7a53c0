"""The faults and the places where they meet a sync, as two tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cio_cohort import exceptions


@dataclass(frozen=True)
class Place:
    """
    A call that a sync makes.

    :param api: the API that it goes to.
    :param path: a regular expression for its path.
    :param words: what a message says of it: who was called, and what for.
    :param method: its HTTP method; empty for any.
    :param after: how many calls like it come first.
    :param parameters: what the sync must be told to make the call.
    :param settings: how the sandbox must be for it.
    :param repeated: whether it may be sent again when nobody knows whether it took effect.
    :param remembered: whether the segment's number is remembered from an earlier run.
    """

    api: str
    path: str
    words: tuple[str, str]
    method: str = ""
    after: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    repeated: bool = True
    remembered: bool = True


@dataclass(frozen=True)
class Kind:
    """
    A kind of fault.

    :param details: what the sandbox is told.
    :param cause: what a message says of it; empty where a sync does not mind.
    :param error: what a try ends with where it lasts.
    :param unclear: whether nobody can know if the request took effect.
    """

    details: dict[str, Any]
    cause: str = ""
    error: type[exceptions.CohortSyncError] = exceptions.VendorUnavailableError
    unclear: bool = True


AMPLITUDE, STORAGE = "Amplitude", "storage of Amplitude's exports"
APP, TRACK = "Customer.io's App API", "Customer.io's Track API"
BY_ID = {"segment_id": 11, "segment_name": None}
PLACES = {
    "amplitude's list": Place("amplitude", "/api/3/cohorts$", (AMPLITUDE, "listing the cohorts")),
    "amplitude's usage": Place("amplitude", "/usage$", (AMPLITUDE, "reading the month's usage")),
    "the request": Place(
        "amplitude",
        "/request/[^/]+$",
        (AMPLITUDE, "requesting an export of cohort a1b2c3d"),
        repeated=False,
    ),
    "the status": Place("amplitude", "/request-status/", (AMPLITUDE, "reading the status of an export")),
    "the trigger": Place(
        "amplitude",
        "/request-status/",
        (AMPLITUDE, "reading the status of an export"),
        parameters={"deferrable": True},
    ),
    "the file": Place("amplitude", "/file$", (AMPLITUDE, "export")),
    "the storage": Place("storage", "", (AMPLITUDE, "export"), settings={"inline_rows": 0}),
    "the segments": Place("app", "/v1/segments$", (APP, "listing the segments"), remembered=False),
    "the segment": Place("app", r"/v1/segments/\d+$", (APP, "reading segment 11"), parameters=BY_ID),
    "the creation": Place(
        "app",
        "/v1/segments$",
        (APP, "creating a segment"),
        method="POST",
        parameters={"segment_name": "New"},
        repeated=False,
    ),
    "the membership": Place("app", "/membership$", (APP, "reading the members of segment 11")),
    "the read-back": Place("app", "/membership$", (APP, "reading the members of segment 11"), after=1),
    "the count": Place("app", "/customer_count$", (APP, "counting segment 11")),
    "the lookup": Place("app", "/customers/attributes$", (APP, "looking people up")),
    "the region": Place("track", "/accounts/region$", (TRACK, "asking for the account's region")),
    "adding": Place("track", "/add_customers$", (TRACK, "changing the members of segment 11")),
    "removing": Place("track", "/remove_customers$", (TRACK, "changing the members of segment 11")),
}
LIMITED = exceptions.RateLimitedError
FAULTS = {
    "reset before": Kind({"action": "reset_before"}, "the connection broke"),
    "reset after": Kind({"action": "reset_after"}, "the connection broke"),
    "stall": Kind({"action": "stall"}, "no answer came in time"),
    "stall after": Kind({"action": "stall_after"}, "no answer came in time"),
    "429": Kind({"action": "status", "status": 429}, "429", LIMITED, unclear=False),
    "429 with Retry-After": Kind(
        {"action": "status", "status": 429, "headers": {"Retry-After": "0"}}, "429", LIMITED, unclear=False
    ),
    "500": Kind({"action": "status", "status": 500}, "HTTP 500"),
    "502 page": Kind({"action": "html", "status": 502}, "HTTP 502"),
    "503": Kind({"action": "status", "status": 503}, "HTTP 503", unclear=False),
    "504": Kind({"action": "status", "status": 504}, "HTTP 504"),
    "200 page": Kind({"action": "html", "status": 200}, "an HTML page"),
    "empty": Kind({"action": "empty", "status": 200}, "an empty body"),
    "broken JSON": Kind({"action": "broken_json", "status": 200}, "a body that is not JSON"),
    "extra fields": Kind({"action": "extra_fields"}, unclear=False),
    "null lists": Kind({"action": "null_lists"}, unclear=False),
}
#: Nobody can know whether Amplitude counted a request whose answer was lost; the retry asks for another.
COUNTED_TWICE = {("the request", "reset after"), ("the request", "stall after")}
#: The list shows that the segment was made all the same.
FOUND = {("the creation", "reset after"), ("the creation", "stall after")}
#: One of each kind: a fault that lasts takes its time.
LASTING = [
    (place, fault)
    for place in PLACES
    for fault, kind in FAULTS.items()
    if kind.cause and fault not in ("stall after", "503", "504", "429 with Retry-After")
    if (place, fault) not in FOUND
]


#: An empty answer to a write is as good as any: only the read-back tells that nothing was written.
BELIEVED = {("adding", "empty"), ("removing", "empty")}


def expected(place: str, fault: str) -> tuple[type[exceptions.CohortSyncError], list[str]]:
    """Return what a try ends with where the fault lasts, and the words of its message."""
    where, kind = PLACES[place], FAULTS[fault]
    error, words = kind.error, [*where.words, kind.cause, "retry"]
    if (place, fault) in BELIEVED:
        lacking = "1 people missing" if place == "adding" else "1 not removed"
        return exceptions.VerificationError, ["Segment 11 is not what it should be", lacking, "retry"]
    if place == "the trigger" or (place, fault) == ("the status", "429"):
        # The export goes on while nobody can ask, and a 429 only means that one is to ask later.
        asked = [] if fault == "429" else words
        return exceptions.ExportNotReadyError, [
            *asked,
            "within export_timeout",
            "continues to wait for the same",
        ]
    if place in ("the file", "the storage"):
        words[2] = {"broken JSON": "a message"}.get(fault, kind.cause)
        error = exceptions.IncompleteExportError if fault == "empty" else error
        if fault in ("200 page", "broken JSON"):
            words[0] = "instead of the export's file"
    if place == "the creation" and fault != "429":
        return exceptions.SegmentNotCreatedError, [*words, "not known whether the segment was created"]
    return error, words
