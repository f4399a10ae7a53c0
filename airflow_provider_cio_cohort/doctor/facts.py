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
FACTS: tuple[Fact, ...] = (
    # ---- read only
    Fact(
        "amplitude.list_fields",
        "Which of the fields that syncs rely on does the list have?",
        "all; without lastComputed, no run counts as unchanged",
        "amplitude.list",
    ),
    Fact(
        "amplitude.archived_listed",
        "Does the list show archived cohorts?",
        "either; one that is not listed is found by its export",
        "amplitude.list",
    ),
    Fact(
        "amplitude.group_of_users",
        "How does the list call the group of a cohort of people?",
        "User, in any case",
        "amplitude.list",
    ),
    Fact(
        "amplitude.usage_fields",
        "Which parts does the answer about the exports of the month have?",
        "limit and used; without them, export_reserve has no effect",
        "amplitude.usage",
    ),
    Fact(
        "customer_io.workspace_named",
        "Does the answer about the Track API's keys name the workspace?",
        "either; without it, a workspace is known by its keys",
        "customer_io.track_keys",
    ),
    Fact(
        "customer_io.names_are_unique",
        "Is a second segment of the same name refused?",
        "no; an ambiguous name is an error that lists the ids",
        "customer_io.segment_names",
    ),
    Fact(
        "customer_io.last_page_next",
        "What is next on the last page of a membership?",
        "anything falsy, or a cursor to an empty page",
        "customer_io.membership",
    ),
    Fact(
        "customer_io.empty_list",
        "Is an empty list of members null or []?",
        "either",
        "customer_io.membership",
    ),
    Fact(
        "customer_io.member_fields",
        "Which identifiers does a page of members show?",
        "cio_id always; id and email where the workspace uses them",
        "customer_io.membership",
    ),
    Fact(
        "customer_io.ids_as_numbers",
        "Are ids of digits shown as JSON numbers?",
        "either",
        "customer_io.membership",
    ),
    Fact(
        "customer_io.identifiers",
        "Which identifiers has the workspace enabled?",
        "id and cio_id; email is asked for before an export",
        "customer_io.identifiers",
    ),
    # ---- with --probe
    # ---- with --export
)


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
