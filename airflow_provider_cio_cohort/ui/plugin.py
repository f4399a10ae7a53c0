"""
The plugin that puts the page into Airflow's navigation.

Every Airflow process loads plugins, including workers, so this module imports almost nothing: the page is
built in the API server when it is first opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from fastapi import FastAPI

_PATH = "cohort-syncs"
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none" '
    'stroke="{colour}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
    '<circle cx="9" cy="8" r="3.5"/><path d="M2.5 20c0-3.6 2.9-6 6.5-6 1.2 0 2.3.3 3.2.7"/>'
    '<path d="M21.5 14.5a4 4 0 0 0-7-1.2M14.5 11v2.5H17M14.5 18.5a4 4 0 0 0 7 1.2M21.5 22v-2.5H19"/></svg>'
)


def _icon(colour: str) -> str:
    return f"data:image/svg+xml,{quote(_ICON.format(colour=colour))}"


class LazyApp:
    """The page's ASGI application, which is built at its first request."""

    def __init__(self) -> None:
        self._app: FastAPI | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on a request."""
        if self._app is None:
            from airflow_provider_cio_cohort.ui.app import build_app

            self._app = build_app()
        await self._app(scope, receive, send)


class CohortSyncsPlugin(AirflowPlugin):
    """Adds the page to Airflow."""

    name = "cohort_syncs"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": f"/{_PATH}", "name": "Cohort syncs"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Cohort syncs",
            # Without a leading slash, so that it is relative to [api] base_url.
            "href": f"{_PATH}/",
            "destination": "nav",
            "category": "browse",
            "url_route": _PATH,
            "icon": _icon("#3f4a5a"),
            "icon_dark_mode": _icon("#d7dce5"),
        }
    ]
