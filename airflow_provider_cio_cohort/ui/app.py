"""
The page's routes, with Airflow's login and permissions.

Users who may read assets see the syncs of the DAGs that they may read, and the runs of those for which they
have the rights that Airflow's own pages require. Only the files in ``static`` are public.
"""

from __future__ import annotations

from pathlib import Path

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import (
    ReadableDagsFilterDep,
    requires_access_asset,
    requires_access_dag,
)
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as AnyHTTPException

from airflow_provider_cio_cohort.overview import Memory, load_history, load_overview
from airflow_provider_cio_cohort.ui.pages import error_page, history_page, overview_page
from airflow_provider_cio_cohort.ui.rights import RUN_DETAILS, VisibleRunsDep

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_MAY_READ_ASSETS = Depends(requires_access_asset("GET"))
_MAY_READ_RUNS = [Depends(requires_access_dag("GET", entity)) for entity in RUN_DETAILS]


def build_app() -> FastAPI:
    """Build the application; Airflow's auth manager must be initialized."""
    app = FastAPI(title="Cohort syncs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.auth_manager = get_auth_manager()  # used by Airflow's dependencies
    app.state.memory = Memory()
    app.get("/", response_class=HTMLResponse, dependencies=[_MAY_READ_ASSETS])(overview)
    rights = [_MAY_READ_ASSETS, *_MAY_READ_RUNS]
    app.get("/history", response_class=HTMLResponse, dependencies=rights)(history)
    app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")), name="static")
    app.add_exception_handler(AnyHTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _not_found)
    return app


def overview(
    request: Request, session: SessionDep, readable: ReadableDagsFilterDep, runs: VisibleRunsDep
) -> HTMLResponse:
    """
    Show all syncs.

    :param request: the request; its application has the memory of earlier looks.
    :param session: a session of the metadata database.
    :param readable: the DAGs that the user may read.
    :param runs: picks those whose runs the user may see.
    """
    memory = request.app.state.memory
    found = load_overview(session, readable.value or set(), visible_runs=runs, memory=memory)
    return _page(overview_page(found))


def history(
    session: SessionDep,
    readable: ReadableDagsFilterDep,
    dag_id: str,
    task_id: str,
    asset_id: int | None = None,
    part: str | None = None,
) -> HTMLResponse:
    """
    Show one sync.

    :param session: a session of the metadata database.
    :param readable: the DAGs that the user may read.
    :param dag_id: the sync's DAG; Airflow's dependency uses it as well.
    :param task_id: the sync's task.
    :param asset_id: the segment's asset; ``None`` if it has none.
    :param part: which of the task's syncs without an asset it is.
    """
    found = load_history(session, dag_id, task_id, asset_id, readable.value or set(), part=part)
    if found is None:
        raise HTTPException(404, "There is no such sync.")
    return _page(history_page(found))


def _page(html: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(html, status, headers=_HEADERS)


async def _refuse(request: Request, error: Exception) -> Response:
    """Respond to a browser with a page, and to other clients as Airflow's API does."""
    assert isinstance(error, AnyHTTPException)  # noqa: S101 (the type that it is registered for)
    if "text/html" in request.headers.get("accept", ""):
        return _page(error_page(error.status_code), error.status_code)
    return await http_exception_handler(request, error)


async def _not_found(request: Request, _: Exception) -> Response:
    return await _refuse(request, HTTPException(404, "There is no such sync."))
