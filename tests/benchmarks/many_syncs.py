"""
Runs many syncs that are due at one moment, within the vendors' limits, on one executor after the other.

``python -m tests.benchmarks.many_syncs --syncs 200 --scale 0.3``: Amplitude's minutes last 0.3 of a minute.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any, TypeVar

import psutil

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.distributed import CELERY, DistributedAirflow
from tests.benchmarks.many_plan import (
    APP_PER_SECOND,
    EXPORT_HOLD,
    EXPORT_SECONDS,
    TRACK_PER_SECOND,
    Plan,
    busiest,
    fill,
    right,
    write_files,
)
from tests.benchmarks.many_times import States, cpu_by_process
from tests.benchmarks.record import ROOT, load, save
from tests.benchmarks.tables import number, table

NAME = "many_syncs"
EXECUTORS = ("LocalExecutor", CELERY)
WORKERS = 2
APIS = ("amplitude", "storage", "app", "track")
Result = TypeVar("Result")


class Watcher:
    """Looks at the memory of all processes that this one has started, once a second."""

    def __init__(self) -> None:
        self.own = psutil.Process()
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._cpu = self._seconds()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.cpu = self._seconds() - self._cpu

    def _watch(self) -> None:
        while not self._done.wait(1):
            self.peak = max(self.peak, sum(self._each(lambda process: process.memory_info().rss)))

    def _seconds(self) -> float:
        """CPU seconds of the processes that live, with those of their children that have ended."""
        return sum(sum(times[:4]) for times in self._each(lambda process: process.cpu_times()))

    def _each(self, look: Callable[[psutil.Process], Result]) -> Iterator[Result]:
        for process in self.own.children(recursive=True):
            with suppress(psutil.Error):  # it has ended meanwhile
                yield look(process)


def run(plan: Plan, executor: str, patience: float, imports_ahead: bool) -> dict[str, Any]:
    """Run the plan on an executor, and return what was measured."""
    settings: dict[str, Any] = {"export_seconds": EXPORT_SECONDS * plan.scale, "limit_scale": plan.scale}
    paces: dict[str, Any] = {"app_per_second": APP_PER_SECOND, "track_per_second": TRACK_PER_SECOND}
    with (
        tempfile.TemporaryDirectory(prefix="many-syncs-") as directory,
        Sandbox(limits=True, **settings, **paces) as vendors,
    ):
        connections = fill(vendors, plan)
        home = Path(directory)
        files = write_files(plan, home / "dags")
        if imports_ahead:
            import_ahead(home)
        celery = executor == CELERY
        airflow = DistributedAirflow(
            home,
            home / "dags",
            connections,
            env={
                "AIRFLOW__CIO_COHORT__EXPORT_HOLD": str(EXPORT_HOLD * plan.scale),
                "AIRFLOW__CORE__PARALLELISM": str(plan.slots),
                # Nobody changes the files while they run.
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
                # On a machine that others keep busy, a file that is read too slowly costs a try.
                "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
            },
            executor=executor,
            workers=WORKERS,
            slots=plan.slots // WORKERS if celery else plan.slots,
        )
        with airflow:
            tell(airflow.command("cohort-sync", "pools", *map(str, files)))
            airflow.wait_until(lambda: count(airflow, "dags") >= plan.syncs, "the DAGs", patience)
            states = States(airflow.postgres.address)
            states.record()
            used = cpu_by_process(_running(airflow))
            start = datetime.now(UTC)
            with Watcher() as watcher:
                run_all(airflow, plan, patience)
            used = cpu_by_process(_running(airflow)) - used
            in_state = states.means()
            done = list(tasks(airflow))
        return {
            "executor": executor,
            **asdict(plan),
            "imports_ahead": imports_ahead,
            "seconds": round((max(ends(done)) - start).total_seconds(), 1),
            "floor": round(plan.floor(busiest(vendors)), 1),
            "succeeded": right(vendors, plan),
            "tasks": len(done),
            "tries_beyond_the_first": sum(task["try_number"] - 1 for task in done),
            "restarts": sum(airflow.restarts.values()),
            "too_many": {api: vendors.count(api, status=429) for api in APIS},
            "requests": {api: vendors.count(api) for api in APIS},
            "exports": sum(project.used for project in vendors.projects.values()),
            "peak_mib": round(watcher.peak / 2**20),
            "cpu_seconds": round(watcher.cpu),
            "cpu_by_process": {name: round(seconds, 1) for name, seconds in used.items()},
            "seconds_in_state": in_state,
        }


def _running(airflow: DistributedAirflow) -> dict[str, Popen[bytes]]:
    return {**airflow.processes.running, **airflow.servers.running}


def import_ahead(home: Path) -> None:
    """Let each process of Airflow import at its start what tasks need, as docs/scale.md says."""
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    block = page.split("# airflow_local_settings.py\n", 1)[1].split("```", 1)[0]
    folder = home / "config"
    folder.mkdir()
    (folder / "airflow_local_settings.py").write_text(block)


def run_all(airflow: DistributedAirflow, plan: Plan, patience: float) -> None:
    """Let all syncs go at one moment, and wait until the last has ended."""
    airflow.api("PATCH", "dags", {"is_paused": False}, dag_id_pattern="cohort_sync__many_%")

    def ended() -> bool:
        good, bad = (count(airflow, "dags/~/dagRuns", state=state) for state in ("success", "failed"))
        tell(f"{good} succeeded, {bad} failed")
        time.sleep(5)  # not to be a load of its own
        return good + bad >= plan.syncs

    airflow.wait_until(ended, "all syncs to end", patience)


def ends(done: list[dict[str, Any]]) -> Iterator[datetime]:
    """Yield when each task has ended."""
    return (datetime.fromisoformat(task["end_date"]) for task in done if task["end_date"])


def count(airflow: DistributedAirflow, path: str, **query: Any) -> int:
    """Return how many there are in a list of the REST API."""
    total: int = airflow.api("GET", path, limit=1, **query)["total_entries"]
    return total


def tasks(airflow: DistributedAirflow) -> Iterator[dict[str, Any]]:
    """Yield all task instances."""
    for offset in range(0, count(airflow, "dags/~/dagRuns/~/taskInstances"), 100):
        page = airflow.api("GET", "dags/~/dagRuns/~/taskInstances", limit=100, offset=offset, order_by="id")
        yield from page["task_instances"]


_TITLES = (
    "executor",
    "syncs",
    "s",
    "floor s",
    "exports",
    "CPU s",
    "peak MiB",
)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["executor"],
        number(row["syncs"]),
        number(row["seconds"]),
        number(row["floor"]),
        number(row["exports"]),
        number(row["cpu_seconds"]),
        number(row["peak_mib"]),
    )


def section(record: dict[str, Any]) -> list[str]:
    """
    Return the part of the performance page about many syncs.

    :param record: what :func:`.record.load` returns.
    """
    rows = record["figures"]["rows"]
    first = rows[0]
    lines = [
        "## Many syncs at once",
        "",
        f"{first['syncs']} syncs due at once, in {first['projects']} Amplitude projects and "
        f"{first['workspaces']} Customer.io workspaces, with `use_pools`, {first['slots']} task slots and "
        f"`max_concurrent_tasks: {first['max_concurrent_tasks']}`. Amplitude's minutes, its exports and "
        f"`export_hold` are scaled by {first['scale']:g}; the floor is the least time that its limits allow."
        + (
            " Tasks find their imports done ([scale.md](scale.md#what-a-task-imports))."
            if _ahead(rows)
            else ""
        ),
        "",
        *table(_TITLES, map(_row, rows)),
    ]
    wrong = sum(row["syncs"] - row["succeeded"] for row in rows)
    tries = sum(row["tries_beyond_the_first"] for row in rows)
    refused = sum(sum(row["too_many"].values()) for row in rows)
    return [
        *lines,
        *_where(rows),
        "",
        f"{wrong:,} segments were wrong, {tries:,} tasks were retried, {refused:,} requests got a 429. "
        "Memory and CPU are sums over all processes of Airflow, PostgreSQL and Redis.",
    ]


def _ahead(rows: list[dict[str, Any]]) -> bool:
    return all(row.get("imports_ahead") for row in rows)


def _where(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines about where time and CPU of each sync go."""
    lines = []
    for row in rows:
        if "cpu_by_process" not in row:  # measured before this was
            continue
        cpu = {name: seconds / row["syncs"] for name, seconds in row["cpu_by_process"].items()}
        states = [
            f"{task} {', '.join(f'{number(seconds, 1)} s {state}' for state, seconds in times.items())}"
            for task, times in row["seconds_in_state"].items()
        ]
        lines += [
            "",
            f"{row['executor']}, CPU of a sync: "
            + ", ".join(f"{name} {number(seconds, 2)} s" for name, seconds in cpu.items())
            + f". On average, its tasks are: {'; '.join(states)}.",
        ]
    return lines


def tell(text: str) -> None:
    """Say how far it is."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", flush=True, file=sys.stderr)


def main() -> None:
    """Run, and keep what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in asdict(Plan(200, 2, 4, 50, 16, 2, 0.3)).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--executors", nargs="+", choices=EXECUTORS, default=EXECUTORS)
    parser.add_argument("--imports-ahead", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--patience", type=float, default=3600, help="seconds for each executor")
    parser.add_argument("--dry", action="store_true", help="print the figures instead of keeping them")
    parser.add_argument("--quick", action="store_const", const=8, dest="syncs", help="few syncs only")
    options = vars(parser.parse_args())
    executors, patience, dry, ahead = (
        options.pop(name) for name in ("executors", "patience", "dry", "imports_ahead")
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started here is ended
    plan = Plan(**options)
    kept = [] if dry else (load(NAME) or {"figures": {"rows": []}})["figures"]["rows"]
    rows = {row["executor"]: row for row in kept if all(row[key] == v for key, v in asdict(plan).items())}
    for executor in executors:
        rows[executor] = run(plan, executor, patience, ahead)
        tell(str(rows[executor]))
        if not dry:
            save(NAME, {"rows": [rows[name] for name in EXECUTORS if name in rows]})


if __name__ == "__main__":
    main()
