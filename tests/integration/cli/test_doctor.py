"""``doctor``: each line in its good state and in its others, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from airflow_provider_cio_cohort.assets import workspace_asset
from airflow_provider_cio_cohort.cli import asset_stores
from airflow_provider_cio_cohort.doctor.facts import FACTS, READ_ONLY_FACTS
from airflow_provider_cio_cohort.hooks import membership
from tests.docs.vendor_facts import named
from tests.integration.cli.conftest import PERSON, Answer

Run = Callable[..., Answer]
NAME = "planted-name-0815"
OFFLINE = {"airflow.database", "airflow.triggerer", "airflow.pools"}  # there is no database in these tests


@pytest.fixture
def doctor(airflow: Run, impatient: None, sandbox: Any) -> Callable[..., Report]:
    """Ask the doctor for JSON."""
    sandbox.configure(app_per_second=0)
    return lambda *arguments: Report(airflow("doctor", *arguments, "-o", "json"))


class Report:
    """What the doctor has found."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        assert answer.out, answer.err
        self.lines = {line["name"]: line for line in answer.rows["lines"]}
        self.facts = {fact["fact"]: fact["seen"] for fact in answer.rows["facts"]}

    def status(self, name: str) -> str:
        return str(self.lines[name]["status"])

    def text(self, name: str) -> str:
        return " ".join(self.lines[name].values())

    @property
    def bad(self) -> dict[str, str]:
        """The lines of the vendors that are not ok."""
        return {
            name: line["status"]
            for name, line in self.lines.items()
            if line["status"] != "ok" and name not in OFFLINE
        }


@pytest.fixture
def healthy(sandbox: Any, cohort: Any, segment: Any) -> Any:
    """Vendors with all that the doctor wants to see."""
    cohort(PERSON, "b", name=NAME)
    segment(PERSON, "b", name=NAME)
    return sandbox


def test_where_all_is_well_every_line_is_ok(healthy: Any, doctor: Any) -> None:
    report = doctor()
    assert report.bad == {}
    assert list(report.answer.rows) == ["package_version", "asked_at", "lines", "facts"]
    assert {fact.key: report.facts[fact.key] for fact in READ_ONLY_FACTS} == {
        "amplitude.list_fields": [
            "id",
            "name",
            "size",
            "lastComputed",
            "archived",
            "definition.countGroup.name",
        ],
        "amplitude.archived_listed": None,
        "amplitude.group_of_users": ["User"],
        "amplitude.usage_fields": ["limit", "used", "resets_at"],
        "customer_io.workspace_named": True,
        "customer_io.last_page_next": "empty",
        "customer_io.empty_list": None,
        "customer_io.member_fields": ["id", "email", "cio_id"],
        "customer_io.ids_as_numbers": False,
        "customer_io.identifiers": ["id", "email", "cio_id"],
    }


def test_it_reads_only_and_costs_no_export(healthy: Any, doctor: Any) -> None:
    doctor()
    assert healthy.project.used == 0
    calls = {(each.method, each.path) for each in healthy.requests if each.method != "GET"}
    assert calls == {("POST", "/v1/customers/attributes")}
    assert healthy.count(path_regex="/cohorts/request") == 0


def test_every_fact_is_answered_by_a_line_that_there_is(healthy: Any, doctor: Any) -> None:
    lines = doctor().lines
    without_writes = {fact.key for fact in READ_ONLY_FACTS}
    answering = {line for fact, line in named() if fact in without_writes and not line.startswith("probe.")}
    assert answering <= set(lines)
    assert len({fact.key for fact in FACTS}) == len(FACTS)


# ---- each line in its other states


def amplitude(**fields: Any) -> Any:
    return lambda connect, sandbox: ("--amplitude-conn-id", connect("amplitude_default", **fields))


def customer_io(**fields: Any) -> Any:
    return lambda connect, sandbox: ("--customer-io-conn-id", connect("customer_io_default", **fields))


def settings(**changes: Any) -> Any:
    return lambda connect, sandbox: sandbox.configure(**changes) or ()


def fault(action: str, **details: Any) -> Any:
    return lambda connect, sandbox: sandbox.faults.add(action, times=0, **details) and ()


def used(number: int) -> Any:
    return lambda connect, sandbox: setattr(sandbox.project, "used", number) or ()


def unpaid(connect: Any, sandbox: Any) -> tuple[str, ...]:
    sandbox.project.paid = False
    return ()


def other_region(connect: Any, sandbox: Any) -> tuple[str, ...]:
    workspace = sandbox.add_workspace(site_id="eu-site", tracking_key="eu-key", app_key="eu-app", region="eu")
    connection = {**sandbox.connection_to(workspace)}
    extra = {**connection["extra"], "region": "us"}
    extra |= {"app_base_url": sandbox.urls["app_us"], "track_base_url": sandbox.urls["track_us"]}
    fields = {"login": connection["login"], "password": connection["password"], "extra": extra}
    return ("--customer-io-conn-id", connect("customer_io_default", **fields))


def no_body(path: str, body: Any) -> Any:
    return fault("status", status=200, body=body, path=path)


def renamed(connect: Any, sandbox: Any) -> tuple[str, ...]:
    sandbox.workspace.add_segment(NAME)
    return ()


def without_ids(connect: Any, sandbox: Any) -> tuple[str, ...]:
    (segment,) = sandbox.workspace.segments.values()
    segment.by_hand_add([sandbox.workspace.add_person(email="nobody-0815@example.com")])
    return ()


OLD = {"cohorts": [{"id": "a1b2c3d", "name": NAME}]}
ODD = {"cohorts": [{"name": NAME, "size": 1, "lastComputed": 1, "archived": False}]}
STATES = [
    (amplitude(conn_type="http"), "amplitude.connection", "wrong", "it must be 'amplitude'"),
    (amplitude(password=""), "amplitude.connection", "wrong", "has no secret key"),
    (amplitude(extra={"verify": "/nowhere"}), "amplitude.network", "wrong", "verify in the extra"),
    (amplitude(host="http://amplitude.invalid"), "amplitude.network", "warning", "without encryption"),
    (
        amplitude(host="https://127.0.0.1:9", extra={"verify": "false"}),
        "amplitude.network",
        "warning",
        "can read the keys",
    ),
    (
        amplitude(extra={"proxies": "http://127.0.0.1:9"}),
        "amplitude.network",
        "ok",
        "through a proxy of the connection",
    ),
    (amplitude(extra={"proxies": "http://127.0.0.1:9"}), "amplitude.host", "wrong", "the proxy failed"),
    (amplitude(host="http://127.0.0.1:9"), "amplitude.host", "wrong", "no connection could be made"),
    (fault("reset_before", api="amplitude"), "amplitude.host", "unknown", "the connection broke"),
    (fault("status", status=503, api="amplitude"), "amplitude.host", "unknown", "HTTP 503"),
    (fault("html", status=200, api="amplitude"), "amplitude.host", "unknown", "an HTML page"),
    (settings(clock_ahead=120), "amplitude.clock", "warning", "behind the vendor's"),
    (settings(clock_ahead=-400), "amplitude.clock", "wrong", "ahead of the vendor's"),
    (settings(clock_ahead=-400), "customer_io.clock", "wrong", "ahead of the vendor's"),
    (amplitude(login="wrong-key"), "amplitude.keys", "wrong", "does not accept the API key"),
    (amplitude(password="wrong-secret"), "amplitude.keys", "wrong", "not the secret key"),
    (unpaid, "amplitude.keys", "wrong", "plan does not let"),
    (fault("status", status=429, api="amplitude"), "amplitude.keys", "unknown", "over its rate limit"),
    (no_body("/cohorts$", {"cohorts": None}), "amplitude.list", "warning", "lists no cohort"),
    (no_body("/cohorts$", OLD), "amplitude.list", "warning", "No usable size, lastComputed, archived"),
    (no_body("/cohorts$", ODD), "amplitude.list", "wrong", "No usable id"),
    (no_body("/usage$", {"new": "shape"}), "amplitude.usage", "warning", "does not say how many"),
    (used(495), "amplitude.usage", "warning", "495 of 500"),
    (used(500), "amplitude.usage", "wrong", "500 of 500"),
    (fault("status", status=500, path="/usage$"), "amplitude.usage", "unknown", "HTTP 500"),
    (customer_io(login=None), "customer_io.connection", "wrong", "has no Site ID"),
    (customer_io(extra={"regoin": "eu"}), "customer_io.connection", "wrong", "did you mean 'region'"),
    (customer_io(extra={"cert": "/nowhere"}), "customer_io.network", "wrong", "cert in the extra"),
    (customer_io(extra={"requests_per_second": 5000}), "customer_io.pace", "warning", "5,000 requests"),
    (customer_io(extra={"max_concurrent_tasks": "many"}), "customer_io.pace", "wrong", "whole number"),
    (
        customer_io(extra={"track_base_url": "http://127.0.0.1:9"}),
        "customer_io.track_host",
        "wrong",
        "no connection could be made",
    ),
    (
        customer_io(extra={"app_base_url": "http://127.0.0.1:9"}),
        "customer_io.app_host",
        "wrong",
        "no connection could be made",
    ),
    (fault("status", status=503, api="track"), "customer_io.track_host", "unknown", "HTTP 503"),
    (customer_io(password="wrong-key"), "customer_io.track_keys", "wrong", "does not accept the Site ID"),
    (other_region, "customer_io.track_keys", "wrong", "lives in the region 'eu'"),
    (other_region, "customer_io.app_key", "wrong", "data centre outside the region"),
    (customer_io(extra={"app_api_key": "wrong"}), "customer_io.app_key", "wrong", "does not accept the App"),
    (
        fault("status", status=403, api="app", path="/segments$"),
        "customer_io.app_key",
        "wrong",
        "does not let the App API key",
    ),
    (no_body("/segments$", {"segments": [{}]}), "customer_io.app_key", "unknown", "the id of a segment"),
    (renamed, "customer_io.segment_names", "warning", "Several segments have the same name"),
    (
        fault("status", status=403, api="app", path="/membership$"),
        "customer_io.membership",
        "wrong",
        "does not let the App API key",
    ),
    (
        fault("status", status=403, api="app", path="/customer_count$"),
        "customer_io.membership",
        "wrong",
        "does not let the App API key",
    ),
    (fault("no_identifiers"), "customer_io.membership", "wrong", "lacks the members"),
    (no_body("/membership$", {"identifiers": [{}]}), "customer_io.membership", "wrong", "of some"),
    (settings(endless_next=True), "customer_io.membership", "warning", "More members follow"),
    (no_body("/customer_count$", {"count": 3}), "customer_io.membership", "warning", "the count differs"),
    (without_ids, "customer_io.membership", "ok", "1 have no id"),
    (settings(lookup_allowed=False), "customer_io.lookup", "warning", "may not look people up"),
    (settings(lookup_allowed=False), "customer_io.identifiers", "unknown", "customer_io.lookup is warning"),
    (
        fault("status", status=500, path="/attributes$"),
        "customer_io.lookup",
        "unknown",
        "HTTP 500",
    ),
    (settings(email_identifies=False), "customer_io.identifiers", "ok", "by id, cio_id"),
]


@pytest.mark.parametrize(
    ("prepare", "name", "status", "words"), STATES, ids=[f"{name} {status}" for _, name, status, _ in STATES]
)
def test_a_line_in_each_state(
    healthy: Any, doctor: Any, connect: Any, prepare: Any, name: str, status: str, words: str
) -> None:
    names = {line for line in doctor().lines if line.split(".")[0] in ("amplitude", "customer_io")}
    report = doctor(*prepare(connect, healthy))
    assert (report.status(name), words in report.text(name)) == (status, True), report.text(name)
    assert names <= set(report.lines)  # one that fails hides no other
    expected = 1 if "wrong" in report.bad.values() else 3  # 3, because there is no database
    assert report.answer.code == expected
    assert [word for word in ("wrong-", NAME, PERSON) if word in report.answer.out + report.answer.err] == []


def test_a_connection_that_there_is_not_hides_no_other_line(healthy: Any, doctor: Any) -> None:
    report = doctor("--amplitude-conn-id", "nowhere", "--customer-io-conn-id", "nowhere_either")
    assert report.status("amplitude.connection") == report.status("customer_io.connection") == "wrong"
    assert "airflow connections add nowhere --conn-type amplitude" in report.text("amplitude.connection")
    assert set(report.bad.values()) == {"wrong", "unknown"}
    assert "nowhere" in report.text("airflow.connections")
    assert report.answer.code == 1
    assert healthy.requests == []


@pytest.mark.parametrize(
    ("changes", "fact", "seen"),
    [
        ({"last_next": "null"}, "customer_io.last_page_next", "null"),
        ({"last_next": "absent"}, "customer_io.last_page_next", "absent"),
        ({"last_next": "empty_page"}, "customer_io.last_page_next", "cursors to empty pages"),
        ({"endless_next": True}, "customer_io.last_page_next", "same page again"),
        ({"email_identifies": False}, "customer_io.identifiers", ["id", "cio_id"]),
        ({"email_identifies": False}, "customer_io.member_fields", ["id", "cio_id"]),
    ],
)
def test_what_a_switch_of_the_vendors_is_set_to(
    healthy: Any, doctor: Any, changes: dict[str, Any], fact: str, seen: Any
) -> None:
    healthy.configure(**changes)
    assert doctor().facts[fact] == seen


@pytest.mark.parametrize(("is_null", "seen"), [(True, "null"), (False, "[]")])
def test_an_empty_list_of_members(
    sandbox: Any, cohort: Any, segment: Any, doctor: Any, is_null: bool, seen: str
) -> None:
    cohort("a")
    segment()
    sandbox.configure(null_when_empty=is_null)
    report = doctor()
    assert (report.facts["customer_io.empty_list"], report.bad) == (seen, {})


def test_ids_as_numbers_archived_cohorts_and_names_that_are_not_unique(
    sandbox: Any, cohort: Any, segment: Any, doctor: Any
) -> None:
    cohort("17", archived=True)
    segment("17")
    segment()
    sandbox.configure(ids_as_numbers=True)
    facts = doctor().facts
    assert facts["customer_io.ids_as_numbers"] is True
    assert facts["amplitude.archived_listed"] is True
    assert facts["customer_io.names_are_unique"] is False


def test_a_workspace_without_segments_is_no_failure(sandbox: Any, cohort: Any, doctor: Any) -> None:
    cohort("a")
    report = doctor()
    assert report.bad == {"customer_io.membership": "warning"}


def test_a_large_segment_is_not_read_to_its_end(
    healthy: Any, doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_cio_cohort.doctor import checks_customer_io

    monkeypatch.setattr(checks_customer_io, "MEMBERS_PER_PAGE", 1)
    monkeypatch.setattr(membership, "MEMBERS_PER_PAGE", 1)
    report = doctor()
    assert "Its end was not read" in report.text("customer_io.membership")
    assert healthy.count("app", "/membership$") == 1


# ---- a file of syncs


def test_a_file_names_connections_segments_and_identifiers(
    healthy: Any, doctor: Any, connect: Any, write: Any, segment: Any
) -> None:
    segment(name=NAME)
    healthy.configure(email_identifies=False)
    conn_id = connect("customer_io_default", "customer_io_shop")
    path = write({"segment_name": NAME, "customer_io_conn_id": conn_id, "id_type": "email"})
    report = doctor(path)
    assert "'customer_io_shop'" in report.text("customer_io.connection")
    assert report.status("customer_io.segment_names") == "wrong"
    assert report.status("customer_io.identifiers") == "wrong"
    assert "does not identify people by email" in report.text("customer_io.identifiers")
    assert NAME not in report.answer.out
    assert doctor(path, "--customer-io-conn-id", "customer_io_default").bad == {
        "customer_io.segment_names": "warning"  # the syncs of another connection do not count
    }


def test_several_connections_of_a_file_are_a_choice(sandbox: Any, airflow: Run, write: Any) -> None:
    path = write({}, {"segment_name": "B", "customer_io_conn_id": "other"})
    answer = airflow("doctor", path)
    assert answer.code == 2
    assert "customer_io_default, other. Choose one by --customer-io-conn-id." in answer.err
    assert sandbox.requests == []


def test_a_file_that_is_not_there(sandbox: Any, airflow: Run) -> None:
    answer = airflow("doctor", "nowhere.yaml")
    assert answer.code == 1
    assert "there is no such file" in answer.err


def test_the_storage_of_snapshots(healthy: Any, doctor: Any, write: Any, tmp_path: Any) -> None:
    folder = tmp_path / "planted-folder"
    folder.mkdir()
    path = write({"snapshot_path": f"file://{folder}"})
    report = doctor(path)
    assert report.status("airflow.snapshots") == "ok"
    assert [each for each in folder.rglob("*") if each.is_file()] == []
    path = write(
        {"snapshot_path": f"file://{folder}"},
        {"unmatched_path": f"file://{folder}-missing", "segment_name": "B"},
    )
    report = doctor(path)
    assert report.status("airflow.snapshots") == "wrong"
    assert "1 of 2 storages" in report.text("airflow.snapshots")
    assert "file://…" in report.text("airflow.snapshots")
    assert "planted-folder" not in report.answer.out
    assert report.answer.code == 1


# ---- what is printed


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
@pytest.mark.parametrize("is_broken", [False, True])
def test_no_key_no_person_and_no_name_is_printed(
    healthy: Any, airflow: Run, impatient: None, connect: Any, write: Any, output: str, is_broken: bool
) -> None:
    if is_broken:
        healthy.faults.add("status", status=400, body={"meta": {"error": f"{NAME} {PERSON}@x.test"}}, times=0)
    path = write({"segment_name": NAME})
    answer = airflow("doctor", path, "-o", output, "-v")
    assert answer.out
    project, workspace = healthy.project, healthy.workspace
    people = (PERSON, *(person.cio_id for person in workspace.people.values()))
    keys = (project.api_key, project.secret_key, workspace.site_id, workspace.tracking_key, workspace.app_key)
    assert [secret for secret in (NAME, *people, *keys) if secret in answer.out + answer.err] == []


def test_the_table_has_a_line_for_each_question_then_the_facts(
    healthy: Any, airflow: Run, impatient: None
) -> None:
    healthy.configure(app_per_second=0, lookup_allowed=False)
    names = [line["name"] for line in airflow("doctor", "-o", "json").rows["lines"]]
    out = airflow("doctor").out
    cells = [[cell.strip() for cell in line.split("|")] for line in out.splitlines()]
    assert [row[1] for row in cells if row[0] in ("ok", "warning", "wrong", "unknown")] == names
    assert "→ Allow the key to read people" in out
    assert [row[0] for row in cells if row[0].startswith(("amplitude.", "customer_io."))] == [
        fact.key for fact in READ_ONLY_FACTS
    ]


def test_yaml_holds_what_json_holds(healthy: Any, airflow: Run, impatient: None) -> None:
    healthy.configure(app_per_second=0)
    as_json = airflow("doctor", "-o", "json").rows
    as_yaml = yaml.safe_load(airflow("doctor", "-o", "yaml").out)
    assert {**as_yaml, "asked_at": ""} == {**as_json, "asked_at": ""}


# ---- what is kept


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Airflow's database, as far as states of assets go: values by the assets' URIs."""
    kept: dict[str, Any] = {}
    monkeypatch.setattr(asset_stores, "_read", lambda uri, key: kept[uri].get(key))
    monkeypatch.setattr(
        asset_stores, "_write", lambda uri, key, value: kept[uri].update({key: json.loads(value)})
    )
    monkeypatch.setattr(asset_stores._AssetStore, "exists", property(lambda store: store.uri in kept))
    return kept


def test_facts_about_the_workspace_are_saved_beside_older_ones(
    healthy: Any, doctor: Any, database: dict[str, Any]
) -> None:
    asset = workspace_asset("customer_io_default")
    assert asset is not None
    older = {"value": "prefixed", "seen_at": "2026-01-01T00:00:00Z", "version": "1.0.0"}
    database[asset.uri] = {"vendor_facts": {"customer_io.cio_id_form": older}}
    report = doctor("--save")
    kept = database[asset.uri]["vendor_facts"]
    assert kept["customer_io.cio_id_form"] == older
    assert kept["customer_io.last_page_next"]["value"] == "empty"
    assert kept["customer_io.last_page_next"]["seen_at"] == report.answer.rows["asked_at"]
    assert kept["customer_io.last_page_next"]["version"] == report.answer.rows["package_version"]
    assert not any(key.startswith("amplitude.") for key in kept)
    assert "Saved" in report.answer.err


def test_where_airflow_does_not_have_the_asset_nothing_is_saved_and_it_says_so(
    healthy: Any, doctor: Any, database: dict[str, Any]
) -> None:
    report = doctor("--save")
    assert "Airflow has no asset customerio://customer_io_default/ yet" in report.answer.err
    assert report.answer.code == 3


def test_without_state_stores_nothing_is_asked(
    healthy: Any, airflow: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_cio_cohort.cli.doctor.HAS_STATE_STORES", False)
    answer = airflow("doctor", "--save")
    assert answer.code == 2
    assert "--save needs Airflow 3.3" in answer.err
    assert healthy.requests == []
