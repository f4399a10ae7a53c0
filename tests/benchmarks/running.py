"""Runs what is measured in a process of its own, and puts together what both sides saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.benchmarks.vendors import Served, Vendors

HOME = Path(os.environ.get("AIRFLOW_HOME", ".demo/bench")).resolve()


class Runner:
    """
    Runs one module again and again; as a context manager.

    :param module: see :mod:`.child`.
    """

    def __init__(self, module: str) -> None:
        self.module = module
        self._directory = tempfile.TemporaryDirectory()
        self._modules = Path(self._directory.name) / "modules"
        self._idle: float | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def warm_up(self, vendors: Vendors) -> None:
        """
        Work once on something small, to learn what the work imports, and what an empty process takes.

        :param vendors: with a small cohort.
        """
        self._child(vendors)
        self._idle = self._child(vendors, "--idle")["peak_mib"]

    def run(self, vendors: Vendors) -> dict[str, Any]:
        """
        Work once, and return what it took and what the vendors saw.

        :param vendors: the vendors.
        """
        assert self._idle is not None, "warm_up comes first"
        vendors.forget()
        cpu = vendors.cpu()
        child = self._child(vendors)
        served = vendors.served()
        return {
            "seconds": child["seconds"],
            "cpu": child["cpu"],
            "idle_mib": self._idle,
            "peak_mib": child["peak_mib"],
            "above_idle_mib": child["peak_mib"] - self._idle,
            "vendors_cpu": vendors.cpu() - cpu,
            **traffic(served),
            "child": child,
            "served": served,
        }

    def _child(self, vendors: Vendors, *options: str) -> dict[str, Any]:
        connections = {name: json.dumps(connection) for name, connection in vendors.connections.items()}
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.child", self.module, str(self._modules), *options],
            env={**os.environ, **connections, "AIRFLOW_HOME": str(HOME)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:])
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures


def traffic(served: list[Served]) -> dict[str, Any]:
    """
    Return what went over the wire, as the vendors saw it.

    :param served: the requests.
    """
    apis = Counter("amplitude" if each.api == "storage" else each.api for each in served)
    return {
        "requests": {name: apis[name] for name in ("amplitude", "app", "track")},
        "sent_bytes": sum(each.received for each in served),
        "received_bytes": sum(each.sent for each in served),
        "refused": sum(each.status == 429 for each in served),
    }


def most_at_once(served: list[Served]) -> int:
    """
    Return how many requests were being answered at once, at most.

    :param served: the requests.
    """
    moments = [(each.began, 1) for each in served] + [(each.at, -1) for each in served]
    now = most = 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    return most
