"""``snapshot list``: lists the snapshots."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from airflow_provider_cio_cohort.cli.output import show
from airflow_provider_cio_cohort.cli.runtime import FINE, NO, command
from airflow_provider_cio_cohort.cli.snapshots.select import Kept, find_all
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.snapshots.layout import Manifest, as_text

_FACTS = ("identifiers", "size", "taken_at", "cohort_id", "run_id")
_COLUMNS = ("sync", "target", "moment", "identifiers", "size", "run_id")


@command
def list_all(args: Namespace) -> int:
    """
    List the snapshots, newest first.

    :param args: the arguments.
    """
    rows = [row for kept in find_all(args) for row in _rows(kept)]
    table = [{key: row[key] for key in _COLUMNS} for row in rows]
    if not any(row["target"] for row in rows):
        table = [{key: cell for key, cell in row.items() if key != "target"} for row in table]
    problems = [row["problem"] for row in rows if row["problem"]]
    show(rows, args.output, table, problems)
    return NO if problems else FINE


def _rows(kept: Kept) -> list[dict[str, Any]]:
    entries = kept.own()[::-1]
    rows = []
    for entry, manifest in zip(entries, kept.snapshots.store.manifests(entries), strict=True):
        row = {**kept.names, "moment": as_text(entry.moment)}
        rows.append({**row, **_facts(kept, manifest)})
    return rows


def _facts(kept: Kept, manifest: Manifest | CohortSyncError) -> dict[str, Any]:
    if isinstance(manifest, Manifest):
        facts = {
            **{fact: getattr(manifest, fact, None) for fact in _FACTS},
            "run_id": manifest.origin.get("run_id"),
            "problem": None,
        }
        try:
            manifest.check(kept.snapshots.store.subject, kept.workspace_id)
        except CohortSyncError as error:
            facts["problem"] = error.headline
        return facts
    return {**dict.fromkeys(_FACTS), "problem": manifest.headline}
