"""
Measures the page "Cohort syncs" on a metadata database with a long past.

``python -m tests.benchmarks.overview --syncs 300 --days 365``
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any


def main() -> None:
    """Fill a database, read it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--syncs", type=int, default=300)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--runs-a-day", type=int, default=1)
    parser.add_argument("--home", help="an Airflow home to fill, or to use again; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        home = arguments.home or directory
        # Airflow reads its configuration when it is first imported, so this comes before any import of it.
        os.environ.update({"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        measure(
            arguments.syncs, arguments.days * arguments.runs_a_day, timedelta(days=1) / arguments.runs_a_day
        )


def measure(syncs: int, runs: int, distance: timedelta) -> None:
    """Fill the database unless it is full, and print how long the page takes, and how many queries."""
    from airflow.models.asset import AssetEvent
    from airflow.settings import Session
    from sqlalchemy import event, func, select

    from airflow_provider_cio_cohort.overview import load_history, load_overview
    from airflow_provider_cio_cohort.ui.pages import history_page, overview_page

    queries = []
    with Session() as session:
        if not session.scalar(select(func.count()).select_from(AssetEvent)):
            fill(session, syncs, runs, distance)
        events = session.scalar(select(func.count()).select_from(AssetEvent))
        event.listen(session.get_bind(), "before_cursor_execute", lambda *_: queries.append(1))
        print(f"{syncs} syncs, {events:,} events")
        for attempt in ("first", "second", "third"):
            queries.clear()
            start = time.perf_counter()
            overview = load_overview(session)
            read = time.perf_counter()
            page = overview_page(overview)
            print(
                f"overview, {attempt} time: {len(queries)} queries, {(read - start) * 1000:.0f} ms; "
                f"page of {len(page) / 1024:.0f} KiB in {(time.perf_counter() - read) * 1000:.0f} ms"
            )
        queries.clear()
        one = overview.syncs[0]
        start = time.perf_counter()
        history = load_history(session, one.dag.dag_id, one.task_id, one.asset_id or 0)
        assert history is not None
        page = history_page(history)
        took = (time.perf_counter() - start) * 1000
        print(f"one sync: {len(queries)} queries, {took:.0f} ms, page of {len(page) / 1024:.0f} KiB")


def fill(session: Any, syncs: int, runs: int, distance: timedelta) -> None:
    """Make as many syncs, each with as many runs in the past."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import insert

    from tests.unit.overview.rows import Airflow, event_row, report, run_row, task_row

    now = datetime.now(UTC)
    airflow = Airflow(session, now)
    made = [airflow.sync(f"sync_{number:04}") for number in range(syncs)]
    session.commit()

    def past() -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
        # As in a real database, where the runs of all syncs are written side by side.
        for number in range(runs, 0, -1):
            due = now - distance * number
            run_id = f"scheduled__{due.isoformat()}"
            for place, (dag_id, task_id, asset_id) in enumerate(made):
                said = report(10_000 + place + number % 50, exports_used=number % 400, exports_limit=500)
                yield (
                    run_row(dag_id, run_id, due),
                    task_row(dag_id, task_id, run_id, "success"),
                    event_row(asset_id, dag_id, task_id, run_id, due, said),
                )

    batch: list[tuple[dict[str, Any], ...]] = []
    for rows in past():
        batch.append(rows)
        if len(batch) == 10_000:
            _write(session, insert, (DagRun, TaskInstance, AssetEvent), batch)
    _write(session, insert, (DagRun, TaskInstance, AssetEvent), batch)


def _write(
    session: Any, insert: Any, models: tuple[Any, ...], batch: list[tuple[dict[str, Any], ...]]
) -> None:
    for model, rows in zip(models, zip(*batch, strict=True), strict=False):
        session.execute(insert(model.__table__), list(rows))
    session.commit()
    batch.clear()


if __name__ == "__main__":
    main()
