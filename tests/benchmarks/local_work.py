"""
Measures what a sync does without the network: reads the export, sorts both sides, compares them.

``python -m tests.benchmarks.local_work --sizes 100000``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.crowd import Crowd, CrowdRows
from tests.benchmarks.running import SMALL, Runner
from tests.benchmarks.tables import number, people, seconds, table

NAME = "local_work"
SIZES, QUICK = (500_000, 2_000_000, 10_000_000), (20_000,)
PEERS = {"local": "this provider", "sets": "two Python sets"}
STEPS = ("parse, map, sort", "sort the members", "diff")
_AT_ONCE = 20_000


def write_files(size: int, place: Path) -> None:
    """
    Write an export, and the ids of a segment's members, of which a twentieth has changed.

    :param size: people on either side.
    :param place: the directory: ``export.csv`` and ``ids``, in no order of identifiers.
    """
    churn = size // 20
    columns = ("amplitude_id", "user_id")
    with (place / "export.csv").open("w", encoding="utf-8", newline="\n") as file:
        file.write('"amplitude_id","user_id"\n')
        file.writelines(CrowdRows(churn, size + churn).lines(columns, "", "\n", _AT_ONCE))
    crowd = Crowd(size)
    with (place / "ids").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{crowd.names(number).id}\n" for number in range(size))


def measure(size: int) -> list[dict[str, Any]]:
    """
    Measure the provider's own functions, and its peers.

    :param size: people on either side.
    """
    runs = []
    with tempfile.TemporaryDirectory() as big, tempfile.TemporaryDirectory() as small:
        write_files(SMALL, Path(small))
        write_files(size, Path(big))
        for script, peer in PEERS.items():
            with Runner(script, {"WORK": big}) as runner:
                runner.warm_up(WORK=small)
                found = runner.run()
            result = found.pop("child")["result"]
            assert result["to_add"] == result["to_remove"] == size // 20, result
            runs.append({"peer": peer, "members": size, **found, "steps": result.get("steps")})
            print("; ".join(_row(runs[-1])), flush=True)
    return runs


def main(arguments: list[str] | None = None) -> None:
    """Measure, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="a small one only")
    options = parser.parse_args(arguments)
    print("; ".join(_TITLES))
    runs = [run for size in options.sizes for run in measure(size)]
    record.save(NAME, {"runs": runs})


_TITLES = ("people", "", "wall s", "CPU s", "MiB", *(f"{step} s" for step in STEPS))


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return (
        people(run["members"]),
        run["peer"],
        seconds(run["seconds"]),
        seconds(run["cpu"]),
        number(run["above_idle_mib"]),
        *(seconds((run["steps"] or {}).get(step)) for step in STEPS),
    )


def section(found: dict[str, Any]) -> list[str]:
    """
    Return the section of the page.

    :param found: the record.
    """
    return [
        "## Without the network",
        "",
        "An export on disk is read, mapped, sorted and compared with as many members; a twentieth of either "
        "side is not in the other. MiB are above an empty process.",
        "",
        *table(_TITLES, map(_row, found["figures"]["runs"])),
    ]


if __name__ == "__main__":
    main()
