"""Syncs that something happens to while they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.compose.stack import Stack

#: So many that a run takes three requests to add them.
PEOPLE = 2_500
WRITES = r"/add_customers$"
NAMES = [f"{event}_{number}" for event in ("worker", "redis", "postgres") for number in range(6)]


def write_dags(stack: Stack) -> None:
    """Put a sync of each name into the DAG folder; every second one waits for its export in the triggerer."""
    defaults = {"cadence": "manual", "poll_interval": 1, "retries": 5, "retry_delay_minutes": 0.05}
    syncs = [
        {
            "name": name,
            "cohort_id": cohort_id(name),
            "segment_name": segment_name(name),
            "deferrable": number % 2 == 0,
        }
        for number, name in enumerate(NAMES)
    ]
    dags = stack.folder / "dags"
    text = yaml.safe_dump({"defaults": defaults, "syncs": syncs})
    (dags / "stack_syncs.yaml").write_text(text, encoding="utf-8")
    code = (
        (dags / "cohort_syncs.py")
        .read_text(encoding="utf-8")
        .replace("cohort_syncs.yaml", "stack_syncs.yaml")
    )
    (dags / "stack_syncs.py").write_text(code, encoding="utf-8")


def cohort_id(name: str) -> str:
    return f"stack{NAMES.index(name):02}"


def segment_name(name: str) -> str:
    return f"Segment {name}"


@dataclass(eq=False)
class Sync:
    """
    A sync of a cohort of its own.

    :param stack: where it runs.
    :param name: one of :data:`NAMES`.
    """

    stack: Stack
    name: str
    run_id: str = ""
    segment_id: int = 0
    people: list[str] = field(default_factory=list)

    @property
    def leaver(self) -> str:
        return f"{self.name}-leaves"

    @property
    def dag_id(self) -> str:
        return f"cohort_sync__{self.name}"

    def fill(self) -> None:
        """Make the cohort, and a segment of it that has somebody to remove."""
        self.people = [f"{self.name}-{number}" for number in range(PEOPLE)]
        sandbox = self.stack.sandbox
        sandbox("POST", "/people", [{"id": person} for person in (*self.people, self.leaver)])
        rows = [{"amplitude_id": str(n), "user_id": person} for n, person in enumerate(self.people)]
        cohort = cohort_id(self.name)
        sandbox("POST", "/cohorts", {"id": cohort, "name": self.name, "rows": rows})
        mark = f"[managed by airflow-provider-cio-cohort: Amplitude cohort {cohort}]"
        segment = {
            "name": segment_name(self.name),
            "description": mark,
            "members": [self.people[0], self.leaver],
        }
        self.segment_id = sandbox("POST", "/segments", segment)["id"]

    def start(self) -> None:
        """Trigger a run."""
        self.stack.airflow.unpause(self.dag_id)
        self.run_id = self.stack.airflow.trigger(self.dag_id)

    @property
    def task(self) -> dict[str, Any]:
        return self.stack.airflow.task(self.dag_id, self.run_id)

    @property
    def members(self) -> set[str]:
        """Who is in the segment."""
        members = self.stack.sandbox("GET", f"/segments/{self.segment_id}/members")
        return {member["id"] for member in members}

    @property
    def is_half_written(self) -> bool:
        """Whether people have come in, and nobody has been removed yet."""
        return len(self.members) > 2 and self.leaver in self.members

    def assert_right(self) -> None:
        """Hold the end against that of an untroubled run."""
        assert self.stack.airflow.wait_for_run(self.dag_id, self.run_id, 600) == "success", self.name
        assert self.members == set(self.people), self.name
        requests = self.stack.sandbox("GET", "/requests")
        asked = [each for each in requests if each["path"].endswith(f"/request/{cohort_id(self.name)}")]
        assert len(asked) == 1, f"{self.name} has spent {len(asked)} exports"


def start_all(stack: Stack, event: str) -> list[Sync]:
    """Start the syncs that are named after an event, one after the other."""
    syncs = [Sync(stack, name) for name in NAMES if name.startswith(event)]
    for sync in syncs:
        sync.fill()
    for sync in syncs:
        sync.start()
    return syncs


def hold_writes(stack: Stack, times: int, seconds: float) -> None:
    """Let so many requests wait for their answers that have added people; more are to follow."""
    fault = {"action": "delay", "api": "track", "path": WRITES, "times": times, "seconds": seconds}
    stack.sandbox("POST", "/faults", fault)


def held(stack: Stack) -> int:
    """Return how many requests have been made to wait so far."""
    return sum(fault["met"] for fault in stack.sandbox("GET", "/faults"))
