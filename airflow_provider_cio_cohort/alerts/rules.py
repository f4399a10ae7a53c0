"""Who is told of what: an Airflow notifier, its arguments, and the events that it is sent for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Event = Literal["failure", "guard", "recovery", "low_match", "stale"]
#: In the order in which one that is several things at once is called.
EVENTS: tuple[Event, ...] = ("guard", "failure", "recovery", "low_match", "stale")
DEFAULT_EVENTS: tuple[Event, ...] = ("failure", "guard", "recovery", "stale")


@dataclass(frozen=True)
class Alert:
    """
    An alert of a sync.

    :param notifier: the dotted path of an Airflow notifier's class.
    :param on: the events that it is sent for.
    :param arguments: what the notifier is made with; templates, with the variable ``alert``.
    :param match_rate_below: the share of the cohort, 0 to 1, below which ``low_match`` is sent.
    """

    notifier: str
    on: Sequence[Event] = DEFAULT_EVENTS
    arguments: Mapping[str, Any] = field(default_factory=dict)
    match_rate_below: float | None = None

    def concerns(self, events: frozenset[str]) -> bool:
        """
        Say whether it is sent for any of these events.

        :param events: what has happened.
        """
        return not events.isdisjoint(self.on)

    def to_dict(self) -> dict[str, Any]:
        """Return it as Airflow stores it, for :meth:`from_dict`."""
        return {**asdict(self), "on": list(self.on)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Alert:
        """
        Return what :meth:`to_dict` has written.

        :param stored: the dictionary.
        """
        return cls(**{**stored, "on": tuple(stored["on"])})
