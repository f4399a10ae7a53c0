"""The numbers that a run produces: counts only, never a person."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class SyncReport:
    """
    What a run saw and did.

    :param cohort_id: the Amplitude cohort.
    :param segment_id: the Customer.io segment; ``None`` when a dry run found none to read.
    :param segment_name: its name.
    :param mode: ``mirror`` or ``add_only``.
    :param source: ``cohort``, or ``snapshot`` for a run that restores the segment.
    :param snapshot_at: the moment of the snapshot; ``None`` for a cohort.
    :param dry_run: whether the run wrote nothing.
    :param limit: the most people that the run was to add, if it was limited; it then removes nobody.
    :param cohort_rows: rows in the export.
    :param without_identifier: rows whose mapped property is empty; skipped.
    :param unreadable: rows whose identifier is not valid UTF-8; skipped, but in mirror mode a member who may
        be such a person stays.
    :param mistyped: rows whose identifier has white space around it or holds invisible characters; such an
        identifier is compared as it is, and sent only where a person has exactly this identifier.
    :param duplicates: rows that repeat the identifier of an earlier row.
    :param identifiers: distinct identifiers.
    :param segment_before: members before the run.
    :param to_add: identifiers that were not in the segment and were (or would be) sent.
    :param to_remove: members that were not in the cohort and were (or would be) removed.
    :param left_to_add: identifiers that were not in the segment and are left to later runs, by the limit.
    :param left_to_remove: members that were not in the cohort and are left to later runs, by the limit, or
        because a guard tripped with ``on_guard: add_only``.
    :param added: people who joined, as read back.
    :param removed: people who left, as read back.
    :param not_removable: people who should have left and are still members, because they have no ``id`` and
        Customer.io's API removes nobody without one; in a dry run, how many of ``to_remove`` have none.
    :param segment_after: members after the run, as read back.
    :param unmatched: identifiers that do not exist in Customer.io; ``None`` when a dry run cannot know, and
        in a limited run, which sends only a part.
    :param rejected: identifiers that Customer.io refuses to add; not among the ``unmatched``.
    :param match_rate: share of ``identifiers`` that exist in Customer.io, 0 to 1; ``None`` when there are no
        identifiers or ``unmatched`` is not known. Those that are ``rejected`` count as if they did not exist.
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
    to_add: int
    to_remove: int
    left_to_add: int
    left_to_remove: int
    added: int
    removed: int
    not_removable: int
    segment_after: int
    unmatched: int | None
    rejected: int
    match_rate: float | None

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


def _shown(name: str, value: object) -> str:
    if value is None:
        return "unknown" if name in ("unmatched", "match_rate") else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "match_rate":
        return f"{value:.1%}"
    if isinstance(value, int) and name != "segment_id":
        return f"{value:,}"
    return str(value)
