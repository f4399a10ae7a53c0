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
    """

    key: str
    question: str
    assumed: str


#: What the doctor asks without writing anything. A probe sees some of it, too.
READ_ONLY_FACTS = (
    Fact(
        "amplitude.list_fields",
        "Which of the fields that syncs rely on the list has.",
        "all; without lastComputed, no run counts as unchanged",
    ),
    Fact(
        "amplitude.archived_listed",
        "Whether the list shows archived cohorts.",
        "either; one that is not listed is found by its export",
    ),
    Fact(
        "amplitude.group_of_users",
        "What the list calls the group of a cohort of people.",
        "User, in any case",
    ),
    Fact(
        "amplitude.usage_fields",
        "Which parts the answer about the month's exports has.",
        "limit and used; without them, export_reserve has no effect",
    ),
    Fact(
        "customer_io.workspace_named",
        "Whether the answer about the Track API's keys names the workspace.",
        "either; without it, a workspace is known by its keys",
    ),
    Fact(
        "customer_io.last_page_next",
        "What `next` is on the last page of a membership.",
        "anything falsy, or a cursor to an empty page",
    ),
    Fact("customer_io.empty_list", "Whether an empty list of members is null or [].", "either"),
    Fact(
        "customer_io.member_fields",
        "Which identifiers a page of members shows.",
        "cio_id always; id and email where the workspace uses them",
    ),
    Fact(
        "customer_io.ids_as_numbers",
        "Whether an id that is a whole number is shown as a JSON number.",
        "either",
    ),
    Fact(
        "customer_io.identifiers",
        "Which identifiers the workspace has enabled.",
        "id and cio_id; email is asked for before an export",
    ),
)

#: What the doctor asks with writes, see :mod:`.probe`.
PROBE_FACTS = (
    Fact("customer_io.look_up_allowed", "Whether the App API key may look people up.", "either"),
    Fact("customer_io.look_up_wrapped", "Whether a look-up shows each person inside `customer`.", "either"),
    Fact(
        "customer_io.membership_lag_median",
        "How many seconds a write takes to show in the membership, in the middle.",
        "unknown: verify_timeout bounds it",
    ),
    Fact(
        "customer_io.membership_lag_longest",
        "How many seconds it takes to show there, at most.",
        "unknown: verify_timeout bounds it",
    ),
    Fact(
        "customer_io.count_lag_median",
        "How many seconds a write takes to show in the count, in the middle.",
        "unknown: verify_timeout bounds it",
    ),
    Fact(
        "customer_io.count_lag_longest",
        "How many seconds it takes to show there, at most.",
        "unknown: verify_timeout bounds it",
    ),
    Fact(
        "customer_io.removes_without_id",
        "Whether a person without an id can be removed through the API.",
        "no, as the reference says; the segment is read back",
    ),
    Fact(
        "customer_io.membership_shows_email",
        "Whether a membership shows e-mail addresses.",
        "yes where they are identifiers",
    ),
    Fact(
        "customer_io.repeated_writes",
        "What adding a member again, or removing a person again, does.",
        "no effect",
    ),
    Fact("customer_io.full_batch_status", "The HTTP status for a batch of 1,000 identifiers.", "200"),
    Fact(
        "customer_io.adds_by_email",
        "Whether people can be added by e-mail address.",
        "yes where it is an identifier",
    ),
    Fact(
        "customer_io.removes_by_email",
        "Whether people can be removed by e-mail address.",
        "unknown: by id where there is one; the segment is read back",
    ),
    Fact(
        "customer_io.cio_id_form",
        "Which form of a cio_id adds people: with `cio_` (prefixed) or without (bare).",
        "either: both forms are compared as equal",
    ),
    Fact("customer_io.removes_by_cio_id", "Which form of a cio_id removes people.", "either"),
    Fact("customer_io.unknown_id", "What adding an id does that no person has.", "ignored"),
    Fact("customer_io.id_ignores_case", "Whether an id in the other case is the same person.", "no"),
    Fact(
        "customer_io.email_ignores_case",
        "Whether an e-mail address in the other case is the same person.",
        "yes",
    ),
    Fact(
        "customer_io.ignores_white_space", "Whether blanks around an identifier are ignored in a write.", "no"
    ),
    Fact(
        "customer_io.odd_identifier_status",
        "The HTTP status for adding an identifier with blanks around it.",
        "200; single refused identifiers are left out",
    ),
    Fact(
        "customer_io.look_up_of_white_space",
        "The HTTP status for looking up an identifier with blanks around it.",
        "200; a refused look-up is repeated in halves",
    ),
    Fact("customer_io.long_ids", "The HTTP status for adding ids of 150 and 151 bytes.", "200"),
    Fact(
        "customer_io.id_limit",
        "Whether an id has at most 150 bytes or 150 characters.",
        "either: only ids of more than 150 characters are left out",
    ),
    Fact(
        "customer_io.names_are_unique",
        "Whether a second segment of the same name is refused.",
        "no: several are an error of the sync, and a creation whose response was lost is not repeated",
    ),
    Fact(
        "customer_io.segment_name_rewrite",
        "How a new segment's name is rewritten.",
        "in any way: the description and the id tell it",
    ),
    Fact("customer_io.segment_name_limit", "How many characters of a new segment's name are kept.", "all"),
    Fact(
        "customer_io.segment_description_limit",
        "How many characters of a new segment's description are kept.",
        "at least 60",
    ),
    Fact(
        "customer_io.data_driven_status",
        "The HTTP status for adding people to a data-driven segment.",
        "any refusal; syncs read the type first",
    ),
    Fact(
        "customer_io.quickest_response",
        "How many seconds the quickest response of either API took.",
        "nothing",
    ),
)

#: What the doctor asks with an export, see :mod:`.export`.
EXPORT_FACTS = (
    Fact(
        "amplitude.refused_status",
        "The HTTP status of a refusal: no plan, no exports left, or no such cohort.",
        "402, 403, 404 or 429",
    ),
    Fact(
        "amplitude.unknown_export_status",
        "The HTTP status for the status of an export that does not exist.",
        "400 or 404",
    ),
    Fact("amplitude.archived_can_export", "Whether an archived cohort can be exported.", "no"),
    Fact(
        "amplitude.first_status",
        "The first answer of the status call.",
        "202 in progress; an unknown export may be too young",
    ),
    Fact(
        "amplitude.status_known_after",
        "How many seconds after the request the status call knows the export.",
        "at most export_grace",
    ),
    Fact("amplitude.export_seconds", "How many seconds after the request an export is finished.", "30 to 60"),
    Fact(
        "amplitude.completed_text",
        "The text of a finished export's status.",
        "JOB COMPLETED or JOB_COMPLETED",
    ),
    Fact(
        "amplitude.answers_cohort_id",
        "Whether responses about an export name the cohort.",
        "either; another cohort is refused",
    ),
    Fact("amplitude.delivery", "Whether the file comes inline or by a redirect.", "either"),
    Fact("amplitude.redirects", "How many redirects lead to the file.", "at most 5"),
    Fact("amplitude.redirect_form", "How a redirect's address is written.", "any form"),
    Fact(
        "amplitude.signed_url_seconds", "For how many seconds a signed address says that it is valid.", "60"
    ),
    Fact("amplitude.content_encoding", "The Content-Encoding of the file.", "any: the content decides"),
    Fact("amplitude.gzip_layers", "How often the file is compressed with gzip.", "0 to 2"),
    Fact(
        "amplitude.length_proven_by",
        "What proves that the file is whole: Content-Length, chunks, gzip, or nothing.",
        "any; with nothing, two downloads must be equal",
    ),
    Fact(
        "amplitude.file_is_late",
        "Whether the file of a finished export was missing at first.",
        "possibly, for export_grace",
    ),
    Fact(
        "amplitude.empty_cohort_file",
        "What the file of an empty cohort is.",
        "unknown: any form where the list says 0 members",
    ),
    Fact("amplitude.line_end", "How lines end.", "LF or CRLF"),
    Fact(
        "amplitude.last_line_ends",
        "Whether the last line of the file has a line end.",
        "either, where the file is proven to be whole",
    ),
    Fact("amplitude.blank_last_line", "Whether the file ends with a blank line.", "either"),
    Fact("amplitude.columns_twice", "Which built-in columns come twice.", "amplitude_id may"),
    Fact("amplitude.leading_tab", "Whether titles begin with a tab.", "possibly: it is left out"),
    Fact("amplitude.quoted", "Whether titles are in quotes.", "yes"),
    Fact("amplitude.byte_order_mark", "Whether the file begins with a byte order mark.", "either"),
    Fact(
        "amplitude.property_column",
        "How the column of a user property is called: bare, or with `gp:`.",
        "either",
    ),
    Fact("amplitude.rows_beyond_list", "How many rows the file has more than the list says.", "0 or a few"),
    Fact("amplitude.longest_user_id", "How many characters the longest user_id has.", "at most 1,024"),
    Fact("amplitude.second_file_is_equal", "Whether a second download of an export is equal.", "yes"),
    Fact("amplitude.export_cost", "How many of the month's exports a request costs.", "1"),
    Fact("amplitude.second_file_cost", "How many of the month's exports a second download costs.", "0"),
    Fact("amplitude.quickest_response", "How many seconds the quickest response took.", "nothing"),
)

#: All facts, in the order of the report.
FACTS: tuple[Fact, ...] = (*READ_ONLY_FACTS, *PROBE_FACTS, *EXPORT_FACTS)


def as_table(seen: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return a row for each fact, with what was seen.

    :param seen: the answers by key; a fact that was not asked for is missing.
    """
    asked_with = {"doctor": READ_ONLY_FACTS, "--probe": PROBE_FACTS, "--export": EXPORT_FACTS}
    return [
        {
            "fact": fact.key,
            "question": fact.question,
            "assumed": fact.assumed,
            "seen": seen.get(fact.key),
            "asked_with": option,
        }
        for option, facts in asked_with.items()
        for fact in facts
    ]
