"""
Measures how long a file of syncs takes to become DAGs, beside bare Airflow and dag-factory.

``python -m tests.benchmarks.parsing``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks import record
from tests.benchmarks.parsing_files import PARSED_DAG, write_bare, write_dag_factory, write_ours

SIZES, QUICK = (10, 100, 1000), (10,)
#: What each way is called, and how its files are written.
WAYS = {"ours": write_ours, "bare Airflow": write_bare, "dag-factory": write_dag_factory}

#: Reads a DAG file as Airflow does: in a process that has the SDK already. The processor's time counts, for
#: parsing waits for nothing, and other processes of the machine do not disturb it.
PARSE = """
import json, runpy, sys, time
import airflow.sdk
began = time.process_time()
found = runpy.run_path(sys.argv[1])
parsed = time.process_time()
dags = {one.dag_id: one for one in found.values() if isinstance(one, airflow.sdk.DAG)}
from airflow.serialization.serialized_objects import DagSerialization
few = [DagSerialization.to_dict(dags[dag_id]) for dag_id in sorted(dags)[:1]]
began_again, some = time.process_time(), [dags[dag_id] for dag_id in sorted(dags)[:100]]
for dag in some:
    DagSerialization.to_dict(dag)
each = (time.process_time() - began_again) / len(some)
print(json.dumps({"dags": len(dags), "parse": parsed - began, "serialize_one": each, "first": few[0]}))
"""
#: What importing the loader adds, and which HTTP libraries it brings along.
IMPORT = """
import json, sys, time
import airflow.sdk
before, began = set(sys.modules), time.process_time()
import airflow_provider_cio_cohort.dag_generation
took, added = time.process_time() - began, set(sys.modules) - before
print(json.dumps({"seconds": took, "modules": len(added),
                  "http": [name for name in ("requests", "aiohttp", "httpx") if name in added]}))
"""


def main() -> None:
    """Measure, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--quick", action="store_const", const=QUICK, dest="sizes", help="few syncs only")
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ.setdefault("AIRFLOW_HOME", directory)
        figures = {
            "repetitions": options.repetitions,
            "imports": _median([_run(IMPORT) for _ in range(options.repetitions)], "seconds"),
            "rows": list(_rows(Path(directory), options.sizes, options.repetitions)),
        }
    record.save("parsing", figures)
    print("\n".join(section(record.load("parsing") or {})))


def _rows(folder: Path, sizes: list[int], repetitions: int) -> Iterator[dict[str, Any]]:
    for size in sizes:
        files = {way: write(folder / way.replace(" ", "_"), size) for way, write in WAYS.items()}
        took: dict[str, list[dict[str, Any]]] = {way: [] for way in [*WAYS, "one task"]}
        for _ in range(repetitions):  # by turns, so that a busy minute of the machine concerns all
            for way, file in files.items():
                took[way].append(_parse(file, size))
            took["one task"].append(_parse(files["ours"], 1, f"cohort_sync__sync_{size // 2:05}"))
        _check_equal(took)
        for each in took.values():
            for one in each:
                del one["first"]
        yield {"size": size, **{way: _medians(each) for way, each in took.items()}}
        print(f"{size:,} syncs measured", file=sys.stderr, flush=True)


def _parse(file: Path, expected: int, only: str | None = None) -> dict[str, Any]:
    # As the Task SDK sets it where a task runs.
    context = {PARSED_DAG: only, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "sync"} if only else {}
    figures = _run(PARSE, str(file), **context)
    if figures.pop("dags") != expected:
        raise RuntimeError(f"{file.name} did not make {expected} DAGs")
    return figures


def _run(code: str, *arguments: str, **environment: str) -> dict[str, Any]:
    # DO_NOT_TRACK: dag-factory calls home with each parse, which is no part of parsing.
    env = {**os.environ, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "DO_NOT_TRACK": "1", **environment}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _check_equal(took: dict[str, list[dict[str, Any]]]) -> None:
    """Refuse to compare DAGs that are not the same."""
    ours, bare, factory = (_shape(took[way][0]["first"]) for way in WAYS)
    if ours != bare:
        different = sorted(key for key in ours.keys() | bare.keys() if ours.get(key) != bare.get(key))
        raise RuntimeError(f"bare Airflow makes other DAGs, which differ in {', '.join(different)}")
    if set(ours["params"]) != set(factory["params"]) or len(ours["tasks"]) != len(factory["tasks"]):
        raise RuntimeError("dag-factory makes other DAGs")


def _shape(first: dict[str, Any]) -> dict[str, Any]:
    dag: dict[str, Any] = dict(first["dag"])
    dag["params"] = dict(dag["params"])
    for place in ("fileloc", "relative_fileloc"):
        dag.pop(place, None)
    return dag


def _medians(each: list[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in each) for name in each[0]}


def _median(each: list[dict[str, Any]], by: str) -> dict[str, Any]:
    return sorted(each, key=lambda one: float(one[by]))[len(each) // 2]


def section(kept: dict[str, Any]) -> list[str]:
    """
    Return what the page on performance says of parsing, as lines of Markdown.

    :param kept: what :func:`.record.save` has kept.
    """
    from tests.benchmarks import plots

    figures = kept["figures"]
    rows = figures["rows"]
    series = {way: [(float(row["size"]), row[way]["parse"]) for row in rows] for way in [*WAYS, "one task"]}
    most = max(rows, key=lambda row: row["size"])
    return [
        "## Parsing",
        "",
        "Seconds of one core for creating DAGs from a file, import included, in a process that has already "
        f"imported `airflow.sdk`; medians of {figures['repetitions']}. *Bare Airflow* is a Python loop that "
        "creates the same DAGs; [dag-factory](https://github.com/astronomer/dag-factory) has its own YAML. "
        "*One task* is what a worker parses before a task: one DAG of the file. Serialising a DAG takes "
        f"Airflow {most['ours']['serialize_one'] * 1000:.0f} ms more.",
        "",
        "| syncs | ours | bare Airflow | dag-factory | ours / bare | one task |",
        "|---|---|---|---|---|---|",
        *map(_line, rows),
        "",
        plots.lines("parsing", "Making DAGs of a file", "syncs", "seconds of one core", series, log=True),
    ]


def _line(row: dict[str, Any]) -> str:
    ratio = row["ours"]["parse"] / row["bare Airflow"]["parse"]
    seconds = [f"{row[way]['parse']:.2f}" for way in WAYS]
    count, task = f"{row['size']:,}", f"{row['one task']['parse']:.2f}"
    return f"| {' | '.join([count, *seconds, f'{ratio:.2f}', task])} |"


if __name__ == "__main__":
    main()
