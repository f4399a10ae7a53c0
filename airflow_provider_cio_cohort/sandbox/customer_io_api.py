"""
Customer.io's Track and App APIs, over HTTP.

Facts: Customer.io's OpenAPI descriptions, and answers recorded by its SDKs' tests. Where they leave a
choice: a missing segment is a 404, a data-driven one a 400, and the wrong region's Track host a 401.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.customer_io import Person, Segment, Workspace
from airflow_provider_cio_cohort.sandbox.serving import basic_credentials
from airflow_provider_cio_cohort.sandbox.settings import Settings

Handler = Callable[[web.Request, Workspace], Awaitable[web.Response]]
ID_TYPES = ("id", "email", "cio_id")
MAX_PAGE = 30_000


class TrackApi:
    """
    Serves the Track API of one region.

    :param region: ``us`` or ``eu``.
    :param workspaces: all workspaces.
    :param settings: how the sandbox behaves.
    """

    def __init__(self, region: str, workspaces: Sequence[Workspace], settings: Settings) -> None:
        self.region = region
        self.workspaces = workspaces
        self.settings = settings

    def add_routes(self, app: web.Application) -> None:
        """Add the API's routes to ``app``."""
        app.router.add_get("/auth", self.auth)
        app.router.add_get("/api/v1/accounts/region", self.account_region)
        app.router.add_post("/api/v1/segments/{id}/add_customers", self.add)
        app.router.add_post("/api/v1/segments/{id}/remove_customers", self.remove)

    async def auth(self, request: web.Request) -> web.Response:
        """Answer 200 to anything, as it really does."""
        return web.json_response({"meta": {"message": "nice credentials."}})

    async def account_region(self, request: web.Request) -> web.Response:
        """Tell where the account lives, on either host."""
        workspace = self._workspace(request)
        if workspace is None:
            return track_error(401, "Unauthorized request")
        host = {"us": "track.customer.io", "eu": "track-eu.customer.io"}[workspace.region]
        return web.json_response(
            {"url": host, "region": workspace.region, "environment_id": workspace.environment_id}
        )

    async def add(self, request: web.Request) -> web.Response:
        """Add people to a manual segment."""
        return await self._change(request, Segment.add)

    async def remove(self, request: web.Request) -> web.Response:
        """Remove people from a manual segment."""
        return await self._change(request, Segment.remove)

    async def _change(
        self, request: web.Request, change: Callable[[Segment, list[Person]], None]
    ) -> web.Response:
        workspace = self._workspace(request)
        if workspace is None or workspace.region != self.region:
            return track_error(401, "Unauthorized request")
        if workspace.track_is_busy():
            if self.settings.track_drops:
                return web.json_response({})
            headers = {"Retry-After": "1"} if self.settings.retry_after else {}
            return web.json_response({"meta": {"error": "too many requests"}}, status=429, headers=headers)
        segment = _segment(request, workspace)
        if segment is None:
            return track_error(404, "segment not found")
        if segment.type != "manual":
            return web.json_response({"meta": {"errors": ["segment is not a manual segment"]}}, status=400)
        id_type = request.query.get("id_type", "id")
        if id_type not in ID_TYPES:
            return track_error(400, f"invalid id_type {id_type}")
        ids = await _ids(request)
        if ids is None:
            return web.json_response({"meta": {"errors": ["ids must be 1 to 1000 strings"]}}, status=400)
        change(segment, workspace.look_up(ids, id_type))
        return web.json_response({})

    def _workspace(self, request: web.Request) -> Workspace | None:
        site_id, key = basic_credentials(request)
        return next((w for w in self.workspaces if (w.site_id, w.tracking_key) == (site_id, key)), None)


class AppApi:
    """
    Serves the App API of one region.

    :param region: ``us`` or ``eu``.
    :param workspaces: all workspaces.
    :param settings: how the sandbox behaves.
    :param other_url: returns where the other region's App API is.
    """

    def __init__(
        self,
        region: str,
        workspaces: Sequence[Workspace],
        settings: Settings,
        other_url: Callable[[], str],
    ) -> None:
        self.region = region
        self.workspaces = workspaces
        self.settings = settings
        self.other_url = other_url

    def add_routes(self, app: web.Application) -> None:
        """Add the API's routes to ``app``."""
        route = app.router.add_route
        route("GET", "/v1/segments", self._known(self.list_segments))
        route("POST", "/v1/segments", self._known(self.create))
        route("GET", "/v1/segments/{id}", self._known(self.get))
        route("DELETE", "/v1/segments/{id}", self._known(self.delete))
        route("GET", "/v1/segments/{id}/customer_count", self._known(self.count))
        route("GET", "/v1/segments/{id}/membership", self._known(self.membership))
        route("GET", "/v1/segments/{id}/used_by", self._known(self.used_by))
        route("GET", "/v1/customers", self._known(self.customers))

    def _known(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            kind, _, key = request.headers.get("Authorization", "").partition(" ")
            workspace = next((w for w in self.workspaces if w.app_key == key), None)
            if kind != "Bearer" or workspace is None:
                return app_error(401, "unauthorized")
            if workspace.region != self.region:
                response = app_error(301, "wrong datacenter")
                response.headers["Location"] = f"{self.other_url()}{request.path_qs}"
                return response
            if workspace.app_is_busy():
                response = app_error(429, "rate limited to 10 requests per 1s (reference a1b2c3)")
                response.headers["Retry-After"] = "1"
                return response
            return await handler(request, workspace)

        return checked

    async def list_segments(self, request: web.Request, workspace: Workspace) -> web.Response:
        """List all segments; there is no paging and no filter."""
        return web.json_response(
            {"segments": self._or_null([_as_json(s) for s in workspace.segments.values()])}
        )

    async def create(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Create a manual segment."""
        try:
            wanted = (await request.json())["segment"]
            name, description = wanted["name"], wanted.get("description") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            return app_error(400, "segment.name is required")
        if not isinstance(name, str) or not name or not isinstance(description, str):
            return app_error(400, "segment.name must be a string")
        return web.json_response({"segment": _as_json(workspace.add_segment(name, description))})

    async def get(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return a segment."""
        segment = _segment(request, workspace)
        return web.json_response({"segment": _as_json(segment)}) if segment else not_found()

    async def delete(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Delete a segment."""
        segment = _segment(request, workspace)
        if segment is None:
            return not_found()
        del workspace.segments[segment.id]
        return web.Response(status=204)

    async def count(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return how many people a segment has."""
        segment = _segment(request, workspace)
        if segment is None:
            return not_found()
        return web.json_response({"segment_id": segment.id, "count": len(segment.shown)})

    async def used_by(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return what uses a segment: nothing."""
        segment = _segment(request, workspace)
        if segment is None:
            return not_found()
        used = {name: self._or_null([]) for name in ("campaigns", "draft_newsletters", "sent_newsletters")}
        return web.json_response({"segment_id": segment.id, "used_by": used})

    async def membership(self, request: web.Request, workspace: Workspace) -> web.Response:
        """
        Return a page of a segment's people.

        The cursor is a place in the list as it is now: as with the vendor, nothing is promised about
        people who come and go while the pages are read.
        """
        segment = _segment(request, workspace)
        if segment is None:
            return not_found()
        try:
            limit = int(request.query.get("limit", "1000"))
            start = _read_cursor(request.query.get("start", ""))
        except ValueError:
            return app_error(400, "invalid start or limit")
        if not 1 <= limit <= MAX_PAGE:
            return app_error(400, f"limit must be between 1 and {MAX_PAGE}")
        shown = segment.shown
        people = list(itertools.islice(shown.values(), start, start + limit))
        more = start + limit < len(shown)
        body = {
            "identifiers": self._or_null([self._identifiers(person) for person in people]),
            "ids": self._or_null([person.id or "" for person in people]),
            "next": _cursor(start + limit) if more else "",
            "segment_id": segment.id,
        }
        return web.json_response(body)

    async def customers(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Find people by e-mail address."""
        found = workspace.look_up([request.query.get("email", "")], "email")
        return web.json_response({"results": self._or_null([self._identifiers(person) for person in found])})

    def _identifiers(self, person: Person) -> dict[str, str | None]:
        shown = {"id": person.id, "cio_id": person.cio_id}
        return {"email": person.email, **shown} if self.settings.email_identifies else shown

    def _or_null(self, items: list[Any]) -> list[Any] | None:
        return None if not items and self.settings.null_when_empty else items


def track_error(status: int, text: str) -> web.Response:
    """Return a refusal of the Track API."""
    return web.json_response({"meta": {"error": text}}, status=status)


def app_error(status: int, detail: str) -> web.Response:
    """Return a refusal of the App API; its status is a string."""
    return web.json_response({"errors": [{"detail": detail, "status": str(status)}]}, status=status)


def not_found() -> web.Response:
    """Return the App API's 404."""
    return app_error(404, "not found")


def _segment(request: web.Request, workspace: Workspace) -> Segment | None:
    number = request.match_info["id"]
    return workspace.segments.get(int(number)) if number.isascii() and number.isdigit() else None


async def _ids(request: web.Request) -> list[str] | None:
    try:
        ids = (await request.json())["ids"]
    except (ValueError, KeyError, TypeError):
        return None
    usable = isinstance(ids, list) and 1 <= len(ids) <= 1000 and all(isinstance(i, str) for i in ids)
    return ids if usable else None


def _cursor(place: int) -> str:
    # The bytes are chosen so that base64 needs "+", "/" and "=": a client must encode the cursor.
    return base64.b64encode(b"\xfb\xff" + str(place).encode() + b"\xff" * (2 - len(str(place)) % 3)).decode()


def _read_cursor(text: str) -> int:
    if not text:
        return 0
    return int(base64.b64decode(text, validate=True).strip(b"\xfb\xff"))


def _as_json(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "deduplicate_id": f"{segment.id}:{segment.created_at}",
        "name": segment.name,
        "description": segment.description,
        "state": "events",
        "progress": None,
        "type": segment.type,
        "tags": None,
        "created_at": segment.created_at,
        "updated_at": segment.created_at,
    }
