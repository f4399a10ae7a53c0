"""The export costs one of the month's exports, leaves no file, and tells nothing of what is in it."""

from __future__ import annotations

import json
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.doctor.export import _host_class
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from tests.integration.doctor.conftest import COHORT, EMAIL, ID, facts_of, line

ROWS = [
    {"amplitude_id": "314159", "user_id": ID, "plan": EMAIL},
    {"amplitude_id": "271828", "user_id": "", "plan": "secret-plan"},
]


@pytest.fixture
def cohort(world):
    return world.project.add_cohort(id=COHORT, name="Secret cohort", rows=ROWS)


def requested(world) -> int:
    return world.count("amplitude", r"/cohorts/request/[^/]+$")


def test_it_costs_one_export(world, ask_export, cohort) -> None:
    facts = facts_of(ask_export())
    assert (world.project.used, requested(world)) == (1, 1)
    assert (facts["amplitude.export_cost"], facts["amplitude.second_file_cost"]) == (1, 0)
    assert world.count("amplitude", "/file$") == 2


@pytest.mark.parametrize("action", ["reset_before", "reset_after", "status", "empty_after", "cut"])
def test_a_request_without_an_answer_is_not_repeated(world, ask_export, cohort, action: str) -> None:
    world.faults.add(action, path=r"/cohorts/request/[^/]+$")
    findings = ask_export()
    assert requested(world) == 1
    assert findings[-1].name == "export.request"
    assert findings[-1].status != "ok"


@pytest.mark.parametrize("action", ["reset_after", "empty_after", "cut", "status"])
def test_an_export_that_may_be_spent_is_not_called_free(world, ask_export, cohort, action: str) -> None:
    world.faults.add(action, path=r"/cohorts/request/[^/]+$")
    refused = line(ask_export(), "export.request")
    assert "Nothing of the month's exports was spent" not in refused.meaning
    assert "may have cost" in refused.meaning
    assert "another export" in refused.advice


@pytest.mark.parametrize("path", ["/api/3/cohorts$", "request-status", "/file$", "usage"])
@pytest.mark.parametrize("action", ["status", "reset_after", "broken_json"])
def test_a_fault_that_passes_changes_nothing(world, ask_export, cohort, path: str, action: str) -> None:
    world.faults.add(action, path=path)
    findings = ask_export()
    assert {finding.status for finding in findings} == {"ok"}
    assert (findings[-1].name, requested(world)) == ("export.latency", 1)


def test_a_busy_status_call_is_asked_again(world, ask_export, cohort) -> None:
    world.faults.add("status", status=429, path="request-status", after=1)
    findings = ask_export()
    assert facts_of(findings)["amplitude.first_status"] == "HTTP 429"
    assert findings[-1].name == "export.latency"


@pytest.mark.parametrize("fault", [{"action": "job_failed"}, {"action": "job_stuck"}])
def test_an_export_that_does_not_finish(world, ask_export, cohort, fault) -> None:
    world.faults.add(**fault, path=r"/cohorts/request/[^/]+$")
    findings = ask_export(timeout=0.1)
    assert findings[-1].name == "export.status"
    assert findings[-1].status in ("unknown", "wrong")


def test_an_unknown_cohort_costs_nothing(world, ask_export) -> None:
    findings = ask_export()
    assert (findings[-1].name, findings[-1].status) == ("export.request", "wrong")
    assert facts_of(findings)["amplitude.refused_status"] == 404
    assert world.project.used == 0


def test_a_cohort_that_is_not_listed_is_exported(world, ask_export) -> None:
    world.project.add_cohort(id=COHORT, name="Secret cohort", rows=ROWS, listed=False)
    findings = ask_export()
    assert line(findings, "export.list").status == "warning"
    assert "2 rows (the list has no size)" in line(findings, "export.rows").seen


def test_a_file_that_differs_from_the_first_is_noticed(world, ask_export, cohort) -> None:
    def change(_) -> None:
        next(iter(world.project.jobs.values())).file = b'"amplitude_id","user_id"\n"1","x"\n'

    world.at_request(change, path="/file$", after=1)
    assert line(ask_export(), "export.second_file").status == "warning"


@pytest.mark.parametrize("redirected", [True, False])
def test_nothing_tells_what_is_in_the_file(
    world, ask_export, cohort, caplog, monkeypatch, tmp_path: Path, redirected: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caplog.set_level(logging.DEBUG)
    world.configure(inline_rows=0 if redirected else 1000)
    findings = ask_export(user_property="plan")
    assert findings[-1].name == "export.latency"
    told = json.dumps([[finding.row(), finding.facts] for finding in findings])
    hosts = [url.partition("//")[2] for url in world.urls.values()]
    values = [value for row in ROWS for value in row.values() if value]
    for secret in (*values, *hosts, "plan", "Secret cohort", world.project.api_key, world.project.secret_key):
        assert secret not in told
    logged = told + caplog.text
    for secret in (*values, *world.project.links, world.project.secret_key):
        assert secret not in logged
    assert list(tmp_path.rglob("*.csv*")) == []


def test_a_broken_file_leaves_nothing_behind(world, ask_export, cohort, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    world.faults.add("cut", path="/file$", times=0)
    hook = AmplitudeHook()
    hook.policy = replace(hook.policy, retry_timeout=0)
    findings = ask_export(hook=hook)
    assert (findings[-1].name, findings[-1].status) == ("export.file", "unknown")
    assert list(tmp_path.rglob("*.csv*")) == []


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://analytics.eu.amplitude.com/x", "amplitude"),
        ("https://amplitude.com/x", "amplitude"),
        ("https://notamplitude.com/x", "other"),
        ("https://bucket.s3.us-west-2.amazonaws.com/x?X-Amz-Signature=1", "storage"),
        ("https://s3.amazonaws.com.evil.test/x", "other"),
        ("https://storage.googleapis.com/x", "storage"),
        ("https://cdn.example/x", "other"),
    ],
)
def test_a_host_is_named_by_its_class_alone(sandbox, url: str, kind: str) -> None:
    assert _host_class(AmplitudeHook(), url) == kind
