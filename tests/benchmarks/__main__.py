"""
Measures whole syncs against the sandbox: time, peak memory, requests.

``make bench``, or ``python -m tests.benchmarks --sizes 10000 100000``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_provider_cio_cohort.sandbox import Sandbox

RUN = """
import json, resource, sys, time
from airflow_provider_cio_cohort.hooks import amplitude, customer_io, export_file
from airflow_provider_cio_cohort.sync import engine
from airflow_provider_cio_cohort.transfers.amplitude_to_customer_io import AmplitudeCohortToCustomerIOOperator
task = AmplitudeCohortToCustomerIOOperator(
    task_id="sync", cohort_id="b3nch00", segment_name="Bench", poll_interval=1
)
def peak():
    # Not ru_maxrss: that one starts with the size of the process that this one was forked from.
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
idle = peak()
start = time.perf_counter()
report = task.execute({}) if sys.argv[1] == "sync" else {}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": time.perf_counter() - start, "cpu": used.ru_utime + used.ru_stime,
                  "mib": (peak() - idle) / 1024, "report": report}))
"""


def rows(numbers: range) -> Iterator[dict[str, str]]:
    """Yield a row for each number; one in ten is nobody in Customer.io."""
    return ({"amplitude_id": str(10**11 + n), "user_id": f"user-{n:09}"} for n in numbers)


def run(sandbox: Sandbox) -> dict[str, Any]:
    """Sync once in a process of its own, and return what it took."""
    connections = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(c) for name, c in sandbox.connections().items()}
    home = Path(os.environ.get("AIRFLOW_HOME", ".demo/bench")).resolve()
    done = subprocess.run(
        [sys.executable, "-c", RUN, "sync"],
        env={**os.environ, **connections, "AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(size: int, latency_ms: float) -> None:
    """Measure a first sync, one with 5 % churn, and one without any change."""
    with Sandbox(people=0, export_seconds=0, latency_ms=latency_ms) as sandbox:
        churn = size // 20
        for n in range(size + churn):
            if n % 10:
                sandbox.workspace.add_person(id=f"user-{n:09}", email=None)
        for kind, numbers in (
            ("first sync", range(size)),
            ("5 % churn", range(churn, size + churn)),
            ("unchanged", range(churn, size + churn)),
        ):
            sandbox.project.add_cohort(id="b3nch00", name="Bench", rows=list(rows(numbers)))
            sandbox.reset_requests()
            figures = run(sandbox)
            report = figures["report"]
            amplitude = sandbox.count(api="amplitude") + sandbox.count(api="storage")
            cells = (
                f"{size:,}",
                kind,
                f"{report['added']:,}",
                f"{report['removed']:,}",
                f"{figures['seconds']:.1f}",
                f"{figures['cpu']:.1f}",
                f"{figures['mib']:.0f}",
                f"{amplitude}",
                f"{sandbox.count(api='app')}",
                f"{sandbox.count(api='track')}",
            )
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print a table that can be pasted into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 500_000])
    parser.add_argument("--latency-ms", type=float, default=20)
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, Airflow {version('apache-airflow')}, {os.cpu_count()} cores, "
        f"{platform.machine()}; sandbox with {options.latency_ms:g} ms latency, Track API at 100 requests/s\n"
    )
    print("| members | run | added | removed | wall s | CPU s | MiB | Amplitude | App | Track |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for size in options.sizes:
        measure(size, options.latency_ms)


if __name__ == "__main__":
    main()
