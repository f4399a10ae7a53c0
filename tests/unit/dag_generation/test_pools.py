"""Syncs that run in Airflow pools of their connections."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from airflow_provider_cio_cohort.pools import exports_pool, syncs_pool


def test_the_names_that_others_rely_on() -> None:
    assert exports_pool("amplitude_default") == "cohort_exports__amplitude_default"
    assert syncs_pool("customer_io_default") == "cohort_syncs__customer_io_default"


def test_a_sync_is_an_export_and_a_task_behind_it_each_in_its_pool(dag_with) -> None:
    dag = dag_with("use_pools: true", "amplitude_conn_id: amp", "customer_io_conn_id: cio")
    export, sync = dag.get_task("export"), dag.get_task("sync")
    assert set(dag.task_ids) == {"export", "sync"}
    assert export.downstream_task_ids == {"sync"}
    assert (export.pool, sync.pool) == ("cohort_exports__amp", "cohort_syncs__cio")
    assert export.hold_slot is True
    assert sync.export == "{{ ti.xcom_pull(task_ids='export') | tojson }}"
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("export").pool == export.pool


def test_each_target_is_in_the_pool_of_its_workspace(dags_of) -> None:
    dag = dags_of("""
defaults: {use_pools: true}
syncs:
- name: both
  cohort_id: a
  targets:
  - {name: eu, segment_id: 1, customer_io_conn_id: cio_eu}
  - {name: us, segment_id: 2, customer_io_conn_id: cio_us, on_guard: approve}
""")["cohort_sync__both"]
    assert {task.task_id: task.pool for task in dag.tasks} == {
        "export": "cohort_exports__amplitude_default",
        "sync__eu": "cohort_syncs__cio_eu",
        "plan__us": "cohort_syncs__cio_us",
        "approve__us": "default_pool",  # somebody's decision takes nothing of the workspace's pace
        "sync__us": "cohort_syncs__cio_us",
    }
    named = "`cohort_exports__amplitude_default`, `cohort_syncs__cio_eu`, `cohort_syncs__cio_us`"
    assert f"**Its tasks run in the pools** {named}" in dag.doc_md
    assert "airflow cohort-sync pools" in dag.doc_md


def test_without_it_nothing_is_as_in_a_pool(dag_with) -> None:
    plain, shared = dag_with(), dag_with("on_guard: approve")
    assert {task.pool for dag in (plain, shared) for task in dag.tasks} == {"default_pool"}
    assert shared.get_task("export").hold_slot is False
    assert "pools" not in plain.doc_md


def test_where_worker_slots_are_few_syncs_that_have_their_export_come_first(dag_with) -> None:
    def weights(*lines: str) -> list[int]:
        dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_with(*lines)))
        weight = {task.task_id: task.weight_rule.get_weight(SimpleNamespace(task=task)) for task in dag.tasks}
        return [weight[name] for name in ("export", "plan", "sync") if name in weight]

    for lines in (["use_pools: true"], ["use_pools: true", "on_guard: approve"]):
        found = weights(*lines)
        assert found == sorted(set(found))
        assert len(found) > 1


HEAD = "syncs:\n- name: one\n  cohort_id: b\n  segment_id: 1\n  use_pools: true\n"


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (HEAD + "  pool: p\n", ":6: sync one, key pool: ", "it cannot be combined with use_pools: true"),
        (
            HEAD + "  skip_unchanged: true\n",
            ":6: sync one, key skip_unchanged: ",
            "it cannot be combined with use_pools: true, which exports the cohort before anything else",
        ),
        (
            "defaults:\n  pool: p\n" + HEAD,
            ":2: sync one, key pool (from defaults): ",
            "it cannot be combined with use_pools: true",
        ),
        (
            HEAD + f"  amplitude_conn_id: {'a' * 241}\n",
            ":6: sync one, key amplitude_conn_id: ",
            "it is longer than 240 characters",
        ),
    ],
)
def test_what_does_not_go_together(problems_of, content: str, place: str, message: str) -> None:
    (problem,) = problems_of(content)["one"]
    assert f"my_syncs.yaml{place}" in problem
    assert message in problem
