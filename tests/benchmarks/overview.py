"""
Measures the page "Cohort syncs" on a metadata database with a long past.

``python -m tests.benchmarks.overview``, or for one of them ``--databases postgresql --syncs 1000``. The page
alternates with a floor: the plain SQL of the runs and events that it is about, without Airflow's models.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.tables import number, table

NAME = "overview"
SYNCS = {"sqlite": 300, "postgresql": 1000}
#: How often the page and the floor take turns.
TURNS = 9
_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"


def main() -> None:
    """Fill each database, look at it several times, and keep what that took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--databases", nargs="+", choices=SYNCS, default=[*SYNCS])
    parser.add_argument("--syncs", type=int, help=f"by default {SYNCS}")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--runs-a-day", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small ones")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.syncs, options.days = 20, 10
    if options.child:  # with Airflow's configuration in its environment
        distance = timedelta(days=1) / options.runs_a_day
        figures = measure(options.syncs, options.days * options.runs_a_day, distance)
        Path(options.child).write_text(json.dumps(figures), encoding="utf-8")
        return
    databases = []
    print("; ".join(_TITLES))
    for name in options.databases:
        syncs = options.syncs or SYNCS[name]
        with tempfile.TemporaryDirectory() as home, _database(name, Path(home)) as url:
            databases.append({"syncs": syncs, "days": options.days, **_in_child(options, syncs, home, url)})
        for page in databases[-1]["pages"]:
            print("; ".join(_row(databases[-1], page)), flush=True)
    record.save(NAME, {"databases": databases})


@contextmanager
def _database(name: str, home: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{home}/airflow.db"
        return
    from dev.processes import Processes
    from dev.servers import Postgres

    postgres = Postgres(Processes(home))
    postgres.start()
    try:
        yield f"postgresql+psycopg2://{postgres.address}"
    finally:
        postgres.remove()


def _in_child(options: argparse.Namespace, syncs: int, home: str, url: str) -> dict[str, Any]:
    """Airflow reads its configuration when it is first imported, so each database has its own process."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        _VARIABLE: url,
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, check=True, capture_output=True, env=environment)
    found = Path(home) / "figures.json"
    numbers = {"--syncs": syncs, "--days": options.days, "--runs-a-day": options.runs_a_day, "--child": found}
    arguments = (str(word) for pair in numbers.items() for word in pair)
    subprocess.run([sys.executable, "-m", __spec__.name, *arguments], check=True, env=environment)
    figures: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return figures


def measure(syncs: int, runs: int, distance: timedelta) -> dict[str, Any]:
    """Fill the database, and return how long the pages take, beside the floor."""
    from airflow.models.asset import AssetEvent
    from airflow.settings import Session
    from sqlalchemy import event, func, select

    from airflow_provider_cio_cohort.overview import Memory, load_history, load_overview
    from airflow_provider_cio_cohort.ui.pages import history_page, overview_page

    queries: list[int] = []
    memory = Memory()

    def taken(load: Callable[[], Any], show: Callable[[Any], str]) -> tuple[Any, dict[str, Any]]:
        queries.clear()
        start, cpu = time.perf_counter(), time.process_time()
        found = load()
        read = time.perf_counter()
        page = show(found)
        written = time.perf_counter()
        return found, {
            "queries": len(queries),
            "read_ms": (read - start) * 1000,
            "write_ms": (written - read) * 1000,
            "cpu_ms": (time.process_time() - cpu) * 1000,
            "kib": len(page) / 1024,
        }

    assert Session is not None
    with Session() as session:
        made = fill(session, syncs, runs, distance)
        events = session.scalar(select(func.count()).select_from(AssetEvent))
        dialect = session.get_bind().dialect.name
        if dialect == "postgresql":  # as autovacuum does soon
            session.connection().exec_driver_sql("ANALYZE")
            session.commit()
        event.listen(session.get_bind(), "before_cursor_execute", lambda *_: queries.append(1))

        def look() -> dict[str, Any]:
            return taken(lambda: load_overview(session, memory=memory), overview_page)[1]

        def in_turns(page: Callable[[], dict[str, Any]], floor: Callable[[], None]) -> dict[str, Any]:
            floors, looks = [], []
            for _ in range(TURNS):
                start = time.perf_counter()
                floor()
                floors.append((time.perf_counter() - start) * 1000)
                looks.append(page())
            return {name: median(one[name] for one in looks) for name in looks[0]} | {
                "floor_ms": median(floors)
            }

        def all_syncs() -> None:
            plain(session, dialect)

        all_syncs()  # so that the database has read its files
        pages = [{"page": "all syncs, first look", **look(), "floor_ms": None}]
        pages.append({"page": "all syncs, next look", **in_turns(look, all_syncs)})
        _write_past(session, made, 1, timedelta(minutes=1))
        pages.append({"page": "all syncs, each has run since", **look(), "floor_ms": None})
        one = load_overview(session, memory=memory).syncs[0]

        def history() -> dict[str, Any]:
            return taken(
                lambda: load_history(session, one.dag.dag_id, one.task_id, one.asset_id or 0), history_page
            )[1]

        history()
        pages.append({"page": "one sync", **in_turns(history, lambda: None), "floor_ms": None})
        for page in pages[:3]:
            page["floor_ms"] = pages[1]["floor_ms"]
        return {"events": events, "database": dialect, "pages": pages}


_EVENTS = """
SELECT source_dag_id, source_task_id, source_run_id, source_map_index, timestamp, extra
FROM asset_event WHERE asset_id = {asset} ORDER BY timestamp DESC LIMIT 30
"""
_RUNS = """
SELECT run_id, run_type, state, run_after, queued_at, start_date, end_date
FROM dag_run WHERE dag_id = {dag} AND logical_date IS NOT NULL ORDER BY logical_date DESC LIMIT 30
"""
_TASKS = f"""
SELECT r.*, t.state, t.start_date, t.end_date FROM ({_RUNS}) r
LEFT JOIN task_instance t ON t.dag_id = {{dag}} AND t.run_id = r.run_id AND t.task_id = 'sync'
"""  # noqa: S608 (all of it is in this file)
_SYNCS = "SELECT dag_id, asset_id FROM task_outlet_asset_reference"


def plain(session: Any, dialect: str) -> None:
    """Read the last events and runs by the driver alone: on SQLite by sync, elsewhere in two statements."""
    cursor = session.connection().connection.cursor()
    if dialect == "sqlite":
        events, runs = _EVENTS.format(asset="?"), _TASKS.format(dag="?")
        for dag, asset in cursor.execute(_SYNCS).fetchall():
            cursor.execute(events, (asset,)).fetchall()
            cursor.execute(runs, (dag, dag)).fetchall()
        return
    for question in (_EVENTS.format(asset="w.asset_id"), _TASKS.format(dag="w.dag_id")):
        cursor.execute(f"SELECT * FROM ({_SYNCS}) w CROSS JOIN LATERAL ({question}) q")  # noqa: S608 (as above)
        cursor.fetchall()


_TITLES = (
    "page",
    "database",
    "syncs",
    "queries",
    "read ms",
    "write ms",
    "CPU ms",
    "floor ms",
    "ratio",
    "KiB",
)


def _row(of: dict[str, Any], page: dict[str, Any]) -> tuple[str, ...]:
    numbers = (number(page[name]) for name in ("queries", "read_ms", "write_ms", "cpu_ms", "floor_ms"))
    floor = page["floor_ms"]
    ratio = None if floor is None else (page["read_ms"] + page["write_ms"]) / floor
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[of["database"]]
    return (page["page"], name, number(of["syncs"]), *numbers, number(ratio, 2), number(page["kib"]))


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    databases = found["figures"]["databases"]
    pasts = [
        f"{one['syncs']:,} syncs and {one['days']:,} days of runs ({one['events']:,} events)"
        for one in databases
    ]
    return [
        "## The page of syncs",
        "",
        f"[Cohort syncs](page.md) over {' and '.join(pasts)}. The first look is that of a new process of the "
        f"API server; the next one is the median of {TURNS}, each after the floor: the plain SQL of the last "
        "30 runs and events of each sync, without Airflow's models. *Ratio* is reading and writing over the "
        "floor; *CPU* is that of the API server, without the database. KiB before compression.",
        "",
        *table(_TITLES, (_row(one, page) for one in databases for page in one["pages"])),
    ]


Made = list[tuple[str, str, int]]


def fill(session: Any, syncs: int, runs: int, distance: timedelta) -> Made:
    """Make as many syncs, each with as many runs in the past; return them."""
    from tests.unit.overview.rows import Airflow

    now = datetime.now(UTC)
    airflow = Airflow(session, now)
    made = [airflow.sync(f"sync_{place:04}") for place in range(syncs)]
    params = [[f"field_{number}", {"description": "x" * 900}] for number in range(20)]
    for dag_id, _, _ in made:  # as large as a generated DAG's
        airflow.serialized(dag_id, timezone="Europe/Berlin", params=params)
    session.commit()
    _write_past(session, made, runs, distance)
    return made


def _write_past(session: Any, made: Made, runs: int, distance: timedelta) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import insert

    from tests.unit.overview.rows import event_row, report, run_row, task_row

    now = datetime.now(UTC)

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
