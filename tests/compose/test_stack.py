"""``docker-compose.yaml`` for real: it starts, it grows, parts of it die, and every sync ends right."""

from __future__ import annotations

import time

import pytest

from dev import compose_env
from tests.compose.stack import Stack
from tests.compose.syncs import NAMES, held, hold_writes, start_all
from tests.summary import count_fault

pytestmark = pytest.mark.compose

DEMO = ("power_users", "trial_ending", "at_risk", "new_this_month")


def test_the_demo_syncs_everything_and_says_so(stack: Stack) -> None:
    assert stack.containers("demo").popitem()[1]["State"]["ExitCode"] == 0
    told = stack.compose("logs", "--no-color", "demo")
    assert all(f"cohort_sync__{name}, run " in told for name in DEMO)
    assert told.count(": success") == len(DEMO)
    segments = stack.sandbox("GET", "/state")["workspaces"][0]["segments"]
    filled = {each["name"] for each in segments if each["members"] and "[managed by" in each["description"]}
    assert "Power users [Amplitude]" in filled
    assert len(filled) >= len(DEMO)


def test_all_services_are_well_and_two_workers_are_among_them(stack: Stack) -> None:
    assert stack.unwell() == {}
    assert len(stack.containers("worker")) == 2


def test_no_process_is_roots(stack: Stack) -> None:
    running = [id for id, each in stack.containers().items() if each["State"]["Running"]]
    assert len(running) == 9
    for container in running:
        processes = stack.docker("top", container, "-eo", "pid,uid").splitlines()[1:]
        assert processes
        assert not [process for process in processes if process.split()[1] == "0"]


def test_no_secret_is_in_a_log(stack: Stack) -> None:
    logs = stack.compose("logs", "--no-color")
    assert "celery@" in logs
    assert [name for name in compose_env.SECRETS if stack.values[name] in logs] == []


def test_the_keys_of_env_are_given_to_init_alone(stack: Stack) -> None:
    knowing = {
        each["Config"]["Labels"]["com.docker.compose.service"]
        for each in stack.containers().values()
        if any(variable.startswith("AMPLITUDE_") for variable in each["Config"]["Env"])
    }
    assert knowing == {"init"}


def test_somebody_without_the_password_is_refused(stack: Stack) -> None:
    wrong = type(stack.airflow)(stack.airflow.url, ("admin", "admin"))
    with pytest.raises(OSError, match="401"):
        wrong.dag_ids()


def test_the_demo_runs_nothing_with_the_connection_of_somebody_else(stack: Stack) -> None:
    airflow, path = stack.airflow, "connections/amplitude_default"
    connection = airflow.api("GET", path)
    before = len(stack.sandbox("GET", "/requests"))
    airflow.api("PATCH", path, {**body(connection), "host": "http://127.0.0.1:9"}, update_mask="host")
    try:
        with pytest.raises(
            RuntimeError, match="amplitude_default does not lead to the sandbox; nothing was run"
        ):
            stack.compose("run", "--rm", "-T", "--no-deps", "demo")
    finally:
        airflow.api("PATCH", path, body(connection), update_mask="host")
    assert len(stack.sandbox("GET", "/requests")) == before


def test_a_part_that_is_away_is_seen(stack: Stack) -> None:
    count_fault()
    stack.compose("stop", "triggerer")
    stack.airflow.wait_until(lambda: not stack.airflow.is_healthy(), "Airflow to miss it", 120)
    check = ("exec", "-T", "api-server", "python", "-m", "dev.compose_health")
    with pytest.raises(RuntimeError, match=r"triggerer: .*unhealthy"):
        stack.compose(*check, "http://localhost:8080/api/v2/monitor/health", "triggerer")
    stack.compose("start", "triggerer")
    stack.wait_until_well()


def test_what_crashes_comes_back_by_itself(stack: Stack) -> None:
    (scheduler,) = stack.containers("scheduler")
    count_fault()
    stack.docker("exec", scheduler, "sh", "-c", "kill -KILL -1", check=False)
    restarted = stack.airflow.wait_until(lambda: _restarts(stack, scheduler), "Docker to start it again", 60)
    assert restarted == 1
    stack.wait_until_well()


def test_it_grows_to_three_workers_and_one_is_killed_in_mid_write(stack: Stack) -> None:
    wait_for_dags(stack)
    stack.compose("up", "--detach", "--no-recreate", "--scale", "worker=3", "worker")
    stack.wait_until_well()
    assert len(stack.containers("worker")) == 3
    hold_writes(stack, times=18, seconds=45)  # three requests of each sync
    syncs = start_all(stack, "worker")
    stack.airflow.wait_until(lambda: held(stack) >= 9, "writes to be under way", 300)
    writing = {sync: sync.task["hostname"] for sync in syncs if sync.is_half_written}
    victim = max(writing.values(), key=[*writing.values()].count)
    assert victim in stack.containers("worker")
    lost = [sync for sync, worker in writing.items() if worker == victim]
    count_fault()
    stack.docker("kill", "--signal=KILL", victim)  # and Docker does not start it again
    for sync in syncs:
        sync.assert_right()
    again = [sync.task for sync in lost]
    assert not [task for task in again if task["hostname"] == victim or task["try_number"] == 1]


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_it_outlives_ten_seconds_without(stack: Stack, service: str) -> None:
    wait_for_dags(stack)
    hold_writes(stack, times=3, seconds=15)
    before = held(stack)
    syncs = start_all(stack, service)
    stack.airflow.wait_until(lambda: held(stack) > before, "a write to be under way", 300)
    count_fault()
    stack.compose("stop", service)
    time.sleep(10)
    stack.compose("start", service)
    stack.airflow.wait_until(stack.airflow.is_healthy, "Airflow to be well again", 300)
    for sync in syncs:
        sync.assert_right()


def body(connection: dict) -> dict:
    return {name: connection[name] for name in ("connection_id", "conn_type", "host")}


def _restarts(stack: Stack, container: str) -> int:
    return int(stack.containers("scheduler")[container]["RestartCount"])


def wait_for_dags(stack: Stack) -> None:
    wanted = {f"cohort_sync__{name}" for name in NAMES}
    stack.airflow.wait_until(lambda: wanted <= stack.airflow.dag_ids(), "the DAGs to be found", 300)
