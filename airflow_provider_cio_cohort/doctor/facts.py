"""
The facts about both vendors on which syncs rely, and which their documentation leaves open.

The doctor asks the vendors; ``docs/vendor-facts.md`` lists each fact with its source.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Fact(NamedTuple):
    """
    A doubt about a vendor.

    :param key: identifies the fact.
    :param question: what is not documented, or documented in several ways.
    :param assumed: what syncs assume until the doctor has seen the answer, in words.
    :param line: the name of the doctor's line that answers it, see :attr:`.Finding.name`.
    :param option: what the doctor must be called with to ask: empty, ``--probe`` or ``--export``.
    """

    key: str
    question: str
    assumed: str
    line: str
    option: str = ""


#: All facts, in the order of the report.
FACTS: tuple[Fact, ...] = ()


def as_table(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return a row for each fact, with what was seen.

    :param seen: the answers by key; a fact that was not asked for is missing.
    """
    return [
        {
            "fact": fact.key,
            "question": fact.question,
            "assumed": fact.assumed,
            "seen": seen.get(fact.key),
            "asked_with": fact.option or "doctor",
        }
        for fact in FACTS
    ]
