"""
Measures the sync beside scripts that do the same by hand, in the same run against the same vendors.

``python -m tests.benchmarks.peers --sizes 20000 500000``
"""

from __future__ import annotations

import argparse
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.running import Runner
from tests.benchmarks.tables import number, people, seconds, table
from tests.benchmarks.vendors import Vendors

NAME = "peers"
SIZES, QUICK = (20_000, 500_000), (5_000,)
LATENCY_MS = 50
PACE = 100
#: What runs, by its script; all but the task are told which segment to fill, for they create none.
PEERS = {
    "task": "this provider",
    "script": "script",
    "threads": "script, 8 threads",
    "async_client": "async-customerio",
}
KINDS = ("first sync", "5 % churn")


def measure(peer: str, size: int) -> list[dict[str, Any]]:
    """
    Measure a peer's first sync, and the one after a twentieth of the cohort has changed.

    :param peer: a key of :data:`PEERS`.
    :param size: members of the cohort.
    """
    churn = size // 20
    runs = []
    with Runner(peer) as runner, Vendors(size + churn, LATENCY_MS, PACE) as vendors:
        told = {} if peer == "task" else {"SEGMENT_ID": ""}
        runner.warm_up_against_vendors(**told)
        if told:
            runner.variables["SEGMENT_ID"] = str(vendors.add_segment())
        for kind, start in zip(KINDS, (0, churn), strict=True):
            vendors.set_cohort(start, start + size)
            found = runner.run_against(vendors)
            del found["child"], found["served"]
            held = vendors.held(start, start + size)
            runs.append({"peer": PEERS[peer], "members": size, "kind": kind, **found, "held": held})
            print("; ".join(_row(runs[-1])), flush=True)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="a small one")
    options = parser.parse_args(arguments)
    print("; ".join(_TITLES))
    runs = [run for size in options.sizes for peer in PEERS for run in measure(peer, size)]
    record.save(NAME, {"latency_ms": LATENCY_MS, "pace": PACE, "runs": runs})


_TITLES = ("people", "run", "peer", "wall s", "CPU s", "MiB", "requests", "429s", "missing", "too many")


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        people(run["members"]),
        run["kind"],
        run["peer"],
        seconds(run["seconds"]),
        seconds(run["cpu"]),
        number(run["above_idle_mib"]),
        number(sum(run["requests"].values())),
        number(run["refused"]),
        *(number(run["held"][name]) for name in ("missing", "too_many")),
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    figures = found["figures"]
    runs = sorted(figures["runs"], key=lambda run: (run["members"], KINDS.index(run["kind"])))
    rights = [number(count) for count in sorted({run["held"]["right"] for run in runs})]
    sizes = " and ".join(people(size) for size in sorted({run["members"] for run in runs}))
    return [
        "## Beside a script",
        "",
        f"{sizes} people at {figures['latency_ms']} ms latency and "
        f"{figures['pace']} Track requests a second.",
        "",
        "- **script**: downloads the export with `requests` and POSTs each thousand. It compares nothing, "
        "removes nobody and reads nothing back.",
        "- **script, 8 threads**: the same with a thread pool, and urllib3's `Retry`.",
        f"- **async-customerio** {found['versions'].get('async-customerio', '')}: its `add_to_segment`, "
        "eight calls at once, with its documented retry strategy, after the script's download.",
        "",
        f"*Missing* and *too many* compare the segment with the {' or '.join(rights)} members of the cohort "
        "who exist. MiB are above an empty process. This provider's wall time includes reading the members "
        "before, the wait until the writes are visible, and reading them back.",
        "",
        *table(_TITLES, map(_row, runs)),
    ]


if __name__ == "__main__":
    main()
