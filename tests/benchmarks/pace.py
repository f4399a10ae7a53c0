"""
Measures how a first sync writes, at other paces and latencies than the usual ones; and what the vendors bear.

``python -m tests.benchmarks.pace --size 100000``
"""

from __future__ import annotations

import argparse
from typing import Any

from tests.benchmarks import plots, record
from tests.benchmarks.ceiling import ceiling
from tests.benchmarks.phases import phases, writes
from tests.benchmarks.running import Runner
from tests.benchmarks.tables import number, people, seconds, table
from tests.benchmarks.vendors import Served, Vendors

NAME = "pace"
#: Pace, latency in ms and how far it spreads, members, and how often; few members at a low pace, for the
#: ratio does not depend on them where the latency does not spread. At the high one both sides need most of
#: two cores, and what else the machine does has its say.
CASES = (
    (100, 5, 0, 500_000, 1),
    (100, 50, 0, 2_000_000, 1),
    (100, 300, 0, 500_000, 1),
    (100, 150, 0.5, 2_000_000, 1),
    (1000, 5, 0, 2_000_000, 5),
    (1000, 50, 0, 2_000_000, 5),
    (1000, 300, 0, 2_000_000, 5),
    (1000, 300, 0, 10_000_000, 1),
    (1000, 150, 0.5, 2_000_000, 3),
)
QUICK = 20_000


def measure(runner: Runner, pace: int, latency_ms: int, spread: float, size: int) -> dict[str, Any]:
    """
    Measure the writing of a first sync.

    :param runner: warmed up.
    :param pace: requests a second, of the connection and of the Track API.
    :param latency_ms: added to every answer.
    :param spread: how far that spreads: sigma of a log-normal distribution, of which it is the middle.
    :param size: members of the cohort.
    """
    with Vendors(size, latency_ms, pace, spread) as vendors:
        vendors.set_cohort(0, size)
        found = runner.run_against(vendors)
        served = writes(found["served"])
        writing = phases(found["child"], found["served"])["writing"] or 0.0
        run = {
            "pace": pace,
            "latency_ms": latency_ms,
            "spread": spread,
            "members": size,
            "writes": len(served),
            "writing": writing,
            "floor": len(served) / pace,
            "ratios": [writing * pace / len(served)],
            "refused": found["refused"],
            "connections": len({each.client for each in served}),
            "at_once": most_at_once(served),
            "held": vendors.held(0, size),
        }
    print("; ".join(_row(run)), flush=True)
    return run


def typical(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the run in the middle, with what is to be known of all of them.

    :param runs: of one case.
    """
    by_time = sorted(runs, key=lambda run: run["writing"])
    return {
        **by_time[len(runs) // 2],
        "refused": sum(run["refused"] for run in runs),
        "ratios": [ratio for run in by_time for ratio in run["ratios"]],
    }


def most_at_once(served: list[Served]) -> int:
    """
    Return how many requests were being answered at once, at most.

    :param served: the requests.
    """
    moments = [(each.began, 1) for each in served] + [(each.at, -1) for each in served]
    now = most = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most


def main(arguments: list[str] | None = None) -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, help="members of every case")
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="size", help="small ones")
    options = parser.parse_args(arguments)
    bears = ceiling()
    print(f"The vendors bear {bears['requests_a_second']:,.0f} requests a second of a thousand people.")
    print("; ".join(_TITLES))
    with Runner("task") as runner:
        runner.warm_up_against_vendors()
        runs = [
            typical([measure(runner, pace, latency, spread, options.size or size) for _ in range(times)])
            for pace, latency, spread, size, times in CASES
        ]
    record.save(NAME, {"ceiling": bears, "runs": runs})


_TITLES = (
    "pace",
    "latency ms",
    "spread",
    "people",
    "writing s",
    "floor s",
    "ratio",
    "writes/s",
    "connections",
)


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    writing = run["writing"] or float("inf")
    return (
        number(run["pace"]),
        number(run["latency_ms"]),
        number(run["spread"], 1) if run["spread"] else "none",
        people(run["members"]),
        seconds(run["writing"]),
        seconds(run["floor"]),
        number(run["writing"] / run["floor"], 2),
        number(run["writes"] / writing),
        number(run["connections"]),
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    runs, bears = found["figures"]["runs"], found["figures"]["ceiling"]
    series: plots.Series = {}
    goals: plots.Series = {}
    steady = [run for run in runs if not run["spread"]]
    for (pace, latency_ms), run in _smallest(steady).items():
        series.setdefault(f"{pace:,} a second", []).append((latency_ms, run["writes"] / run["writing"]))
        goals.setdefault(f"goal: {pace:,} a second", []).append((latency_ms, pace))
    return [
        "## Pace and latency",
        "",
        "The writing of a first sync, a thousand people a request. *Pace* is the connection's "
        "`requests_per_second`, of which the hooks use 95 %; the Track API refused "
        f"{sum(run['refused'] for run in runs):,} requests. *Floor* is requests divided by pace, *ratio* the "
        "time over it. The task chooses its number of connections itself. With a spread of 0.5, most answers "
        "take half to twice the latency, one in a hundred more than three times.",
        "",
        *table(_TITLES, map(_row, runs)),
        "",
        plots.lines("pace", "Writing at a pace", "latency, ms", "requests a second", {**series, **goals}),
        "",
        f"The sandbox itself handles {bears['requests_a_second']:,.0f} requests a second.{_short_of(steady)}",
    ]


def _smallest(runs: list[dict[str, Any]]) -> dict[tuple[float, float], dict[str, Any]]:
    """Return the run of the fewest people for each pace and latency, which are a point of the plot."""
    by_size = sorted(runs, key=lambda run: -run["members"])
    found = {(run["pace"], run["latency_ms"]): run for run in by_size}
    return dict(sorted(found.items()))


def _short_of(runs: list[dict[str, Any]]) -> str:
    """Say what one task comes to where the processor is slower than the pace."""
    short = [run for run in runs if run["writing"] > 1.5 * run["floor"]]
    if not short:
        return ""
    rates = sorted(run["writes"] / run["writing"] for run in short)
    paces = " and ".join(f"{pace:,}" for pace in sorted({run["pace"] for run in short}))
    return (
        f" At {paces} a second the processor is the limit, not the pace: one task reaches "
        f"{rates[0]:,.0f} to {rates[-1]:,.0f} writes a second. Several tasks of one workspace "
        "(`max_concurrent_tasks`) use several cores."
    )


if __name__ == "__main__":
    main()
