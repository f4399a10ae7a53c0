"""A DAG that is gone was removed if its file can be read; otherwise it is missing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session

from airflow_provider_cio_cohort.overview import Kind, Overview, State, load_history, load_overview
from tests.unit.overview.database import NOW
from tests.unit.overview.rows import Airflow, segment_uri

FILE = {"relative_fileloc": "growth.py"}


@pytest.fixture
def two(airflow: Airflow) -> list[tuple[str, str, int]]:
    """Two syncs and their watch, gone from a file when it was last read; a third was removed long before."""
    when: dict[str, Any] = {"is_stale": True, "last_parsed_time": airflow.ago(hours=2), **FILE}
    found = [airflow.sync(name, **when) for name in ("one", "two")]
    airflow.dag("cohort_freshness__growth", "cohort-freshness", **when)
    airflow.sync("removed", **{**when, "last_parsed_time": airflow.ago(days=20)})
    airflow.good(airflow.sync("elsewhere", relative_fileloc="other.py"), airflow.ago(hours=1))
    return found


def kinds(overview: Overview) -> list[tuple[Kind, str]]:
    return [(one.kind, one.subject) for one in overview.attention]


def test_what_a_broken_yaml_file_takes_along(session: Session, airflow: Airflow, two: Any) -> None:
    airflow.good(two[0], airflow.ago(days=1), size=70)
    airflow.broken_file(**FILE)
    overview = load_overview(session, now=NOW)
    assert kinds(overview) == [
        (Kind.BROKEN_FILE, "growth.yaml"),
        (Kind.MISSING, "one"),
        (Kind.MISSING, "two"),
        (Kind.UNWATCHED, "growth.py"),
    ]
    file, one, *_ = overview.attention
    assert file.dag_id == "cohort_file__growth.yaml"
    assert one.since == airflow.ago(hours=2)
    states = {sync.name: sync.state for sync in overview.syncs}
    assert states == {"elsewhere": State.SUCCESS, "one": State.MISSING, "two": State.MISSING}
    (sync,) = [sync for sync in overview.syncs if sync.name == "one"]
    assert [report.size for report in sync.reports] == [70]
    assert sync.dag.next_run
    assert sync.dag.runs_next is None
    history = load_history(session, *two[0], now=NOW)
    assert history is not None
    assert [one.kind for one in history.attention] == [Kind.MISSING]


@pytest.mark.parametrize("stacktrace", ["SyntaxError", "import airflow_provider_cio_cohort"])
def test_what_a_broken_dag_file_takes_along(
    session: Session, airflow: Airflow, two: Any, stacktrace: str
) -> None:
    airflow.import_error("growth.py", stacktrace)
    airflow.import_error("unrelated.py")
    expected = [Kind.BROKEN_FILE, Kind.MISSING, Kind.MISSING, Kind.UNWATCHED]
    assert [kind for kind, _ in kinds(load_overview(session, now=NOW))] == expected
    every = {"cohort_sync__one", "cohort_sync__two", "cohort_freshness__growth", "cohort_sync__removed"}
    assert [kind for kind, _ in kinds(load_overview(session, every, NOW))] == expected
    assert kinds(load_overview(session, {"cohort_sync__elsewhere"}, NOW)) == []


def test_who_may_see_one_sync_of_a_broken_file_sees_that_and_no_more(
    session: Session, airflow: Airflow, two: Any
) -> None:
    def shown(*readable: str) -> list[tuple[Kind, str]]:
        overview = load_overview(session, {*readable}, NOW)
        assert {sync.dag.dag_id for sync in overview.syncs} <= {*readable}
        return kinds(overview)

    airflow.broken_file(**FILE)
    one, file, watch = "cohort_sync__one", "cohort_file__growth.yaml", "cohort_freshness__growth"
    assert shown(one) == [(Kind.MISSING, "one")]
    assert shown(file, one) == [(Kind.BROKEN_FILE, "growth.yaml"), (Kind.MISSING, "one")]
    assert shown(watch) == [(Kind.UNWATCHED, "growth.py")]
    assert shown("cohort_sync__removed", "cohort_sync__elsewhere") == []
    assert load_history(session, *two[0], readable={one}, now=NOW) is not None
    assert load_history(session, *two[1], readable={one}, now=NOW) is None


def test_what_was_removed_before_a_file_broke_is_missing_for_nobody(
    session: Session, airflow: Airflow, two: Any
) -> None:
    airflow.import_error("growth.py")
    overview = load_overview(session, {"cohort_sync__removed"}, NOW)
    assert (overview.syncs, overview.attention) == ((), ())
    removed = ("cohort_sync__removed", "sync", airflow.asset(segment_uri("removed")))
    assert load_history(session, *removed, now=NOW) is None


def test_what_is_gone_from_a_file_that_can_be_read_was_removed(
    session: Session, airflow: Airflow, two: Any
) -> None:
    airflow.import_error("growth.py", bundle="another")
    overview = load_overview(session, now=NOW)
    assert [sync.name for sync in overview.syncs] == ["elsewhere"]
    assert overview.attention == ()
    assert load_history(session, *two[0], now=NOW) is None


def test_a_file_that_was_corrected(session: Session, airflow: Airflow, two: Any) -> None:
    airflow.broken_file(**FILE, is_stale=True)
    assert load_overview(session, now=NOW).attention == ()


def test_a_first_file_that_cannot_be_imported(session: Session, airflow: Airflow) -> None:
    airflow.import_error("new.py", "File ...\n  import airflow_provider_cio_cohort\nSyntaxError")
    airflow.import_error("unrelated.py")
    assert kinds(load_overview(session, now=NOW)) == [(Kind.BROKEN_FILE, "new.py")]
    assert kinds(load_overview(session, set(), NOW)) == []  # the page: nobody knows who may see it


def test_a_dag_file_that_reads_several_yaml_files(session: Session, airflow: Airflow, two: Any) -> None:
    airflow.broken_file(**FILE)
    airflow.good(
        airflow.sync("sound", last_parsed_time=airflow.now + timedelta(seconds=1), **FILE),
        airflow.ago(hours=1),
    )
    missing = [name for kind, name in kinds(load_overview(session, now=NOW)) if kind is Kind.MISSING]
    # Which of them was in which file is unknown.
    assert missing == ["one", "removed", "two"]


def test_a_sync_whose_assets_airflow_has_forgotten(session: Session, airflow: Airflow, two: Any) -> None:
    from airflow.models.asset import TaskOutletAssetReference

    session.execute(delete(TaskOutletAssetReference))  # as Airflow does it for DAGs that are stale
    airflow.broken_file(**FILE)
    overview = load_overview(session, now=NOW)
    states = {sync.name: sync.state for sync in overview.syncs}
    assert states == {"one": State.MISSING, "two": State.MISSING}


def test_the_exports_of_missing_syncs_still_count(session: Session, airflow: Airflow, two: Any) -> None:
    def to_come(now: datetime = NOW) -> int:
        (quota,) = load_overview(session, now=now).quotas
        return quota.to_come

    alone = to_come()
    airflow.broken_file(**FILE)
    assert to_come() == 3 * alone


def test_a_watch_that_is_paused(session: Session, airflow: Airflow) -> None:
    airflow.good(airflow.sync("one", **FILE), airflow.ago(hours=1))
    dag_id = airflow.dag("cohort_freshness__growth", "cohort-freshness", is_paused=True, **FILE)
    (found,) = load_overview(session, now=NOW).attention
    assert (found.kind, found.subject, found.dag_id) == (Kind.UNWATCHED, "growth.py", dag_id)
    assert found.text == (
        "cohort_freshness__growth is paused, so nobody is told when a segment becomes stale: unpause it."
    )
    assert load_overview(session, {"cohort_sync__one"}, NOW).attention == ()
    assert len(load_overview(session, {"cohort_sync__one", dag_id}, NOW).attention) == 1
