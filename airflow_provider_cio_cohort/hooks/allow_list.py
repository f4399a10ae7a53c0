"""The allow-list of recordings: what is known to be no secret in an HTTP exchange with the vendors."""

from __future__ import annotations

import re


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: The names of the vendors' fields, and of ours in what we send.
FIELDS = _set(
    """
    appId archived async_status chart_id cohort_id cohorts countGroup createdAt definition description
    details error finished hidden http_code id is_computed is_official_content is_predictive
    lastComputed lastMod limit message metadata name owners published request_id resets_at rest_download
    size type usage version viewers attributes campaigns cio_id code count created_at customer customers
    deduplicate_id detail devices draft_newsletters email environment_id errors identifiers ids meta
    next progress region results segment segment_id segments sent_newsletters state status tags
    timestamps unsubscribed updated_at url used_by last_computed
    """
)
#: Fields in which the company has chosen the names of fields and their values: nothing in them is known.
CHOSEN = frozenset({"attributes", "definition", "devices", "timestamps"})
#: Fields with a count or a status: their whole numbers up to :data:`MOST_COUNT` are kept.
COUNTS = frozenset({"count", "http_code", "limit", "progress", "size", "status", "usage", "version"})
#: The values that are kept, by field.
ENUMERATIONS: dict[str, frozenset[str]] = {
    "type": frozenset({"manual", "dynamic", "unspecified"}),
    "state": frozenset({"events", "build", "events_queued", "build_queued", "finished"}),
    "region": frozenset({"us", "eu"}),
    "url": frozenset({"track.customer.io", "track-eu.customer.io"}),
    "countGroup": frozenset({"User", "user", "USER"}),  # any text in it
}
#: The form of the values that are kept, by field.
FORMS = {
    "status": re.compile(r"[1-9][0-9]{2}", re.ASCII),
    "resets_at": re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:?\d\d))?", re.ASCII),
}
#: The placeholders' kinds, by field.
KINDS = {
    **dict.fromkeys(("id", "ids", "cio_id", "email", "request_id", "cohort_id", "deduplicate_id"), "id"),
    "name": "name",
    "next": "cursor",
}
MESSAGES = frozenset({"detail", "details", "error", "errors", "message", "async_status"})
#: The words of messages that are kept.
WORDS = _set(
    """
    a access an and api app are at available be before bearer bytes characters client cohort cohorts
    combination completed concurrent datacenter data-driven does download driven email enabled
    enterprise error exceeded exceeds exist exists export exports failed feature file for forbidden
    found from growth has hold holds host id identifier identifiers ids include in inprogress internal
    invalid is job json key keys large limit limited long longer manual many maximum members minute
    minutes missing month monthly must name no not of on one only or over paid parallel parameter parse
    per permission plan please progress queued quota rate region request request_id requests required
    running scope scopes secret segment segments server service size started subscription success taken
    temporarily than the this to token too track try unable unauthorized unavailable unknown unsupported
    upgrade valid value values was when with workspace wrong your
    """
)
#: The routes of the vendors' APIs; ``*`` stands for an identifier.
ROUTES = {
    **dict.fromkeys(
        (
            "/api/3/cohorts",
            "/api/3/cohorts/usage",
            "/api/3/cohorts/info/*",
            "/api/5/cohorts/request/*",
            "/api/5/cohorts/request/*/file",
            "/api/5/cohorts/request-status/*",
        ),
        "amplitude",
    ),
    **dict.fromkeys(
        (
            "/api/v1/accounts/region",
            "/api/v1/segments/*/add_customers",
            "/api/v1/segments/*/remove_customers",
        ),
        "track",
    ),
    **dict.fromkeys(
        (
            "/v1/segments",
            "/v1/segments/*",
            "/v1/segments/*/customer_count",
            "/v1/segments/*/membership",
            "/v1/segments/*/used_by",
            "/v1/customers",
            "/v1/customers/attributes",
        ),
        "app",
    ),
}
#: The parameters of queries: the form of the values that are kept, and the placeholder's kind of the others.
PARAMETERS = {
    "id_type": ("id|email|cio_id|phone", "text"),
    "limit": ("[0-9]{1,6}", "text"),
    "props": ("[01]", "text"),
    "includeSyncInfo": ("true|false", "text"),
    "start": ("", "cursor"),
    "email": ("", "id"),
    "propKeys": ("(gp:)?(user_id|amplitude_id)", "property"),
    "X-Amz-Algorithm": ("AWS4-HMAC-SHA256", "text"),
    "X-Amz-Expires": ("[0-9]{1,7}", "text"),
    "X-Amz-Credential": ("", "key"),
    "X-Amz-Date": ("", "text"),
    "X-Amz-Security-Token": ("", "key"),
    "X-Amz-Signature": ("", "key"),
    "X-Amz-SignedHeaders": ("host", "text"),
}
_ENCODING = "((x-)?gzip|deflate|br|zstd|identity|utf-8|aws-chunked|none)"
#: The headers of responses, and the form of the values that are kept.
HEADERS = {
    "Connection": "close|keep-alive",
    "Content-Encoding": f"{_ENCODING}(, ?{_ENCODING})?",
    "Content-Length": "",
    "Content-Type": "",
    "Date": "",
    "Location": "",
    "Retry-After": "[0-9]{1,7}",
    "Transfer-Encoding": "chunked|identity|gzip, ?chunked",
    "X-RateLimit-Limit": "[0-9]{1,9}",
    "X-RateLimit-Remaining": "[0-9]{1,9}",
    "X-RateLimit-Reset": "[0-9]{1,9}",
}
#: The media types of the header Content-Type, and its charsets.
MEDIA_TYPES = _set(
    """
    application/json application/octet-stream application/xml application/gzip application/x-gzip
    binary/octet-stream text/csv text/html text/plain text/xml
    """
)
CHARSET = re.compile(r"""\bcharset=["']?(utf-8|us-ascii|iso-8859-1)\b""", re.IGNORECASE)
#: The largest number that can be a count.
MOST_COUNT = 10**9
#: What the hooks themselves look up in the place of a person, see :mod:`.people`.
NOBODY = frozenset({"0", "nobody@example.invalid"})
#: The columns that every export has.
COLUMNS = ("amplitude_id", "user_id")
#: The errors of storages.
STORAGE_ERRORS = _set(
    """
    AccessDenied AuthorizationHeaderMalformed AuthorizationQueryParametersError ExpiredToken InternalError
    InvalidArgument InvalidToken NoSuchBucket NoSuchKey PermanentRedirect RequestTimeTooSkewed
    ServiceUnavailable SignatureDoesNotMatch SlowDown TemporaryRedirect
    """
)
