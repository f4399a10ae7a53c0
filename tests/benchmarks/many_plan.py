"""What the benchmark of many syncs runs: accounts, cohorts and YAML files; and what must come of it."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.amplitude import IN_TEN_MINUTES, PARALLEL

#: What Amplitude takes to compute a small export, and what a slot is held for; seconds.
EXPORT_SECONDS, EXPORT_HOLD = 30, 40
APP_PER_SECOND, TRACK_PER_SECOND = 10, 100
DAG_FILE = """from pathlib import Path
from airflow_provider_cio_cohort.dag_generation import build_dags
globals().update(build_dags(Path(__file__).with_suffix(".yaml")))
"""


@dataclass(frozen=True)
class Plan:
    """
    What is run.

    :param syncs: how many syncs are due at once.
    :param projects: Amplitude projects that they share.
    :param workspaces: Customer.io workspaces that they share.
    :param members: people in each cohort.
    :param slots: tasks that all workers together run at once.
    :param max_concurrent_tasks: tasks that share a workspace's pace.
    :param scale: how long Amplitude's minutes last, of a minute.
    """

    syncs: int
    projects: int
    workspaces: int
    members: int
    slots: int
    max_concurrent_tasks: int
    scale: float

    def floor(self, app_requests: int) -> float:
        """
        Return the seconds that no machine can go below.

        :param app_requests: requests to the App API that the busiest workspace got.
        """
        exports = self._exported_after(math.ceil(self.syncs / self.projects))
        return max(exports, app_requests / APP_PER_SECOND)

    def _exported_after(self, exports: int) -> float:
        """Return when the last export of a project is finished, if each is requested as soon as it may be."""
        free, requested = [0.0] * PARALLEL, deque([-math.inf] * IN_TEN_MINUTES, IN_TEN_MINUTES)
        for _ in range(exports):
            requested.append(max(heapq.heappop(free), requested[0] + 600 * self.scale))
            heapq.heappush(free, requested[-1] + EXPORT_SECONDS * self.scale)
        return max(free)


def fill(vendors: Sandbox, plan: Plan) -> dict[str, dict[str, Any]]:
    """Make projects, workspaces, cohorts and people; return the connections to them."""
    projects = [
        vendors.add_project(api_key=f"many-key-{n}", secret_key=f"many-secret-{n}")
        for n in range(plan.projects)
    ]
    workspaces = [
        vendors.add_workspace(
            site_id=f"many-site-{n}", tracking_key=f"many-track-{n}", app_key=f"many-app-{n}"
        )
        for n in range(plan.workspaces)
    ]
    for workspace in workspaces:
        for name in people(plan):
            workspace.add_person(id=name)
    rows = [{"amplitude_id": str(n), "user_id": name} for n, name in enumerate(people(plan))]
    for n in range(plan.syncs):
        projects[n % plan.projects].add_cohort(id=f"many{n:04}", name=f"Many {n}", rows=rows)
    connections = {f"amplitude_{n}": vendors.connection_to(project) for n, project in enumerate(projects)}
    for n, workspace in enumerate(workspaces):
        connection = vendors.connection_to(workspace)
        extra = {**connection["extra"], "max_concurrent_tasks": plan.max_concurrent_tasks}
        connections[f"customer_io_{n}"] = {**connection, "extra": extra}
    return connections


def people(plan: Plan) -> list[str]:
    """Return the identifiers of everybody."""
    return [f"user-{n:06}" for n in range(plan.members)]


def write_files(plan: Plan, folder: Path) -> list[Path]:
    """
    Write a YAML file and its DAG file for each workspace, and return the YAML files.

    All syncs are due at midnight, and so all at once when they are let go.
    """
    folder.mkdir()
    files = []
    for workspace in range(plan.workspaces):
        file = folder / f"workspace_{workspace}.yaml"
        file.write_text(yaml.safe_dump(document(plan, workspace)))
        file.with_suffix(".py").write_text(DAG_FILE)
        files.append(file)
    return files


def document(plan: Plan, workspace: int) -> dict[str, Any]:
    """Return what the file of a workspace says."""
    syncs = [
        {
            "name": f"many_{n:04}",
            "cohort_id": f"many{n:04}",
            "segment_name": f"Many {n}",
            "amplitude_conn_id": f"amplitude_{n % plan.projects}",
            "customer_io_conn_id": f"customer_io_{workspace}",
        }
        for n in range(plan.syncs)
        if n // plan.projects % plan.workspaces == workspace
    ]
    every = {"use_pools": True, "deferrable": True, "cadence": "0 0 * * *", "retries": 3}
    return {"defaults": every, "syncs": syncs}


def right(vendors: Sandbox, plan: Plan) -> int:
    """Return how many segments hold exactly whom their cohort does."""
    wanted = set(people(plan))
    found = 0
    for n in range(plan.syncs):
        segments = [workspace.find_segment(f"Many {n}") for workspace in vendors.workspaces]
        found += [{p.id for p in segment.members} for segment in segments if segment] == [wanted]
    return found


def busiest(vendors: Sandbox) -> int:
    """Return how many requests the App API got for the workspace that had most."""
    keys = [r.headers.get("Authorization", "") for r in vendors.requests if r.api == "app"]
    return max((keys.count(key) for key in set(keys)), default=0)
