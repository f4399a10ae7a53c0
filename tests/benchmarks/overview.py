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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.tables import number, table

NAME = "overview"
QUICK = ("--syncs", "20", "--days", "10")


def main(arguments: list[str] | None = None) -> None:
    """Fill a database, read it, and keep what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--syncs", type=int, default=300)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--runs-a-day", type=int, default=1)
    parser.add_argument("--home", help="an Airflow home to fill, or to use again; a temporary one by default")
    parser.add_argument("--quick", action="store_true", help="a small one")
    options = parser.parse_args(arguments)
    if options.quick:
        options = parser.parse_args(QUICK)
    with tempfile.TemporaryDirectory() as directory:
        home = options.home or directory
        # Airflow reads its configuration when it is first imported, so this comes before any import of it.
        os.environ.update({"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"})
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        runs = options.days * options.runs_a_day
        figures = measure(options.syncs, runs, timedelta(days=1) / options.runs_a_day)
    record.save(NAME, {"syncs": options.syncs, "days": options.days, **figures})
    print("; ".join(_TITLES))
    for page in figures["pages"]:
        print("; ".join(_row(page)))


def measure(syncs: int, runs: int, distance: timedelta) -> dict[str, Any]:
    """Fill the database unless it is full, and return how long the pages take, and how many queries."""
    from airflow.models.asset import AssetEvent
    from airflow.settings import Session
    from sqlalchemy import event, func, select

    from airflow_provider_cio_cohort.overview import load_history, load_overview
    from airflow_provider_cio_cohort.ui.pages import history_page, overview_page

    queries: list[int] = []
    pages = []

    def taken(title: str, load: Callable[[], Any], show: Callable[[Any], str]) -> Any:
        queries.clear()
        start = time.perf_counter()
        found = load()
        read = time.perf_counter()
        page = show(found)
        figures = {
            "page": title,
            "queries": len(queries),
            "read_ms": (read - start) * 1000,
            "write_ms": (time.perf_counter() - read) * 1000,
            "kib": len(page) / 1024,
        }
        pages.append(figures)
        return found

    with Session() as session:
        if not session.scalar(select(func.count()).select_from(AssetEvent)):
            fill(session, syncs, runs, distance)
        events = session.scalar(select(func.count()).select_from(AssetEvent))
        event.listen(session.get_bind(), "before_cursor_execute", lambda *_: queries.append(1))
        for attempt in ("first", "second", "third"):
            title = f"all syncs, {attempt} time"
            overview = taken(title, lambda: load_overview(session), overview_page)
        one = overview.syncs[0]
        taken(
            "one sync",
            lambda: load_history(session, one.dag.dag_id, one.task_id, one.asset_id or 0),
            history_page,
        )
        return {"events": events, "database": session.get_bind().dialect.name, "pages": pages}


_TITLES = ("page", "queries", "read ms", "write ms", "KiB")


def _row(page: dict[str, Any]) -> tuple[str, ...]:
    return (page["page"], *(number(page[name]) for name in ("queries", "read_ms", "write_ms", "kib")))


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    figures = found["figures"]
    return [
        "## The page of syncs",
        "",
        f"[Cohort syncs](page.md) over {figures['syncs']:,} syncs and {figures['days']:,} days of runs, "
        f"{figures['events']:,} events in {figures['database']}; KiB before compression.",
        "",
        *table(_TITLES, map(_row, figures["pages"])),
    ]


def fill(session: Any, syncs: int, runs: int, distance: timedelta) -> None:
    """Make as many syncs, each with as many runs in the past."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import insert

    from tests.unit.overview.rows import Airflow, event_row, report, run_row, task_row

    now = datetime.now(UTC)
    airflow = Airflow(session, now)
    made = [airflow.sync(f"sync_{place:04}") for place in range(syncs)]
    params = [[f"field_{number}", {"description": "x" * 900}] for number in range(20)]
    for dag_id, _, _ in made:  # as large as a generated DAG's
        airflow.serialized(dag_id, timezone="Europe/Berlin", params=params)
    session.commit()

    def past() -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
        # As in a real database, where the runs of all syncs are written side by side.
        for back in range(runs, 0, -1):
            due = now - distance * back
            run_id = f"scheduled__{due.isoformat()}"
            for place, (dag_id, task_id, asset_id) in enumerate(made):
                said = report(10_000 + place + back % 50, exports_used=back % 400, exports_limit=500)
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
