"""The text of an alert: which sync, what has happened, why, and a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

from airflow_provider_cio_cohort.alerts.rules import EVENTS
from airflow_provider_cio_cohort.compatibility import AirflowException, conf

#: The fields of an alert that is sent as JSON.
FIELDS = ("event", "sync", "headline", "details", "link", "dag_id", "run_id")
#: The length that fits on a pager and into a text message.
HEADLINE_LENGTH = 160


@dataclass(frozen=True)
class Message:
    """
    The content of an alert; the variable ``alert`` in the arguments of a notifier.

    :param event: the event; the most important one if there are several.
    :param sync: the sync, with its target if it has several.
    :param headline: one line, short enough for a pager.
    :param details: further sentences: the reason in full, and what to do.
    :param link: the URL in Airflow.
    :param dag_id: the sync's DAG.
    :param run_id: the run, empty where there is none.
    :param events: all events.
    """

    event: str
    sync: str
    headline: str
    details: str
    link: str
    dag_id: str
    run_id: str = ""
    events: frozenset[str] = field(default_factory=frozenset)

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        return "\n\n".join(part for part in (self.headline, self.details, self.link) if part)

    @property
    def html(self) -> str:
        """The whole message as HTML."""
        details = escape(self.details).replace("\n", "<br>\n")
        link = f'<a href="{escape(self.link)}">Open it in Airflow</a>'
        return f"<p><b>{escape(self.headline)}</b></p>\n<p>{details}</p>\n<p>{link}</p>\n"


def main_event(events: frozenset[str]) -> str:
    """
    Return the most important of several events.

    :param events: at least one of them.
    """
    return next(event for event in EVENTS if event in events)


def shorten(line: str) -> str:
    """
    Shorten a line to the length of a headline.

    :param line: the line.
    """
    return line if len(line) <= HEADLINE_LENGTH else line[: HEADLINE_LENGTH - 1].rstrip() + "…"


def reason_of(error: object) -> tuple[str, str]:
    """
    Return why a task has failed: a sentence, and the details.

    :param error: the exception; ``None`` if Airflow has none.
    """
    if error is None:
        return (
            "it exited without reporting an error.",
            "It exited without reporting an error: its process was killed or ran out of memory, its machine "
            "went down, or a user marked it as failed. "
            "It is unknown whether anything was written; the next run compares with the actual segment and "
            "completes it.",
        )
    if not isinstance(error, AirflowException):
        # The message of any other exception may contain personal data, and an alert leaves the deployment.
        kind = type(error).__name__
        return f"{kind}, see the log.", f"{kind}: see the task's log."
    whole = str(error).strip() or type(error).__name__
    return whole.splitlines()[0], whole


def link_to(dag_id: str, run_id: str = "", task_id: str = "") -> str:
    """
    Return the address of a DAG, a run or a task in Airflow.

    :param dag_id: the DAG.
    :param run_id: its run.
    :param task_id: the run's task.
    """
    parts = {"dags": dag_id, "runs": run_id, "tasks": task_id}
    path = "/".join(f"{kind}/{quote(name, safe='')}" for kind, name in parts.items() if name)
    return f"{str(conf.get('api', 'base_url', fallback='http://localhost:8080')).rstrip('/')}/{path}"


def of_task(where: Mapping[str, str], sync: str, events: frozenset[str], line: str, details: str) -> Message:
    """
    Return the message about a task.

    :param where: ``dag_id``, ``run_id`` and ``task_id``.
    :param sync: the sync, with its target.
    :param events: what has happened.
    :param line: what has happened, to go behind the sync's name.
    :param details: further sentences.
    """
    return Message(
        event=main_event(events),
        sync=sync,
        headline=shorten(f"Cohort sync {sync} {line}"),
        details=details,
        link=link_to(**where),
        dag_id=where["dag_id"],
        run_id=where["run_id"],
        events=events,
    )
