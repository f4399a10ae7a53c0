"""The keys of an alert in the YAML file."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from airflow_provider_cio_cohort.alerts.rules import DEFAULT_EVENTS, Alert, Event
from airflow_provider_cio_cohort.dag_generation.errors import show, wrong_key


def _importable(path: str) -> str:
    module = path.rpartition(".")[0]
    if not _is_installed(module):
        raise ValueError(
            f"there is no module {show(module)} here. Install the provider that has this notifier, or "
            "correct the path."
        )
    return path


@cache
def _is_installed(module: str) -> bool:
    # The module itself is not imported: a DAG file is parsed every few seconds, and notifiers are heavy.
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _storable(arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(arguments, allow_nan=False)  # Airflow stores them with the deadline
    except (TypeError, ValueError):
        raise ValueError(
            "it holds a date or something else that is no plain value. Put it in quotes."
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
        description="The dotted path of an Airflow notifier, of an installed provider or of your own.",
        examples=[
            "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
            "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
            "airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier",
            "airflow.providers.http.notifications.HttpNotifier",
        ],
    )
    on: Annotated[list[Event], Field(min_length=1, max_length=5)] = Field(
        default=list(DEFAULT_EVENTS),
        description="When it is sent; in quotes, for old YAML takes a bare on for true (both are read). "
        "failure: a task has failed after its last try. guard: a guard has stopped a run, or "
        "asks for an approval. recovery: the first success after failures, or after the segment was stale. "
        "low_match: fewer of the cohort matched than match_rate_below. stale: max_age has passed.",
    )
    arguments: Annotated[dict[str, Any], AfterValidator(_storable)] = Field(
        default={},
        description="What the notifier is made with; templates may use alert.headline, alert.text, "
        "alert.html and alert.link. Keys belong into a connection, not here.",
    )
    match_rate_below: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="The share of the cohort, 0 to 1, below which low_match is sent; without a list on, it "
        "adds that event.",
    )

    @model_validator(mode="after")
    def _rate_and_event_go_together(self) -> AlertKeys:
        # An alert that gives the limit, but no list of events, means it.
        listed = "on" in self.model_fields_set
        if listed and "low_match" in self.on and self.match_rate_below is None:
            raise wrong_key(
                "match_rate_below", "it is missing: low_match needs the share below which it is sent."
            )
        if listed and "low_match" not in self.on and self.match_rate_below is not None:
            raise wrong_key("match_rate_below", "it has no effect, because low_match is not in the list on.")
        return self

    @property
    def alert(self) -> Alert:
        """The alert as the tasks need it."""
        also = () if "on" in self.model_fields_set or self.match_rate_below is None else ("low_match",)
        return Alert(self.notifier, (*self.on, *also), self.arguments, self.match_rate_below)
