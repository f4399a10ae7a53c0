"""Gives the syncs of ``growth_syncs.yaml`` a past: real runs, while their cohorts change."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.amplitude import Project
from dev.airflow_instance import AirflowInstance

#: The cohort of each sync, and who is in it run by run: the people from one number up to another.
COHORTS: dict[str, tuple[str, list[tuple[int, int]]]] = {
    "power_users": ("pwr7k2m", [(0, 1840), (240, 2300), (420, 2610), (980, 2720), (1010, 3050)]),
    "trial_ending": ("trl4x9q", [(3000, 3410), (3060, 3495), (3110, 3160)]),
    "at_risk": ("chn8w3z", [(1000, 1390), (1020, 1425), (1040, 1265)]),
    "europe": ("eur0p3a", [(0, 520), (0, 545), (0, 580)]),
}
#: Has a schedule, so that Airflow itself makes its first run.
SCHEDULED = "power_users"
KNOWN = 3500
KNOWN_IN_EUROPE = 210
#: One in so many is in Amplitude only.
STRANGERS = 13


@dataclass
class Past:
    """
    What has been run.

    :param runs: the ids of each sync's runs, oldest first.
    :param states: how these have ended.
    """

    runs: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    states: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def dag_of(sync: str) -> str:
    return f"cohort_sync__{sync}"


def name_of(sync: str) -> str:
    """Return what Amplitude calls a sync's cohort."""
    return sync.replace("_", " ").capitalize()


def settled_runs(airflow: AirflowInstance, sync: str) -> list[dict[str, Any]]:
    """Return all runs of a sync, oldest first; the schedule may have made one since :func:`make_past`."""

    def ended() -> list[dict[str, Any]] | None:
        runs = airflow.runs(dag_of(sync))
        return runs if all(run["state"] in ("success", "failed") for run in runs) else None

    return airflow.wait_until(ended, f"the runs of {sync} to end") or []


def make_past(airflow: AirflowInstance, vendors: Sandbox) -> Past:
    """Run every sync once for each state of its cohort; those of different syncs at the same time."""
    projects = dict.fromkeys(COHORTS, vendors.project) | {"europe": _open_europe(airflow, vendors)}
    for person in _people(0, KNOWN):
        if int(person["amplitude_id"]) % STRANGERS:
            vendors.workspace.add_person(id=person["user_id"])
    past = Past()
    for number in range(max(len(states) for _, states in COHORTS.values())):
        for sync, (cohort, states) in COHORTS.items():
            if number < len(states):
                projects[sync].add_cohort(id=cohort, name=name_of(sync), rows=_people(*states[number]))
                past.runs[sync].append(_start(airflow, sync, first=number == 0))
        for sync, runs in past.runs.items():
            if number < len(runs):
                past.states[sync].append(airflow.wait_for_run(dag_of(sync), runs[number]))
    return past


def _start(airflow: AirflowInstance, sync: str, first: bool) -> str:
    dag_id = dag_of(sync)
    if not first:
        return airflow.trigger(dag_id)
    airflow.wait_until(lambda: dag_id in airflow.dag_ids(), f"{dag_id} to be found")
    airflow.unpause(dag_id)
    if sync != SCHEDULED:
        return airflow.trigger(dag_id)
    runs = airflow.wait_until(lambda: airflow.runs(dag_id), "the scheduler to make a run")
    run_id: str = runs[0]["dag_run_id"]
    return run_id


def _open_europe(airflow: AirflowInstance, vendors: Sandbox) -> Project:
    """Make the accounts in Europe, and the connections to them, and let a few people live there."""
    project = vendors.add_project(api_key="eu-api-key", secret_key="eu-secret-key", region="eu")
    workspace = vendors.add_workspace(
        site_id="eu-site-id", tracking_key="eu-tracking-key", app_key="eu-app-key", region="eu"
    )
    for person in _people(0, KNOWN_IN_EUROPE):
        workspace.add_person(id=person["user_id"])
    amplitude: dict[str, Any] = {
        "connection_id": "amplitude_europe",
        "conn_type": "amplitude",
        "login": project.api_key,
        "password": project.secret_key,
        "host": vendors.urls["amplitude_eu"],
    }
    customer_io: dict[str, Any] = {
        "connection_id": "customer_io_europe",
        "conn_type": "customer_io",
        "login": workspace.site_id,
        "password": workspace.tracking_key,
    }
    urls = {"track_base_url": vendors.urls["track_eu"], "app_base_url": vendors.urls["app_eu"]}
    extra = {"region": "europe", "app_api_key": workspace.app_key, **urls}
    airflow.api("POST", "connections", amplitude | {"extra": json.dumps({"region": "europe"})})
    airflow.api("POST", "connections", customer_io | {"extra": json.dumps(extra)})
    return project


def _people(first: int, end: int) -> Iterator[dict[str, str]]:
    return ({"amplitude_id": str(n), "user_id": f"customer-{n}"} for n in range(first, end))
