"""Asks on the terminal for values that no option gives."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from airflow_provider_cio_cohort.cli.choices import Choice, choose, find, of_cohort, of_segment
from airflow_provider_cio_cohort.cli.output import printable
from airflow_provider_cio_cohort.cli.runtime import WRONG_USAGE, CommandError, agrees, say
from airflow_provider_cio_cohort.cli.vendors import Vendors
from airflow_provider_cio_cohort.dag_generation.spec import SEGMENT_KEYS, Sync
from airflow_provider_cio_cohort.dag_generation.validation_messages import explain
from airflow_provider_cio_cohort.exceptions import CohortSyncError

Listed = TypeVar("Listed")

#: The keys of a first sync, in the order of the file.
KEYS = (
    "name",
    "cohort_id",
    "segment_name",
    "user_id_property",
    "id_type",
    "cadence",
    "timezone",
    "amplitude_conn_id",
    "customer_io_conn_id",
)
#: The options that name what a vendor lists, and the keys that this gives a value.
_LOOKED_UP = {"cohort": "cohort_id", "segment": "segment_name"}
_QUESTIONS = {
    "name": "Name of the sync; its DAG will be cohort_sync__<name>",
    "cohort_id": "Amplitude cohort, the last part of its address",
    "segment_name": "Customer.io segment; one that does not exist is created",
    "user_id_property": "Amplitude property that is the Customer.io identifier",
    "id_type": "Which of Customer.io's identifiers the property holds: id, email or cio_id",
    "cadence": "When: manual, once, realtime, hourly, daily, weekly, monthly, or a cron expression",
    "timezone": "Timezone, such as Europe/Berlin",
    "amplitude_conn_id": "Airflow connection to the Amplitude project",
    "customer_io_conn_id": "Airflow connection to the Customer.io workspace",
}
#: Valid values for all required keys, so that each answer can be checked on its own.
_SOUND = {"name": "sync", "cohort_id": "a1b2c3d", "segment_name": "Segment"}
_UNLISTED_COHORT = (
    "`airflow cohort-sync cohorts` shows the list; for a cohort that is not discoverable, pass --cohort-id."
)
_NEW_SEGMENT = "`airflow cohort-sync segments` shows the list; for a new segment, pass --segment-name."
#: How Amplitude makes ids: such a text is an id even if the list does not show it.
_ID = re.compile(r"[a-z0-9]{7,8}")


@dataclass(frozen=True)
class Answers:
    """
    What a first file is to hold.

    :param values: the sync's keys, in the order of the file.
    :param names: the vendors' names of what is given by an id, by key.
    """

    values: dict[str, str | int]
    names: dict[str, str]


def answers(given: Mapping[str, Any]) -> Answers:
    """
    Return a value for each of a first sync's keys.

    :param given: the values of the options; ``None`` for a missing one.
    :raises CommandError: if a value is wrong, a required one is missing without a terminal, or an option
        names a cohort or segment that does not exist.
    :raises CohortSyncError: if an option names a cohort or segment, and a vendor cannot list them.
    """
    asking = _Asking(given)
    asking.cohort()
    asking.segment()
    for key in KEYS:
        if key not in SEGMENT_KEYS:
            asking.fill(key)
    order = (*KEYS[:3], "segment_id", *KEYS[3:])
    return Answers({key: asking.values[key] for key in order if key in asking.values}, asking.names)


class _Asking:
    """Collects the values: from options, from the vendors' lists, from the terminal, and defaults."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.is_terminal = sys.stdin.isatty()
        self.vendors = Vendors()
        self.values: dict[str, str | int] = {}
        self.names: dict[str, str] = {}
        self.suggested: dict[str, str] = {}
        for key in KEYS:
            if given[key] is not None:
                self.values[key], problem = _checked(key, given[key])
                if problem:
                    raise CommandError(f"{_flag(key)}: {problem}", WRONG_USAGE)
        for flag, key in _LOOKED_UP.items():
            if given[flag] is not None and key in self.values:
                raise CommandError(f"Pass either {_flag(flag)} or {_flag(key)}, not both.", WRONG_USAGE)
        looked_up = {key: flag for flag, key in _LOOKED_UP.items() if given[flag] is None}
        missing = [
            " or ".join(map(_flag, filter(None, (looked_up.get(key), key))))
            for key in KEYS
            if _default(key) is None and key not in self.values and (key == "name" or key in looked_up)
        ]
        if missing and not self.is_terminal:
            raise CommandError(f"stdin is not a terminal: pass {', '.join(missing)}.", WRONG_USAGE)

    def fill(self, key: str) -> None:
        """Give a key its value, if it has none yet: the user's, or else the default."""
        if key not in self.values:
            default = self.suggested.get(key, _default(key))
            self.values[key] = _ask(key, default) if self.is_terminal else str(default)

    def cohort(self) -> None:
        """Find or choose the cohort."""
        if "cohort_id" in self.values:
            return
        self.fill("amplitude_conn_id")
        amplitude = self.vendors.amplitude(str(self.values["amplitude_conn_id"]))
        wanted = self.given["cohort"]
        if wanted is not None:
            listed = [of_cohort(cohort) for cohort in amplitude.check()]
            self._take_cohort(find(listed, wanted, "--cohort", _UNLISTED_COHORT))
            return
        cohorts = self._listed("cohorts", amplitude.check)
        if cohorts is None:
            self.fill("cohort_id")
        else:
            self._take_cohort(_choose_cohort([of_cohort(cohort) for cohort in cohorts]))

    def _take_cohort(self, cohort: Choice) -> None:
        self.values["cohort_id"] = cohort.id
        if cohort.name:
            self.names["cohort_id"] = cohort.name
            self.suggested["name"] = _sync_name(cohort.name)
        _confirm(cohort)

    def segment(self) -> None:
        """Find or choose the segment."""
        if "segment_name" in self.values:
            return
        self.fill("customer_io_conn_id")
        customer_io = self.vendors.customer_io(str(self.values["customer_io_conn_id"]))
        cohort_id, wanted = str(self.values["cohort_id"]), self.given["segment"]
        if wanted is not None:
            listed = [of_segment(segment, cohort_id) for segment in customer_io.list_segments()]
            self._take_segment(find(listed, wanted, "--segment", _NEW_SEGMENT), listed)
            return
        segments = self._listed("segments", customer_io.list_segments)
        if segments is None:
            self.fill("segment_name")
            return
        listed = [of_segment(segment, cohort_id) for segment in segments]
        cohort = self.names.get("cohort_id")
        new = _checked("segment_name", f"{cohort} [Amplitude]") if cohort else ("", "unknown")
        offer = None if new[1] or any(each.name == new[0] for each in listed) else new[0]
        chosen = _choose_segment(listed, offer)
        if isinstance(chosen, str):
            self.values["segment_name"] = chosen
            say(f"The first run creates the segment {printable(chosen)}.")
        else:
            self._take_segment(chosen, listed)

    def _take_segment(self, segment: Choice, listed: Sequence[Choice]) -> None:
        """Take it by name, unless only its number is certain to mean it."""
        name, problem = _checked("segment_name", segment.name)
        is_certain = not problem and sum(each.name == name for each in listed) == 1
        if is_certain and name == segment.name:
            self.values["segment_name"] = name
        else:
            self.values["segment_id"] = int(segment.id)
            self.names["segment_id"] = segment.name
        _confirm(segment)

    def _listed(self, what: str, read: Callable[[], list[Listed]]) -> list[Listed] | None:
        """Return what a vendor lists; ``None``, after the reason, if that is unknown."""
        if not self.is_terminal:
            return None
        say(f"Listing the {what} …")
        try:
            return read()
        except (CohortSyncError, CommandError) as error:
            say(f"{error}\nThe {what} cannot be listed, so enter one yourself.")
            return None


def _choose_cohort(cohorts: Sequence[Choice]) -> Choice:
    while True:
        chosen = choose(cohorts, "Amplitude cohort: a number, an id, or (a part of) a name", _read)
        if isinstance(chosen, Choice):
            return chosen
        shown = printable(chosen)
        if _ID.fullmatch(chosen) and agrees(
            f"Amplitude's list has no cohort {shown}, but leaves out those that are not discoverable. Use it?"
        ):
            return Choice(chosen, "")
        say(f"No cohort has {shown} in its name or id.")


def _choose_segment(segments: Sequence[Choice], offer: str | None) -> Choice | str:
    while True:
        chosen = choose(
            segments, "Customer.io segment: a number, (a part of) a name, or a new name", _read, offer
        )
        if isinstance(chosen, Choice):
            return chosen
        name, problem = _checked("segment_name", chosen)
        if not problem:
            return name
        say(problem)


def _confirm(choice: Choice) -> None:
    say(str(choice))
    if choice.note:
        say(choice.note)


def _sync_name(name: str) -> str:
    """Return a cohort's name as a valid name of a sync; empty if nothing of it can be used."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:60].strip("_")


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _default(key: str) -> str | None:
    field = Sync.model_fields[key]
    return None if key in _SOUND else str(field.default)


def _ask(key: str, default: str | None) -> str:
    while True:
        value, problem = _checked(key, _read(_QUESTIONS[key], default))
        if not problem:
            return value
        say(problem)


def _read(question: str, default: str | None) -> str:
    """Show a question on the terminal, and return the answer; the default if it is empty."""
    suggestion = f" [{default}]" if default else ""
    sys.stderr.write(f"{question}{suggestion}: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
        raise CommandError(
            "The input ended before every question was answered; nothing was written.", WRONG_USAGE
        )
    return line.strip() or default or ""


def _checked(key: str, value: str) -> tuple[str, str]:
    """Return a value as it is written to the file, and the problem with it, if any."""
    try:
        sync = Sync(**{**_SOUND, key: value})  # type: ignore[arg-type]
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        return value, explain(details, value)[1]
    return str(getattr(sync, key)), ""
