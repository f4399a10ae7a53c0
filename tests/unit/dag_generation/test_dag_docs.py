from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.dag_generation.dag_docs import escape


def test_the_docs_say_what_goes_where_and_when(dag_with) -> None:
    doc = dag_with(
        "user_id_property: email",
        "id_type: email",
        "timezone: Europe/Berlin",
        "owner: growth",
        "description: Paying people",
        "amplitude_conn_id: amplitude_eu",
        "customer_io_conn_id: customer_io_eu",
        name="power_users",
    ).doc_md
    assert doc.startswith("Paying people\n\n")
    assert "| **From** | Amplitude cohort `a1b2c3d`, connection `amplitude_eu` |" in doc
    assert r"| **To** | Customer.io segment “Power users [Amplitude]”, connection `customer_io_eu` |" in doc
    assert "| **People** | Amplitude's `email` is the e-mail address in Customer.io |" in doc
    assert "| **When** | At 12:47 (daily, Europe/Berlin) |" in doc
    assert "| **Owner** | growth |" in doc
    assert "from the sync `power_users` in `my_syncs.yaml`" in doc
    assert "*Dry run*" in doc
    assert "up to 31 in a month" in doc


def test_the_docs_have_identifiers_in_their_order(dag_with) -> None:
    line = "identifiers: [{property: customer_id, id_type: id}, {property: mail, id_type: email}]"
    assert (
        "| **People** | Amplitude's `customer_id` is the id in Customer.io; for rows that match nobody by "
        "that, Amplitude's `mail` is the e-mail address in Customer.io |"
    ) in dag_with(line).doc_md


def test_the_docs_tell_what_mirror_and_add_only_mean(dag_with) -> None:
    assert "people who are not in the cohort are removed" in dag_with().doc_md
    assert "nobody is removed" in dag_with("mode: add_only").doc_md
    assert "would be removed" not in dag_with("mode: add_only").doc_md
    lines = ("mode: add_only", "max_growth_percent: null")
    assert (
        "fails before it writes anything** if\n\n- *(off: `max_growth_percent`)*" in dag_with(*lines).doc_md
    )


def test_the_docs_tell_what_tracked_means(dag_with) -> None:
    lines = ("mode: tracked", "snapshot_path: file:///srv/cohorts")
    docs = dag_with(*lines, "max_removals: 9").doc_md
    assert "are removed if this sync has added them, and nobody else is" in docs
    assert "- it is unknown whom the sync has added" in docs
    assert "more than 50 % of the people whom the sync has added would be removed" in docs
    assert "more than 200 % of the people whom the sync has added would be added" in docs
    assert "keeps a snapshot**: whom the sync has added" in docs
    assert "no sync created" not in docs
    assert "*(off: `allow_lost_tracking`)*" in dag_with(*lines, "allow_lost_tracking: true").doc_md
    assert "adds to" in dag_with(*lines).description


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_removal_percent: 33.3", "more than 33.3 % of the segment would be removed"),
        ("max_removal_percent: null", "*(off: `max_removal_percent`)* a large part"),
        ("allow_large_removal: true", "*(off: `allow_large_removal`)* a large part"),
        ("max_removals: 1234", "more than 1,234 members would be removed"),
        ("max_growth_percent: 50", "more than 50 % of the segment would be added, and more than 500 people"),
        ("max_growth_percent: null", "*(off: `max_growth_percent`)* many people"),
        ("allow_large_addition: true", "*(off: `allow_large_addition`)* many people"),
        ("max_additions: 1234", "more than 1,234 people would be added"),
        ("on_guard: add_only", "If only removals are refused, people who joined the cohort are added"),
        ("allow_empty_cohort: true", "*(off: `allow_empty_cohort`)* the cohort is empty"),
        ("allow_no_match: false", "**Wrong mapping:** a run fails before the first write if no identifier"),
        ("allow_no_match: true", "**Wrong mapping:** *(off: `allow_no_match`)* a run fails"),
        ("adopt_segment: true", "*(off: `adopt_segment`)* people would be removed"),
        (
            "adopt_segment: false",
            "- people would be removed from a segment that no sync created for this cohort",
        ),
        ("dry_run: true", "**Dry run:** every run reports what it would change"),
        ("retries: 0", "A failed task is not retried."),
        ("retries: 1", "retried once, after 5 minutes;"),
        ("retry_delay_minutes: 2.5", "up to 3 times, after 2.5 minutes"),
        ("end_date: 2027-01-01", "until 2027-01-01T00:00:00+00:00"),
        ("cadence: manual", "**A backfill** is refused by Airflow: a sync with cadence manual"),
        ("cadence: once", "**A backfill** is refused by Airflow: a sync with cadence once"),
        (
            "cadence: hourly",
            "**A backfill does not bring back the past:** Amplitude knows only today's members.",
        ),
    ],
)
def test_the_docs_follow_the_yaml(dag_with, line: str, words: str) -> None:
    assert words in dag_with(line).doc_md
    assert words not in dag_with("cadence: weekly", "adopt_segment: true", "retries: 7").doc_md or (
        line in ("cadence: hourly", "adopt_segment: true", "allow_no_match: false")
    )


def test_values_of_the_yaml_cannot_change_the_page(dag_with) -> None:
    doc = dag_with(
        "segment_name: 'A | B <script>alert(1)</script> [x](http://evil) *b* `c`'",
        "owner: '`rm` | # x'",
        'description: "# Title\\n\\n| a | b |\\n<img src=x>"',
    ).doc_md
    assert "<script>" not in doc
    assert "<img" not in doc
    assert r"A \| B &lt;script&gt;alert(1)&lt;/script&gt; [x\](http://evil) \*b\* \`c\`" in doc
    assert r"| **Owner** | \`rm\` \| \# x |" in doc
    assert doc.startswith(r"\# Title \| a \| b \| &lt;img src=x&gt;")


def test_escape_keeps_ordinary_text() -> None:
    assert (
        escape("Trial ending: this week (50 %), e-mail only!")
        == "Trial ending: this week (50 %), e-mail only!"
    )


def test_a_healthy_dags_docs_do_not_change_when_lines_move(dags_of) -> None:
    sync = "- {name: a, cohort_id: a, segment_id: 1}\n"
    other = "- {name: b, cohort_id: b, segment_id: 2}\n"
    assert (
        dags_of(f"syncs:\n{sync}")["cohort_sync__a"].doc_md
        == dags_of(f"syncs:\n\n\n{other}{sync}")["cohort_sync__a"].doc_md
    )
