"""``alerts`` and ``max_age`` in the YAML, and what becomes of them in the DAGs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_cio_cohort.dag_generation import build_dags
from airflow_provider_cio_cohort.dag_generation.keys import age

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
FRESHNESS = "cohort_freshness__team_syncs_184db8c3"  # a space has no place in an id


def build(tmp_path: Path, alerts: str, more: str = "") -> dict[str, DAG]:
    path = tmp_path / "team syncs.yaml"
    path.write_text(
        f"syncs:\n- name: one\n  cohort_id: a1b2c3d\n  segment_name: One\n{more}  alerts: {alerts}\n",
        encoding="utf-8",
    )
    return build_dags(path)


def problem(dags: dict[str, DAG]) -> str:
    task: Any = dags["cohort_sync__one"].get_task("sync")
    return str(task.reason)


@pytest.mark.parametrize(
    ("alerts", "words"),
    [
        ("[{on: [failure]}]", "key alerts (item 1): notifier: it is missing."),
        (f"[{{notifier: {SMTP}}}, {{notifier: SmtpNotifier}}]", "key alerts (item 2): notifier: "),
        ("[{notifier: SmtpNotifier}]", f"write a dotted path, such as {SMTP}."),
        ("[{notifier: airflow.providers.nowhere.N}]", '"airflow.providers.nowhere" is not installed here'),
        (f"[{{notifier: {SMTP}, on: [falure]}}]", "failure"),
        (f"[{{notifier: {SMTP}, on: []}}]", "key alerts (item 1): on: "),
        (f"[{{notifier: {SMTP}, argments: {{}}}}]", 'there is no key "argments". Did you mean arguments?'),
        (f"[{{notifier: {SMTP}, on: [stale], match_rate_below: 0.5}}]", "low_match is not in the list on"),
        (f"[{{notifier: {SMTP}, match_rate_below: 80}}]", "it must be 1 or less"),
        (f"[{{notifier: {SMTP}, arguments: {{a: 2026-01-01}}}}]", "Put it in quotes"),
        (f"[{{notifier: {SMTP}, arguments: {{a: 1, a: 2}}}}]", "appears twice"),
        (f"[{{notifier: {SMTP}, arguments: &a {{b: *a}}}}]", "it refers to itself"),
        (f"[{{notifier: {SMTP}, arguments: 7}}]", "it must be a mapping"),
        ("[mail me]", "it must be a mapping"),
        ("mail me", "it must be a list"),
    ],
)
def test_a_wrong_alert_names_its_place(tmp_path: Path, alerts: str, words: str) -> None:
    reason = problem(build(tmp_path, alerts))
    assert words in reason
    assert "team syncs.yaml:5: sync one, key alerts" in reason


@pytest.mark.parametrize("text", ["26", "26 hours", "0h", "-1h", "999999d", "1.5.2h", '""'])
def test_what_is_no_age(tmp_path: Path, text: str) -> None:
    assert "key max_age" in problem(build(tmp_path, "[]", f"  max_age: {text}\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("1.5 h", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("366d", timedelta(days=366)),
    ],
)
def test_ages(text: str, expected: timedelta) -> None:
    assert age(text) == expected


def test_a_sync_without_alerts_has_no_callbacks_and_no_deadline(tmp_path: Path) -> None:
    dags = build(tmp_path, "[]")
    assert set(dags) == {"cohort_sync__one"}
    dag = dags["cohort_sync__one"]
    assert not dag.deadline
    assert not dag.on_failure_callback
    assert not dag.get_task("sync").on_failure_callback


def test_a_sync_with_alerts_and_an_age(tmp_path: Path) -> None:
    dags = build(tmp_path, f"[{{notifier: {SMTP}, arguments: {{to: [a@example.com]}}}}]", "  max_age: 26h\n")
    assert set(dags) == {"cohort_sync__one", FRESHNESS}
    dag = dags["cohort_sync__one"]
    [deadline] = dag.deadline
    assert deadline.interval == timedelta(hours=26)
    assert deadline.callback.kwargs["alerts"][0]["arguments"] == {"to": ["a@example.com"]}
    assert "- `SmtpNotifier` is told of failure, guard, recovery, low_match, stale" in (dag.doc_md or "")
    task = dag.get_task("sync")
    assert task.on_failure_callback
    assert task.on_success_callback
    assert not task.on_retry_callback
    look: Any = dags[FRESHNESS].get_task("look")
    assert [(each.sync, each.max_age, each.asset) for each in look.segments] == [
        ("one", timedelta(hours=26), task.outlets[0])
    ]


@pytest.mark.parametrize(
    ("keys", "events", "limit"),
    [
        ("", ("failure", "guard", "recovery", "low_match", "stale"), 0.5),
        (", match_rate_below: 0.8", ("failure", "guard", "recovery", "low_match", "stale"), 0.8),
        (", on: [low_match]", ("low_match",), 0.5),
        (", on: [failure]", ("failure",), 0.5),
    ],
)
def test_a_low_match_is_told_by_default(tmp_path: Path, keys: str, events: Any, limit: float) -> None:
    dags = build(tmp_path, f"[{{notifier: {SMTP}{keys}}}]")
    task: Any = dags["cohort_sync__one"].get_task("sync")
    [told] = task.on_success_callback
    [alert] = told.__self__.alerts
    assert (alert.on, alert.limit) == (events, limit)


def test_an_age_alone_is_watched(tmp_path: Path) -> None:
    dags = build(tmp_path, "[]", "  max_age: 26h\n")
    assert FRESHNESS in dags
    assert "at most 26h old" in (dags["cohort_sync__one"].doc_md or "")
    assert not dags["cohort_sync__one"].deadline


def test_each_target_is_watched_and_a_disabled_sync_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "defaults: {max_age: 2d}\nsyncs:\n"
        "- {name: off, cohort_id: a, segment_name: Off, enabled: false}\n"
        "- name: both\n  cohort_id: b\n  targets:\n"
        "  - {name: eu, segment_name: EU}\n  - {name: us, segment_name: US}\n",
        encoding="utf-8",
    )
    look: Any = build_dags(path)["cohort_freshness__a"].get_task("look")
    assert [(each.sync, each.dag_id, each.task_id) for each in look.segments] == [
        ("both, target eu", "cohort_sync__both", "sync__eu"),
        ("both, target us", "cohort_sync__both", "sync__us"),
    ]


@pytest.mark.parametrize("name", ["A {{ b }}", "{% raw %}", "50% {# off #}", "{"])
def test_a_segment_whose_name_looks_like_a_template_is_watched(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f'syncs: [{{name: one, cohort_id: a, segment_name: "{name}", max_age: 1d}}]\n')
    dags = build_dags(path)
    look: Any = dags["cohort_freshness__a"].get_task("look")
    assert [each.asset for each in look.segments] == dags["cohort_sync__one"].get_task("sync").outlets


def test_the_watch_knows_when_runs_start_and_end(tmp_path: Path) -> None:
    keys = "  max_age: 26h\n  timezone: Europe/Berlin\n  start_date: 2030-01-01\n  end_date: 2031-07-01\n"
    look: Any = build(tmp_path, "[]", keys)[FRESHNESS].get_task("look")
    [watched] = look.segments
    assert watched.starts == datetime(2029, 12, 31, 23, tzinfo=UTC)
    assert watched.until == datetime(2031, 6, 30, 22, tzinfo=UTC)


def test_a_sync_with_a_mistake_is_still_watched(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        f"defaults: {{max_age: 2d, alerts: [{{notifier: {SMTP}}}]}}\nsyncs:\n"
        "- {name: typo, cohort_id: a, segment_name: One, cadenc: daily}\n"
        "- {name: value, cohort_id: a, segment_name: Two, cadence: dayly, skip_unchanged: true,"
        " use_pools: true}\n"
        "- {name: nowhere, cohort_id: a}\n"
        "- {name: lax, cohort_id: a, segment_name: Three, max_age: never}\n"
        "- name: both\n  cohort_id: b\n  targets:\n"
        "  - {name: eu, segment_name: EU, mode: miror}\n  - {name: us, segment_name: US}\n",
        encoding="utf-8",
    )
    dags = build_dags(path)
    assert all("config-error" in dag.tags for dag_id, dag in dags.items() if "sync__" in dag_id)
    look: Any = dags["cohort_freshness__a"].get_task("look")
    assert [(each.sync, each.has_mistake, len(each.alerts)) for each in look.segments] == [
        ("typo", True, 1),
        ("value", True, 1),
        ("both, target eu", True, 1),
        ("both, target us", True, 1),
    ]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (["{notifier: nowhere.X}"], ["a", "b"]),
        (["{argments: {}}", "7"], ["a", "b"]),
        ([f"{{notifier: {SMTP}, arguments: {{to: 2026-13-45}}}}"], ["a", "b"]),
        ([f"{{notifier: {SMTP}, notifier: {SMTP}}}", "&x [*x]", "!!python/none x"], ["a", "b"]),
        ([f"{{notifier: {SMTP}, arguments: {{to: a}}}}"] * 19, ["a"] * 20),
    ],
)
@pytest.mark.parametrize("place", ["defaults:", "syncs:\n- name: one"])
def test_a_wrong_alert_does_not_silence_the_others(
    tmp_path: Path, wrong: list[str], expected: list[str], place: str
) -> None:
    good = [f"{{notifier: {SMTP}, arguments: {{to: {to}}}}}" for to in "ab"]
    alerts = f"{place}\n  max_age: 1d\n  alerts: [{', '.join([good[0], *wrong, good[1]])}]\n"
    path = tmp_path / "a.yaml"
    sync = "  cohort_id: a\n  segment_name: One\n"
    path.write_text(alerts + (sync if place.startswith("syncs") else f"syncs:\n- name: one\n{sync}"))
    dags = build_dags(path)
    assert "key alerts" in problem(dags)
    look: Any = dags["cohort_freshness__a"].get_task("look")
    (watched,) = look.segments
    assert [alert.arguments["to"] for alert in watched.alerts] == expected


def test_each_of_two_syncs_of_one_name_is_still_watched(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "defaults: {max_age: 2d}\nsyncs:\n"
        "- {name: same, cohort_id: a, segment_name: One}\n"
        f"- {{name: same, cohort_id: b, segment_name: Two, alerts: [{{notifier: {SMTP}}}]}}\n",
        encoding="utf-8",
    )
    look: Any = build_dags(path)["cohort_freshness__a"].get_task("look")
    assert [(each.asset.uri[-3:], each.has_mistake, len(each.alerts)) for each in look.segments] == [
        ("One", True, 0),
        ("Two", True, 1),
    ]


def test_an_approval_is_told(tmp_path: Path) -> None:
    dags = build(tmp_path, f"[{{notifier: {SMTP}, arguments: {{to: a}}}}]", "  on_guard: approve\n")
    approve: Any = dags["cohort_sync__one"].get_task("approve")
    assert len(approve.notifiers) == 1


def test_the_same_alerts_make_the_same_dags(tmp_path: Path) -> None:
    alerts = f"[{{notifier: {SMTP}, match_rate_below: 0.5, arguments: {{to: a}}}}]"
    first, second = (
        {
            dag_id: DagSerialization.to_dict(dag)
            for dag_id, dag in build(tmp_path, alerts, "  max_age: 1d\n").items()
        }
        for _ in range(2)
    )
    assert first == second
