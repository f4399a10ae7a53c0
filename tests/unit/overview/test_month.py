"""The month of the README's picture: what the page makes of what is written into Airflow's tables."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Kind, State, load_history, load_overview
from tests.system.browser.month import DAYS, SYNCS, seed
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow


def test_each_sync_has_a_run_a_day_and_numbers_that_agree(session: Session, airflow: Airflow) -> None:
    for number, sync in enumerate(SYNCS):
        soon = NOW + timedelta(hours=18)
        airflow.sync(sync.name, schedule=f"{number} 6 * * *", next_dagrun_create_after=soon)
    seed(session, NOW)
    overview = load_overview(session, now=NOW)
    assert {sync.name for sync in overview.syncs} == {sync.name for sync in SYNCS}
    failing = {sync.name for sync in SYNCS if 0 in sync.failed}
    assert {sync.name for sync in overview.syncs if sync.state is State.FAILED} == failing
    assert {one.kind for one in overview.attention} == {Kind.FAILED}
    (quota,) = overview.quotas
    assert quota.used is not None
    assert quota.used <= len(SYNCS) * NOW.day
    for sync in overview.syncs:
        history = load_history(session, sync.dag.dag_id, sync.task_id, sync.asset_id, now=NOW)
        assert history is not None
        assert len(history.moments) == DAYS
        size = None
        for report in sync.reports:
            assert None not in (report.before, report.added, report.removed)
            assert report.before + report.added - report.removed == report.size  # type: ignore[operator]
            assert size in (None, report.before)
            size = report.size
