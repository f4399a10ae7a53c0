"""The settings of the sandbox, for behaviour of the vendors that is undocumented, slow, strict or unusual."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The settings with a fixed set of texts.
CHOICES = {
    "last_next": ("empty", "null", "absent", "empty_page"),
    "wrong_region_track": ("401", "redirect", "success"),
    "name_rewrite": ("", "trim", "collapse"),
    "id_limit": ("bytes", "characters"),
    "empty_export": ("header", "nothing", "newline", "list", "no_content", "not_found"),
    "redirect_form": ("absolute", "scheme_relative", "relative", "unusual"),
}
#: The settings with the HTTP status of a refusal.
STATUSES = ("quota_status", "unpaid_status", "unknown_status", "dynamic_status", "track_refuses_status")
#: The settings with a regular expression.
PATTERNS = ("lookup_refuses", "track_refuses")


@dataclass
class Settings:
    """
    The settings, which can be changed while the sandbox runs.

    :param latency_ms: added to every response, in milliseconds.
    :param latency_spread: the sigma of its log-normal distribution, whose median is ``latency_ms``; 0 for a
        constant latency, 0.5 for a usual vendor: mostly half to twice as long.
    :param clock_ahead: seconds by which the vendors' clocks are ahead, as the header Date shows; negative if
        they are behind.
    :param export_seconds: how long Amplitude computes an export; 30 to 60 in reality.
    :param inline_rows: exports of up to this many rows are sent inline, larger ones by a redirect.
    :param redirect_hops: the number of redirects to such a file, of changing statuses.
    :param redirect_form: how these are written: ``absolute``, ``scheme_relative`` (without ``http:``),
        ``relative`` (without the host; Amplitude's own host then has the file) or ``unusual`` (the scheme in
        capitals, and a fragment).
    :param signed_url_seconds: how long a signed URL is valid.
    :param file_days: how long an export can be downloaded.
    :param compressed: whether exports are compressed with gzip.
    :param compressed_twice: whether a compressed export is compressed once more, and says so.
    :param encoding_header: whether a compressed export has a Content-Encoding.
    :param encoding: a fixed Content-Encoding of an export's file; empty for the correct one.
    :param content_length: whether an export's file has a Content-Length; without it, the file ends with the
        connection, and the fault ``cut`` does not break the connection.
    :param crlf: whether lines of an export end in CRLF.
    :param blank_last_line: whether an export ends with a blank line.
    :param last_line_end: whether the last line of an export has a line end.
    :param surplus_rows: the number of rows in an export beyond those of the cohort.
    :param long_value: the number of characters of the ``user_id`` in one more row of an export; 0 for no such
        row.
    :param property_prefix: the prefix of the column of a user property: empty, or ``gp:``.
    :param duplicate_column: whether ``amplitude_id`` comes twice.
    :param leading_tab: whether every value and title starts with a tab.
    :param missing_columns: whether the columns of the requested properties are missing.
    :param completed_text: the status of a finished export; ``JOB_COMPLETED`` exists as well.
    :param limits: whether Amplitude's limits are enforced.
    :param limit_scale: the scale of the minute and the ten minutes of Amplitude's limits: 1 for the real
        duration, 0.1 for a tenth of it.
    :param exports_a_month: Amplitude's quota.
    :param export_members: the maximum size of a cohort that can be exported.
    :param archived_can_export: whether an archived cohort can be exported (undocumented); if not, a 404.
    :param archived_listed: whether the list of cohorts shows archived ones.
    :param quota_status: the status of a request for an export when the month's exports are used up.
    :param unpaid_status: the status of every response to a project whose plan has no cohort API; 402, 403,
        404 and 401 are plausible.
    :param answers_cohort_id: whether the responses to the request for an export and to the status call
        contain the cohort's id.
    :param unknown_status: the status of the status call for an unknown request: 400 with ``details``, or 404
        with an HTML page.
    :param status_unknown_for: seconds until the status call knows a new export.
    :param file_after: seconds until the file of a finished export can be downloaded.
    :param empty_export: the content of the file of an empty cohort: ``header``, ``nothing`` (0 bytes,
        before compression), ``newline`` or ``list`` (``[]``); or the response without a file: ``no_content``
        (a 204) or ``not_found`` (a 404).
    :param visible_after: seconds until a change of a membership is visible in a read.
    :param count_after: seconds until it is visible in ``customer_count``; -1 for ``visible_after``.
    :param fresh_share: the share of reads and counts that show every change at once, whatever these two say,
        as if one of several servers were ahead of the others: 0 for none, 0.5 for every second one or so.
    :param app_per_second: the App API's limit of requests per second; 0 for none.
    :param track_per_second: the Track API's limit of requests per second; 0 for none.
    :param track_drops: whether Track requests above the limit get a 200 without effect instead of a 429.
    :param retry_after: whether a 429 of the Track API has a Retry-After.
    :param track_refuses: a regular expression; a batch with a matching identifier is refused as a whole, with
        ``track_refuses_status`` and a message that quotes the identifier; empty for none.
    :param track_refuses_status: the status of that refusal; 400, 413 and 422 are plausible.
    :param track_max_bytes: the largest body of a batch, in bytes; a larger one is refused with a 413; 0 for
        any.
    :param track_takes_email: whether the Track API applies e-mail addresses in a workspace where
        ``email_identifies`` is off; otherwise it ignores them with a 200.
    :param dynamic_status: the status of a write to a data-driven segment; 400, 404 and 422 are plausible; 200
        applies it.
    :param wrong_region_track: the response of the wrong region's Track host to a write: ``401``, ``redirect``
        (a 301 to the right host) or ``success`` (it applies the write).
    :param unique_names: whether a second segment with the same name is refused.
    :param name_limit: the number of characters of a new segment's name that are stored; 0 for all.
    :param description_limit: the same for its description.
    :param name_rewrite: how both are rewritten before that: not at all (empty), without white space at the
        ends (``trim``), or also with each run of white space inside as a single space (``collapse``).
    :param numbers_per_workspace: whether segments are numbered from 11 in each workspace; if not, all
        workspaces share the numbers.
    :param last_next: what ``next`` is on the last page of a membership: ``empty`` (``""``), ``null``,
        ``absent``, or ``empty_page``: a cursor to an empty page with another cursor, and so on without end.
    :param endless_next: whether a membership never ends: the last page is repeated, each time with a new
        cursor.
    :param ids_as_numbers: whether reads show an ``id`` that is a whole number (only digits, no leading zero)
        as a JSON number.
    :param cio_prefix: whether a ``cio_id`` needs the prefix ``cio_`` in a write, or must not have it.
    :param removal_needs_id: whether the removal of people without an ``id`` is silently ignored.
    :param identifiers_trimmed: whether white space around an identifier is ignored in a write or look-up.
    :param id_limit: whether an ``id`` has at most 150 ``bytes`` or 150 ``characters``.
    :param lookup_allowed: whether the App API key may look people up.
    :param lookup_wrapped: whether each person in a look-up's response is ``{"customer": {…}}`` or ``{…}``.
    :param lookup_refuses: a regular expression; a look-up with a matching identifier is refused as a whole
        with a 400; empty for none.
    :param null_when_empty: whether an empty list is ``null``.
    :param email_identifies: whether the workspace uses e-mail addresses as identifiers.
    """

    latency_ms: float = 0
    latency_spread: float = 0
    clock_ahead: float = 0
    export_seconds: float = 2
    inline_rows: int = 1000
    redirect_hops: int = 1
    redirect_form: str = "absolute"
    signed_url_seconds: float = 60
    file_days: float = 7
    compressed: bool = True
    compressed_twice: bool = False
    encoding_header: bool = True
    encoding: str = ""
    content_length: bool = True
    crlf: bool = False
    blank_last_line: bool = False
    last_line_end: bool = True
    surplus_rows: int = 0
    long_value: int = 0
    property_prefix: str = ""
    duplicate_column: bool = False
    leading_tab: bool = False
    missing_columns: bool = False
    completed_text: str = "JOB COMPLETED"
    limits: bool = True
    limit_scale: float = 1
    exports_a_month: int = 500
    export_members: int = 2_000_000
    archived_can_export: bool = False
    archived_listed: bool = True
    quota_status: int = 429
    unpaid_status: int = 403
    answers_cohort_id: bool = True
    unknown_status: int = 400
    status_unknown_for: float = 0
    file_after: float = 0
    empty_export: str = "header"
    visible_after: float = 0
    count_after: float = -1
    fresh_share: float = 0
    app_per_second: int = 10
    track_per_second: int = 0
    track_drops: bool = False
    retry_after: bool = True
    track_refuses: str = ""
    track_refuses_status: int = 400
    track_max_bytes: int = 0
    track_takes_email: bool = False
    dynamic_status: int = 400
    wrong_region_track: str = "401"
    unique_names: bool = False
    name_limit: int = 0
    description_limit: int = 0
    name_rewrite: str = ""
    numbers_per_workspace: bool = True
    last_next: str = "empty"
    endless_next: bool = False
    ids_as_numbers: bool = False
    cio_prefix: bool = False
    removal_needs_id: bool = False
    identifiers_trimmed: bool = False
    id_limit: str = "bytes"
    lookup_allowed: bool = True
    lookup_wrapped: bool = True
    lookup_refuses: str = ""
    null_when_empty: bool = True
    email_identifies: bool = True

    def update(self, **changes: object) -> None:
        """
        Change settings: all of them, or none if one is invalid.

        :param changes: the new values by name.
        :raises ValueError: if there is no such setting, or the value is invalid.
        """
        for name, value in changes.items():
            self._check(name, value)
        for name, value in changes.items():
            setattr(self, name, value)

    def _check(self, name: str, value: object) -> None:
        if name not in self.__dataclass_fields__:
            raise ValueError(
                f"there is no setting {name!r}; the settings are {', '.join(sorted(vars(self)))}"
            )
        kind = type(getattr(self, name))
        if not isinstance(value, (int, float) if kind in (int, float) else kind):
            raise ValueError(f"setting {name!r} must be of type {kind.__name__}, not {value!r}")
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"setting {name!r} must be one of {CHOICES[name]}, not {value!r}")
        takes_all = name == "dynamic_status" and value == 200
        if name in STATUSES and value not in range(400, 500) and not takes_all:
            raise ValueError(f"setting {name!r} must be a status from 400 to 499, not {value!r}")
        if name in PATTERNS:
            _check_pattern(name, str(value))


def _check_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"setting {name!r} must be a regular expression: {error}") from error
