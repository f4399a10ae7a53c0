"""Renders the pages about the syncs as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from airflow_provider_cio_cohort.overview import Attention, History, Kind, Overview, Run, State, Sync
from airflow_provider_cio_cohort.ui import words
from airflow_provider_cio_cohort.ui.charts import large_chart, small_chart

_HERE = Path(__file__).parent
_REASONS = {
    401: ("Please log in", "This page is for people who are logged in to Airflow."),
    403: ("No access", "This page requires permission to read assets, and the sync's DAG with its runs."),
    404: ("Not found", "There is no such sync. Its DAG may have been renamed or removed."),
}


def overview_page(overview: Overview) -> str:
    """
    Return the list of all syncs.

    :param overview: what to show.
    """
    wanting = {id(one.sync) for one in overview.attention if one.sync is not None}
    return _render(
        "overview.html",
        overview=overview,
        now=overview.now,
        groups=tuple(_groups(overview.attention)),
        wanting=lambda sync: id(sync) in wanting,
        active=[sync for sync in overview.syncs if sync.state is not State.DISABLED],
    )


def history_page(history: History) -> str:
    """
    Return the page of one sync.

    :param history: what to show.
    """
    return _render("history.html", history=history, sync=history.sync, now=history.now)


def error_page(status: int) -> str:
    """
    Return the page of an error.

    :param status: the HTTP status code.
    """
    title, text = _REASONS.get(status, ("Error", "This page cannot be shown."))
    return _render("error.html", title=title, text=text)


@dataclass(frozen=True)
class Group:
    """Everything that needs attention for the same reason."""

    kind: Kind
    items: tuple[Attention, ...]

    @property
    def opened(self) -> bool:
        """Whether it is shown open: not for paused DAGs, nor for a list that would fill the page."""
        return self.kind is not Kind.PAUSED and len(self.items) <= 10


def _groups(attention: Iterable[Attention]) -> Iterator[Group]:
    found: dict[Kind, list[Attention]] = {}
    for one in attention:
        found.setdefault(one.kind, []).append(one)
    return (Group(kind, tuple(items)) for kind, items in found.items())


# All links are relative, so that they work with any base path of Airflow; every page is one level below
# Airflow's root.
def dag_link(of: Sync | str) -> str:
    """Return the link to a DAG in Airflow, given by its sync or its id."""
    return f"../dags/{quote(of if isinstance(of, str) else of.dag.dag_id, safe='')}"


def run_link(sync: Sync, run: Run) -> str:
    """
    Return the link to a run.

    :param sync: the sync.
    :param run: the run.
    """
    return f"{dag_link(sync)}/runs/{quote(run.run_id, safe='')}"


def log_link(sync: Sync, run: Run) -> str:
    """
    Return the link to the log of the task that failed in a run; to the sync's task if that is not known.

    :param sync: the sync.
    :param run: the run.
    """
    failure = run.failure
    task = f"{run_link(sync, run)}/tasks/{quote(failure.task_id if failure else sync.task_id, safe='')}"
    index = failure.map_index if failure else run.map_index
    return task if index is None or index < 0 else f"{task}/mapped/{index}"


def history_link(sync: Sync) -> str:
    """Return the link to a sync's page; to its DAG if the user may not see that."""
    if not sync.shows_runs:
        return dag_link(sync)
    which = {"dag_id": sync.dag.dag_id, "task_id": sync.task_id}
    key = {"part": sync.part} if sync.asset_id is None else {"asset_id": sync.asset_id}
    known = {name: value for name, value in key.items() if value is not None}
    return f"history?{urlencode({**which, **known})}"


def when(moment: datetime | None, now: datetime, zone: str | None = None) -> Markup | str:
    """
    Return how long ago a moment was, with the moment as a tooltip.

    :param moment: the moment.
    :param now: the current time.
    :param zone: the name of the timezone to show it in; ``None`` for that chosen in Airflow.
    """
    return words.NOTHING if moment is None else _time(moment, words.ago(moment, now), zone)


def lasting(since: datetime, now: datetime, zone: str | None = None) -> Markup:
    """
    Return how long something has lasted, with its start as a tooltip.

    :param since: the start.
    :param now: the current time.
    :param zone: as for :func:`when`.
    """
    return _time(since, words.lasting(since, now), zone)


# Functions, because a page has thousands of these, and a macro takes much longer.
def _time(moment: datetime, said: str, zone: str | None) -> Markup:
    title, local = escape(words.moment(moment, zone or "UTC")), "" if zone else ' data-local="title"'
    tag = f'<time datetime="{moment.isoformat()}" title="{title}"{local}>{escape(said)}</time>'
    return Markup(tag)  # noqa: S704 (all of it is escaped above)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(
        Kind=Kind,
        State=State,
        words=words,
        dag_link=dag_link,
        run_link=run_link,
        log_link=log_link,
        when=when,
        lasting=lasting,
        history_link=history_link,
        small_chart=small_chart,
        large_chart=large_chart,
        version=_version(),
    )
    return environment


def _version() -> str:
    """Return a version that changes with the static files, so that browsers do not cache old ones."""
    digest = sha256()
    for path in sorted((_HERE / "static").iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
