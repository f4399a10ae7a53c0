"""Runs what is measured in a process of its own, and puts together what both sides saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.vendors import COHORT, Served, Vendors

HOME = Path(os.environ.get("AIRFLOW_HOME", ".demo/bench")).resolve()
#: How small the work is by which a runner warms up.
SMALL = 100


class Runner:
    """
    Runs one module again and again; as a context manager.

    :param name: a module of :mod:`.scripts`, see :mod:`.child`.
    :param variables: of its environment.
    """

    def __init__(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.variables = dict(variables or {})
        self._directory = tempfile.TemporaryDirectory()
        self._modules = Path(self._directory.name) / "modules"
        self._state = Path(self._directory.name) / "state"
        self._vendors: Vendors | None = None
        self._idle = 0.0

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._directory.cleanup()

    def warm_up(self, **variables: str) -> None:
        """
        Work once on something small, to learn what the work imports and what an empty process takes.

        :param variables: of its environment, for this once.
        """
        kept = dict(self.variables)
        self.variables.update(variables)
        self.run()
        self._idle = self._child("--idle")["peak_mib"]
        self.variables = kept

    def run(self) -> dict[str, Any]:
        """Work once; return what it took, and all that the process said as ``child``."""
        child = self._child()
        return {
            "seconds": child["seconds"],
            "cpu": child["cpu"],
            "idle_mib": self._idle,
            "peak_mib": child["peak_mib"],
            "above_idle_mib": child["peak_mib"] - self._idle,
            "child": child,
        }

    def run_against(self, vendors: Vendors) -> dict[str, Any]:
        """
        Work once; return what it took and what the vendors saw, all their requests as ``served``.

        :param vendors: the vendors.
        """
        if vendors is not self._vendors:  # what Airflow remembers is of others
            self._vendors = vendors
            self._state.unlink(missing_ok=True)
        vendors.forget()
        self.variables.update(variables_of(vendors))
        cpu = vendors.cpu()
        found = self.run()
        served = vendors.served()
        return {**found, "vendors_cpu": vendors.cpu() - cpu, **traffic(served), "served": served}

    def warm_up_against_vendors(self, **variables: str) -> None:
        """
        Warm up against vendors with few people.

        :param variables: of its environment, for this once.
        """
        with Vendors(SMALL, 0) as vendors:
            vendors.set_cohort(0, SMALL)
            if variables:
                variables["SEGMENT_ID"] = str(vendors.add_segment())
            self.warm_up(**variables_of(vendors), **variables)

    def _child(self, *options: str) -> dict[str, Any]:
        module = f"tests.benchmarks.scripts.{self.name}"
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.child", module, str(self._modules), *options],
            env={**os.environ, **self.variables, "AIRFLOW_HOME": str(HOME), "STATE": str(self._state)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-4000:])
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures


def variables_of(vendors: Vendors) -> dict[str, str]:
    """
    Return the environment by which both Airflow and a plain script find the vendors.

    :param vendors: the vendors.
    """
    amplitude = vendors.connections["AIRFLOW_CONN_AMPLITUDE_DEFAULT"]
    customer_io = vendors.connections["AIRFLOW_CONN_CUSTOMER_IO_DEFAULT"]
    return {
        **{name: json.dumps(connection) for name, connection in vendors.connections.items()},
        "AMPLITUDE_URL": amplitude["host"],
        "AMPLITUDE_API_KEY": amplitude["login"],
        "AMPLITUDE_SECRET_KEY": amplitude["password"],
        "TRACK_URL": customer_io["extra"]["track_base_url"],
        "SITE_ID": customer_io["login"],
        "TRACKING_API_KEY": customer_io["password"],
        "COHORT_ID": COHORT,
    }


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
