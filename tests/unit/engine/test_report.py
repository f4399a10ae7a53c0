from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.engine.report import SyncReport


@pytest.mark.parametrize(("segment_id", "shown"), [(17, "(17)"), (None, "(new)")])
def test_a_dry_run_says_which_segment_a_run_would_fill(segment_id: int | None, shown: str) -> None:
    counts = (
        "cohort_rows",
        "without_identifier",
        "unreadable",
        "mistyped",
        "duplicates",
        "identifiers",
        "segment_before",
        "to_add",
    )
    more = (
        "to_remove",
        "left_to_add",
        "left_to_remove",
        "added",
        "removed",
        "not_removable",
        "segment_after",
        "rejected",
    )
    report = SyncReport(
        cohort_id="a1b2c3d",
        segment_id=segment_id,
        segment_name="VIP",
        mode="mirror",
        source="cohort",
        snapshot_at=None,
        dry_run=True,
        limit=None,
        unmatched=None,
        match_rate=None,
        joined_elsewhere=None,
        left_elsewhere=None,
        tracked=None,
        **dict.fromkeys((*counts, *more), 0),
    )
    assert report.summary() == (
        f"Cohort a1b2c3d → segment 'VIP' {shown}: a run would add up to 0 and remove 0; nothing was written."
    )
