"""The doctor's questions to the sandbox: as fast as they can be asked."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_cio_cohort.doctor.export import probe_export
from airflow_provider_cio_cohort.doctor.lines import Finding
from airflow_provider_cio_cohort.doctor.probe import probe
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook

ID, EMAIL = "Ann-1", "Ann.Private@x.test"
COHORT = "a1b2c3d"
#: Quick: the sandbox's writes show at once, so that even the first look finds their effect.
FAST: dict[str, Any] = {"requests_per_second": math.inf, "settle": 0.0, "timeout": 0.1, "rounds": 1}

Run = Callable[..., list[Finding]]


@pytest.fixture
def world(sandbox) -> Any:
    """A workspace with the test person, other people, segments of the user's, and a data-driven one."""
    sandbox.configure(app_per_second=0)
    ann = sandbox.workspace.add_person(id=ID, email=EMAIL)
    others = [sandbox.workspace.add_person(id=f"u-{n}", email=f"u-{n}@x.test") for n in range(3)]
    sandbox.workspace.add_segment("Power users", "Made by hand.", members=[*others, ann])
    sandbox.workspace.add_segment("Computed", type="dynamic", members=others)
    return sandbox


@pytest.fixture
def ask(world) -> Run:
    """Run the probe, and return its lines."""

    def run(person: str = ID, **options: Any) -> list[Finding]:
        hook = options.pop("hook", None) or CustomerIOHook()
        return list(probe(hook, person, **{**FAST, **options}))

    return run


@pytest.fixture
def ask_export(world) -> Run:
    """Run the export, and return its lines."""

    def run(**options: Any) -> list[Finding]:
        hook = options.pop("hook", None) or AmplitudeHook()
        paces = {"requests_per_second": math.inf, "poll_interval": 0.01, "timeout": 30}
        return list(probe_export(hook, COHORT, **{**paces, **options}))

    return run


def facts_of(findings: list[Finding]) -> dict[str, Any]:
    """Everything that the lines have seen."""
    return {key: value for finding in findings for key, value in finding.facts.items()}


def line(findings: list[Finding], name: str) -> Finding:
    """The line of that name."""
    return next(finding for finding in findings if finding.name == name)


def dump(sandbox) -> str:
    """The whole workspace."""
    workspace = sandbox.workspace
    return json.dumps(
        {
            "people": [vars(person) for person in workspace.people.values()],
            "segments": [
                {
                    **{
                        name: getattr(each, name)
                        for name in ("id", "name", "description", "type", "created_at")
                    },
                    "members": [person.cio_id for person in each.members],
                    "shown": len(each.shown),
                }
                for each in workspace.segments.values()
            ],
        }
    )
