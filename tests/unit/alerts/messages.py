"""One message of each kind, with names that each medium could misread."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from airflow_provider_cio_cohort.alerts import message
from airflow_provider_cio_cohort.alerts.message import Kind, Message

#: What HTML, Slack and Markdown would each interpret.
HOSTILE = "<b>Fans</b> & *all* _of_ ~us~ `now` [x](y) <!here> # |a|"
KINDS: tuple[Kind, ...] = get_args(Kind)
EVENT_OF = {"approval": "guard", "stuck": "stale", "unreadable": "failure"}
WHERE = {"dag_id": "cohort_sync__a", "run_id": "manual__2026-11-24T00:00:00+00:00", "task_id": "sync"}


def of_kind(kind: Kind, name: str = HOSTILE) -> Message:
    """Return a message that has everything, and the name in each part."""
    told = message.of_task(
        WHERE,
        "a",
        kind,
        frozenset({EVENT_OF.get(kind, kind)}),
        f"is about {name}.",
        reason=f"It is about {name}.",
        facts={"Segment": name, "Added, at most": "1,234", "Removed": "60"},
        causes=(f"{name} would be removed, max_removal_percent", "- another"),
        explanation=f"Look at {name}.\n- The second line.\n1. The third one.",
    )
    return replace(told, sync=f"a {name}")
