"""The numbers that a run produces: counts only, never a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SyncReport:
    """
    What a run saw and did.

    :param cohort_id: the Amplitude cohort.
    :param segment_id: the Customer.io segment; ``None`` when a dry run found none to read.
    :param segment_name: its name.
    :param mode: ``mirror``, ``add_only`` or ``tracked``.
    :param source: ``cohort``, or ``snapshot`` for a run that restores the segment.
    :param snapshot_at: the moment of the snapshot; ``None`` for a cohort.
    :param dry_run: whether the run wrote nothing.
    :param limit: the most people that the run was to add, if it was limited; it then removes nobody.
    :param cohort_rows: rows in the export.
    :param without_identifier: rows whose mapped property is empty; skipped.
    :param unreadable: rows whose identifier is not valid UTF-8; skipped, but a member who may be such a
        person stays.
    :param mistyped: rows whose identifier has white space around it or holds invisible characters; such an
        identifier is compared as it is, and sent only where a person has exactly this identifier.
    :param duplicates: rows that repeat the identifier of an earlier row.
    :param identifiers: distinct identifiers.
    :param segment_before: members before the run.
    :param joined_elsewhere: members whom others have added since the last good sync; ``None`` if that is not
        known.
    :param left_elsewhere: members of the last good sync whom others have removed or deleted since;
        ``None`` if that is not known.
    :param to_add: identifiers that were not in the segment and were (or would be) sent.
    :param to_remove: members that were not in the cohort and were (or would be) removed; in tracked mode, of
        those whom the sync has added.
    :param left_to_add: identifiers that were not in the segment and are left to later runs, by the limit.
    :param left_to_remove: members that were not in the cohort and are left to later runs, by the limit, or
        because a guard tripped with ``on_guard: add_only``.
    :param added: people who joined, as read back.
    :param removed: people who left, as read back.
    :param not_removable: people who should have left and are still members, because they have no ``id`` and
        Customer.io's API removes nobody without one; in a dry run, how many of ``to_remove`` have none.
    :param segment_after: members after the run, as read back.
    :param tracked: in tracked mode, how many of them the sync has added; it removes no others. ``None`` in
        other modes.
    :param unmatched: identifiers that do not exist in Customer.io; ``None`` when a dry run cannot know, and
        in a limited run, which sends only a part.
    :param rejected: identifiers that Customer.io refuses to add; not among the ``unmatched``.
    :param match_rate: share of ``identifiers`` that exist in Customer.io, 0 to 1; ``None`` when there are no
        identifiers or ``unmatched`` is not known. Those that are ``rejected`` count as if they did not exist.
    :param matched_by: with several identifiers a row, how many people were found by each kind of them, each
        person once; empty for one identifier.
    :param conflicting: rows, by their first identifier, that lead to two different people, as far as that is
        known; they follow the first.
    """

    cohort_id: str
    segment_id: int | None
    segment_name: str
    mode: str
    source: str
    snapshot_at: str | None
    dry_run: bool
    limit: int | None
    cohort_rows: int
    without_identifier: int
    unreadable: int
    mistyped: int
    duplicates: int
    identifiers: int
    segment_before: int
    joined_elsewhere: int | None
    left_elsewhere: int | None
    to_add: int
    to_remove: int
    left_to_add: int
    left_to_remove: int
    added: int
    removed: int
    not_removable: int
    segment_after: int
    tracked: int | None
    unmatched: int | None
    rejected: int
    match_rate: float | None
    matched_by: dict[str, int] = field(default_factory=dict)
    conflicting: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the XCom that the operator returns."""
        return asdict(self)

    def summary(self) -> str:
        """Return the run in a sentence."""
        if self.dry_run:
            done = f"a run would add up to {self.to_add:,} and remove {self.to_remove:,}; nothing was written"
        else:
            done = f"{self.added:,} added, {self.removed:,} removed, {self.segment_after:,} members now"
        if self.left_to_add or self.left_to_remove:
            done += f", {self.left_to_add:,} left to add and {self.left_to_remove:,} to remove"
        if self.not_removable:
            done += f", {self.not_removable:,} {'may' if self.dry_run else 'could'} not be removed"
        if self.rejected:
            done += f", {self.rejected:,} rejected"
        matched = "" if self.match_rate is None else f", {self.match_rate:.1%} of the cohort matched"
        origin = f"Cohort {self.cohort_id}"
        if self.snapshot_at is not None:
            origin += f" as of {self.snapshot_at}"
        segment = "new" if self.segment_id is None else self.segment_id
        return f"{origin} → segment {self.segment_name!r} ({segment}): {done}{matched}."

    def as_table(self) -> str:
        """Return the report as a table for a person to read."""
        rows = [(name.replace("_", " "), _shown(name, value)) for name, value in self.to_dict().items()]
        width = max(len(label) for label, _ in rows)
        value_width = max(len(value) for _, value in rows)
        rule = f"+-{'-' * width}-+-{'-' * value_width}-+"
        body = [f"| {label:<{width}} | {value:>{value_width}} |" for label, value in rows]
        return "\n".join([rule, *body, rule])


def match_rate(identifiers: int, unmatched: int | None, rejected: int = 0) -> float | None:
    """Return the share of ``identifiers`` that exist in Customer.io, if it can be known."""
    if not identifiers or unmatched is None:
        return None
    return (identifiers - unmatched - rejected) / identifiers


_UNKNOWN = ("joined_elsewhere", "left_elsewhere", "unmatched", "match_rate")


def _shown(name: str, value: object) -> str:
    if value is None:
        return "unknown" if name in _UNKNOWN else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{kind} {count:,}" for kind, count in value.items()) or "none"
    if name == "match_rate":
        return f"{value:.1%}"
    if isinstance(value, int) and name != "segment_id":
        return f"{value:,}"
    return str(value)


@dataclass(frozen=True)
class Outcome:
    """
    The result of the writes, as read back.

    :param segment_after: its members.
    :param added: people who joined.
    :param removed: people who left.
    :param unmatched: identifiers that do not exist in Customer.io; ``None`` if that cannot be known.
    :param rejected: identifiers that Customer.io refuses, of people who are not in the segment.
    :param not_removable: people without an ``id`` who are still in the segment although they were removed.
    :param visible_after: seconds until the last write showed, at most; ``None`` if that was not measured.
    :param tracked: members whom the sync has added, where it removes no others.
    """

    segment_after: int
    added: int
    removed: int
    unmatched: int | None
    rejected: int = 0
    not_removable: int = 0
    visible_after: float | None = None
    tracked: int | None = None


@dataclass(frozen=True)
class Comparison:
    """
    A segment as read back, compared with its cohort.

    :param segment_after: its members.
    :param missing: identifiers of the cohort that no member has.
    :param missing_of_sent: how many of them were sent.
    :param lost: how many of them were found to exist in Customer.io; ``None`` if the key may not look people
        up.
    :param not_removed: people who were removed and are still in it.
    :param unexpected: people outside the cohort who were not in it before.
    :param unreliable: how pages and counts contradict each other; empty if they agree.
    :param estimate: how many of the missing exist, as far as a sample tells.
    :param is_exact: whether all the missing were looked up.
    :param listed: how many of the lost are known by their identifiers.
    :param rejected: identifiers that no member has and that Customer.io refuses; not among the missing.
    :param without_id: how many of those who were not removed have no ``id``.
    :param refused: how many of the others Customer.io refuses to remove.
    :param is_known: whether it is known of each of the missing whether it exists.
    :param is_whole: whether nobody can be missing on the pages that were read.
    :param read_at: the moment at which the members had been read.
    :param tracked: members whom the sync has added, where it removes no others.
    """

    segment_after: int
    missing: int
    missing_of_sent: int
    lost: int | None
    not_removed: int
    unexpected: int
    unreliable: str = ""
    estimate: int = 0
    is_exact: bool = False
    listed: int = 0
    rejected: int = 0
    without_id: int = 0
    refused: int = 0
    is_known: bool = False
    is_whole: bool = False
    read_at: float = 0.0
    tracked: int | None = None

    @property
    def looks_up(self) -> bool:
        """Whether the App API key may look people up."""
        return self.lost is not None

    @property
    def is_proof(self) -> bool:
        """Whether this one reading shows the outcome of every write, however early it came."""
        return self.is_whole and (self.is_known or not self.missing)

    @property
    def is_reliable(self) -> bool:
        """Whether what was read agrees with the segment's count."""
        return not self.unreliable

    @property
    def as_wanted(self) -> bool:
        """Whether everybody is in it who can be, and nobody else."""
        return self.is_reliable and not (self.lost or self.not_removed or self.unexpected)

    @property
    def is_final(self) -> bool:
        """Whether nothing is wrong but what no time and no retry can change."""
        others = self.lost or self.unexpected or self.not_removed != self.without_id + self.refused
        return self.is_reliable and self.not_removed > 0 and not others

    @property
    def in_short(self) -> str:
        """What is wrong, for a pager."""
        if not self.is_reliable:
            return self.unreliable
        about = "" if self.is_exact or not self.lost else "about "
        return (
            f"{about}{self.estimate:,} people missing, {self.not_removed:,} not removed, "
            f"{self.unexpected:,} unexpected"
        )

    def __str__(self) -> str:
        at_least = "" if self.is_exact else "at least "
        no_id = f" ({self.without_id:,} of them have no id, so they never can)" if self.without_id else ""
        return (
            f"{at_least}{self.lost or 0:,} people of the cohort who exist in Customer.io are missing, "
            f"{self.not_removed:,} members could not be removed{no_id}, {self.unexpected:,} people outside "
            "the cohort have joined since (through other writers, or an earlier try whose changes appeared "
            "late)"
        )
