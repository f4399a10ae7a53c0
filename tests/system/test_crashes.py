"""Killed, cleared, marked, restarted: the end is right, one export was spent, and nobody writes on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_instance import AirflowInstance
from tests.system.crashes import PHASES, Broken, hold, leftovers, wait_until_held
from tests.system.helpers import fill, finish_exports, members

pytestmark = pytest.mark.system

COHORTS = {
    "exporting": ("crash01", "crash02"),
    "downloading": ("crash03", "crash04"),
    "writing": ("crash05", "crash06"),
    "verifying": ("crash07", "crash08"),
}


def both(airflow: AirflowInstance, vendors: Sandbox, phase: str) -> tuple[Broken, Broken]:
    """Start a sync whose task is to be killed, and one whose supervisor is."""
    one, other = COHORTS[phase]
    return (
        Broken(airflow, vendors, f"task_{phase}", one).start(),
        Broken(airflow, vendors, f"supervisor_{phase}", other).start(),
    )


@pytest.mark.parametrize("phase", PHASES)
def test_killed_while(airflow: AirflowInstance, vendors: Sandbox, tmp: Path, phase: str) -> None:
    held = hold(vendors, phase, times=2, seconds=55)
    task, supervised = both(airflow, vendors, phase)
    wait_until_held(airflow, held, 2)
    airflow.wait_until(lambda: supervised.asked("membership"), "the first try to read the segment")
    task.kill("task")
    connections = supervised.connections()
    read = supervised.read_over(connections)
    orphan = supervised.kill("supervisor")
    held.seconds = 0
    airflow.wait_until(lambda: not orphan.is_running(), "the orphan to end")
    assert supervised.read_over(connections) == read
    task.assert_right()
    supervised.assert_right()
    assert supervised.asked("remove_customers") == 1
    assert leftovers(tmp) == []


def test_killed_while_exporting(airflow: AirflowInstance, vendors: Sandbox, tmp: Path) -> None:
    vendors.configure(export_seconds=600)
    task, supervised = both(airflow, vendors, "exporting")
    for each in (task, supervised):
        airflow.wait_until(lambda sync=each: sync.exports() == 1, "the export to be requested")
    task.kill("task")
    supervised.kill("supervisor")
    finish_exports(vendors)
    task.assert_right()
    supervised.assert_right()
    assert leftovers(tmp) == []


def test_the_triggerer_is_killed_while_a_task_is_deferred(airflow: AirflowInstance, vendors: Sandbox) -> None:
    vendors.configure(export_seconds=600)
    sync = Broken(airflow, vendors, "triggerer_killed", "crash09").start()
    sync.wait_for("deferred")
    airflow.wait_until(lambda: sync.task["triggerer_job"], "the triggerer to take over")
    airflow.stop_component("triggerer", kill=True)
    finish_exports(vendors)
    airflow.start_component("triggerer")
    sync.assert_right()


def test_the_scheduler_is_killed_while_one_task_runs_and_one_is_deferred(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    vendors.configure(export_seconds=600)
    deferred = Broken(airflow, vendors, "scheduler_killed_deferred", "crash11").start()
    deferred.wait_for("deferred")
    vendors.configure(export_seconds=0)
    held = hold(vendors, "writing", times=1, seconds=30)
    running = Broken(airflow, vendors, "scheduler_killed_running", "crash10").start()
    wait_until_held(airflow, held, 1)
    airflow.stop_component("scheduler", kill=True)  # its workers and their tasks die with it
    finish_exports(vendors)
    airflow.start_component("scheduler")
    running.assert_right()
    deferred.assert_right()


def clear(sync: Broken) -> None:
    body = {
        "dag_run_id": sync.run_id,
        "task_ids": ["sync"],
        "dry_run": False,
        "only_failed": False,
        "only_running": False,
    }
    sync.airflow.api("POST", f"dags/{sync.dag_id}/clearTaskInstances", body)


def mark_failed(sync: Broken) -> None:
    path = f"dags/{sync.dag_id}/dagRuns/{sync.run_id}/taskInstances/sync"
    sync.airflow.api("PATCH", path, {"new_state": "failed"})


def test_cleared_or_marked_failed_while_deferred(airflow: AirflowInstance, vendors: Sandbox) -> None:
    vendors.configure(export_seconds=600)
    cleared = Broken(airflow, vendors, "cleared_deferred", "crash13").start()
    marked = Broken(airflow, vendors, "marked_deferred", "crash15").start()
    cleared.wait_for("deferred")
    marked.wait_for("deferred")
    clear(cleared)
    mark_failed(marked)
    finish_exports(vendors)
    cleared.assert_right()
    assert airflow.wait_for_run(marked.dag_id, marked.run_id) == "failed"
    marked.assert_untouched()


def test_cleared_or_marked_failed_while_running(
    airflow: AirflowInstance, vendors: Sandbox, tmp: Path
) -> None:
    held = hold(vendors, "downloading", times=2, seconds=60)
    cleared = Broken(airflow, vendors, "cleared_running", "crash12").start()
    marked = Broken(airflow, vendors, "marked_running", "crash14").start()
    wait_until_held(airflow, held, 2)
    process = marked.process()
    clear(cleared)
    mark_failed(marked)
    cleared.assert_right()
    assert airflow.wait_for_run(marked.dag_id, marked.run_id) == "failed"
    airflow.wait_until(lambda: not process.is_running(), "the marked task's process to end")
    marked.assert_untouched()
    # An orphan of an earlier test may still wait for its answer: it cleans up when that comes.
    airflow.wait_until(lambda: leftovers(tmp) == [], "the temporary files to be gone")


def test_three_runs_of_a_sync_at_once_write_one_after_the_other(
    airflow: AirflowInstance, vendors: Sandbox
) -> None:
    people = [f"three-{n}" for n in range(3)]
    fill(vendors, "crash16", *people)
    airflow.unpause("cohort_sync__three_at_once")
    vendors.configure(latency_ms=50)
    vendors.reset_requests()
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: airflow.trigger("cohort_sync__three_at_once"), range(3)))
    states = [airflow.wait_for_run("cohort_sync__three_at_once", run_id, 240) for run_id in runs]
    vendors.configure(latency_ms=0)
    assert states == ["success"] * 3
    assert members(vendors, "Three at once") == set(people)
    spans = sorted(
        (task["start_date"], task["end_date"])
        for task in (airflow.task("cohort_sync__three_at_once", run_id) for run_id in runs)
    )
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
