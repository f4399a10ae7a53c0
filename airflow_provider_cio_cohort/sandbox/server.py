"""Runs both vendors on loopback in a separate thread, with an API that controls them and shows their data."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.amplitude import Project
from airflow_provider_cio_cohort.sandbox.amplitude_api import AmplitudeApi, StorageApi
from airflow_provider_cio_cohort.sandbox.app_api import AppApi
from airflow_provider_cio_cohort.sandbox.callbacks import Callback, Callbacks
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.faults import Faults
from airflow_provider_cio_cohort.sandbox.listening import address_of
from airflow_provider_cio_cohort.sandbox.page import render
from airflow_provider_cio_cohort.sandbox.people import populate
from airflow_provider_cio_cohort.sandbox.records import Journal, Record
from airflow_provider_cio_cohort.sandbox.segments import NumberedPeople, Person, Segment
from airflow_provider_cio_cohort.sandbox.serving import vendor_app
from airflow_provider_cio_cohort.sandbox.settings import Settings
from airflow_provider_cio_cohort.sandbox.track_api import TrackApi

#: The servers, in the order of their ports.
SERVERS = ("control", "amplitude_us", "amplitude_eu", "storage", "track_us", "track_eu", "app_us", "app_eu")
MAX_PORT = 65_536
API_KEY = "sandbox-amplitude-api-key"
SECRET_KEY = "sandbox-amplitude-secret-key"  # noqa: S105
SITE_ID = "sandbox-site-id"
TRACKING_KEY = "sandbox-tracking-api-key"
APP_KEY = "sandbox-app-api-key"
FIRST_ENVIRONMENT = 77


class Sandbox:
    """
    Amplitude and Customer.io on loopback, as a context manager.

    :param people: the number of fictional people in both; 0 for empty vendors.
    :param seed: the same people for the same seed.
    :param port: the first of eight ports in a row; 0 for any free ones.
    :param host: a loopback address.
    :param crowd: more people, of every workspace: see :class:`.segments.NumberedPeople`; ``None`` for none.
    :param container_network: let ``host`` be a name or address in the private network of its container.
    :param settings: see :class:`.settings.Settings`.
    :raises ValueError: if ``host`` is not on this machine, because the sandbox must not be reachable from
        others, or if there are no eight ports from ``port`` on.
    """

    def __init__(
        self,
        *,
        people: int = 0,
        seed: int = 7,
        port: int = 0,
        host: str = "127.0.0.1",
        crowd: NumberedPeople | None = None,
        container_network: bool = False,
        **settings: Any,
    ) -> None:
        self._address = address_of(host, container_network)
        if not 0 <= port <= MAX_PORT - len(SERVERS):
            raise ValueError(
                f"The sandbox needs {len(SERVERS)} ports in a row, which do not exist from {port} on."
            )
        self.host = host
        self.port = port
        self.settings = Settings()
        self.settings.update(**settings)
        self.faults = Faults()
        self._callbacks = Callbacks()
        self.journal = Journal()
        self.crowd = crowd
        self.urls: dict[str, str] = {}
        self.projects: dict[str, Project] = {}
        self.workspaces: list[Workspace] = []
        self.project = self.add_project(api_key=API_KEY, secret_key=SECRET_KEY)
        self.workspace = self.add_workspace(site_id=SITE_ID, tracking_key=TRACKING_KEY, app_key=APP_KEY)
        if people:
            populate(self.project, self.workspace, people, seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)
        self._runners: list[web.AppRunner] = []

    # ---- its data

    def add_project(self, **details: Any) -> Project:
        """
        Add an Amplitude project.

        :param details: see :class:`.amplitude.Project`.
        """
        project = Project(self.settings, **details)
        self.projects[project.api_key] = project
        return project

    def add_workspace(self, **details: Any) -> Workspace:
        """
        Add a Customer.io workspace.

        :param details: see :class:`.customer_io.Workspace`; by default, the ``environment_id`` of the first
            workspace is 77, that of the next one 78, and so on.
        """
        details.setdefault("environment_id", FIRST_ENVIRONMENT + len(self.workspaces))
        workspace = Workspace(self.settings, crowd=self.crowd, others=self.workspaces, **details)
        self.workspaces.append(workspace)
        return workspace

    def configure(self, **settings: Any) -> None:
        """
        Change the settings.

        :param settings: see :class:`.settings.Settings`.
        """
        self.settings.update(**settings)

    def at_request(
        self,
        callback: Callback,
        *,
        api: str = "",
        method: str = "",
        path: str = "",
        after: int = 0,
        times: int = 1,
    ) -> None:
        """
        Call a function right before a request is served, before any fault.

        It runs in the sandbox's thread while no other request is being served, so it can change the data
        between any two requests. It must not call the sandbox over HTTP or wait for a caller, because the
        sandbox waits for the function. Its errors are kept in :attr:`callback_errors` and raised when the
        sandbox stops.

        :param callback: takes an :class:`.callbacks.IncomingRequest`.
        :param api: ``amplitude``, ``storage``, ``track``, ``app``; empty for any.
        :param method: the HTTP method; empty for any.
        :param path: a regular expression that matches somewhere in the path; empty for any.
        :param after: the number of requests to skip first.
        :param times: the number of calls; 0 for all requests from now on.
        """
        self._callbacks.add(callback, api=api, method=method, path=path, after=after, times=times)

    @property
    def callback_errors(self) -> list[BaseException]:
        """The errors of the callbacks of :meth:`at_request`; a test removes those that it expects."""
        return self._callbacks.errors

    @property
    def requests(self) -> list[Record]:
        """The served requests, oldest first."""
        return self.journal.all()

    def reset_requests(self) -> None:
        """Remove the recorded requests."""
        self.journal.clear()

    def count(self, api: str | None = None, path_regex: str = "", status: int | None = None) -> int:
        """
        Return the number of requests.

        :param api: ``amplitude``, ``storage``, ``track`` or ``app``; ``None`` for all.
        :param path_regex: only requests whose path matches somewhere.
        :param status: only requests with this response status, such as 429 for rate limits.
        """
        return self.journal.count(api, path_regex, status)

    def connections(self) -> dict[str, dict[str, Any]]:
        """Return the Airflow connections to the default project and workspace, by their default ids."""
        return {
            "amplitude_default": self.connection_to(self.project),
            "customer_io_default": self.connection_to(self.workspace),
        }

    def connection_to(self, account: Project | Workspace) -> dict[str, Any]:
        """
        Return an Airflow connection.

        :param account: the project or the workspace to connect to.
        """
        # Not eu: Airflow takes every text of an extra for a secret, and warns of short ones.
        region = {} if account.region == "us" else {"region": "europe"}
        if isinstance(account, Project):
            return {
                "conn_type": "amplitude",
                "login": account.api_key,
                "password": account.secret_key,
                "host": self.urls[f"amplitude_{account.region}"],
                "extra": region,
            }
        return {
            "conn_type": "customer_io",
            "login": account.site_id,
            "password": account.tracking_key,
            "extra": {
                "app_api_key": account.app_key,
                **region,
                "track_base_url": self.urls[f"track_{account.region}"],
                "app_base_url": self.urls[f"app_{account.region}"],
            },
        }

    # ---- life

    def __enter__(self) -> Sandbox:
        """Start the servers."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers, and raise the errors of callbacks."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._callbacks.raise_errors(during=error)

    async def _start(self) -> None:
        with ExitStack() as opened:  # closes all of them if one cannot be opened
            sockets = [opened.enter_context(self._listen(place)) for place in range(len(SERVERS))]
            opened.pop_all()
        host = f"[{self.host}]" if ":" in self.host else self.host
        for name, each in zip(SERVERS, sockets, strict=True):
            self.urls[name] = f"http://{host}:{each.getsockname()[1]}"
        for name, each in zip(SERVERS, sockets, strict=True):
            runner = web.AppRunner(self._app(name), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.SockSite(runner, each).start()
            self._runners.append(runner)

    def _listen(self, place: int) -> socket.socket:
        port = self.port + place if self.port else 0
        try:
            family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
            return socket.create_server((self._address, port), family=family, backlog=512)
        except OSError as error:
            raise OSError(f"The sandbox cannot listen on {self.host}:{port}: {error.strerror}.") from error

    async def _stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()

    def _app(self, name: str) -> web.Application:
        if name == "control":
            return self._control_app()
        api, _, region = name.partition("_")
        other = f"{api}_{'eu' if region == 'us' else 'us'}"
        served: AmplitudeApi | StorageApi | TrackApi | AppApi
        if api == "amplitude":
            served = AmplitudeApi(region, self.projects, self.settings, self.urls)
        elif api == "storage":
            served = StorageApi(self.projects, self.settings)
        elif api == "track":
            served = TrackApi(region, self.workspaces, self.settings, lambda: self.urls[other])
        else:
            served = AppApi(region, self.workspaces, self.settings, lambda: self.urls[other])
        between = [served.limit] if isinstance(served, AmplitudeApi) else []
        app = vendor_app(api, self.settings, self._callbacks, self.faults, self.journal, *between)
        served.add_routes(app)
        return app

    def _control_app(self) -> web.Application:
        """Return the application of the control API; a subclass may add routes to it."""
        return ControlApi(self).app()


class ControlApi:
    """
    The sandbox's control API and page, for tests in other processes.

    :param sandbox: the sandbox.
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
        route("PATCH", "/people", self.rename_person)
        route("DELETE", "/people", self.delete_person)
        route("POST", "/people/merge", self.merge_people)
        route("POST", "/segments", self.add_segment)
        route("PATCH", "/segments/{id}", self.rename_segment)
        route("DELETE", "/segments/{id}", self.delete_segment)
        route("GET", "/segments/{id}/members", self.members)
        route("POST", "/segments/{id}/members", self.add_by_hand)
        route("DELETE", "/segments/{id}/members", self.remove_by_hand)
        return app

    async def page(self, request: web.Request) -> web.Response:
        """Show the page."""
        return web.Response(text=render(_state_of(self.sandbox)), content_type="text/html")

    async def state(self, request: web.Request) -> web.Response:
        """Return the state as counts."""
        return web.json_response(_state_of(self.sandbox))

    async def connections(self, request: web.Request) -> web.Response:
        """Return the Airflow connections to the sandbox, by their ids; the keys work nowhere else."""
        return web.json_response(self.sandbox.connections())

    async def requests(self, request: web.Request) -> web.Response:
        """List the served requests, without their headers, which contain keys."""
        return web.json_response([_as_json(record) for record in self.sandbox.requests])

    async def forget_requests(self, request: web.Request) -> web.Response:
        """Reset the recorded requests."""
        self.sandbox.reset_requests()
        return web.json_response({})

    async def faults(self, request: web.Request) -> web.Response:
        """List the faults, with the number of requests that each has affected."""
        return web.json_response(self.sandbox.faults.all())

    async def add_fault(self, request: web.Request) -> web.Response:
        """Add a fault."""
        self.sandbox.faults.add(**await request.json())
        return web.json_response({})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Remove all faults."""
        self.sandbox.faults.clear()
        return web.json_response({})

    async def settings(self, request: web.Request) -> web.Response:
        """Change settings."""
        self.sandbox.configure(**await request.json())
        return web.json_response({})

    async def add_cohort(self, request: web.Request) -> web.Response:
        """Add a cohort, or replace the one of that id."""
        cohort = self.sandbox.project.add_cohort(**await request.json())
        return web.json_response({"id": cohort.id, "size": cohort.size})

    async def add_people(self, request: web.Request) -> web.Response:
        """Add people to the workspace, from a list of objects with ``id`` and ``email``."""
        workspace = self._workspace(request)
        people = [workspace.add_person(**person) for person in await request.json()]
        return web.json_response({"people": len(people)})

    async def rename_person(self, request: web.Request) -> web.Response:
        """Change the ``id`` or ``email`` of a ``person``, given by any identifier."""
        details = await request.json()
        self._workspace(request).rename_person(details.pop("person"), **details)
        return web.json_response({})

    async def delete_person(self, request: web.Request) -> web.Response:
        """Delete a ``person``, who leaves every segment."""
        self._workspace(request).delete_person((await request.json())["person"])
        return web.json_response({})

    async def merge_people(self, request: web.Request) -> web.Response:
        """Merge ``secondary`` into ``primary``."""
        self._workspace(request).merge_people(**await request.json())
        return web.json_response({})

    async def add_segment(self, request: web.Request) -> web.Response:
        """Add a segment; its members are given by their ids."""
        segment = self._workspace(request).add_segment(**await request.json())
        return web.json_response({"id": segment.id})

    async def rename_segment(self, request: web.Request) -> web.Response:
        """Give a segment another ``name``."""
        self._workspace(request).rename_segment(self._segment(request), (await request.json())["name"])
        return web.json_response({})

    async def delete_segment(self, request: web.Request) -> web.Response:
        """Delete a segment."""
        self._workspace(request).delete_segment(self._segment(request))
        return web.json_response({})

    async def members(self, request: web.Request) -> web.Response:
        """List the members of a segment."""
        return web.json_response([vars(person) for person in self._segment(request).members])

    async def add_by_hand(self, request: web.Request) -> web.Response:
        """Add people to a segment as a user of Customer.io's UI does; each is given by any identifier."""
        self._segment(request).by_hand_add(await self._people(request))
        return web.json_response({})

    async def remove_by_hand(self, request: web.Request) -> web.Response:
        """Remove people from a segment as a user of Customer.io's UI does."""
        self._segment(request).by_hand_remove(await self._people(request))
        return web.json_response({})

    def _workspace(self, request: web.Request) -> Workspace:
        """Return the workspace with the ``site_id`` of the query, by default the first workspace."""
        site_id = request.query.get("site_id", self.sandbox.workspace.site_id)
        return {workspace.site_id: workspace for workspace in self.sandbox.workspaces}[site_id]

    def _segment(self, request: web.Request) -> Segment:
        return self._workspace(request).segments[int(request.match_info["id"])]

    async def _people(self, request: web.Request) -> list[Person]:
        workspace = self._workspace(request)
        return [workspace.person(each) for each in await request.json()]


def _as_json(record: Record) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in ("headers", "query")}


def _state_of(sandbox: Sandbox) -> dict[str, Any]:
    """Return the sandbox's data as counts."""
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
