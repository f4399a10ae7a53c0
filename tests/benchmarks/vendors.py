"""Both vendors in a process of their own, with a crowd of any size: so nothing of theirs is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

COHORT = "b3nch00"
SEGMENT = "Bench"
#: What Customer.io's App API takes in a second, and the hook's pace below it.
APP_PACE = 9.5


@dataclass(frozen=True)
class Served:
    """A request that the vendors have answered, as the sandbox records it."""

    api: str
    method: str
    path: str
    status: int
    ids: int
    began: float
    at: float
    client: int
    received: int
    sent: int


class Vendors:
    """
    The sandbox as a process, as a context manager.

    :param people: how many people there are in Amplitude; one in ten is nobody in Customer.io.
    :param latency_ms: added to every answer.
    :param pace: requests a second that the Track API takes, and that the connection sets.
    :param emails: whether people in Customer.io have e-mail addresses.
    :param spread: how far the latency spreads around ``latency_ms``: sigma of a log-normal distribution.
    """

    def __init__(
        self, people: int, latency_ms: float, pace: int = 100, spread: float = 0, *, emails: bool = False
    ) -> None:
        self.people = people
        self.emails = emails
        self.pace = pace
        self.settings = {
            "latency_ms": float(latency_ms),
            "latency_spread": spread,
            "track_per_second": pace,
            "export_seconds": 0,
            "export_members": max(people, 2_000_000),
            "exports_a_month": 100_000,
        }

    def __enter__(self) -> Vendors:
        command = [sys.executable, "-m", "tests.benchmarks.crowd_sandbox", "--crowd", str(self.people)]
        command += ["--emails"] if self.emails else []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        started = json.loads(self.process.stdout.readline())
        self.url = started["control"]
        self.connections = {
            f"AIRFLOW_CONN_{conn_id.upper()}": connection
            for conn_id, connection in started["connections"].items()
        }
        self.connections["AIRFLOW_CONN_CUSTOMER_IO_DEFAULT"]["extra"]["requests_per_second"] = self.pace
        self.session = requests.Session()
        self.session.trust_env = False
        self.set(**self.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
        self.process.terminate()
        self.process.wait(10)

    def control(self, path: str, method: str = "GET", **more: Any) -> Any:
        """Call the sandbox's own API."""
        answer = self.session.request(method, f"{self.url}{path}", timeout=600, **more)
        answer.raise_for_status()
        return answer.json()

    def set(self, **settings: Any) -> None:
        """Change how the vendors behave."""
        self.control("/settings", "PUT", json=settings)

    def set_cohort(self, start: int, stop: int, *, known: bool = False) -> None:
        """
        Let the cohort be the people from one number up to another, with its export written ahead.

        :param start: the first.
        :param stop: the one behind the last.
        :param known: whether those who are nobody in Customer.io are left out.
        """
        rows = {"start": start, "stop": stop, "known": known}
        self.control("/crowd/cohorts", "POST", json={"id": COHORT, "name": SEGMENT, "rows": rows})
        self.set(latency_ms=0)
        amplitude = self.connections["AIRFLOW_CONN_AMPLITUDE_DEFAULT"]
        auth = (amplitude["login"], amplitude["password"])
        base = f"{amplitude['host']}/api/5/cohorts/request"
        job = self.session.get(f"{base}/{COHORT}", auth=auth, timeout=60).json()["request_id"]
        with self.session.get(f"{base}/{job}/file", auth=auth, timeout=600, stream=True) as answer:
            answer.raise_for_status()
        self.set(latency_ms=self.settings["latency_ms"])

    def add_segment(self) -> int:
        """Add the segment, for those who do not do so themselves, and return its id."""
        return int(self.control("/segments", "POST", json={"name": SEGMENT})["id"])

    def add_everybody(self) -> int:
        """Add a data-driven segment of everybody in Customer.io, and return its id."""
        return int(self.control("/crowd/everybody", "POST")["id"])

    def segment(self) -> int | None:
        """Return the id of the segment, if there is one."""
        (workspace,) = self.control("/state")["workspaces"]
        return next((s["id"] for s in workspace["segments"] if s["name"] == SEGMENT), None)

    def held(self, start: int, stop: int) -> dict[str, int]:
        """Return how many people are right, missing and too many in the segment, between two numbers."""
        held: dict[str, int] = self.control(f"/crowd/segments/{self.segment()}?start={start}&stop={stop}")
        return held

    def served(self) -> list[Served]:
        """Return the requests since they were forgotten."""
        return [Served(**record) for record in self.control("/requests")]

    def forget(self) -> None:
        """Forget the requests so far, and let no limit remember them either."""
        time.sleep(1.1)
        self.control("/requests", "DELETE")

    def cpu(self) -> float:
        """Return the seconds of CPU that the vendors have taken."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the most memory that the vendors have taken, in MiB."""
        return peak_mib(self.process.pid)


def peak_mib(pid: int | str = "self") -> float:
    """
    Return the largest resident size of a process, in MiB.

    Not ``ru_maxrss``: that one starts with the size of the process that it was forked from.
    """
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
