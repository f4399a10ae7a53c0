"""
Amplitude's cohort API and the storage of its exports, over HTTP.

Sources: Amplitude's "Behavioral Cohorts API" reference, and recorded responses where it has no answer.
Choices: a cohort with too many members is a 400 that costs nothing, and only the first step counts for the
rate "60 in 10 minutes"; the statuses of refusals are in the settings.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler as Served

from airflow_provider_cio_cohort.sandbox.amplitude import Cohort, Job, Project, RefusedError
from airflow_provider_cio_cohort.sandbox.export_csv import export_file
from airflow_provider_cio_cohort.sandbox.faults import Fault
from airflow_provider_cio_cohort.sandbox.serving import EARLIER, FAULT, HTML, basic_credentials, storage_error
from airflow_provider_cio_cohort.sandbox.settings import Settings

Handler = Callable[[web.Request, Project], Awaitable[web.StreamResponse]]
Wanted = list[str] | None
#: The statuses of the redirects to a file, first to last.
REDIRECTS = (302, 307, 301, 308, 303)
#: The parameter of a signed URL that counts the redirects before it.
HOP = "X-Hop"
#: The cohort in responses with the fault ``other_cohort``.
OTHER_COHORT = "0th3rc0h"


class AmplitudeApi:
    """
    Serves the projects of one region.

    :param region: ``us`` or ``eu``.
    :param projects: all projects, by API key.
    :param urls: the URLs of all servers; filled in when the ports are known.
    """

    def __init__(
        self, region: str, projects: Mapping[str, Project], settings: Settings, urls: Mapping[str, str]
    ) -> None:
        self.region = region
        self.projects = projects
        self.settings = settings
        self.urls = urls

    def add_routes(self, app: web.Application) -> None:
        """Add the API's routes to ``app``."""
        app.router.add_get("/api/3/cohorts", self._known(self.list))
        app.router.add_get("/api/3/cohorts/usage", self._known(self.usage))
        app.router.add_get("/api/5/cohorts/request/{cohort_id}", self._known(self.request))
        app.router.add_get("/api/5/cohorts/request-status/{request_id}", self._known(self.status))
        app.router.add_get("/api/5/cohorts/request/{request_id}/file", self._known(self.file))
        StorageApi(self.projects, self.settings).add_routes(app)  # for relative redirects

    @web.middleware
    async def limit(self, request: web.Request, handler: Served) -> web.StreamResponse:
        """
        Refuse a request that exceeds the limit of concurrent requests.

        This is a middleware because responses are delayed outside of the handlers.
        """
        project = self.projects.get(basic_credentials(request)[0])
        if project is None:
            return await handler(request)
        job = project.jobs.get(request.match_info.get("request_id", ""))
        try:
            with project.serving(job.cohort_id if job else request.match_info.get("cohort_id", "")):
                return await handler(request)
        except RefusedError as error:
            return refused(error.status, error.details)

    def _known(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def checked(request: web.Request) -> web.StreamResponse:
            key, secret = basic_credentials(request)
            project = self.projects.get(key)
            if project is None or project.region != self.region:
                return refused(403, "Invalid API Key")
            if project.secret_key != secret:
                return refused(403, "Invalid API/Secret Key combination")
            if not project.paid:
                details = "Your plan does not include the Behavioral Cohorts API. Upgrade to Growth."
                return refused(self.settings.unpaid_status, details)
            try:
                return await handler(request, project)
            except RefusedError as error:
                if not error.details:
                    return web.Response(status=404, text="404: Not Found")
                return refused(error.status, error.details)

        return checked

    async def list(self, request: web.Request, project: Project) -> web.Response:
        """List the discoverable cohorts; costs nothing."""
        listed = [
            cohort
            for cohort in list(project.cohorts.values())
            if cohort.listed and (self.settings.archived_listed or not cohort.archived)
        ]
        return web.json_response({"cohorts": [_as_json(cohort) for cohort in listed]})

    async def usage(self, request: web.Request, project: Project) -> web.Response:
        """Return the month's number of exports; costs nothing."""
        now = datetime.now(UTC)
        resets = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
        figures = {
            "limit": self.settings.exports_a_month,
            "usage": project.used,
            "resets_at": resets.isoformat().replace("+00:00", "Z"),
        }
        return web.json_response({"rest_download": figures})

    async def request(self, request: web.Request, project: Project) -> web.Response:
        """Start an export; each call costs one of the month's exports."""
        properties: Wanted = request.query.getall("propKeys", None)
        if request.query.get("props") != "1":
            properties = []
        job = project.request(request.match_info["cohort_id"], properties)
        _spoil(job, request.get(FAULT))
        return web.json_response(self._naming(job, request), status=202)

    async def status(self, request: web.Request, project: Project) -> web.Response:
        """Return the status of an export."""
        job = project.jobs.get(request.match_info["request_id"])
        if job is None or job.age < self.settings.status_unknown_for:
            return self._unknown(request.match_info["request_id"])
        _spoil(job, request.get(FAULT))
        text = self.settings.completed_text if job.finished else "JOB INPROGRESS"
        if job.failed:
            text, request[EARLIER] = "JOB FAILED", "job_failed"
        body = {**self._naming(job, request), "async_status": text}
        return web.json_response(body, status=202 if text == "JOB INPROGRESS" else 200)

    def _unknown(self, request_id: str) -> web.Response:
        status = self.settings.unknown_status
        if status == 404:
            return web.Response(status=status, text=HTML, content_type="text/html")
        return web.json_response({"details": f"No job exists with request_id: {request_id}"}, status=status)

    def _naming(self, job: Job, request: web.Request) -> dict[str, str]:
        """Return the ids of an export and its cohort for a response."""
        fault = request.get(FAULT)
        if fault and fault.action == "other_cohort":
            return {"request_id": job.id, "cohort_id": OTHER_COHORT}
        if not self.settings.answers_cohort_id:
            return {"request_id": job.id}
        return {"request_id": job.id, "cohort_id": job.cohort_id}

    async def file(self, request: web.Request, project: Project) -> web.Response:
        """Return a small file, or a redirect to a signed URL; available for seven days."""
        job = project.file_of(request.match_info["request_id"])
        if job is None or (not len(job.rows) and self.settings.empty_export == "not_found"):
            return web.json_response({"details": "Cohort download not found"}, status=404)
        if not len(job.rows) and self.settings.empty_export == "no_content":
            return web.Response(status=204)
        if len(job.rows) <= self.settings.inline_rows:
            return await file_response(job, self.settings)
        expires = round(self.settings.signed_url_seconds)
        query = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires={expires}&X-Amz-Signature={project.sign(job)}"
        )
        url = f"{self.urls['storage']}/exports/{job.id}.csv?{query}"
        return _redirect(f"{url}&{HOP}=1", self.settings)


class StorageApi:
    """
    Serves the files of large exports by signed URLs.

    :param projects: all projects, by API key.
    """

    def __init__(self, projects: Mapping[str, Project], settings: Settings) -> None:
        self.projects = projects
        self.settings = settings

    def add_routes(self, app: web.Application) -> None:
        """Add the storage's route to ``app``."""
        app.router.add_get("/exports/{name}", self.file)

    async def file(self, request: web.Request) -> web.Response:
        """Return a file; a request with credentials besides the signature is refused."""
        if "Authorization" in request.headers:
            return storage_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        signature = request.query.get("X-Amz-Signature", "")
        links = (project.links.get(signature) for project in self.projects.values())
        job, expires = next((link for link in links if link), (None, 0.0))
        if job is None or request.match_info["name"] != f"{job.id}.csv":
            return storage_error(403, "SignatureDoesNotMatch", "The signature does not match")
        if time.monotonic() > expires:
            return storage_error(403, "AccessDenied", "Request has expired")
        hop = int(request.query.get(HOP, "1"))
        if hop < self.settings.redirect_hops:
            url = str(request.url.update_query({HOP: str(hop + 1)}))
            return _redirect(url, self.settings, hop)
        return await file_response(job, self.settings)


def _redirect(url: str, settings: Settings, hop: int = 0) -> web.Response:
    """Return a redirect, written as configured; for a relative one, the host of the request has the file."""
    parts = urlsplit(url)
    rest = f"{parts.path}?{parts.query}"
    location = {
        "absolute": url,
        "scheme_relative": f"//{parts.netloc}{rest}",
        "relative": rest,
        "unusual": f"{parts.scheme.upper()}://{parts.netloc}{rest}#file",
    }[settings.redirect_form]
    return web.Response(status=REDIRECTS[hop % len(REDIRECTS)], headers={"Location": location})


async def file_response(job: Job, settings: Settings) -> web.Response:
    """Return an export's file, which is written once, in a separate thread."""
    if job.file is None:
        job.file = await asyncio.to_thread(export_file, job, settings)
    headers = {"Content-Type": "text/csv"}
    if settings.compressed and settings.encoding_header:
        headers["Content-Encoding"] = "gzip, gzip" if settings.compressed_twice else "gzip"
    if settings.encoding:
        headers["Content-Encoding"] = settings.encoding
    return web.Response(body=job.file, headers=headers)


def _spoil(job: Job, fault: Fault | None) -> None:
    if fault and fault.action == "job_stuck":
        job.ready_at = float("inf")
    if fault and fault.action == "job_failed":
        job.failed = True


def refused(status: int, details: str) -> web.Response:
    """Return a refusal in Amplitude's envelope."""
    error = {"http_code": status, "type": "unspecified", "metadata": {"details": details}}
    return web.json_response({"error": error}, status=status)


def _as_json(cohort: Cohort) -> dict[str, Any]:
    return {
        "id": cohort.id,
        "name": cohort.name,
        "size": cohort.size,
        "lastComputed": cohort.last_computed if cohort.computed else None,
        "lastMod": 1_750_000_000,
        "createdAt": 1_700_000_000,
        "archived": cohort.archived,
        "published": True,
        "hidden": False,
        "finished": cohort.computed,
        "type": "REDSHIFT",
        "owners": [],
        "viewers": [],
        "description": "",
        "definition": {"version": 3, "countGroup": {"name": cohort.group, "is_computed": False}},
        "appId": 123456,
        "chart_id": None,
        "metadata": ["behavioral"],
    }
