"""The keys of an alert in the YAML file."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from airflow_provider_cio_cohort.alerts.rules import DEFAULT_EVENTS, Alert, Event
from airflow_provider_cio_cohort.dag_generation.messages import show
from airflow_provider_cio_cohort.sync.values import wrong_parameter

#: How many alerts a sync may have.
MAX_ALERTS = 20


def _importable(path: str) -> str:
    module = path.rpartition(".")[0]
    if not _is_installed(module):
        raise ValueError(
            f"the module {show(module)} is not installed here. Install the provider of this notifier, or "
            "correct the path."
        )
    return path


@cache
def _is_installed(module: str) -> bool:
    # The module itself is not imported: DAG files are parsed every few seconds, and notifiers import slowly.
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _storable(arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(arguments, allow_nan=False)  # Airflow stores them with the deadline
    except (TypeError, ValueError):
        raise ValueError(
            "it contains a date or another value that is not plain data. Put it in quotes."
        ) from None
    return arguments


_Notifier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$", max_length=500),
    AfterValidator(_importable),
]


class AlertKeys(BaseModel):
    """One alert: an Airflow notifier, and when it is sent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    notifier: _Notifier = Field(
        description="The dotted path of an Airflow notifier, from an installed provider or your own.",
        examples=[
            "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
            "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
            "airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier",
            "airflow.providers.http.notifications.HttpNotifier",
        ],
    )
    on: Annotated[list[Event], Field(min_length=1, max_length=5)] = Field(
        default=list(DEFAULT_EVENTS),
        description="When it is sent; put the key in quotes, because YAML 1.1 reads a bare on as true (both "
        "work). failure: a task has failed after its last try. guard: a guard has stopped a run, or "
        "asks for an approval. recovery: the first success after failures, or after the segment was stale. "
        "low_match: a smaller share of the cohort matched than match_rate_below. stale: max_age has passed.",
    )
    arguments: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(
        default={},
        description="The arguments of the notifier; templates may use alert.headline, alert.text, "
        "alert.html, alert.markdown, alert.slack, alert.link and alert.event. Secrets belong in a "
        "connection, not here.",
    )
    match_rate_below: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="The share of the cohort, 0 to 1, below which low_match is sent. When left out: 0.5, and "
        "only for cohorts of more than 20 identifiers.",
    )

    @model_validator(mode="after")
    def _rate_and_event_go_together(self) -> AlertKeys:
        if "low_match" not in self.on and self.match_rate_below is not None:
            raise wrong_parameter(
                "match_rate_below", "it has no effect, because low_match is not in the list on."
            )
        return self

    @property
    def alert(self) -> Alert:
        """The alert for the tasks."""
        return Alert(self.notifier, tuple(self.on), self.arguments, self.match_rate_below)


def usable_alerts(value: object) -> list[AlertKeys]:
    """Return the alerts of a list that are valid on their own, so that a mistake in one silences no other."""
    found = []
    for each in value if isinstance(value, list) else ():
        try:
            found.append(AlertKeys.model_validate(each))
        except ValidationError:
            continue
    return found[:MAX_ALERTS]
