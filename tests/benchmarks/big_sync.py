"""
Measures one sync at growing sizes: a first one, one with 5 % churn, and one without any change.

``python -m tests.benchmarks.big_sync --sizes 10000 100000``
"""

from __future__ import annotations

import argparse
from typing import Any

from tests.benchmarks import plots, record
from tests.benchmarks.phases import NAMES, floors, phases
from tests.benchmarks.running import Runner
from tests.benchmarks.tables import megabytes, number, people, seconds, table
from tests.benchmarks.vendors import Vendors

NAME = "big_sync"
SIZES = (10_000, 100_000, 500_000, 2_000_000, 10_000_000)
QUICK = SIZES[:2]
LATENCY_MS = 50
PACE = 100
#: Of each run whether all of the cohort are somebody in Customer.io; otherwise one in ten is nobody.
KINDS = {"first sync": False, "5 % churn": False, "unchanged": False, "unchanged, all known": True}


def measure(runner: Runner, size: int) -> list[dict[str, Any]]:
    """
    Measure the syncs of one size.

    :param runner: warmed up.
    :param size: members of the cohort.
    """
    churn = size // 20
    runs = []
    with Vendors(size + churn, LATENCY_MS, PACE) as vendors:
        for kind, known in KINDS.items():
            start = 0 if kind == "first sync" else churn
            vendors.set_cohort(start, start + size, known=known)
            found = runner.run_against(vendors)
            child, served = found.pop("child"), found.pop("served")
            report = child["result"]["report"]
            runs.append(
                {
                    "members": size,
                    "kind": kind,
                    "added": report["added"],
                    "removed": report["removed"],
                    **found,
                    "phases": phases(child, served),
                    "floors": floors(served, PACE),
                    "held": vendors.held(start, start + size),
                    "vendors_mib": vendors.memory(),
                }
            )
            print("; ".join(_row(runs[-1])), flush=True)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="small ones only")
    options = parser.parse_args(arguments)
    print("; ".join(_TITLES))
    with Runner("task") as runner:
        runner.warm_up_against_vendors()
        runs = [run for size in options.sizes for run in measure(runner, size)]
    record.save(NAME, {"latency_ms": LATENCY_MS, "pace": PACE, "runs": runs})


_TITLES = ("people", "run", "wall s", "CPU s", "MiB above an empty task", "Amplitude", "App", "Track",
           "MB sent", "MB received", "429s", "writing s", "its floor s", "ratio")  # fmt: skip


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    writing, floor = run["phases"]["writing"], run["floors"]["writing"]
    return (
        people(run["members"]),
        run["kind"],
        seconds(run["seconds"]),
        seconds(run["cpu"]),
        number(run["above_idle_mib"]),
        *(number(run["requests"][api]) for api in ("amplitude", "app", "track")),
        megabytes(run["sent_bytes"]),
        megabytes(run["received_bytes"]),
        number(run["refused"]),
        seconds(writing),
        seconds(floor or None),
        number(writing / floor if writing else None, 2),
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    figures = found["figures"]
    runs = figures["runs"]
    wrong = sum(run["held"]["missing"] + run["held"]["too_many"] for run in runs)
    largest = max(run["members"] for run in runs)
    idle = runs[0]["idle_mib"]
    return [
        "## One big sync",
        "",
        f"One task, as Airflow runs it, at {figures['latency_ms']} ms latency and {figures['pace']} "
        "requests a second of the Track API. One in ten identifiers is nobody's, which can only be known by "
        "sending it again; in the last run of each size, all are somebody. Memory is the peak above that of "
        f"an empty task ({idle:,.0f} MiB: Airflow's own imports, and ours). The floor of the writing is its "
        f"number of requests divided by the pace. Over all runs, {wrong:,} people were missing in a segment "
        "or too many in it afterwards.",
        "",
        *table(_TITLES, map(_row, runs)),
        "",
        "The phases of the same runs, in seconds; what overlaps counts in both. `export` is the wait "
        "for Amplitude, `verify` holds the wait until the writes show (`verify_settle`), and `work` is what "
        "is left without the vendors' paces: download, parse, sort and diff, of which two million people on "
        "either side are to take 5 s at most.",
        "",
        *table(
            ("people", "run", *NAMES, "work"),
            ((people(run["members"]), run["kind"], *_seconds(run["phases"])) for run in runs),
        ),
        "",
        plots.lines(
            "big_sync_time",
            f"One sync of up to {people(largest)} people",
            "people in the cohort",
            "seconds",
            {
                **{kind: _series(runs, kind, lambda run: run["seconds"]) for kind in KINDS},
                "floor of the first sync's writing": _series(
                    runs, "first sync", lambda run: run["floors"]["writing"]
                ),
            },
        ),
        "",
        plots.lines(
            "big_sync_memory",
            "Peak memory above an empty task",
            "people in the cohort",
            "MiB",
            {kind: _series(runs, kind, lambda run: run["above_idle_mib"]) for kind in KINDS},
        ),
        "",
        f"The vendors stand in a process of their own on the same {found['machine']}; they took "
        f"{max(run['vendors_cpu'] / run['seconds'] for run in runs):.0%} of one core at most.",
    ]


def _seconds(phases: dict[str, float | None]) -> list[str]:
    work = sum(phases[name] or 0 for name in ("download", "parse, sort", "diff"))
    return [*(seconds(phases[name]) for name in NAMES), seconds(work)]


def _series(runs: list[dict[str, Any]], kind: str, of: Any) -> list[tuple[float, float]]:
    return [(run["members"], of(run)) for run in runs if run["kind"] == kind]


if __name__ == "__main__":
    main()
