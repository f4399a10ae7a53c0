"""How the sandbox behaves where the vendors leave a choice, or are slow, strict or odd."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Settings:
    """
    Everything that can be changed while the sandbox runs.

    :param latency_ms: added to every answer.
    :param latency_spread: how far that spreads: it is the middle of a log-normal distribution with this
        sigma; 0 for the same every time, 0.5 for a usual vendor: half to twice as long, as a rule.
    :param export_seconds: how long Amplitude computes an export; really 30 to 60.
    :param inline_rows: exports of up to so many rows come inline, larger ones behind a redirect.
    :param signed_url_seconds: how long a signed URL lives.
    :param file_days: how long the link of an export lives.
    :param compressed: whether exports are compressed with gzip.
    :param encoding_header: whether a compressed export says so in Content-Encoding.
    :param encoding: what Content-Encoding says of an export's file, whatever it is; empty for the truth.
    :param content_length: whether an export's file says how long it is, or ends with the connection; then
        the fault ``cut`` breaks nothing either.
    :param crlf: whether lines of an export end in CRLF.
    :param property_prefix: what a user property's column has in front of its name: nothing, or ``gp:``.
    :param duplicate_column: whether ``amplitude_id`` comes twice.
    :param leading_tab: whether a tab stands before every value and title.
    :param missing_columns: leave out the columns of the properties that were asked for.
    :param completed_text: how a finished export is called; ``JOB_COMPLETED`` has been seen as well.
    :param limits: whether Amplitude's limits are enforced.
    :param limit_scale: how long the minute and the ten minutes of Amplitude's limits last: 1 for as long as
        they do, 0.1 for a tenth of it.
    :param exports_a_month: Amplitude's quota.
    :param export_members: members that a cohort may have to be exported.
    :param archived_can_export: what becomes of an archived cohort is not documented; here it is a 404.
    :param visible_after: seconds until a change of a membership shows in a read.
    :param app_per_second: requests a second that the App API takes; 0 for any number.
    :param track_per_second: requests a second that the Track API takes; 0 for any number.
    :param track_drops: answer too many Track requests with 200 and do nothing, instead of 429.
    :param retry_after: whether a 429 of the Track API says how long to wait.
    :param unique_names: whether a second segment of one name is refused.
    :param cio_prefix: whether a ``cio_id`` needs the prefix ``cio_`` in a write, or must not have it.
    :param removal_needs_id: whether people without an ``id`` stay when they are removed, without a word.
    :param lookup_allowed: whether the App API key may look people up.
    :param null_when_empty: whether an empty list is ``null``.
    :param email_identifies: whether the workspace uses e-mail addresses as identifiers.
    """

    latency_ms: float = 0
    latency_spread: float = 0
    export_seconds: float = 2
    inline_rows: int = 1000
    signed_url_seconds: float = 60
    file_days: float = 7
    compressed: bool = True
    encoding_header: bool = True
    encoding: str = ""
    content_length: bool = True
    crlf: bool = False
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
    visible_after: float = 0
    app_per_second: int = 10
    track_per_second: int = 0
    track_drops: bool = False
    retry_after: bool = True
    unique_names: bool = False
    cio_prefix: bool = False
    removal_needs_id: bool = False
    lookup_allowed: bool = True
    null_when_empty: bool = True
    email_identifies: bool = True

    def update(self, **changes: object) -> None:
        """
        Change settings.

        :param changes: the new values by name.
        :raises ValueError: if there is no such setting, or the value has another type.
        """
        for name, value in changes.items():
            if name not in self.__dataclass_fields__:
                raise ValueError(f"no setting {name!r}; there are {', '.join(sorted(vars(self)))}")
            kind = type(getattr(self, name))
            if not isinstance(value, (int, float) if kind in (int, float) else kind):
                raise ValueError(f"setting {name!r} must be of type {kind.__name__}, not {value!r}")
            setattr(self, name, value)
