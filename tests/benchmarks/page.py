"""
Writes ``docs/performance.md`` with its plots, and ``docs/capacity.md``, from the records of the benchmarks.

``python -m tests.benchmarks.page``
"""

from __future__ import annotations

import textwrap
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from tests.benchmarks import capacity, plots, record
from tests.benchmarks.tables import people, seconds

PAGE = record.RECORDS.parent / "performance.md"
WIDTH = 120
#: In the order of the page; the module of each has ``section(record)``, which returns lines of Markdown.
BENCHMARKS = (
    "big_sync",
    "identifiers",
    "pace",
    "local_work",
    "peers",
    "parsing",
    "many_syncs",
    "triggerer",
    "overview",
)


def found() -> dict[str, dict[str, Any]]:
    """Return the records that there are, of the benchmarks that there are."""
    records = {name: record.load(name) for name in BENCHMARKS if find_spec(f"tests.benchmarks.{name}")}
    return {name: each for name, each in records.items() if each is not None}


def render(records: dict[str, dict[str, Any]]) -> str:
    """
    Return the page; what is drawn in it waits for :func:`.plots.draw`.

    :param records: by the benchmarks' names.
    """
    lines = [
        "# Performance",
        "",
        *_in_short(records),
        "## How it was measured",
        "",
        "`make bench` repeats all measurements and writes this page. Both vendors are the sandbox, in a "
        "separate process on the same machine: it adds latency to every answer and enforces the vendors' "
        "limits with 429s.",
        "",
        *_machines(list(records.values())),
    ]
    for name, each in records.items():
        lines += ["", *import_module(f"tests.benchmarks.{name}").section(each)]
    return "\n".join(map(_folded, lines)) + "\n"


def _in_short(records: dict[str, dict[str, Any]]) -> list[str]:
    """Return the answer to the reader's questions, from the records that there are."""
    lines = []
    if "big_sync" in records:
        figures = records["big_sync"]["figures"]
        size = min((run["members"] for run in figures["runs"]), key=lambda members: abs(members - 2_000_000))
        took = {run["kind"]: run for run in figures["runs"] if run["members"] == size}
        first, some_unknown, known = (
            took[kind] for kind in ("first sync", "unchanged", "unchanged, all known")
        )
        memory = max(run["above_idle_mib"] for run in figures["runs"])
        largest = max(run["members"] for run in figures["runs"])
        lines += [
            f"A first sync of {people(size)} people takes {seconds(first['seconds'])} s, and the 30 to 60 s "
            "that Amplitude usually needs to export the cohort; later ones take less. A task needs "
            f"{first['idle_mib'] + memory:,.0f} MiB of memory or less, for up to {people(largest)} people. "
            "The limit that you meet first is another: [Amplitude's 500 exports a "
            "month](capacity.md#what-the-vendors-allow).",
            "",
            f"- **Time.** {seconds(first['phases']['writing'])} s of the first sync are for writing, which "
            f"`requests_per_second` limits: by default to {figures['pace']} requests a second, of a thousand "
            "people each; [Customer.io's published limit is "
            "higher](vendor-facts.md#looking-people-up-and-limits). A sync without changes takes "
            f"{seconds(known['seconds'])} s, or {seconds(some_unknown['seconds'])} s if a tenth of the "
            "cohort does not exist in Customer.io.",
            f"- **Memory.** At most {memory:,.0f} MiB of it are more than an empty task has "
            f"({first['idle_mib']:,.0f} MiB). Disk: [capacity.md](capacity.md).",
        ]
    if "parsing" in records:
        most = max(records["parsing"]["figures"]["rows"], key=lambda row: row["size"])
        ratio = most["ours"]["parse"] / most["bare Airflow"]["parse"]
        lines.append(
            f"- **DAGs from YAML.** A file of {most['size']:,} syncs takes "
            f"{seconds(most['ours']['parse'])} s to parse, {ratio:.2f} times as long as the same DAGs in "
            "Python."
        )
    if "triggerer" in records:
        figures = records["triggerer"]["figures"]
        memory = figures["ours"]["memory"]["runner"] - figures["ours"]["memory_idle"]["runner"]
        lines.append(
            f"- **Waiting.** One triggerer waits for {figures['tasks']:,} exports in {memory:,.0f} MiB."
        )
    return [*lines, ""] if lines else []


def _folded(line: str) -> str:
    """Fold prose as the other pages have it; tables, titles and pictures stay as they are."""
    if line.startswith(("|", "#", "!")):
        return line
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _machines(records: list[dict[str, Any]]) -> list[str]:
    places = sorted({(each["machine"], each["system"]) for each in records})
    days = sorted({each["measured"] for each in records})
    versions: dict[str, set[str]] = {}
    for each in records:
        for name, version in each["versions"].items():
            versions.setdefault(name, set()).add(version)
    return [
        *(f"- {machine}; {system}" for machine, system in places),
        f"- {', '.join(f'{name} {chr(47).join(sorted(found))}' for name, found in sorted(versions.items()))}",
        f"- measured {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else "- nothing measured yet",
    ]


def main() -> None:
    """Write the page, and draw its plots."""
    plots.clear()
    records = found()
    PAGE.write_text(render(records), encoding="utf-8")
    print(PAGE)
    if set(capacity.NEEDED) <= set(records):
        capacity.PAGE.write_text(capacity.render(records), encoding="utf-8")
        print(capacity.PAGE)
    plots.draw()


if __name__ == "__main__":
    main()
