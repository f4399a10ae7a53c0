"""
Customer.io's Track API, over HTTP.

Sources: Customer.io's OpenAPI descriptions, and responses recorded by its SDKs' tests. Choices: a missing
segment is a 404; the settings ``dynamic_status`` and ``wrong_region_track`` decide about a data-driven
segment and the wrong region's host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.app_api import RegionalApi, wrong_datacenter
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.segments import Person, Segment
from airflow_provider_cio_cohort.sandbox.serving import ID_TYPES, basic_credentials, read_ids

MAX_IDS = 1000


class TrackApi(RegionalApi):
    """Serves the Track API of one region."""

    def add_routes(self, app: web.Application) -> None:
        """Add the API's routes to ``app``."""
        app.router.add_get("/auth", self.auth)
        app.router.add_get("/api/v1/accounts/region", self.account_region)
        app.router.add_post("/api/v1/segments/{id}/add_customers", self.add)
        app.router.add_post("/api/v1/segments/{id}/remove_customers", self.remove)

    async def auth(self, request: web.Request) -> web.Response:
        """Return a 200 for any keys, as the real API does."""
        return web.json_response({"meta": {"message": "nice credentials."}})

    async def account_region(self, request: web.Request) -> web.Response:
        """Return the account's region, on either host."""
        workspace = self._workspace(request)
        if workspace is None:
            return track_error(401, "Unauthorized request")
        url = {"us": "https://track.customer.io", "eu": "https://track-eu.customer.io"}[workspace.region]
        told: dict[str, str | int] = {"url": url, "region": workspace.region}
        if workspace.environment_id is not None:
            told["environment_id"] = workspace.environment_id
        return web.json_response(told)

    async def add(self, request: web.Request) -> web.Response:
        """Add people to a manual segment."""
        return await self._change(request, Segment.add)

    async def remove(self, request: web.Request) -> web.Response:
        """Remove people from a manual segment."""
        return await self._change(request, Segment.remove)

    async def _change(
        self, request: web.Request, change: Callable[[Segment, list[Person], list[int]], None]
    ) -> web.Response:
        workspace = self._workspace(request)
        if workspace is None:
            return track_error(401, "Unauthorized request")
        if workspace.region != self.region and self.settings.wrong_region_track == "redirect":
            return wrong_datacenter(f"{self.other_url()}{request.path_qs}")
        if workspace.region != self.region and self.settings.wrong_region_track == "401":
            return track_error(401, "Unauthorized request")
        if workspace.track_is_busy():
            return self._busy()
        segment = workspace.segment(request.match_info["id"])
        if segment is None:
            return track_error(404, "segment not found")
        if segment.type != "manual" and self.settings.dynamic_status != 200:
            return track_errors(self.settings.dynamic_status, "segment is not a manual segment")
        id_type = request.query.get("id_type", "id")
        if id_type not in ID_TYPES:
            return track_errors(400, f"invalid id_type {id_type}")
        limit = self.settings.track_max_bytes
        if limit and len(await request.read()) > limit:
            return track_error(413, "request entity too large")
        ids = await read_ids(request, MAX_IDS)
        if refusal := self._refusal(ids, id_type):
            return refusal
        change(segment, *workspace.find(ids or [], id_type, self.settings.track_takes_email))
        return web.json_response({})

    def _refusal(self, ids: Sequence[str] | None, id_type: str) -> web.Response | None:
        """Return the refusal of a batch that is malformed, or that one identifier spoils."""
        if ids is None:
            return track_errors(400, f"ids must be 1 to {MAX_IDS} strings")
        pattern = self.settings.track_refuses
        bad = next((value for value in ids if re.search(pattern, value)), None) if pattern else None
        if bad is None:
            return None
        return track_errors(self.settings.track_refuses_status, f"{id_type} '{bad}' is not valid ({bad})")

    def _busy(self) -> web.Response:
        if self.settings.track_drops:
            return web.json_response({})
        headers = {"Retry-After": "1"} if self.settings.retry_after else {}
        return web.json_response({"meta": {"error": "too many requests"}}, status=429, headers=headers)

    def _workspace(self, request: web.Request) -> Workspace | None:
        site_id, key = basic_credentials(request)
        return next((w for w in self.workspaces if (w.site_id, w.tracking_key) == (site_id, key)), None)


def track_errors(status: int, text: str) -> web.Response:
    """Return the errors of the Track API about a request, which have another form."""
    return web.json_response({"meta": {"errors": [text]}}, status=status)


def track_error(status: int, text: str) -> web.Response:
    """Return an error of the Track API."""
    return web.json_response({"meta": {"error": text}}, status=status)
