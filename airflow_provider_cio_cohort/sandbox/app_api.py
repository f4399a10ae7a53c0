"""
Customer.io's App API, over HTTP.

Sources: Customer.io's OpenAPI descriptions, and responses recorded by its SDKs' tests. Choices: a page above
the maximum size is a 400, and so is a search without an e-mail address. People are looked up as described in
"List customers, attributes, and devices" in the App API's reference.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.faults import Fault
from airflow_provider_cio_cohort.sandbox.segments import Person, Segment
from airflow_provider_cio_cohort.sandbox.serving import FAULT, ID_TYPES, read_ids
from airflow_provider_cio_cohort.sandbox.settings import Settings

Handler = Callable[[web.Request, Workspace], Awaitable[web.Response]]
MAX_PAGE = 30_000
MAX_LOOKUP = 100
#: Identifiers that can be a JSON number without loss.
WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]*")


class RegionalApi:
    """
    One of Customer.io's APIs in one region.

    :param region: ``us`` or ``eu``.
    :param other_url: returns where the other region has it.
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


class AppApi(RegionalApi):
    """Serves the App API of one region."""

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
        route("POST", "/v1/customers/attributes", self._known(self.attributes))

    def _known(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def checked(request: web.Request) -> web.Response:
            kind, _, key = request.headers.get("Authorization", "").partition(" ")
            workspace = next((w for w in self.workspaces if w.app_key == key), None)
            if kind != "Bearer" or workspace is None:
                return app_error(401, "unauthorized")
            if workspace.region != self.region:
                return wrong_datacenter(f"{self.other_url()}{request.path_qs}")
            if workspace.app_is_busy():
                response = app_error(429, "rate limited to 10 requests per 1s (reference a1b2c3)")
                response.headers["Retry-After"] = "1"
                return response
            return await handler(request, workspace)

        return checked

    async def list_segments(self, request: web.Request, workspace: Workspace) -> web.Response:
        """List all segments; there is no paging and no filter."""
        return web.json_response(
            {"segments": self._or_null([_as_json(s) for s in list(workspace.segments.values())])}
        )

    async def create(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Create a manual segment; the response has the name and description as stored."""
        try:
            wanted = (await request.json())["segment"]
            name, description = wanted["name"], wanted.get("description") or ""
        except (ValueError, KeyError, TypeError, AttributeError):
            return app_error(400, "segment.name is required")
        if not isinstance(name, str) or not isinstance(description, str):
            return app_error(400, "segment.name must be a string")
        name = self._kept(name, self.settings.name_limit)
        description = self._kept(description, self.settings.description_limit)
        if not name:
            return app_error(400, "segment.name is required")
        if self.settings.unique_names and workspace.find_segment(name):
            return app_error(400, "segment.name is taken")
        return web.json_response({"segment": _as_json(workspace.add_segment(name, description))})

    async def get(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return a segment."""
        segment = workspace.segment(request.match_info["id"])
        return web.json_response({"segment": _as_json(segment)}) if segment else not_found()

    async def delete(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Delete a segment."""
        segment = workspace.segment(request.match_info["id"])
        if segment is None:
            return not_found()
        workspace.delete_segment(segment)
        return web.Response(status=204)

    async def count(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return the number of people in a segment."""
        segment = workspace.segment(request.match_info["id"])
        if segment is None:
            return not_found()
        return web.json_response({"segment_id": segment.id, "count": segment.count})

    async def used_by(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return what uses a segment, which is nothing."""
        segment = workspace.segment(request.match_info["id"])
        if segment is None:
            return not_found()
        used = {name: self._or_null([]) for name in ("campaigns", "draft_newsletters", "sent_newsletters")}
        return web.json_response({"segment_id": segment.id, "used_by": used})

    async def membership(self, request: web.Request, workspace: Workspace) -> web.Response:
        """
        Return a page of a segment's people.

        The cursor is a position in the current list: as with the vendor, there is no guarantee for people who
        join or leave while the pages are read.
        """
        segment = workspace.segment(request.match_info["id"])
        if segment is None:
            return not_found()
        try:
            limit = int(request.query.get("limit", "1000"))
            start = _read_cursor(request.query.get("start", ""))
        except ValueError:
            return app_error(400, "invalid start or limit")
        if not 1 <= limit <= MAX_PAGE:
            return app_error(400, f"limit must be between 1 and {MAX_PAGE}")
        shown, fault = segment.shown, request.get(FAULT)
        if fault and fault.action == "no_identifiers":
            return web.json_response({})
        is_last = start + limit >= len(shown)
        repeated = is_last and self.settings.endless_next
        first = max(len(shown) - 1, 0) // limit * limit if repeated else start
        people, numbers = shown.page(first, limit)
        body: dict[str, Any] = {
            "identifiers": self._or_null([self._identifiers(person) for person in people]),
            "ids": self._or_null([self._listed_id(person) for person in people]),
            **self._next(start + limit, is_last, fault),
            "segment_id": segment.id,
        }
        if not numbers:
            return web.json_response(body)
        crowded = workspace.crowd.as_json(numbers, self.settings.email_identifies)
        lists = zip(("identifiers", "ids"), crowded, strict=True)
        text = ", ".join(f'"{name}": {_joined(body.pop(name), items)}' for name, items in lists)
        return web.Response(text=f"{{{text}, {json.dumps(body)[1:]}", content_type="application/json")

    async def customers(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Find people by e-mail address."""
        email = request.query.get("email", "")
        if not email:
            return app_error(400, "email is required")
        found = workspace.with_email(email)
        return web.json_response({"results": self._or_null([self._identifiers(person) for person in found])})

    async def attributes(self, request: web.Request, workspace: Workspace) -> web.Response:
        """Return up to 100 people by an identifier; unknown ones are left out."""
        if not self.settings.lookup_allowed:
            return app_error(403, "the key's scope does not allow this")
        id_type = request.query.get("id_type", "id")
        if id_type not in ID_TYPES or (id_type == "email" and not self.settings.email_identifies):
            return app_error(400, f"{id_type} is no identifier of this workspace")
        ids = await read_ids(request, MAX_LOOKUP)
        if ids is None:
            return app_error(400, f"ids must be 1 to {MAX_LOOKUP} strings")
        refused = self.settings.lookup_refuses
        if refused and any(re.search(refused, value) for value in ids):
            return app_error(400, "ids holds an invalid identifier")
        found = [self._profile(person) for person in workspace.look_up(ids, id_type)]
        return web.json_response({"customers": self._or_null(found)})

    def _profile(self, person: Person) -> dict[str, Any]:
        profile = {
            "id": self._listed_id(person),
            "identifiers": self._identifiers(person),
            "attributes": {"email": person.email} if person.email else {},
            "timestamps": {},
            "unsubscribed": False,
            "devices": self._or_null([]),
        }
        return {"customer": profile} if self.settings.lookup_wrapped else profile

    def _identifiers(self, person: Person) -> dict[str, str | int | None]:
        shown = {"id": None if person.id is None else self._shown_id(person.id), "cio_id": person.cio_id}
        return {"email": person.email, **shown} if self.settings.email_identifies else shown

    def _shown_id(self, id: str) -> str | int:
        return int(id) if self.settings.ids_as_numbers and WHOLE_NUMBER.fullmatch(id) else id

    def _listed_id(self, person: Person) -> str | int:
        return self._shown_id(person.id or "")

    def _next(self, place: int, is_last: bool, fault: Fault | None) -> dict[str, str | None]:
        """Return the field ``next`` of a page of members that ends before ``place``."""
        if fault and fault.action == "end_early":
            return {"next": ""}
        if not is_last or self.settings.endless_next or self.settings.last_next == "empty_page":
            return {"next": _cursor(place)}
        if self.settings.last_next == "absent":
            return {}
        return {"next": "" if self.settings.last_next == "empty" else None}

    def _kept(self, text: str, limit: int) -> str:
        """Return a new segment's name or description as it is stored."""
        if self.settings.name_rewrite == "trim":
            text = text.strip()
        elif self.settings.name_rewrite == "collapse":
            text = " ".join(text.split())
        return text[:limit] if limit else text

    def _or_null(self, items: list[Any]) -> list[Any] | None:
        return None if not items and self.settings.null_when_empty else items


def app_error(status: int, detail: str) -> web.Response:
    """Return an error of the App API, whose status is a string."""
    return web.json_response({"errors": [{"detail": detail, "status": str(status)}]}, status=status)


def wrong_datacenter(location: str) -> web.Response:
    """Return the redirect to the other region."""
    response = app_error(301, "wrong datacenter")
    response.headers["Location"] = location
    return response


def not_found() -> web.Response:
    """Return the App API's 404."""
    return app_error(404, "not found")


def _joined(items: Any, further: str) -> str:
    """Return a list as JSON, with further items that are JSON text already."""
    before = json.dumps(items)[1:-1] if items else ""
    return f"[{before}{', ' if before else ''}{further}]"


def _cursor(place: int) -> str:
    # The bytes are chosen so that base64 needs "+", "/" and "=": a client must encode the cursor.
    return base64.b64encode(b"\xfb\xff" + str(place).encode() + b"\xff" * (2 - len(str(place)) % 3)).decode()


def _read_cursor(text: str) -> int:
    if not text:
        return 0
    place = int(base64.b64decode(text, validate=True).strip(b"\xfb\xff"))
    if place < 0:
        raise ValueError("a place before the first")
    return place


def _as_json(segment: Segment) -> dict[str, Any]:
    return {
        "id": segment.id,
        "deduplicate_id": f"{segment.id}:{segment.created_at}",
        "name": segment.name,
        "description": segment.description,
        "state": "events" if segment.type == "manual" else "finished",
        "progress": None,
        "type": segment.type,
        "tags": None,
        "created_at": segment.created_at,
        "updated_at": segment.created_at,
    }
