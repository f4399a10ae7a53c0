"""
Measures one sync at growing sizes: a first one, one with 5 % churn, and one without any change.

``python -m tests.benchmarks.big_sync --sizes 10000 100000``
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from tests.benchmarks import plots, record
from tests.benchmarks.phases import NAMES, floors, phases
from tests.benchmarks.running import Runner
from tests.benchmarks.tables import number, people, seconds, table
from tests.benchmarks.vendors import Vendors

NAME = "big_sync"
SIZES = (10_000, 100_000, 500_000, 2_000_000, 10_000_000)
QUICK = SIZES[:2]
LATENCY_MS = 50
PACE = 100
#: Of each run whether the whole cohort exists in Customer.io; otherwise one in ten does not.
KINDS = {"first sync": False, "5 % churn": False, "unchanged": False, "unchanged, all known": True}


def measure(runner: Runner, size: int) -> list[dict[str, Any]]:
    """
    Measure the syncs of one size.

    :param runner: warmed up.
    :param size: members of the cohort.
    """
    runs = []
    with Vendors(size + size // 20, LATENCY_MS, PACE) as vendors:
        for kind, child, served, found in syncs(runner, vendors, size):
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
                    "vendors_mib": vendors.memory(),
                }
            )
            print("; ".join(_row(runs[-1])), flush=True)
    return runs


def syncs(
    runner: Runner, vendors: Vendors, size: int
) -> Iterator[tuple[str, dict[str, Any], list[Any], dict[str, Any]]]:
    """
    Run a sync of each of :data:`KINDS`; yield its kind, what the task and the vendors say, and the figures.

    :param runner: warmed up.
    :param vendors: with a twentieth more people than the cohort has.
    :param size: members of the cohort.
    """
    churn = size // 20
    for kind, known in KINDS.items():
        start = 0 if kind == "first sync" else churn
        vendors.set_cohort(start, start + size, known=known)
        found = runner.run_against(vendors)
        child, served = found.pop("child"), found.pop("served")
        yield kind, child, served, {**found, "held": vendors.held(start, start + size)}


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


#: Those with a column: the wait for Amplitude's export has none.
_PHASES = NAMES[1:]
_TITLES = ("people", "run", "wall", "CPU", "MiB", "App", "Track", *_PHASES)


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        people(run["members"]),
        run["kind"],
        seconds(run["seconds"]),
        seconds(run["cpu"]),
        number(run["above_idle_mib"]),
        *(number(run["requests"][api]) for api in ("app", "track")),
        *(seconds(run["phases"][name]) for name in _PHASES),
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    figures = found["figures"]
    runs = figures["runs"]
    requests = sorted({run["requests"]["amplitude"] for run in runs})
    wrong = sum(run["held"]["missing"] + run["held"]["too_many"] for run in runs)
    largest = max(run["members"] for run in runs)
    idle = runs[0]["idle_mib"]
    return [
        "## One big sync",
        "",
        f"One task at {figures['latency_ms']} ms latency and {figures['pace']} Track requests a second; "
        "times in seconds. One in ten identifiers matches nobody, so every run tries it again, except in "
        f"*unchanged, all known*. MiB is the peak above an empty task ({idle:,.0f} MiB of imports). App and "
        f"Track are requests; {_span(requests, 0)} more go to Amplitude. Phases may overlap. `verify` "
        "includes the look-up of people who are not in the segment. The wait for Amplitude's "
        f"export is left out. {sum(run['refused'] for run in runs):,} requests got a "
        f"429, and {wrong:,} people were missing or wrong in a segment.",
        "",
        *table(_TITLES, map(_row, runs)),
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
    ]


def _span(ordered: list[float], digits: int) -> str:
    """Return the smallest and the largest number, or one where they read the same."""
    return " to ".join(dict.fromkeys(number(each, digits) for each in (ordered[0], ordered[-1])))


def _series(runs: list[dict[str, Any]], kind: str, of: Any) -> list[tuple[float, float]]:
    return [(run["members"], of(run)) for run in runs if run["kind"] == kind]


if __name__ == "__main__":
    main()
