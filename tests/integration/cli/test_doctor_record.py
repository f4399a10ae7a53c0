"""``doctor --record``: nothing private in the file, and a doctor that is answered from it sees the same."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.cli import doctor as command
from airflow_provider_cio_cohort.doctor.throwaway import DESCRIPTION, MARK
from tests.integration.cli.conftest import Answer
from tests.replay import Replay

Run = Callable[..., Answer]
#: Stands in every name, value and identifier, and nowhere else.
PLANTED = "planted"
PERSON, COHORT = "Planted-1", "planted1"
#: What depends on time, or on lengths that a recording does not have.
MEASURED = re.compile(r"lag|seconds|_after|quickest|longest_user_id")
IN_WORDS = re.compile(r"[\d.]+ s\b|[Ss]egment \d+|ids [\d/, ]+|the longest user_id has [\d,]+")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    """Let the doctor ask as fast as it can, and wait for an export as long as the vendor takes."""
    monkeypatch.setenv("AIRFLOW__CIO_COHORT__EXPORT_GRACE", "60")
    pace: dict[str, Any] = {"requests_per_second": math.inf}
    monkeypatch.setattr(command, "probe", partial(command.probe, settle=0.0, timeout=0.1, **pace))
    monkeypatch.setattr(command, "probe_export", partial(command.probe_export, poll_interval=0.01, **pace))


@pytest.fixture
def world(sandbox: Any) -> Any:
    """Both vendors, with a test person, other people, segments, and what an earlier probe has left behind."""
    sandbox.configure(app_per_second=0)
    workspace = sandbox.workspace
    person = workspace.add_person(id=PERSON, email="Planted.One@planted.test")
    others = [workspace.add_person(id=f"planted-{n}", email=f"{n}@planted.test") for n in range(2, 5)]
    workspace.add_segment("Planted users", "planted by hand", members=[*others, person])
    workspace.add_segment("Planted users", members=others)
    workspace.add_segment("Computed, planted", type="dynamic", members=others)
    workspace.add_segment(f"{MARK} 0a1b2c3d", DESCRIPTION)
    rows = [
        {"amplitude_id": str(n), "user_id": f"planted-{n}", "plantedMail": "a@planted.test"} for n in range(9)
    ]
    sandbox.project.add_cohort(id=COHORT, name="Planted users", rows=rows)
    return sandbox


def ask(airflow: Run, given: dict[str, Any], *more: str) -> Any:
    """Return the report of the whole doctor, without what depends on time."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    answer = airflow("doctor", "--probe", "--rounds=1", *options, "--yes", "-o", "json", *more)
    report = answer.rows
    for line in report["lines"]:
        for part in ("seen", "meaning", "advice"):
            line[part] = IN_WORDS.sub("…", line[part])
    return (
        answer.code,
        report["lines"],
        {fact["fact"]: fact["seen"] for fact in report["facts"] if not MEASURED.search(fact["fact"])},
    )


SETTINGS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "late": {"status_unknown_for": 0.05, "file_after": 0.05},
    "names": {"name_rewrite": "collapse", "name_limit": 100, "unique_names": True},
    "redirects": {"inline_rows": 0, "redirect_hops": 2, "redirect_form": "unusual", "compressed_twice": True},
    "no look-ups": {"lookup_allowed": False, "email_identifies": False},
    "identifiers": {"cio_prefix": True, "removal_needs_id": True, "identifiers_trimmed": True},
    "lists": {"null_when_empty": True, "last_next": "empty_page", "lookup_wrapped": False},
    "file": {"leading_tab": True, "crlf": True, "property_prefix": "gp:", "content_length": False},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_replay_leads_to_the_same_report(
    name: str, world: Any, airflow: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(**SETTINGS[name])
    dynamic = next(s.id for s in world.workspace.segments.values() if s.type == "dynamic")
    given = {"person": PERSON, "dynamic_segment": dynamic, "export": COHORT, "property": "plantedMail"}
    path = tmp_path / "recording.json"
    seen = ask(airflow, given, "--record", str(path))
    text = path.read_text()
    assert private_in(text, world) == []
    recording = json.loads(text)
    with Replay(recording) as vendors:
        for conn_id, connection in vendors.connections().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        replayed = ask(airflow, recording["arguments"])
        assert vendors.unexpected == []
        assert vendors.left == []
    assert replayed == seen


def private_in(text: str, world: Any) -> list[str]:
    project, workspace = world.project, world.workspace
    pairs = [(project.api_key, project.secret_key), (workspace.site_id, workspace.tracking_key)]
    sent = [base64.b64encode(":".join(pair).encode()).decode() for pair in pairs]
    urls = [url.removeprefix("http://") for url in world.urls.values()]
    private = [PLANTED, "sandbox-", *sent, *urls, *workspace.people, *project.jobs, *project.links]
    return [each for each in private if each.lower() in text.lower()]


def test_no_file_is_overwritten_unless_that_is_asked_for(world: Any, airflow: Run, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    path.write_text("mine")
    answer = airflow("doctor", "--record", str(path))
    assert answer.code == 2
    assert "already exists" in answer.err
    assert path.read_text() == "mine"
    assert world.requests == []
    answer = airflow("doctor", "--record", str(path), "--force")
    assert str(path) in answer.err
    assert json.loads(path.read_text())["exchanges"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_found_before_anything_is_asked(
    world: Any, airflow: Run, tmp_path: Path
) -> None:
    answer = airflow("doctor", "--record", str(tmp_path / "missing" / "recording.json"))
    assert answer.code == 2
    assert "cannot be written" in answer.err
    assert world.requests == []
    assert airflow("doctor", "--force").code == 2
