"""Changes and shows what the sandbox holds, over HTTP: for tests that run in another process."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.crowd import CrowdRows
from airflow_provider_cio_cohort.sandbox.page import render
from airflow_provider_cio_cohort.sandbox.records import Record

if TYPE_CHECKING:
    from airflow_provider_cio_cohort.sandbox.server import Sandbox


class ControlApi:
    """
    The sandbox's own API and page.

    :param sandbox: what it controls.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    def app(self) -> web.Application:
        """Return the application."""

        @web.middleware
        async def explain(request: web.Request, handler: Any) -> web.StreamResponse:
            try:
                response: web.StreamResponse = await handler(request)
            except (KeyError, TypeError, ValueError) as error:
                return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
            return response

        app = web.Application(middlewares=[explain], client_max_size=512 * 2**20)
        route = app.router.add_route
        route("GET", "/", self.page)
        route("GET", "/state", self.state)
        route("GET", "/connections", self.connections)
        route("GET", "/requests", self.requests)
        route("DELETE", "/requests", self.forget_requests)
        route("GET", "/faults", self.faults)
        route("POST", "/faults", self.add_fault)
        route("DELETE", "/faults", self.clear_faults)
        route("PUT", "/settings", self.settings)
        route("POST", "/cohorts", self.add_cohort)
        route("POST", "/people", self.add_people)
        route("POST", "/segments", self.add_segment)
        route("GET", "/segments/{id}/members", self.members)
        route("GET", "/segments/{id}/crowd", self.crowd)
        return app

    async def page(self, request: web.Request) -> web.Response:
        """Show the page."""
        return web.Response(text=render(state_of(self.sandbox)), content_type="text/html")

    async def state(self, request: web.Request) -> web.Response:
        """Tell what there is, in counts."""
        return web.json_response(state_of(self.sandbox))

    async def connections(self, request: web.Request) -> web.Response:
        """Tell the Airflow connections to it, by their ids; their keys are good for nothing else."""
        return web.json_response(self.sandbox.connections())

    async def requests(self, request: web.Request) -> web.Response:
        """List the requests that were served; without their headers, which hold keys."""
        return web.json_response([_as_json(record) for record in self.sandbox.requests])

    async def forget_requests(self, request: web.Request) -> web.Response:
        """Start to count anew."""
        self.sandbox.reset_requests()
        return web.json_response({})

    async def faults(self, request: web.Request) -> web.Response:
        """List the faults, and how often each has met a request."""
        return web.json_response(self.sandbox.faults.all())

    async def add_fault(self, request: web.Request) -> web.Response:
        """Let something go wrong."""
        self.sandbox.faults.add(**await request.json())
        return web.json_response({})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Let nothing go wrong any more."""
        self.sandbox.faults.clear()
        return web.json_response({})

    async def settings(self, request: web.Request) -> web.Response:
        """Change settings."""
        self.sandbox.configure(**await request.json())
        return web.json_response({})

    async def add_cohort(self, request: web.Request) -> web.Response:
        """Add a cohort, or replace the one of that id; ``crowd`` stands for rows, see :class:`.CrowdRows`."""
        details = await request.json()
        if crowd := details.pop("crowd", None):
            details["rows"] = CrowdRows(*crowd)
        cohort = self.sandbox.project.add_cohort(**details)
        return web.json_response({"id": cohort.id, "size": cohort.size})

    async def add_people(self, request: web.Request) -> web.Response:
        """Add people to the workspace: a list of objects with ``id`` and ``email``."""
        people = [self.sandbox.workspace.add_person(**person) for person in await request.json()]
        return web.json_response({"people": len(people)})

    async def add_segment(self, request: web.Request) -> web.Response:
        """Add a segment; its members are given by their ids."""
        segment = self.sandbox.workspace.add_segment(**await request.json())
        return web.json_response({"id": segment.id})

    async def members(self, request: web.Request) -> web.Response:
        """List who is in a segment."""
        segment = self.sandbox.workspace.segments[int(request.match_info["id"])]
        return web.json_response([vars(person) for person in segment.members])

    async def crowd(self, request: web.Request) -> web.Response:
        """Tell how far a segment holds the crowd from ``start`` up to ``stop``, and nobody else."""
        start, stop = int(request.query["start"]), int(request.query["stop"])
        members = self.sandbox.workspace.segments[int(request.match_info["id"])].shown
        right = members.count_crowd(start, stop)
        missing = self.sandbox.crowd.known(start, stop) - right
        return web.json_response({"right": right, "missing": missing, "too_many": len(members) - right})


def _as_json(record: Record) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in ("headers", "query")}


def state_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return what the sandbox holds, in counts."""
    return {
        "projects": [
            {
                "used": project.used,
                "limit": sandbox.settings.exports_a_month,
                "cohorts": [
                    {
                        "id": c.id,
                        "name": c.name,
                        "size": c.size,
                        "archived": c.archived,
                        "group": c.group,
                    }
                    for c in project.cohorts.values()
                ],
            }
            for project in sandbox.projects.values()
        ],
        "workspaces": [
            {
                "people": len(workspace.people),
                "segments": [
                    {
                        "id": s.id,
                        "name": s.name,
                        "type": s.type,
                        "description": s.description,
                        "members": len(s.shown),
                    }
                    for s in workspace.segments.values()
                ],
            }
            for workspace in sandbox.workspaces
        ],
        "requests": Counter(record.api for record in sandbox.requests),
        "too_many": Counter(record.api for record in sandbox.requests if record.status == 429),
    }
