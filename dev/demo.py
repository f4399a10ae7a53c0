"""Runs the syncs of ``dags/`` in a real Airflow on SQLite, with the sandbox instead of the two vendors."""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.server import SERVERS
from dev.airflow_api import AirflowApi
from dev.airflow_instance import AirflowInstance
from dev.processes import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo" / "airflow"
LOCK = ROOT / ".demo" / "running"
UI_PORT = 8080
SANDBOX_PORT = 9700
MAX_PORT = 65_535


class DemoError(Exception):
    """The demo cannot start; the message says what to do."""


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="leave Airflow and the sandbox running")
    parser.add_argument("--port", type=int, help="the port of Airflow's UI; make: PORT=")
    parser.add_argument(
        "--sandbox-port",
        type=int,
        help=f"the first of the sandbox's {len(SERVERS)} ports; make: SANDBOX_PORT=",
    )
    parser.add_argument("--people", type=int, default=12_000, help="people in the sandbox")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all started processes are stopped
    try:
        with only_one(LOCK) as lock:
            port = choose_port("PORT", options.port, UI_PORT if options.stay else 0)
            first = choose_port(
                "SANDBOX_PORT",
                options.sandbox_port,
                SANDBOX_PORT if options.stay else 0,
                len(SERVERS),
                {port},
            )
            return run(port, first, lock, stay=options.stay, people=options.people)
    except DemoError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("Stopped.")
        return 130


def run(port: int, sandbox_port: int, lock: IO[str], *, stay: bool, people: int) -> int:
    """
    Start everything, run the syncs, and say what next; return the exit code.

    :param port: the port of Airflow's UI; 0 for any free one.
    :param sandbox_port: the first port of the sandbox; 0 for any free ones.
    :param lock: where a second demo reads the address of this one.
    :param stay: keep everything running until Ctrl-C.
    :param people: people in the sandbox.
    """
    shutil.rmtree(HOME, ignore_errors=True)
    say("Starting the sandbox (Amplitude and Customer.io on loopback) …")
    with Sandbox(people=people, port=sandbox_port, export_seconds=2) as sandbox:
        say(f"Sandbox: {sandbox.urls['control']}")
        airflow = AirflowInstance(HOME, ROOT / "dags", sandbox.connections(), port=port)
        note(lock, airflow.url)
        say("Starting Airflow (database, API server, scheduler, dag processor, triggerer; about a minute) …")
        with airflow:
            say(f"Airflow: {airflow.url}")
            ok = sync_all(airflow)
            if not ok:
                say(f"\nA run did not succeed; its log is above, and those of Airflow are in {HOME}.")
            if stay:
                wait_for_the_user(airflow, sandbox)
                return 0 if ok else 1
    say(
        "\nNext: make up does the same and keeps Airflow's UI running; the README's five minutes lead to a "
        "sync of your own."
    )
    return 0 if ok else 1


@contextmanager
def only_one(path: Path) -> Iterator[IO[str]]:
    """
    Hold the lock of this checkout while its demo runs: a second one would delete the database of the first.

    :param path: the lock file, which says how to reach the demo that holds it.
    :raises DemoError: if another demo holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        # If this process is killed, the guard of its processes holds the lock until these have ended.
        os.set_inheritable(lock.fileno(), True)
        deadline = None
        while not _take(lock):
            lock.seek(0)
            holder = lock.read().strip()
            if _is_alive(holder) or (deadline and time.monotonic() > deadline):
                raise DemoError(
                    f"A demo of this checkout already runs ({holder}), and nothing was changed.\n"
                    "Use that one, or end it first: Ctrl-C where it runs."
                )
            if deadline is None:
                say("The last demo was killed: waiting for its processes to end …")
                deadline = time.monotonic() + 3 * PATIENCE
            time.sleep(0.2)
        note(lock, "still starting")
        yield lock


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(holder: str) -> bool:
    """Say whether the process that wrote the lock's text still runs; one that has not written it yet does."""
    found = re.search(r"process (\d+)$", holder)
    try:
        os.kill(int(found[1]) if found else os.getpid(), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def note(lock: IO[str], where: str) -> None:
    """Write into the lock file where its holder is."""
    lock.truncate(0)
    lock.write(f"{where}, process {os.getpid()}\n")
    lock.flush()


def choose_port(name: str, wanted: int | None, usual: int, count: int = 1, but: Collection[int] = ()) -> int:
    """
    Return the first of some free ports in a row: those that are wanted, the usual ones, or the next ones.

    :param name: the variable of make that sets it.
    :param wanted: the port that the user asks for, if any.
    :param usual: the usual port; 0 for any, which the server chooses.
    :param count: how many ports in a row.
    :param but: ports that something else of the demo will use.
    :raises DemoError: if a port that the user asks for is not free.
    """
    last = MAX_PORT + 1 - count
    if wanted is None:
        if not usual:
            return 0
        first = next(port for port in range(usual, last, count) if _are_free(port, count, but))
        if first != usual:
            say(f"Port {usual} is taken, so this uses {first}; {name}= sets another.")
        return first
    shown = str(wanted) if count == 1 else f"{wanted} to {wanted + count - 1}"
    if not 1 <= wanted <= last:
        raise DemoError(f"{name}={wanted}: it must be a number from 1 to {last}.")
    if not _are_free(wanted, count, but):
        raise DemoError(
            f"{name}={wanted}: another program uses a port of {shown}, or this may not.\n"
            f"Choose another one, or leave out {name} to have a free one found."
        )
    return wanted


def _are_free(first: int, count: int, but: Collection[int]) -> bool:
    """Say whether a server could listen on each of some ports of the loopback interface."""
    for port in range(first, first + count):
        if port in but:
            return False
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            return False
    return True


def sync_all(airflow: AirflowApi) -> bool:
    """Run every sync of ``dags/`` once and print the reports; return whether all succeeded."""
    say("Waiting for Airflow to read dags/cohort_syncs.yaml …")
    dags = airflow.wait_until(lambda: sorted(airflow.dag_ids()), "the DAGs of dags/cohort_syncs.yaml", 300)
    say(f"{len(dags)} DAGs from dags/cohort_syncs.yaml: {', '.join(dags)}")
    say("Running each of them once …")
    runs = {dag_id: first_run(airflow, dag_id) for dag_id in dags}
    states = {dag_id: airflow.wait_for_run(dag_id, run_id, 600) for dag_id, run_id in runs.items()}
    for dag_id, run_id in runs.items():
        print(f"\n{dag_id}, run {run_id}: {states[dag_id]}")
        if states[dag_id] != "success":
            print(airflow.log(dag_id, run_id))
            continue
        report = SyncReport(**airflow.report(dag_id, run_id))
        print(f"{report.summary()}\n{report.as_table()}")
    return set(states.values()) == {"success"}


def first_run(airflow: AirflowApi, dag_id: str) -> str:
    """Run a DAG; Airflow runs a scheduled one at once, for its last missed run."""
    airflow.unpause(dag_id)
    if airflow.api("GET", f"dags/{dag_id}")["timetable_summary"] in (None, "None"):
        return airflow.trigger(dag_id)
    runs = airflow.wait_until(lambda: airflow.runs(dag_id), f"the scheduler to run {dag_id}", 300)
    run_id: str = runs[0]["dag_run_id"]
    return run_id


def wait_for_the_user(airflow: AirflowInstance, sandbox: Sandbox) -> None:
    """Keep everything running until Ctrl-C."""
    say(
        f"\nNext: open {airflow.url} (no login), Browse → Cohort syncs. What the vendors hold is on "
        f"{sandbox.urls['control']}. Ctrl-C ends both."
    )
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        say("Stopping …")


def say(words: str) -> None:
    """Print a message, without buffering."""
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
