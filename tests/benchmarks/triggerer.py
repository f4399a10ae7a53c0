"""
Measures one triggerer with a thousand waiting exports: the real process, on a database of its own.

``python -m tests.benchmarks.triggerer``
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.sandbox import Sandbox
from tests.benchmarks import record
from tests.benchmarks.tables import number, table
from tests.benchmarks.triggerer_rows import AT_ONCE

ROOT = Path(__file__).parents[2]
COHORT = "b3nch00"
LONGEST_BLOCK = 0.1
WAYS = {"ours": "exports of Amplitude", "bare": "Airflow's `DateTimeTrigger`"}


def main() -> None:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--export-seconds", type=float, default=150)
    parser.add_argument("--quick", action="store_const", const=50, dest="tasks", help="few tasks only")
    options = parser.parse_args()
    figures = {kind: measure(kind, options.tasks, options.export_seconds) for kind in WAYS}
    record.save("triggerer", {"tasks": options.tasks, "export_seconds": options.export_seconds, **figures})
    print("\n".join(section(record.load("triggerer") or {})))


def measure(kind: str, tasks: int, seconds: float) -> dict[str, Any]:
    """
    Let a triggerer wait for as many tasks, and return what it took.

    :param kind: what they wait for, one of ``WAYS``.
    :param tasks: how many.
    :param seconds: how long the exports take, counted from when they are all requested.
    """
    with tempfile.TemporaryDirectory() as home, Sandbox(people=0, limits=False) as sandbox:
        env = _environment(home, sandbox)
        subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True
        )
        monitor = Path(home, "monitor.jsonl")
        _step(env, "prepare", str(monitor))
        with _triggerer(env, Path(home, "triggerer.log")) as process:
            _wait_for(monitor)
            idle = _memory(process.pid)
            requests = Path(home, "requests.json")
            requests.write_text(json.dumps(_exports(sandbox, tasks, seconds)), encoding="utf-8")
            began, clock = time.time(), time.monotonic()
            _step(env, "defer", kind, str(seconds), str(requests))
            all_taken = time.time() + 5
            _step(env, "waiting", str(seconds * 5 + 120))
            ended, memory = time.time(), _memory(process.pid)
        log = Path(home, "triggerer.log").read_text(encoding="utf-8", errors="replace")
        seen = [json.loads(line) for line in monitor.read_text(encoding="utf-8").splitlines()]
        polls = [one.at - clock for one in sandbox.requests if "request-status" in one.path]
    during = [one for one in seen if began <= one["at"] <= ended + 1]
    waiting = [one for one in during if all_taken <= one["at"] <= began + seconds]
    return {
        "all_fired": ended - began,
        "late": max(one["late"] for one in during),
        "work": max(one["work"] for one in during),
        "late_while_waiting": max((one["late"] for one in waiting), default=None),
        "work_while_waiting": max((one["work"] for one in waiting), default=None),
        "seconds_waiting": len(waiting),
        "seconds_with_a_block": sum(one["work"] > LONGEST_BLOCK for one in during),
        "warnings": log.count("async thread was blocked"),
        "memory_idle": idle,
        "memory": memory,
        **_spread(polls),
    }


def _spread(polls: list[float]) -> dict[str, Any]:
    """Return polls in all, in the busiest second, and on average while there were any."""
    if not polls:
        return {"polls": 0}
    seconds = Counter(int(at) for at in polls)
    span = max(polls) - min(polls)
    by_second = [[second, seconds[second]] for second in range(min(seconds), max(seconds) + 1)]
    return {
        "polls": len(polls),
        "busiest": max(seconds.values()),
        "mean": len(polls) / max(span, 1),
        "by_second": by_second,
    }


def _environment(home: str, sandbox: Sandbox) -> dict[str, str]:
    connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(c) for name, c in sandbox.connections().items()}
    return {
        **os.environ,
        **connections,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__TRIGGERER__CAPACITY": "100000",
        # Another triggerer of the machine may have the usual port.
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }


def _exports(sandbox: Sandbox, count: int, seconds: float) -> list[str]:
    """Request exports that are finished together, in so many seconds from now; return their ids."""
    sandbox.configure(export_seconds=seconds)
    sandbox.project.add_cohort(id=COHORT, name="Bench", rows=[])
    return [sandbox.project.request(COHORT, []).id for _ in range(count)]


def _step(env: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.triggerer_rows", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


@contextmanager
def _triggerer(env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(monitor: Path, seconds: float = 120) -> None:
    deadline = time.time() + seconds
    while not monitor.exists():
        if time.time() > deadline:
            raise RuntimeError("the triggerer does not run the monitor")
        time.sleep(0.2)


def _memory(pid: int) -> dict[str, float]:
    """Return the MiB of the process that runs the triggers, and of its supervisor."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return {"supervisor": _rss(pid), "runner": max((_rss(int(child)) for child in children), default=0.0)}


def _rss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def section(kept: dict[str, Any]) -> list[str]:
    """
    Return what the page on performance says of the triggerer, as lines of Markdown.

    :param kept: what :func:`.record.save` has kept.
    """
    from tests.benchmarks import plots

    figures = kept["figures"]
    ours = figures["ours"]
    polls = {"polls": [(float(second), float(count)) for second, count in ours["by_second"]]}
    return [
        "## Waiting exports",
        "",
        f"{figures['tasks']:,} deferred tasks in one `airflow triggerer` (SQLite), added at most {AT_ONCE} a "
        f"second. Exports take {figures['export_seconds']:g} s; each is polled every 10 s. *Late* is the "
        "longest delay of the event loop, *work* the longest time for which it was busy without a break; "
        "*waiting*, while no task is added or fires. Airflow's own triggers, which only wait for a moment, "
        "show Airflow's share.",
        "",
        *table(_TITLES, (_row(name, figures[kind]) for kind, name in WAYS.items())),
        "",
        plots.lines(
            "triggerer", "Polls of waiting exports", "seconds", "polls in a second", polls, log=False
        ),
        "",
        f"{ours['mean']:.0f} polls a second on average, {ours['busiest']} in the busiest.",
    ]


_TITLES = ("for what", "waiting: late ms", "waiting: work ms", "late ms", "work ms", "all fired after s",
           "MiB before", "MiB with all")  # fmt: skip


def _row(name: str, one: dict[str, Any]) -> tuple[str, ...]:
    times = ("late_while_waiting", "work_while_waiting", "late", "work")
    return (
        name,
        *(number(None if one[time] is None else one[time] * 1000) for time in times),
        number(one["all_fired"]),
        number(one["memory_idle"]["runner"]),
        number(one["memory"]["runner"]),
    )


if __name__ == "__main__":
    main()
