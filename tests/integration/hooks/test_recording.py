"""A recording has nothing private in it, and whoever is answered from it comes to the same results."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks import customer_io
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.hooks.customer_io import CustomerIOHook
from airflow_provider_cio_cohort.hooks.recording import Recorder, recording_to
from airflow_provider_cio_cohort.sandbox import Sandbox
from tests.replay import Replay

MARK = "cohort-sync test: may be deleted"
COHORT = "pl4nted"
#: Stands in every name, value and identifier, and nowhere else.
PLANTED = "planted"
PERSON = "planted-person-4711"
ARGUMENTS = {"cohort": COHORT, "person": PERSON, "stranger": "4711", "user_property": "plantedMail"}


@dataclass
class Subject:
    """Who and what is asked about; in a replay, by their placeholders."""

    cohort: str
    person: str
    stranger: str
    user_property: str
    folder: Path


#: Asks both vendors, and yields what it learns: names and facts, without identifiers.
Asked = Callable[[AmplitudeHook, CustomerIOHook, Subject], Iterator[tuple[str, Any]]]


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request to the App API wait for its turn: its pace has tests of its own."""
    monkeypatch.setattr(customer_io, "APP_REQUESTS_PER_SECOND", 1000)


@pytest.fixture
def vendors(sandbox: Sandbox) -> Sandbox:
    sandbox.configure(app_per_second=0)
    rows = [
        {"amplitude_id": str(471100 + n), "user_id": f"planted-{n}", "plantedMail": f"{n}@planted.test"}
        for n in range(1200)
    ]
    rows[5]["user_id"], rows[1100]["user_id"] = "", ""
    rows[6]["user_id"] = "planted" * 30
    sandbox.project.add_cohort(id=COHORT, name="Planted cohort", rows=rows)
    sandbox.project.add_cohort(id="pl4nte2", name="Planted group", rows=[], group="planted company")
    sandbox.project.add_cohort(id="pl4nte3", name="Planted old", rows=[], computed=False, archived=True)
    sandbox.workspace.add_person(id=PERSON, email="Planted.One@planted.test")
    other = sandbox.workspace.add_person(id=None, email="planted.two@planted.test")
    sandbox.workspace.add_segment("Planted segment", "planted description", members=[other, PERSON])
    sandbox.workspace.add_segment("Planted segment")
    return sandbox


def calls_of_hooks(
    amplitude: AmplitudeHook, customer_io: CustomerIOHook, subject: Subject
) -> Iterator[tuple[str, Any]]:
    yield "cohorts", [(c.size, c.archived, c.group.lower() == "user") for c in amplitude.list_cohorts()]
    yield "usage", amplitude.usage()
    yield "export", _export(amplitude, subject)
    yield "keys", customer_io.test_connection()
    segments = customer_io.list_segments()
    yield "segments", [(each.is_manual, bool(each.description)) for each in segments]
    yield "names", len({each.name for each in segments})
    yield "members", [_shape(customer_io, each.id, subject) for each in segments]
    yield "a segment", _in_a_segment(customer_io, subject)
    accepts = {kind: customer_io.accepts_identifier(kind) for kind in ("id", "email", "cio_id")}
    yield "identifiers", accepts
    if accepts["id"]:
        found = customer_io.find_people([subject.person, f" {subject.person}", subject.person.upper()])
        yield "people", (found.count, found.refused, subject.person in found.identifiers)


def _export(amplitude: AmplitudeHook, subject: Subject) -> Any:
    request_id = amplitude.request_export(subject.cohort, subject.user_property)
    while not amplitude.export_finished(request_id, subject.cohort):
        pass
    path = subject.folder / "export"
    amplitude.download_export(request_id, path)
    lines = path.read_bytes().split(b"\n")
    columns = lines[0].replace(subject.user_property.removeprefix("gp:").encode(), b"PROPERTY")
    amplitude.download_export(request_id, subject.folder / "again")
    is_same = (subject.folder / "again").read_bytes() == path.read_bytes()
    return columns, len(lines), sum(b'""' in line for line in lines), lines[-2:] == [b"", b""], is_same


def _shape(customer_io: CustomerIOHook, segment_id: int, subject: Subject) -> Any:
    members = list(customer_io.stream_members(segment_id))
    return (
        customer_io.count_members(segment_id),
        [(m.id is None, m.email is None, m.cio_id is None, m.id == subject.person) for m in members],
    )


def _in_a_segment(customer_io: CustomerIOHook, subject: Subject) -> list[Any]:
    name = f"{MARK} {secrets.token_hex(4)}"
    segment = customer_io.create_segment(name, f"{MARK}. It is {PLANTED}-free.")
    facts: list[Any] = [segment.name == name, segment.is_manual]
    facts.append(customer_io.add_members(segment.id, [subject.person, subject.stranger]).count)
    facts.append(_shape(customer_io, segment.id, subject))
    facts.append(customer_io.remove_members(segment.id, [subject.person]).count)
    facts.append(_shape(customer_io, segment.id, subject))
    customer_io.delete_segment(segment.id)
    try:
        customer_io.count_members(segment.id)
    except CohortSyncError as error:
        facts.append(type(error))
    return facts


#: Whoever asks the vendors with the hooks can be added.
ASKED: list[Asked] = [calls_of_hooks]


def results_of(asked: Asked, subject: Subject, recorder: Recorder | None = None) -> list[tuple[str, Any]]:
    """Return all that is learnt, an error by its type."""
    amplitude, customer_io_hook = AmplitudeHook(), CustomerIOHook()
    if recorder:
        amplitude.transport.recorder = customer_io_hook.transport.recorder = recorder
    results = []
    try:
        for name, fact in asked(amplitude, customer_io_hook, subject):
            results.append((name, fact))
    except CohortSyncError as error:
        results.append(("error", type(error)))
    return results


def record(asked: Asked, folder: Path) -> tuple[list[tuple[str, Any]], str]:
    """Return what is learnt from the vendors, and the recording."""
    path = folder / "recording.json"
    with recording_to(path, own=[MARK]) as recorder:
        recorder.add_arguments(**ARGUMENTS)
        results = results_of(asked, Subject(**ARGUMENTS, folder=folder), recorder)
    return results, path.read_text()


def replay(asked: Asked, text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Return what is learnt from a recording."""
    recording = json.loads(text)
    with Replay(recording) as vendors:
        for conn_id, connection in vendors.connections().items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        results = results_of(asked, Subject(**recording["arguments"], folder=folder))
        assert vendors.unexpected == []
        assert vendors.left == []
    return results


SETTINGS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "large file": {"inline_rows": 0, "redirect_hops": 3, "redirect_form": "unusual"},
    "relative redirect": {"inline_rows": 0, "redirect_form": "relative", "compressed_twice": True},
    "redirect without a scheme": {"inline_rows": 0, "redirect_form": "scheme_relative", "compressed": False},
    "other export": {"crlf": True, "leading_tab": True, "property_prefix": "gp:", "blank_last_line": True},
    "other file": {"duplicate_column": True, "content_length": False, "encoding": "aws-chunked"},
    "other lists": {"last_next": "empty_page", "null_when_empty": True, "ids_as_numbers": True},
    "no look-ups": {"lookup_allowed": False, "email_identifies": False, "last_next": "absent"},
    "other answers": {"completed_text": "JOB_COMPLETED", "answers_cohort_id": False, "lookup_wrapped": True},
    "removals need an id": {"removal_needs_id": True, "name_rewrite": "trim", "name_limit": 40},
}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("asked", ASKED)
def test_a_replay_leads_to_the_same_results(
    name: str, asked: Asked, vendors: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors.configure(**SETTINGS[name])
    learnt, text = record(asked, tmp_path)
    check_private(text, vendors)
    assert learnt[-1][0] != "error", learnt
    assert replay(asked, text, tmp_path, monkeypatch) == learnt


def check_private(text: str, vendors: Sandbox) -> None:
    """Nothing of what the vendors have, and no key, is in a recording."""
    project, workspace = vendors.project, vendors.workspace
    pairs = [(project.api_key, project.secret_key), (workspace.site_id, workspace.tracking_key)]
    sent = [base64.b64encode(":".join(pair).encode()).decode() for pair in pairs]
    people = list(workspace.people)
    private = [
        PLANTED,
        "pl4nte",
        "4711",
        "127.0.0.1",
        "sandbox-",
        *sent,
        *project.links,
        *project.jobs,
        *people,
    ]
    ports = [url[-6:] for url in vendors.urls.values()]
    # Of what is made up by the caller, the beginning is kept.
    shown = text.replace(f"{PLANTED}-free", "").lower()
    assert [each for each in [*private, *ports] if each.lower() in shown] == []


FAULTS: dict[str, list[dict[str, Any]]] = {
    "away": [{"action": "status", "status": 503, "times": 2}],
    "too many": [{"action": "status", "api": "track", "status": 429, "headers": {"Retry-After": "0"}}],
    "wrong keys": [{"action": "status", "api": "app", "status": 401, "times": 0}],
    "a page": [{"action": "html", "api": "amplitude", "status": 502}],
    "resets": [{"action": "reset_after", "api": "app"}, {"action": "reset_before", "api": "track"}],
    "file cut": [{"action": "cut", "path": "/file"}],
    "broken JSON": [{"action": "broken_json", "api": "app", "status": 200}],
    "empty": [{"action": "empty_after", "api": "amplitude"}],
    "expired link": [{"action": "expire_link", "api": "storage"}],
    "quoting": [
        {"action": "status", "api": "app", "status": 400, "times": 0, "path": "attributes"}
        | {"body": {"errors": [{"detail": f"id '{PERSON}' of Planted is invalid", "status": "400"}]}}
    ],
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_replay_has_the_same_faults(
    name: str, vendors: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors.configure(inline_rows=0 if name == "expired link" else 10_000)
    for fault in FAULTS[name]:
        vendors.faults.add(**fault)
    learnt, text = record(calls_of_hooks, tmp_path)
    check_private(text, vendors)
    assert all(each["met"] for each in vendors.faults.all())
    assert replay(calls_of_hooks, text, tmp_path, monkeypatch) == learnt


# ---- the file


def test_the_file_is_private_and_replaces_no_other(tmp_path: Path) -> None:
    path = tmp_path / "recording.json"
    with recording_to(path):
        assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert json.loads(text)["exchanges"] == []
    with pytest.raises(FileExistsError), recording_to(path):
        pass
    assert path.read_text() == text
    path.write_text("something else")
    path.chmod(0o644)
    with recording_to(path, overwrite=True):
        assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["version"] == 1


def test_what_was_recorded_until_ctrl_c_is_in_the_file(vendors: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "recording.json"

    def interrupted() -> None:
        hook = AmplitudeHook()
        with recording_to(path) as recorder:
            hook.transport.recorder = recorder
            hook.list_cohorts()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (exchange,) = json.loads(path.read_text())["exchanges"]
    assert exchange["request"]["path"] == "/api/3/cohorts"
    assert len(exchange["response"]["body"]["json"]["cohorts"]) == 3


def test_what_the_vendors_answer_is_recognised(vendors: Sandbox, tmp_path: Path) -> None:
    """The form of a recording, see docs/recordings.md."""
    vendors.configure(inline_rows=0)
    recording = json.loads(record(calls_of_hooks, tmp_path)[1])
    exchanges = recording["exchanges"]
    first = exchanges[0]
    assert first["request"] == {
        "method": "GET",
        "host": "amplitude",
        "path": "/api/3/cohorts",
        "query": [],
        "authorization": "Basic Key-1",
    }
    assert first["response"]["status"] == 200
    assert first["response"]["headers"]["Date"] in ("now+0", "now-1")
    cohort = first["response"]["body"]["json"]["cohorts"][0]
    assert cohort["name"] == "Name-1"
    assert cohort["size"] == 1200
    assert cohort["definition"]["countGroup"]["name"] == "User"
    link = next(each for each in exchanges if each["request"]["path"].endswith("/file"))
    location = link["response"]["headers"]["Location"]
    assert location.startswith("http://storage-1/path-1/")
    assert "X-Amz-Expires=60" in location
    file = next(each for each in exchanges if each["request"]["host"] == "storage-1")["response"]["body"]
    assert file["compressed"] == ["gzip"]
    assert file["csv"].startswith('"amplitude_id","user_id","Id-3"\n"900000')
    members = next(each for each in exchanges if each["request"]["path"].endswith("/membership"))
    one, two = members["response"]["body"]["json"]["identifiers"]
    assert one["id"] is None
    assert one["email"] == "person-1003@example.com"
    assert two["id"] == recording["arguments"]["person"]
