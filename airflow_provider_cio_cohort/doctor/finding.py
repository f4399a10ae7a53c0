"""What the doctor reports: a line for each question that it has asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What a line says about the syncs."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    #: The question has no answer: a vendor is down, or an earlier line is wrong.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """
    A line of the report.

    :param name: identifies the question, such as ``customer_io.track_keys``; scripts rely on it.
    :param status: what the line says about the syncs.
    :param seen: what was seen, in a sentence without a key, a person or a cohort's name.
    :param meaning: what that means for syncs; empty if nothing.
    :param advice: what to do; empty if nothing.
    :param facts: the vendor's facts that were seen, by the keys of :data:`.facts.FACTS`: plain values.
    """

    name: str
    status: Status
    seen: str
    meaning: str = ""
    advice: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, str]:
        """Return the line as plain data, without its facts."""
        return {
            "name": self.name,
            "status": self.status.value,
            "seen": self.seen,
            "meaning": self.meaning,
            "advice": self.advice,
        }
