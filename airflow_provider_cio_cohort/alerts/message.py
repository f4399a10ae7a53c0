"""What an alert says: which sync, what has happened, why, and where to go; not how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from airflow_provider_cio_cohort.compatibility import AirflowException, conf

#: The length that fits on a pager and into a text message.
HEADLINE_LENGTH = 160

Kind = Literal["failure", "guard", "approval", "recovery", "low_match", "stale", "stuck", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """
    The content of an alert.

    :param kind: what has happened, for the look of the message.
    :param events: all events; alerts about any of them are sent.
    :param sync: the sync, with its target if it has several.
    :param headline: one line, short enough for a pager.
    :param reason: what has happened, as a full sentence, however long.
    :param facts: names and numbers, by what they are.
    :param causes: further sentences, as a list.
    :param explanation: what it means, and what to do.
    :param link: the URL in Airflow.
    :param dag_id: the sync's DAG.
    :param run_id: the run, empty where there is none.
    """

    kind: Kind
    events: frozenset[str]
    sync: str
    headline: str
    reason: str
    link: str
    dag_id: str
    facts: Mapping[str, str] = field(default_factory=dict)
    causes: tuple[str, ...] = ()
    explanation: str = ""
    run_id: str = ""

    @property
    def details(self) -> str:
        """What the headline does not say, as plain text."""
        parts = (
            "" if self.reason_is_in_headline else self.reason,
            "\n".join(f"{name}: {fact}" for name, fact in self.facts.items()),
            "\n".join(f"- {cause}" for cause in self.causes),
            self.explanation,
        )
        return "\n\n".join(part for part in parts if part)

    @property
    def reason_is_in_headline(self) -> bool:
        """Whether the headline says the whole reason, so that it need not be repeated."""
        return not self.headline.endswith(CUT)


#: The end of a headline that was too long.
CUT = "…"


def shorten(line: str) -> str:
    """Shorten a line to the length of a headline."""
    return line if len(line) <= HEADLINE_LENGTH else line[: HEADLINE_LENGTH - 1].rstrip() + CUT


def reason_of(error: object) -> tuple[str, str]:
    """
    Return why a task has failed: a sentence, and what else is known.

    :param error: the exception; ``None`` if Airflow has none.
    """
    if error is None:
        return (
            "It exited without reporting an error.",
            "Its process was killed or ran out of memory, its machine went down, or a user marked it as "
            "failed. It is unknown whether anything was written; the next run compares with the actual "
            "segment and completes it.",
        )
    if not isinstance(error, AirflowException):
        # The message of any other exception may contain personal data, and an alert leaves the deployment.
        return f"{type(error).__name__}: see the task's log.", ""
    first, _, rest = (str(error).strip() or type(error).__name__).partition("\n")
    return first.strip(), rest.strip()


def link_to(dag_id: str, run_id: str = "", task_id: str = "") -> str:
    """Return the address of a DAG, a run or a task in Airflow."""
    parts = {"dags": dag_id, "runs": run_id, "tasks": task_id}
    path = "/".join(f"{kind}/{quote(name, safe='')}" for kind, name in parts.items() if name)
    return f"{str(conf.get('api', 'base_url', fallback='http://localhost:8080')).rstrip('/')}/{path}"


def of_task(
    where: Mapping[str, str], sync: str, kind: Kind, events: frozenset[str], line: str, **content: Any
) -> Message:
    """
    Return the message about a task.

    :param where: ``dag_id``, ``run_id`` and ``task_id``.
    :param sync: the sync, with its target.
    :param kind: what has happened, for the look of the message.
    :param line: what has happened, to go behind the sync's name.
    """
    return Message(
        kind=kind,
        events=events,
        sync=sync,
        headline=shorten(f"Cohort sync {sync} {line}"),
        link=link_to(**where),
        dag_id=where["dag_id"],
        run_id=where["run_id"],
        **content,
    )
