"""How the tests break a sync at a chosen moment, and what they look at afterwards."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from airflow_provider_cio_cohort.sandbox import Sandbox
from airflow_provider_cio_cohort.sandbox.faults import Fault
from airflow_provider_cio_cohort.sandbox.records import Record
from dev.airflow_instance import AirflowInstance
from tests.summary import count_fault
from tests.system.helpers import PERSON, fill, members

PEOPLE = ("stays", "joins")
PHASES = {
    "downloading": r"/file$",
    "writing": r"/add_customers$",
    "verifying": r"/remove_customers$",  # the last write has taken effect, and nothing is read back yet
}


@dataclass
class Broken:
    """
    A sync that is going to be broken.

    :param airflow: the running Airflow.
    :param vendors: the sandbox.
    :param name: the sync's, in ``crash_syncs.yaml``.
    :param cohort_id: its cohort.
    :param exports_before: the exports of its cohort before it started: a test may run a second time.
    """

    airflow: AirflowInstance
    vendors: Sandbox
    name: str
    cohort_id: str
    run_id: str = ""
    exports_before: int = 0

    @property
    def dag_id(self) -> str:
        return f"cohort_sync__{self.name}"

    @property
    def segment_name(self) -> str:
        return self.name.replace("_", " ").capitalize()

    def start(self) -> Broken:
        """Trigger a run that must add one person, and remove one."""
        people = [self._person(person) for person in PEOPLE]
        fill(self.vendors, self.cohort_id, *people)
        self.exports_before += self.exports()
        workspace = self.vendors.workspace
        if earlier := workspace.find_segment(self.segment_name):
            workspace.delete_segment(earlier)
        leaves = workspace.add_person(id=self._person("leaves"))
        stays = next(person for person in workspace.people.values() if person.id == people[0])
        mark = f"[managed by airflow-provider-cio-cohort: Amplitude cohort {self.cohort_id}]"
        workspace.add_segment(name=self.segment_name, description=mark, members=[stays, leaves])
        self.airflow.unpause(self.dag_id)
        self.run_id = self.airflow.trigger(self.dag_id)
        return self

    def _person(self, role: str) -> str:
        # Planted, so that the search for people finds those whom a crash has let out.
        return f"{PERSON}-{self.name}-{role}"

    @property
    def task(self) -> dict:
        return self.airflow.task(self.dag_id, self.run_id)

    def wait_for(self, *states: str) -> None:
        self.airflow.wait_until(lambda: self.task["state"] in states, f"{self.name} to be {states}", 120)

    def process(self) -> psutil.Process:
        """Return the task's own process; its parent is the supervisor."""
        title = f"airflow worker -- {self.task['id']}"

        def find() -> psutil.Process | None:
            for process in psutil.process_iter(["cmdline"]):
                if " ".join(process.info["cmdline"] or []).strip() == title:
                    return process
            return None

        return self.airflow.wait_until(find, f"the process of {self.name}")

    def kill(self, whom: str) -> psutil.Process:
        """Kill the task's process, or its supervisor, and return the task's process."""
        process = self.process()
        supervisor = process.ppid()
        count_fault()
        os.kill(process.pid if whom == "task" else supervisor, signal.SIGKILL)
        if whom == "supervisor":  # on a busy machine, it lives on for a moment
            self.airflow.wait_until(lambda: process.ppid() != supervisor, "the supervisor to end")
        return process

    def exports(self) -> int:
        """Return how many of its exports reached Amplitude."""
        path = rf"/request/{self.cohort_id}$"
        return self.vendors.count(api="amplitude", path_regex=path) - self.exports_before

    @property
    def segment_id(self) -> int:
        segment = self.vendors.workspace.find_segment(self.segment_name)
        assert segment is not None
        return segment.id

    def asked(self, what: str) -> int:
        """Return how many requests about its segment there were whose path ends like this."""
        return self.vendors.count(path_regex=rf"/segments/{self.segment_id}/{what}$")

    def connections(self) -> set[int]:
        """Return the connections by which its segment was read: each try has its own."""
        return {record.client for record in self._reads()}

    def read_over(self, connections: set[int]) -> int:
        """Return how many reads of its segment there were over some connections."""
        return sum(record.client in connections for record in self._reads())

    def _reads(self) -> list[Record]:
        start = f"/v1/segments/{self.segment_id}/"
        return [record for record in self.vendors.requests if record.path.startswith(start)]

    def assert_right(self) -> None:
        """Hold the end against that of an untroubled run."""
        assert self.airflow.wait_for_run(self.dag_id, self.run_id, 240) == "success"
        self.assert_members()
        assert self.exports() == 1

    def assert_members(self) -> None:
        assert members(self.vendors, self.segment_name) == {self._person(person) for person in PEOPLE}

    def assert_untouched(self) -> None:
        people = {self._person("stays"), self._person("leaves")}
        assert members(self.vendors, self.segment_name) == people
        assert self.asked("(add|remove)_customers") == 0


def hold(vendors: Sandbox, phase: str, times: int, seconds: float) -> Fault:
    """Let so many requests of a phase wait for their answers."""
    fault: Fault = vendors.faults.add("delay", path=PHASES[phase], times=times, seconds=seconds)
    return fault


def wait_until_held(airflow: AirflowInstance, fault: Fault, times: int) -> None:
    airflow.wait_until(lambda: fault.met >= times, "the requests to be held", 120)


def leftovers(tmp: Path) -> list[str]:
    """Return the files of runs that are still there."""
    return [path.name for path in tmp.rglob("run-*/*") if path.name != "lock"]
