"""The alerts of a sync: an Airflow notifier, its arguments, and the events that it is sent for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from airflow_provider_cio_cohort.cohorts import LOW_MATCH_RATE, is_low_match_rate
from airflow_provider_cio_cohort.state import fingerprint

Event = Literal["failure", "guard", "recovery", "low_match", "stale"]
#: By importance: of several events, an alert names the first one that it is sent for.
EVENTS: tuple[Event, ...] = ("guard", "failure", "recovery", "low_match", "stale")
DEFAULT_EVENTS: tuple[Event, ...] = ("failure", "guard", "recovery", "low_match", "stale")


@dataclass(frozen=True)
class Alert:
    """
    An alert of a sync.

    :param notifier: the dotted path of an Airflow notifier's class.
    :param on: the events that it is sent for.
    :param arguments: the arguments of the notifier; templates, with the variable ``alert``.
    :param match_rate_below: the share of the cohort, 0 to 1, below which ``low_match`` is sent, however small
        the cohort; ``None`` for the default, see :func:`.is_low_match_rate`.
    """

    notifier: str
    on: Sequence[Event] = DEFAULT_EVENTS
    arguments: Mapping[str, Any] = field(default_factory=dict)
    match_rate_below: float | None = None

    def concerns(self, events: frozenset[str]) -> bool:
        """Return whether it is sent for any of these events."""
        return not events.isdisjoint(self.on)

    def event_of(self, events: frozenset[str]) -> Event:
        """
        Return the most important of the events that it is sent for.

        :param events: what has happened; it is sent for at least one of them.
        """
        return next(event for event in EVENTS if event in events and event in self.on)

    def is_low(self, rate: float | None, identifiers: int | None) -> bool:
        """
        Return whether a match rate is so low that ``low_match`` is sent.

        :param rate: the share of the cohort's identifiers that matched, 0 to 1; ``None`` if it is unknown.
        :param identifiers: how many there are; ``None`` if that is unknown.
        """
        if self.match_rate_below is None:
            return is_low_match_rate(rate, identifiers)
        return rate is not None and rate < self.match_rate_below

    @property
    def limit(self) -> float:
        """The share of the cohort below which ``low_match`` is sent."""
        return LOW_MATCH_RATE if self.match_rate_below is None else self.match_rate_below

    @property
    def fingerprint(self) -> str:
        """A short text that tells it apart from other alerts, and does not reveal its arguments."""
        return fingerprint(json.dumps(self.to_dict(), sort_keys=True, default=str))

    def to_dict(self) -> dict[str, Any]:
        """Return the alert as plain data, for :meth:`from_dict`."""
        return {**asdict(self), "on": list(self.on)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Alert:
        """Return the alert from the data of :meth:`to_dict`."""
        return cls(**{**stored, "on": tuple(stored["on"])})
