"""The DAG of a file that cannot be read, and the alerts about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.xcom import XCom
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_cio_cohort.dag_generation import CohortSyncConfigError, build_dags
from tests.unit.alerts.receiver import RECEIVER, Receiver, receiver

__all__ = ["receiver"]

HTTP = "airflow.providers.http.notifications.HttpNotifier"
ALERT = f"[{{notifier: {HTTP}, arguments: {{http_conn_id: desk}}}}]"
GIVEN = [{"notifier": HTTP, "on": ["failure"], "arguments": {"http_conn_id": "given"}}]
RECEIVERS = [{"notifier": RECEIVER, "arguments": {"name": name}} for name in ("desk", "chat")]
SYNCS = "syncs:\n- name: one\n\tcohort_id: a\n"


@pytest.fixture
def build(tmp_path: Path) -> Any:
    """Builds the only DAG of a file that cannot be read."""

    def build(content: str | bytes, **given: Any) -> DAG:
        path = tmp_path / "growth.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        dags = build_dags(path, **given)
        assert list(dags) == ["cohort_file__growth"]
        return dags["cohort_file__growth"]

    return build


def task_of(dag: DAG) -> Any:
    (task,) = dag.tasks
    return task


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SYNCS, "growth.yaml:3: the file is not valid YAML: "),
        ("syncs: {}\n", "syncs must be a list"),
        ("", "the file is empty"),
        (b"\xff\xfe\xff", "growth.yaml:1: the file is not valid YAML"),
    ],
)
def test_the_reason(build: Any, tmp_path: Path, content: str | bytes, words: str) -> None:
    dag = build(content)
    reason = task_of(dag).reason
    assert reason.startswith("The file growth.yaml cannot be read, so none of its syncs runs.\n")
    assert words in reason
    assert str(tmp_path) not in reason + dag.doc_md
    assert words.split(": ")[0] in dag.doc_md
    assert dag.tags == {"cohort-file", "config-error"}
    assert dag.timetable.can_be_scheduled
    assert dag.is_paused_upon_creation is False
    stored = DagSerialization.to_dict(dag)
    DagSerialization.validate_schema(stored)
    assert DagSerialization.to_dict(build(content)) == stored


def test_where_a_task_of_another_file_runs_a_broken_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growth.yaml"
    path.write_text(SYNCS)
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "cohort_sync__other")
    assert build_dags(path) == {}
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, "cohort_file__growth")
    assert list(build_dags(path)) == ["cohort_file__growth"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"defaults:\n  alerts: {ALERT}\n{SYNCS}", "desk"),
        (f"{SYNCS}\n# x\ndefaults:\n\n# y\n  alerts: {ALERT}\n", "desk"),
        (f"defaults: {{alerts: {ALERT}}}\r\n{SYNCS}", "desk"),
        (f"defaults:\n  alerts: [{{notifier: nowhere.X}}, {ALERT[1:]}\n{SYNCS}", "desk"),
        (f"defaults:\n  alerts: [{{notifier: {HTTP}, a: 2026-13-45}}, {ALERT[1:]}\n{SYNCS}", "desk"),
        (f"x-who: &who {ALERT}\ndefaults:\n  alerts: *who\n{SYNCS}", "desk"),
        (f"x-who: &who\n- {ALERT[1:-1]}\ndefaults:\n  alerts: *who\n{SYNCS}", "desk"),
        (f"x-who: &who [\n{ALERT[1:-1]}\n]\n{SYNCS}defaults:\n  alerts: *who\n", "desk"),
        (f"x-a: &a\n  to: &who {ALERT}\nx-b: &b\n  alerts: *who\n{SYNCS}defaults:\n  <<: *b\n", "desk"),
        (f"x-bad: [\nx-who: &who {ALERT}\ndefaults: {{alerts: *who}}\n{SYNCS}", "desk"),
        (f"x-bad: [\ndefaults: {{alerts: {ALERT}}}\n{SYNCS}", "desk"),
        (f"x-who: &who {ALERT}\nx-bad: *nobody\ndefaults: {{alerts: *who}}\n{SYNCS}", "desk"),
        (f"\ufeffdefaults:\n  alerts: {ALERT}\n{SYNCS}", "desk"),
        (f"'x-who': &who {ALERT}\n\"defaults\":\n  alerts: *who\n{SYNCS}", "desk"),
        (f"---\ndefaults:\n  alerts: {ALERT}\n---\n{SYNCS}", "desk"),
        (f"x-who: &who {ALERT}\ndefaults: {{alerts: *whom}}\n{SYNCS}", "given"),
        (f"x-deep: {'[' * 5_000}\ndefaults: {{alerts: {ALERT}}}\n{SYNCS}", "desk"),
        (f"defaults:\n\talerts: {ALERT}\nsyncs: []\n", "given"),
        (f"defaults:\n  alerts: [{{notifier: nowhere.X}}]\n{SYNCS}", "given"),
        (f"defaults: &a {{b: *a}}\n{SYNCS}", "given"),
        (f"defaults: 7\n{SYNCS}", "given"),
        (f"defaults:\n{SYNCS}", "given"),
        (f"defaults: {'[' * 5_000}\n{SYNCS}", "given"),
        (SYNCS, "given"),
    ],
)
def test_who_is_told(build: Any, content: str, expected: str) -> None:
    (alert,) = task_of(build(content, alerts=GIVEN)).alerts
    assert alert.arguments == {"http_conn_id": expected}


def test_without_alerts_nobody_is_told(build: Any) -> None:
    assert task_of(build(SYNCS)).alerts == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"notifier": "x"}, r"build_dags: alerts \(item 2\): notifier: .*write a dotted path"),
        ({}, r"build_dags: alerts \(item 2\): notifier: it is missing"),
        ({"notifier": HTTP, "when": 1}, r'there is no key "when"'),
        ("mail me", "it must be a mapping"),
    ],
)
def test_alerts_that_a_dag_file_gets_wrong(build: Any, given: Any, message: str) -> None:
    with pytest.raises(CohortSyncConfigError, match=message):
        build("syncs: []\n", alerts=[*GIVEN, given])


class Runs:
    """Runs of the DAG of a broken file, one after the other."""

    def __init__(self, dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dag = dag
        self.kept: list[Any] = []
        monkeypatch.setattr(XCom, "get_one", self._get_one)

    def _get_one(self, *, key: str, dag_id: str, run_id: str, task_id: str) -> Any:
        assert (key, dag_id, task_id) == ("told", "cohort_file__growth", "read")
        return self.kept[int(run_id)]

    def __call__(self, *, by_hand: bool = False) -> None:
        before = SimpleNamespace(run_id=len(self.kept) - 1) if self.kept and not by_hand else None
        self.kept.append(None)
        ti = SimpleNamespace(
            dag_id="cohort_file__growth",
            task_id="read",
            get_previous_dagrun=lambda: before,
            xcom_push=lambda key, value: self.kept.__setitem__(-1, value),
        )
        with pytest.raises(AirflowFailException, match="cannot be read, so none of its syncs runs"):
            task_of(self.dag).execute({"ti": ti})


def test_an_error_is_told_once(build: Any, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(build(SYNCS, alerts=RECEIVERS[:1]), monkeypatch)
    for _ in range(3):
        runs()
    (message,) = receiver.got
    assert message.headline == "Cohort syncs: growth.yaml cannot be read, so none of its syncs runs."
    assert ":3: the file is not valid YAML" in message.details
    assert (message.event, message.sync) == ("failure", "growth.yaml")
    assert message.events == {"failure", "stale"}
    assert message.link.endswith("/dags/cohort_file__growth")
    runs.dag = build("syncs: 7\n", alerts=RECEIVERS[:1])
    runs()
    assert len(receiver.got) == 2
    runs(by_hand=True)
    assert len(receiver.got) == 3


def test_an_error_that_comes_back_is_told_again(
    build: Any, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(build(SYNCS, alerts=RECEIVERS[:1]), monkeypatch)
    runs()
    runs.kept[-1]["seen"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    runs()
    assert len(receiver.got) == 2


def test_only_the_alert_that_could_not_be_sent_is_tried_again(
    build: Any, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(build(SYNCS, alerts=RECEIVERS), monkeypatch)
    receiver.down.add("desk")
    for _ in range(3):
        runs()
    assert receiver.names == ["chat"]
    receiver.down.clear()
    for _ in range(3):
        runs()
    assert receiver.names == ["chat", "desk"]


def test_an_alert_that_is_added_while_the_file_is_broken_is_sent(
    build: Any, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(build(SYNCS), monkeypatch)
    runs()
    runs.dag = build(SYNCS, alerts=RECEIVERS[:1])
    runs()
    runs()
    assert receiver.names == ["desk"]


@pytest.mark.parametrize(
    "kept",
    [
        None,
        "text",
        {"seen": None},
        {"seen": 7},
        {"seen": "today"},
        {"seen": "0001-01-01T00:00:00"},
        {"seen": "2999-01-01T00:00:00"},
        {"alerts": 7},
    ],
)
def test_what_was_told_that_somebody_has_edited(
    build: Any, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch, kept: Any
) -> None:
    runs = Runs(build(SYNCS, alerts=RECEIVERS[:1]), monkeypatch)
    runs()
    runs.kept[-1] = {**runs.kept[-1], **kept} if isinstance(kept, dict) else kept
    runs()
    assert len(receiver.got) == 2
