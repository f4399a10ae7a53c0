"""
Measures one sync with two identifiers a row, with and without a segment of everybody, beside one with one.

``python -m tests.benchmarks.identifiers --sizes 10000 100000``
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.big_sync import KINDS, LATENCY_MS, PACE, syncs
from tests.benchmarks.running import Runner
from tests.benchmarks.tables import number, people, seconds, table
from tests.benchmarks.vendors import Vendors

NAME = "identifiers"
SIZES = (100_000, 2_000_000)
QUICK = (10_000,)
#: How the syncs find people.
WAYS = ("one", "two", "two, people_segment_id")
MAPPING = ({"property": "user_id", "id_type": "id"}, {"property": "mail", "id_type": "email"})


def measure(runner: Runner, size: int, way: str) -> list[dict[str, Any]]:
    """
    Measure the syncs of one size.

    :param runner: warmed up.
    :param size: members of the cohort.
    :param way: one of :data:`WAYS`.
    """
    runs = []
    with Vendors(size + size // 20, LATENCY_MS, PACE, emails=True) as vendors:
        if way == WAYS[2]:
            runner.variables["PEOPLE_SEGMENT_ID"] = str(vendors.add_everybody())
        for kind, child, served, found in syncs(runner, vendors, size):
            report, spans = child["result"]["report"], child["result"]["spans"]
            runs.append(
                {
                    "members": size,
                    "identifiers": way,
                    "kind": kind,
                    **{key: report[key] for key in ("added", "removed", "match_rate", "matched_by")},
                    **found,
                    "matching": spans["matching"][1] - spans["matching"][0] if "matching" in spans else None,
                    "lookups": sum(each.path.endswith("/customers/attributes") for each in served),
                }
            )
            print("; ".join(_row(runs[-1])), flush=True)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="small ones only")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="how people are found")
    parser.add_argument("--add", action="store_true", help="keep what the record has of other sizes and ways")
    options = parser.parse_args(arguments)
    print("; ".join(_TITLES))
    runs: list[dict[str, Any]] = []
    for way in options.ways:
        variables = {} if way == WAYS[0] else {"IDENTIFIERS": json.dumps(MAPPING)}
        with Runner("task", variables) as runner:
            runner.warm_up_against_vendors()
            runs += (run for size in options.sizes for run in measure(runner, size, way))
    if options.add and (before := record.load(NAME)):
        measured = {(run["members"], run["identifiers"]) for run in runs}
        kept = [
            run for run in before["figures"]["runs"] if (run["members"], run["identifiers"]) not in measured
        ]
        runs = kept + runs
    record.save(NAME, {"latency_ms": LATENCY_MS, "pace": PACE, "runs": runs})


_TITLES = (
    "people",
    "identifiers",
    "run",
    "wall",
    "matching",
    "CPU",
    "MiB",
    "App",
    "look-ups",
    "Track",
    "match",
)


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        people(run["members"]),
        run["identifiers"],
        run["kind"],
        seconds(run["seconds"]),
        seconds(run["matching"]),
        seconds(run["cpu"]),
        number(run["above_idle_mib"]),
        number(run["requests"]["app"]),
        number(run["lookups"]),
        number(run["requests"]["track"]),
        f"{run['match_rate']:.0%}",
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    runs = sorted(
        found["figures"]["runs"],
        key=lambda run: (run["members"], list(KINDS).index(run["kind"]), WAYS.index(run["identifiers"])),
    )
    wrong = sum(run["held"]["missing"] + run["held"]["too_many"] for run in runs)
    return [
        "## Several identifiers",
        "",
        "The same sync with one identifier a row (an id) and with [two](how-it-works.md#several-identifiers) "
        "(an id, then an address), without and with a segment of everybody (`people_segment_id`). One in ten "
        "rows matches nobody, except in *unchanged, all known*; with two, another one in ten is found by the "
        "address alone. *Matching* is the part of the time in which rows are compared with the members and "
        "others are looked up, of which *look-ups* are the requests: the App API takes ten a second, of a "
        f"hundred identifiers each. {wrong:,} people were missing or wrong in a segment.",
        "",
        *table(_TITLES, map(_row, runs)),
    ]


if __name__ == "__main__":
    main()
