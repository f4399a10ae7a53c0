"""Runs both vendors on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from aiohttp import web

from airflow_provider_cio_cohort.sandbox.amplitude import Project
from airflow_provider_cio_cohort.sandbox.amplitude_api import AmplitudeApi, StorageApi
from airflow_provider_cio_cohort.sandbox.app_api import AppApi
from airflow_provider_cio_cohort.sandbox.control import ControlApi
from airflow_provider_cio_cohort.sandbox.crowd import Crowd
from airflow_provider_cio_cohort.sandbox.customer_io import Workspace
from airflow_provider_cio_cohort.sandbox.faults import Faults
from airflow_provider_cio_cohort.sandbox.listening import address_of
from airflow_provider_cio_cohort.sandbox.people import populate
from airflow_provider_cio_cohort.sandbox.records import Journal, Record
from airflow_provider_cio_cohort.sandbox.serving import vendor_app
from airflow_provider_cio_cohort.sandbox.settings import Settings
from airflow_provider_cio_cohort.sandbox.track_api import TrackApi

#: What listens, in the order of the ports.
SERVERS = ("control", "amplitude_us", "amplitude_eu", "storage", "track_us", "track_eu", "app_us", "app_eu")
MAX_PORT = 65_536
API_KEY = "sandbox-amplitude-api-key"
SECRET_KEY = "sandbox-amplitude-secret-key"  # noqa: S105
SITE_ID = "sandbox-site-id"
TRACKING_KEY = "sandbox-tracking-api-key"
APP_KEY = "sandbox-app-api-key"


class Sandbox:
    """
    Amplitude and Customer.io on loopback, as a context manager.

    :param people: how many made-up people to fill both with; 0 for empty vendors.
    :param seed: the same people for the same seed.
    :param port: the first of eight ports in a row; 0 for any free ones.
    :param host: a loopback address.
    :param crowd: how many more people there are, who take no memory: see :mod:`.crowd`.
    :param container_network: let ``host`` be a name or address in the private network of its container.
    :param settings: see :class:`.settings.Settings`.
    :raises ValueError: if ``host`` is not on this machine (the sandbox is no server for others), or
        ``port`` leaves no room for all eight.
    """

    def __init__(
        self,
        *,
        people: int = 0,
        seed: int = 7,
        port: int = 0,
        host: str = "127.0.0.1",
        crowd: int = 0,
        container_network: bool = False,
        **settings: Any,
    ) -> None:
        self._address = address_of(host, container_network)
        if not 0 <= port <= MAX_PORT - len(SERVERS):
            raise ValueError(f"There are no {len(SERVERS)} ports from {port} on.")
        self.host = host
        self.port = port
        self.settings = Settings()
        self.settings.update(**settings)
        self.faults = Faults()
        self.journal = Journal()
        self.crowd = Crowd(crowd)
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

    # ---- what it holds

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

        :param details: see :class:`.customer_io.Workspace`.
        """
        workspace = Workspace(self.settings, crowd=self.crowd, **details)
        self.workspaces.append(workspace)
        return workspace

    def configure(self, **settings: Any) -> None:
        """
        Change how it behaves.

        :param settings: see :class:`.settings.Settings`.
        """
        self.settings.update(**settings)

    @property
    def requests(self) -> list[Record]:
        """The requests that were served, oldest first."""
        return self.journal.all()

    def reset_requests(self) -> None:
        """Forget the requests so far."""
        self.journal.clear()

    def count(self, api: str | None = None, path_regex: str = "", status: int | None = None) -> int:
        """
        Return how many requests there were.

        :param api: ``amplitude``, ``storage``, ``track`` or ``app``; ``None`` for all.
        :param path_regex: whose path matches somewhere.
        :param status: answered with this status; 429 for those that were too many.
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

        :param account: the project or the workspace that it is to reach.
        """
        if isinstance(account, Project):
            return {
                "conn_type": "amplitude",
                "login": account.api_key,
                "password": account.secret_key,
                "host": self.urls[f"amplitude_{account.region}"],
                "extra": {"region": account.region},
            }
        return {
            "conn_type": "customer_io",
            "login": account.site_id,
            "password": account.tracking_key,
            "extra": {
                "app_api_key": account.app_key,
                "region": account.region,
                "track_base_url": self.urls[f"track_{account.region}"],
                "app_base_url": self.urls[f"app_{account.region}"],
            },
        }

    # ---- life

    def __enter__(self) -> Sandbox:
        """Start to listen."""
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
        """Stop to listen."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        with ExitStack() as opened:  # closes them all where one of them cannot be had
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
            return ControlApi(self).app()
        api, _, region = name.partition("_")
        other = f"app_{'eu' if region == 'us' else 'us'}"
        served: AmplitudeApi | StorageApi | TrackApi | AppApi
        if api == "amplitude":
            served = AmplitudeApi(region, self.projects, self.settings, self.urls)
        elif api == "storage":
            served = StorageApi(self.projects, self.settings)
        elif api == "track":
            served = TrackApi(region, self.workspaces, self.settings)
        else:
            served = AppApi(region, self.workspaces, self.settings, lambda: self.urls[other])
        between = [served.limit] if isinstance(served, AmplitudeApi) else []
        app = vendor_app(api, self.settings, self.faults, self.journal, *between)
        served.add_routes(app)
        return app
