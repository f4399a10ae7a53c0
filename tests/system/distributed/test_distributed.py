"""
Syncs on several workers: at once within the vendors' limits, and through outages.

A machine dies, Redis and PostgreSQL go away: every sync ends right, and no export is spent twice.
"""

from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from dev.distributed import DistributedAirflow
from tests.summary import count_fault
from tests.system.crashes import Broken, hold, wait_until_held
from tests.system.helpers import fill, finish_exports

pytestmark = pytest.mark.system
#: How long Redis and PostgreSQL are away, in seconds.
AWAY = 10


def test_six_syncs_at_once_keep_the_limits(
    airflow: DistributedAirflow, vendors: Sandbox, other_workspace: Workspace
) -> None:
    numbers = range(1, 7)
    for n in numbers:
        other_workspace.add_person(id=f"pooled-{n}")
        fill(vendors, f"pooled0{n}", f"pooled-{n}")
    vendors.configure(limits=True)
    vendors.reset_requests()
    used_before = vendors.project.used
    dag_ids = {n: f"cohort_sync__pooled_{n}" for n in numbers}
    for dag_id in dag_ids.values():
        airflow.unpause(dag_id)
    runs = {n: airflow.trigger(dag_id) for n, dag_id in dag_ids.items()}
    # No sync has a retry, so a success is one at the first try.
    assert {airflow.wait_for_run(dag_ids[n], run_id) for n, run_id in runs.items()} == {"success"}
    vendors.configure(limits=False)
    for n in numbers:
        workspace = vendors.workspace if n < 4 else other_workspace
        segment = workspace.find_segment(f"Pooled {n}")
        assert segment is not None
        assert [person.id for person in segment.members] == [f"pooled-{n}"]
    assert vendors.project.used == used_before + 6
    assert vendors.count("amplitude", status=429) == 0
    assert (vendors.count("track", status=429), vendors.count("app", status=429)) == (0, 0)
    tasks = [
        airflow.task(dag_ids[n], run_id, name) for n, run_id in runs.items() for name in ("export", "sync")
    ]
    assert {task["hostname"] for task in tasks} == {"worker-1", "worker-2"}


def test_a_third_worker_joins_and_one_dies_in_mid_write(
    airflow: DistributedAirflow, vendors: Sandbox
) -> None:
    airflow.start_component("worker-3")
    held = hold(vendors, "writing", times=5, seconds=30)
    syncs = [Broken(airflow, vendors, f"machine_{n}", f"machine{n}").start() for n in range(1, 6)]
    wait_until_held(airflow, held, 5)
    # Two slots each: five at once are more than two workers could run.
    machines = {sync.name: sync.task["hostname"] for sync in syncs}
    assert set(machines.values()) == {"worker-1", "worker-2", "worker-3"}
    count_fault()
    airflow.kill_machine("worker-2")
    for sync in syncs:
        sync.assert_right()
        died = machines[sync.name] == "worker-2"
        assert sync.task["try_number"] == (2 if died else 1)
        assert (sync.task["hostname"] == machines[sync.name]) is not died
    airflow.start_component("worker-2")


@pytest.fixture
def exporting(airflow: DistributedAirflow, vendors: Sandbox, request: pytest.FixtureRequest) -> list[Broken]:
    """Start a sync that waits for its export, and one that waits in mid-write."""
    server, cohort = request.param
    vendors.configure(export_seconds=600)
    deferred = Broken(airflow, vendors, f"{server}_deferred", f"{cohort}2").start()
    deferred.wait_for("deferred")
    vendors.configure(export_seconds=0.5)
    held = hold(vendors, "writing", times=1, seconds=AWAY + 2)
    writing = Broken(airflow, vendors, f"{server}_writing", f"{cohort}1").start()
    wait_until_held(airflow, held, 1)
    return [deferred, writing]


@pytest.mark.parametrize("exporting", [("redis", "redis00")], indirect=True)
def test_redis_goes_away(airflow: DistributedAirflow, vendors: Sandbox, exporting: list[Broken]) -> None:
    queued = Broken(airflow, vendors, "redis_queued", "redis003")
    count_fault()
    with airflow.without(airflow.redis, AWAY):
        queued.start()
        finish_exports(vendors)
    for sync in (*exporting, queued):
        sync.assert_right()
        assert sync.task["try_number"] == 1


@pytest.mark.parametrize("exporting", [("postgres", "postgr0")], indirect=True)
def test_postgresql_goes_away(airflow: DistributedAirflow, vendors: Sandbox, exporting: list[Broken]) -> None:
    queued = Broken(airflow, vendors, "postgres_queued", "postgr03").start()
    count_fault()
    with airflow.without(airflow.postgres, AWAY):
        finish_exports(vendors)
    for sync in (*exporting, queued):
        sync.assert_right()
