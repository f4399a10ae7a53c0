"""Runs the syncs of ``dags/`` in a real Airflow on SQLite, with the sandbox instead of the two vendors."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from pathlib import Path

from airflow_provider_cio_cohort.engine.report import SyncReport
from airflow_provider_cio_cohort.sandbox import Sandbox
from dev.airflow_api import AirflowApi
from dev.airflow_instance import AirflowInstance

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo" / "airflow"
UI_PORT = 8080
SANDBOX_PORT = 9700


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stay", action="store_true", help="leave Airflow and the sandbox running")
    parser.add_argument("--people", type=int, default=12_000, help="people in the sandbox")
    stay, people = vars(parser.parse_args()).values()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all started processes are stopped
    shutil.rmtree(HOME, ignore_errors=True)
    say("Starting the sandbox (Amplitude and Customer.io on loopback) …")
    with Sandbox(people=people, port=SANDBOX_PORT if stay else 0, export_seconds=2) as sandbox:
        say(f"Sandbox: {sandbox.urls['control']}")
        airflow = AirflowInstance(HOME, ROOT / "dags", sandbox.connections(), port=UI_PORT if stay else 0)
        say("Starting Airflow (API server, scheduler, dag processor, triggerer; about half a minute) …")
        with airflow:
            say(f"Airflow: {airflow.url}")
            ok = sync_all(airflow)
            if stay:
                wait_for_the_user(airflow, sandbox)
    return 0 if ok else 1


def sync_all(airflow: AirflowApi) -> bool:
    """Run every sync of ``dags/`` once and print the reports; return whether all succeeded."""
    dags = airflow.wait_until(lambda: sorted(airflow.dag_ids()), "the DAGs of dags/cohort_syncs.yaml", 300)
    say(f"{len(dags)} DAGs from dags/cohort_syncs.yaml: {', '.join(dags)}")
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
    say(f"Airflow's UI: {airflow.url}   the sandbox: {sandbox.urls['control']}   Ctrl-C ends both.")
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
