"""Writes ``docs/capacity.md``: what one of each part carries, reckoned from the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks import record

PAGE = record.RECORDS.parent / "capacity.md"
NEEDED = ("big_sync", "parsing", "many_syncs", "triggerer")
_TEMPLATE = Path(__file__).with_name("capacity.template.md")
_IMPORT_TIMEOUT = 30  # [core] dagbag_import_timeout, Airflow's default


def render(records: dict[str, dict[str, Any]]) -> str:
    """
    Return the page.

    :param records: by the benchmarks' names; all of ``NEEDED`` are there.
    """
    big, parsing, many, triggerer = (records[name]["figures"] for name in NEEDED)
    runs, waiting = big["runs"], triggerer["ours"]
    most = max(parsing["rows"], key=lambda row: row["size"])
    a_sync = most["ours"]["parse"] / most["size"]
    dearest = max(many["rows"], key=lambda row: row["cpu_seconds"] / row["tasks"])
    a_task = dearest["cpu_seconds"] / dearest["tasks"]
    idle = runs[0]["idle_mib"]
    memory = waiting["memory"]["runner"] - waiting["memory_idle"]["runner"]
    return _TEMPLATE.read_text(encoding="utf-8").format(
        tasks_an_hour=3600 / a_task,
        cpu_a_task=a_task,
        executor=dearest["executor"],
        syncs_a_file=_IMPORT_TIMEOUT / a_sync,
        ms_a_sync=1000 * a_sync,
        waiting=triggerer["tasks"],
        kib_an_export=memory * 1024 / triggerer["tasks"],
        mib_a_task=idle + max(run["above_idle_mib"] for run in runs),
        largest=max(run["members"] for run in runs),
        idle_mib=idle,
        parse_10000=10_000 * a_sync,
        core_hours=20_000 * a_task / 3600,
    )
