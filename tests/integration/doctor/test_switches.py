"""For each switch of the sandbox in each of its positions, the doctor finds that position."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from airflow_provider_cio_cohort.doctor.facts import EXPORT_FACTS, PROBE_FACTS
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.sandbox.settings import CHOICES, Settings
from tests.docs.vendor_facts import named
from tests.integration.doctor.conftest import COHORT, dump, facts_of, line

USUAL = Settings()


@dataclass(frozen=True)
class AtLeast:
    """A number that is at least this: machines are slow."""

    least: float


@dataclass(frozen=True)
class Case:
    """
    A position, and what the doctor sees there.

    :param name: the switch.
    :param value: its position.
    :param seen: the fact that shows it.
    :param fact: its value.
    :param others: other settings that it takes.
    :param person: who must be there, and how the doctor is told: ``id`` and ``email``.
    :param options: what the doctor is called with.
    """

    name: str
    value: Any
    seen: str
    fact: Any
    others: dict[str, Any] = field(default_factory=dict)
    person: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{self.value}"


def each(name: str, seen: str, facts: dict[Any, Any], **more: Any) -> list[Case]:
    return [Case(name, value, seen, fact, **more) for value, fact in facts.items()]


BOTH = {True: True, False: False}
PROBE: list[Case] = [
    *each("cio_prefix", "cio_id_form", {False: "bare", True: "prefixed"}),
    *each("count_after", "count_lag_longest", {-1: AtLeast(0), 0.05: AtLeast(0.05)}, options={"timeout": 30}),
    *each("description_limit", "segment_description_limit", {0: None, 20: 20, 110: 110}),
    *each("dynamic_status", "data_driven_status", {400: 400, 404: 404, 422: 422}),
    *each("email_identifies", "membership_shows_email", BOTH),
    *each("endless_next", "last_page_next", {False: "empty", True: "same page again"}),
    *each("id_limit", "id_limit", {"characters": "characters"}, person={"id": "é" * 76}),
    *each("identifiers_trimmed", "ignores_white_space", BOTH),
    *each("ids_as_numbers", "ids_as_numbers", BOTH, person={"id": "42", "email": "x@x.test"}),
    *each(
        "last_next",
        "last_page_next",
        {"empty": "empty", "null": "null", "absent": "absent", "empty_page": "cursors to empty pages"},
    ),
    *each("latency_ms", "quickest_response", {0: AtLeast(0), 10: AtLeast(0.01)}),
    *each("lookup_allowed", "look_up_allowed", BOTH),
    *each("lookup_refuses", "look_up_of_white_space", {"": 200, r"\s": 400}),
    *each("lookup_wrapped", "look_up_wrapped", BOTH),
    *each("name_limit", "segment_name_limit", {0: None, 4: 4, 100: 100}),
    *each("name_rewrite", "segment_name_rewrite", {"": "none", "trim": "trim", "collapse": "collapse"}),
    *each("null_when_empty", "empty_list", {True: "null", False: "[]"}),
    *each(
        "removal_needs_id",
        "removes_without_id",
        {False: True, True: False},
        person={"email": "only@x.test"},
    ),
    *each("track_max_bytes", "full_batch_status", {0: 200, 5000: 413}),
    *each("track_refuses", "odd_identifier_status", {"": 200, r"\s": 400}),
    *each(
        "track_refuses_status",
        "odd_identifier_status",
        {400: 400, 413: 413, 422: 422},
        others={"track_refuses": r"\s"},
    ),
    *each("track_takes_email", "adds_by_email", BOTH, others={"email_identifies": False}),
    *each("unique_names", "names_are_unique", BOTH),
    *each(
        "visible_after",
        "membership_lag_longest",
        {0: AtLeast(0), 0.05: AtLeast(0.05)},
        options={"timeout": 30},
    ),
]
#: What shows only by a redirect.
AWAY = {"inline_rows": 0}
EMPTY = {
    "header": "header",
    "nothing": "nothing",
    "newline": "blank line",
    "list": "[]",
    "no_content": "no content",
    "not_found": "not found",
}
EXPORT: list[Case] = [
    *each("answers_cohort_id", "answers_cohort_id", BOTH),
    *each("archived_can_export", "archived_can_export", BOTH),
    *each("blank_last_line", "blank_last_line", BOTH),
    *each("completed_text", "completed_text", {each: each for each in ("JOB COMPLETED", "JOB_COMPLETED")}),
    *each("compressed", "gzip_layers", {True: 1, False: 0}),
    *each("compressed_twice", "gzip_layers", {False: 1, True: 2}),
    *each("content_length", "length_proven_by", {True: "Content-Length", False: "gzip"}),
    *each("crlf", "line_end", {False: "LF", True: "CRLF"}),
    *each("duplicate_column", "columns_twice", {False: [], True: ["amplitude_id"]}),
    *each("empty_export", "empty_cohort_file", EMPTY),
    *each("encoding", "content_encoding", {"": "gzip", "UTF-8": "UTF-8", "aws-chunked": "aws-chunked"}),
    *each("encoding_header", "content_encoding", {True: "gzip", False: ""}),
    *each("export_seconds", "export_seconds", {0: AtLeast(0), 0.05: AtLeast(0.05)}),
    *each("file_after", "file_is_late", {0: False, 3600: True}),
    *each("inline_rows", "delivery", {1000: "inline", 0: "redirect"}),
    *each("last_line_end", "last_line_ends", BOTH),
    *each("leading_tab", "leading_tab", BOTH),
    *each("long_value", "longest_user_id", {0: 3, 2000: 2000}),
    *each("missing_columns", "property_column", {False: "bare", True: "missing"}),
    *each("property_prefix", "property_column", {"": "bare", "gp:": "gp:"}),
    *each("quota_status", "refused_status", {429: 429, 403: 403, 402: 402}, others={"exports_a_month": 0}),
    *each("redirect_form", "redirect_form", {each: each for each in CHOICES["redirect_form"]}, others=AWAY),
    *each("redirect_hops", "redirects", {1: 1, 4: 4}, others=AWAY),
    *each("signed_url_seconds", "signed_url_seconds", {60: 60, 30: 30}, others=AWAY),
    *each("status_unknown_for", "status_known_after", {0: AtLeast(0), 0.05: AtLeast(0.05)}),
    *each("surplus_rows", "rows_beyond_list", {0: 0, 3: 3}),
    *each("unknown_status", "unknown_export_status", {400: 400, 404: 404}),
    *each("unpaid_status", "refused_status", {403: 403, 402: 402, 404: 404}),
]
#: Switches that need another cohort or project.
OTHER_COHORTS = ("archived_can_export", "empty_export", "unpaid_status")
#: Switches that the doctor sees without writing anything; the tests of that part have them.
READ_ONLY = {"archived_listed", "clock_ahead", "exports_a_month"}
#: What the doctor cannot see, and why.
BLIND: dict[str, str] = {
    "fresh_share": "it would take hundreds of reads to see that servers disagree; syncs rely on neither",
    "app_per_second": "it would have to exceed the limit, which syncs need; it sends 3 requests a second",
    "track_per_second": "it would have to exceed the limit",
    "track_drops": "it would have to exceed the limit; syncs read back what they wrote",
    "retry_after": "it would have to exceed the limit, to see a 429",
    "latency_spread": "it takes hundreds of requests to see a distribution; the report has the quickest one",
    "limits": "it would have to exceed Amplitude's limits, and spend exports",
    "limit_scale": "it would have to exceed Amplitude's limits, and spend exports",
    "export_members": "it would have to export a cohort of millions",
    "file_days": "it would have to wait for days",
    "numbers_per_workspace": "it knows one workspace only; syncs note the workspace beside the segment's id",
    "wrong_region_track": "it would have to write to the other region; syncs ask for the region first",
}


def test_every_switch_is_seen_or_it_is_known_why_not() -> None:
    seen = {case.name for case in (*PROBE, *EXPORT)}
    assert seen | READ_ONLY | set(BLIND) == set(vars(USUAL))
    assert not seen & set(BLIND)


def test_every_position_of_a_choice_is_tried() -> None:
    for name, positions in CHOICES.items():
        tried = {case.value for case in (*PROBE, *EXPORT) if case.name == name}
        # Without an id that is too long for it, the limit in bytes is not different from none at all.
        if name not in (*BLIND, "id_limit"):
            assert tried == set(positions), name


def is_usual(case: Case) -> bool:
    """Whether one run shows this position together with the usual ones of the others."""
    is_plain = not (case.others or case.person or case.options) and case.name not in OTHER_COHORTS
    return is_plain and case.value == getattr(USUAL, case.name)


def runs(cases: list[Case]) -> list[Case]:
    return [case for case in cases if not is_usual(case)]


def check(case: Case, vendor: str, facts: dict[str, Any]) -> None:
    found = facts.get(f"{vendor}.{case.seen}", "not seen")
    if isinstance(case.fact, AtLeast):
        assert round(case.fact.least, 2) <= found
    else:
        assert found == case.fact


def test_the_probe_finds_what_is_usual(world, ask) -> None:
    facts = facts_of(ask(dynamic_segment=world.workspace.find_segment("Computed").id))
    for case in filter(is_usual, PROBE):
        check(case, "customer_io", facts)


def test_the_export_finds_what_is_usual(world, ask_export) -> None:
    rows = [{"amplitude_id": user, "user_id": user, "plan": "pro"} for user in ("u-0", "u-1")]
    world.project.add_cohort(id=COHORT, name="Secret", rows=rows)
    facts = facts_of(ask_export(user_property="plan"))
    for case in filter(is_usual, EXPORT):
        check(case, "amplitude", facts)


@pytest.mark.parametrize("case", runs(PROBE), ids=str)
def test_the_probe_finds(world, ask, case: Case) -> None:
    world.configure(**{case.name: case.value, **case.others})
    person, options = "Ann-1", {**case.options}
    if case.person:
        world.workspace.add_person(**case.person)
        options["id_type"], person = next(iter(case.person.items()))
    if case.name == "dynamic_status":
        options["dynamic_segment"] = world.workspace.find_segment("Computed").id
    before = dump(world)
    findings = ask(person, **options)
    check(case, "customer_io", facts_of(findings))
    assert dump(world) == before
    assert line(findings, "probe.removed").status == "ok"


def test_an_id_that_fits_in_characters_alone_is_unknown_where_bytes_count(world, ask) -> None:
    world.workspace.add_person(id="é" * 76)
    findings = ask("é" * 76)
    assert findings[-2].status == "wrong"
    assert "names 0 people" in findings[-2].seen


@pytest.mark.parametrize("case", runs(EXPORT), ids=str)
def test_the_export_finds(world, ask_export, connect, case: Case) -> None:
    world.configure(**{case.name: case.value, **case.others})
    hook = AmplitudeHook()
    if case.name == "unpaid_status":
        project = world.add_project(api_key="unpaid", secret_key="unpaid", paid=False)
        hook = AmplitudeHook(connect("amplitude_default", login="unpaid", password="unpaid"))
    else:
        project = world.project
        hook.policy = replace(hook.policy, export_grace=0.05 if case.value == "not_found" else 30)
    users = [] if case.name == "empty_export" else ["u-0", "u-1"]
    rows = [{"amplitude_id": user, "user_id": user, "plan": "pro"} for user in users]
    project.add_cohort(id=COHORT, name="Secret", rows=rows, archived=case.name == "archived_can_export")
    if case.name == "file_after" and case.value:
        # Only after the first request for it, however slow the machine is.
        world.at_request(lambda _: world.configure(file_after=0), path="/file$", after=1)
    asks_property = case.seen == "property_column"
    findings = ask_export(hook=hook, user_property="plan" if asks_property else None)
    check(case, "amplitude", facts_of(findings))
    assert "Secret" not in json.dumps([finding.row() for finding in findings])


def test_every_fact_is_seen_by_the_line_that_the_page_names(world, ask, ask_export) -> None:
    """The two runs that see most; the switches above show the rest."""
    world.configure(email_identifies=True, inline_rows=0)
    world.project.add_cohort(id=COHORT, name="x", rows=[{"amplitude_id": "1", "user_id": "u-0"}])
    computed = world.workspace.find_segment("Computed").id
    findings = [*ask(dynamic_segment=computed), *ask_export(user_property="plan")]
    assert {(key, finding.name) for finding in findings for key in finding.facts} <= named()
    tried = {
        f"{vendor}.{case.seen}"
        for vendor, cases in (("customer_io", PROBE), ("amplitude", EXPORT))
        for case in cases
    }
    unseen = {fact.key for fact in (*PROBE_FACTS, *EXPORT_FACTS)} - tried - set(facts_of(findings))
    assert unseen == set()
