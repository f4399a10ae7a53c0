"""
The sandbox with a crowd, as a process: the vendors of the benchmarks.

``python -m tests.benchmarks.crowd_sandbox --crowd 1000000``
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from array import array

from aiohttp import web

from airflow_provider_cio_cohort.sandbox import Sandbox
from tests.benchmarks.crowd import UNKNOWN_EVERY, Crowd, CrowdRows


class CrowdSandbox(Sandbox):
    """
    A sandbox that adds the crowd's cohorts over HTTP, and counts the crowd in a segment.

    Its parameter ``crowd`` must be given.
    """

    crowd: Crowd

    def _control_app(self) -> web.Application:
        app = super()._control_app()
        app.router.add_post("/crowd/cohorts", self._add_cohort)
        app.router.add_get("/crowd/segments/{id}", self._count)
        app.router.add_post("/crowd/everybody", self._add_everybody)
        return app

    async def _add_cohort(self, request: web.Request) -> web.Response:
        """Add a cohort, or replace the one of that id; ``rows`` are the parameters of ``CrowdRows``."""
        details = await request.json()
        details["rows"] = CrowdRows(**details["rows"])
        cohort = self.project.add_cohort(**details)
        return web.json_response({"id": cohort.id, "size": cohort.size})

    async def _add_everybody(self, request: web.Request) -> web.Response:
        """Add a data-driven segment of all who exist in Customer.io."""
        segment = self.workspace.add_segment("Everybody", type="dynamic")
        numbers = [number for number in range(self.crowd.size) if number % UNKNOWN_EVERY]
        segment.add([], array("Q", numbers))
        return web.json_response({"id": segment.id})

    async def _count(self, request: web.Request) -> web.Response:
        """Compare a segment's members with the crowd from ``start`` up to ``stop``."""
        start, stop = int(request.query["start"]), int(request.query["stop"])
        members = self.workspace.segments[int(request.match_info["id"])].shown
        right = members.count_crowd(start, stop)
        missing = self.crowd.known(start, stop) - right
        return web.json_response({"right": right, "missing": missing, "too_many": len(members) - right})


def main() -> None:
    """Serve until SIGINT or SIGTERM; print the address of the control API and the connections as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowd", type=int, required=True, help="how many people there are")
    parser.add_argument("--emails", action="store_true", help="they have e-mail addresses")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with CrowdSandbox(crowd=Crowd(options.crowd, options.emails)) as sandbox:
        started = {"control": sandbox.urls["control"], "connections": sandbox.connections()}
        print(json.dumps(started), flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
