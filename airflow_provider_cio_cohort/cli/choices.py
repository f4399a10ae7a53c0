"""The cohorts and segments that a first sync can use: found by name or id, or chosen on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airflow_provider_cio_cohort.cli.output import named, printable
from airflow_provider_cio_cohort.cli.runtime import NO, WRONG_USAGE, CommandError, say
from airflow_provider_cio_cohort.cohorts import MOST_MEMBERS
from airflow_provider_cio_cohort.dag_generation.messages import did_you_mean, show
from airflow_provider_cio_cohort.exceptions import CohortSyncError
from airflow_provider_cio_cohort.hooks.amplitude import Cohort
from airflow_provider_cio_cohort.hooks.customer_io_api import Segment, as_manual
from airflow_provider_cio_cohort.sync.run import as_usable
from airflow_provider_cio_cohort.sync.target import is_owned, managed_for

#: How many are shown at a time.
SHOWN = 15


@dataclass(frozen=True)
class Choice:
    """
    A cohort or a segment.

    :param id: its id.
    :param name: its name.
    :param facts: what else helps to recognise it.
    :param problem: why no sync can use it; empty if one can.
    :param note: what to know when it is chosen.
    """

    id: str
    name: str
    facts: str = ""
    problem: str = ""
    note: str = ""

    def __str__(self) -> str:
        return printable(named(self.name, self.id) + self.facts)

    def has(self, text: str) -> bool:
        """Return whether the name or the id contains a text, whatever the case."""
        return text.casefold() in self.name.casefold() or text.casefold() in self.id.casefold()


def of_cohort(cohort: Cohort) -> Choice:
    """Return a cohort as a choice."""
    facts = ", not computed yet" if cohort.size is None else f", {cohort.size:,} people"
    note = ""
    if cohort.size is not None and cohort.size > MOST_MEMBERS:
        facts += ", too large"
        note = f"Amplitude exports at most {MOST_MEMBERS:,} people of a cohort, so a run will probably fail."
    return Choice(cohort.id, cohort.name, facts, _problem(as_usable, cohort), note)


def of_segment(segment: Segment, cohort_id: str) -> Choice:
    """
    Return a segment as a choice.

    :param cohort_id: the cohort that is to fill it.
    """
    cohort = managed_for(segment.description)
    facts = f", created for cohort {cohort}" if cohort else ""
    note = ""
    if not is_owned(segment.description, cohort_id):
        note = (
            f"No sync created this segment for cohort {cohort_id}: a run that would remove people from it is "
            "refused, unless you add adopt_segment: true."
        )
    return Choice(str(segment.id), segment.name, facts, _problem(as_manual, segment), note)


def _problem(check: Callable[..., object], item: object) -> str:
    try:
        check(item)
    except CohortSyncError as error:
        return printable(str(error).replace("\n", " "))
    return ""


def find(choices: Sequence[Choice], text: str, flag: str, otherwise: str) -> Choice:
    """
    Return the choice that has an id or a name.

    :param otherwise: what to do for one that is not listed.
    :raises CommandError: if there is none, or several have the name, or no sync can use it.
    """
    found = _called(choices, text)
    if len(found) > 1:
        ids = ", ".join(choice.id for choice in found)
        raise CommandError(f"{flag}: {show(text)} is the name of several. Pass an id: {ids}.", WRONG_USAGE)
    if not found:
        similar = printable(did_you_mean(text, (choice.name for choice in choices)))
        raise CommandError(
            f"{flag}: {show(text)} is neither a name nor an id in the list.{similar} {otherwise}",
            WRONG_USAGE,
        )
    if found[0].problem:
        raise CommandError(f"{flag}: {found[0].problem}", NO)
    return found[0]


def choose(
    choices: Sequence[Choice], question: str, ask: Callable[[str, str | None], str], new: str | None = None
) -> Choice | str:
    """
    Show choices on the terminal, and return the user's, or a text that is in no name and no id.

    :param choices: all that the vendor lists; those that no sync can use are not shown, but explained.
    :param ask: shows a question with its default, and returns the answer.
    :param new: the name of a new one to offer; ``None`` to offer none.
    """
    usable = sorted((c for c in choices if not c.problem), key=lambda c: (c.name.casefold(), c.id))
    shown, offered = usable, new
    while True:
        _list(shown, offered)
        if len(choices) > len(usable) and shown is usable:
            say(f"Not shown: {len(choices) - len(usable):,} that no sync can use; type a name to see why.")
        default = "0" if offered and shown is usable else "1" if len(shown) == 1 and not offered else None
        text = ask(question, default) or ""
        if text.isdecimal() and 0 < int(text) <= min(len(shown), SHOWN):
            return shown[int(text) - 1]
        if offered and text == "0":
            return offered
        called = _called(choices, text)
        if len(called) == 1 and not called[0].problem:
            return called[0]
        found = [choice for choice in usable if choice.has(text)]
        if called and called[0].problem and called[0] not in found:
            say(called[0].problem)
        elif text and not found:
            return text
        else:
            shown, offered = (found, new and text) if text else (usable, new)


def _list(choices: Sequence[Choice], new: str | None) -> None:
    if new:
        say(f"   0  a new one: {printable(new)}")
    for number, choice in enumerate(choices[:SHOWN], start=1):
        say(f"  {number:>2}  {choice}")
    if not choices and not new:
        say("  (none)")
    if len(choices) > SHOWN:
        say(f"{SHOWN} of {len(choices):,}: type a part of a name to see others.")


def _called(choices: Sequence[Choice], text: str) -> list[Choice]:
    """Return the choice with an id; if there is none, those with a name, whatever the case if need be."""
    folded = text.casefold()
    return (
        [choice for choice in choices if choice.id == text]
        or [choice for choice in choices if choice.name == text]
        or [choice for choice in choices if choice.name.casefold().strip() == folded.strip()]
    )
