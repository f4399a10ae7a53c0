from __future__ import annotations

import pytest

from airflow_provider_cio_cohort.dag_generation import CohortSyncConfigError
from airflow_provider_cio_cohort.dag_generation.loader import load

GOOD = "- {name: good, cohort_id: a, segment_id: 99}\n"


def wrong(line: str) -> str:
    return f"syncs:\n- name: one\n  cohort_id: a1b2c3d\n  segment_name: S\n  {line}\n{GOOD}"


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        (
            "adopt_segmnt: true",
            "adopt_segmnt",
            "there is no such key. Did you mean adopt_segment?",
        ),
        ("schedule: daily", "schedule", "there is no such key. Did you mean cadence?"),
        ("on: true", "on", "there is no such key."),
        ("zzz: 1", "zzz", "The keys of a sync are cohort_id,"),
        ('dry_run: "yes"', "dry_run", '"yes" is not allowed; it must be true or false, without quotes.'),
        ("dry_run: 1", "dry_run", "1 is not allowed; it must be true or false"),
        ("retries: 2.5", "retries", "2.5 is not allowed; it must be a whole number, without quotes."),
        ('retries: "2"', "retries", '"2" is not allowed; it must be a whole number, without quotes.'),
        ("retries: -1", "retries", "it must be 0 or more."),
        ("retries: 1000", "retries", "it must be 100 or less."),
        ("max_removal_percent: 101", "max_removal_percent", "it must be 100 or less."),
        ("max_removal_percent: .nan", "max_removal_percent", ".nan is not allowed;"),
        ("poll_interval: 0", "poll_interval", "it must be greater than 0."),
        ("export_timeout: .inf", "export_timeout", ".inf is not allowed; it must be a finite number."),
        ("export_timeout: true", "export_timeout", "it must be a number, without quotes."),
        (
            "mode: miror",
            "mode",
            '"miror" is not allowed; it must be mirror, add_only or tracked. Did you mean mirror?',
        ),
        ("id_type: phone", "id_type", "it must be id, email or cio_id"),
        ("mode:", "mode", "it is empty. Give it a value."),
        ("user_id_property: ''", "user_id_property", "it must not be empty."),
        ("owner: 0123", "owner", '0123 is a number to YAML, not text. Put it in quotes: owner: "0123".'),
        ("owner: off", "owner", 'off is true or false to YAML, not text. Put it in quotes: owner: "off".'),
        ("owner: 2026-01-01", "owner", "is a date to YAML, not text."),
        ("owner: {a: b}", "owner", "it must be text, but it is a mapping."),
        ("owner: [a]", "owner", "it is a list. Text that begins with [ must be put in quotes."),
        ("tags: growth", "tags", '"growth" is not allowed; it must be a list, such as [growth, paid].'),
        ("tags: [a, 3]", "tags (item 2)", "3 is a number to YAML, not text. Put it in quotes."),
        ("tags: [a, [b]]", "tags (item 2)", "it must be text, but it is a list."),
        ("cadence: dayly", "cadence", '"dayly" is no cadence. Did you mean daily?'),
        ('cadence: "0 0 6 * * *"', "cadence", "has 6 fields; a cron expression has five"),
        ("cadence: every day", "cadence", '"every day" is no cadence. Did you mean daily? Use manual,'),
        ("timezone: CET", "timezone", "use the name of a place, such as Europe/Berlin."),
        ("timezone: Europe/Berln", "timezone", "is no timezone; use a name such as Europe/Berlin or UTC."),
        ("start_date: yesterday", "start_date", '"yesterday" is no date; write 2026-01-31'),
        ("start_date: 5", "start_date", "5 is not allowed; it must be a date, such as 2026-01-31."),
        ("start_date: 2026-13-45", "start_date", '"2026-13-45" cannot be read: month must be in 1..12.'),
        ("start_date: 9999-12-31", "start_date", "the year 9999 is out of reach"),
        ("end_date: 2024-01-01", "end_date", "it must be after the start_date, 2025-01-01T00:00:00+00:00."),
        ("segment_id: 5", "segment_id", "segment_name is given too; give exactly one of the two."),
        ("segment_id: 0", "segment_id", "it must be greater than 0."),
        ("segment_id: '5'", "segment_id", "it must be a whole number, without quotes."),
        (r'description: "a\0b"', "description", r"it contains the control character '\x00'."),
        (r'owner: "a\nb"', "owner", "it contains a line break or a tab."),
        (r'owner: "a\u200bb"', "owner", r"it contains the invisible character '\u200b'."),
        (r'user_id_property: "\ufeffuser_id"', "user_id_property", r"the invisible character '\ufeff'."),
        ("user_id_property: “user_id”", "user_id_property", "its typographic quotes are part of the value."),
        ("cadence: “0 6 * * 1”", "cadence", "its typographic quotes are part of the value."),
        ("user_id_property: ${PROPERTY}", "user_id_property", "it is a placeholder, which is not replaced"),
        (
            "snapshot_path: s3://${BUCKET}/cohorts",
            "snapshot_path",
            "it contains a placeholder such as ${BUCKET}",
        ),
        ("amplitude_conn_id: my project", "amplitude_conn_id", "'my project' is not a connection id."),
        ("customer_io_conn_id: ${CIO}", "customer_io_conn_id", "it is a placeholder, which is not replaced"),
        ("owner: !!python/object/apply:os.system [id]", "owner", "is not supported. Leave it out."),
        ("owner: !!binary x", "owner", "cannot be read"),
        ("identifiers: x", "identifiers", "its type is wrong"),
        ("identifiers: []", "identifiers", "the minimum number of items is 1."),
        ("identifiers: [{id_type: id}]", "identifiers (item 1): property", "it is missing."),
        (
            "identifiers: [{property: a, id_type: mail}]",
            "identifiers (item 1): id_type",
            "it must be id, email or cio_id.",
        ),
        (
            "identifiers: [{property: a, id_type: id, zzz: x}]",
            "identifiers (item 1)",
            "The keys of an identifier are property, id_type.",
        ),
        (
            "identifiers: [{property: a, id_type: id}, {property: a, id_type: id}]",
            "identifiers",
            "two of them are equal. Remove one.",
        ),
        (
            "identifiers: [{property: a, id_type: id}]\n  id_type: email",
            "id_type",
            "identifiers is given too; give either that, or user_id_property and id_type.",
        ),
        ("retries: 1\n  retries: 2", "retries", "it appears twice, first on line 5. Keep one."),
    ],
)
def test_a_mistake_names_file_line_sync_and_key(problems_of, line: str, key: str, message: str) -> None:
    problems = problems_of(wrong(line))
    assert problems["good"] == []
    assert len(problems["one"]) == 1
    row = 4 + len(line.splitlines())
    assert problems["one"][0].startswith(f"my_syncs.yaml:{row}: sync one, key {key}: ")
    assert message in problems["one"][0]


@pytest.mark.parametrize(
    ("cohort_id", "shown"),
    [
        ("1234567", "1234567"),
        ("0123456", "0123456"),
        ("1.5e+7", "1.5e+7"),
        ("0x1f", "0x1f"),
        ("12:30", "12:30"),
    ],
)
def test_a_cohort_id_that_yaml_takes_for_a_number_must_be_quoted(
    problems_of, cohort_id: str, shown: str
) -> None:
    (problem,) = problems_of(f"syncs:\n- name: one\n  cohort_id: {cohort_id}\n  segment_id: 1\n")["one"]
    assert f'{shown} is a number to YAML, not text. Put it in quotes: cohort_id: "{shown}".' in problem


@pytest.mark.parametrize(
    ("cohort_id", "words"),
    [
        ("${COHORT_ID}", "it is a placeholder, which is not replaced in the file."),
        ("$COHORT_ID", "Placeholders are not replaced here: write the id itself."),
        ("'{{ var.value.cohort }}'", "Placeholders are not replaced here: write the id itself."),
        ("https://app.amplitude.com/analytics/acme/cohort/a1b2c3d", "Did you mean a1b2c3d?"),
        ("https://app.eu.amplitude.com/analytics/acme/cohort/a1b2c3d?x=y#z", "Did you mean a1b2c3d?"),
        ("/acme/a1b2c3d/edit", "Did you mean a1b2c3d?"),
        ("“a1b2c3d”", "its typographic quotes are part of the value."),
        ("'“a1b2c3d'", "Did you mean a1b2c3d?"),
        (r'"a1b2\u200bc3d"', r"it contains the invisible character '\u200b'."),
        ("Power users", "It is the last part of the cohort's address in Amplitude."),
    ],
)
def test_a_cohort_id_that_no_run_would_take(problems_of, cohort_id: str, words: str) -> None:
    (problem,) = problems_of(f"syncs:\n- name: one\n  cohort_id: {cohort_id}\n  segment_id: 1\n")["one"]
    assert problem.startswith("my_syncs.yaml:3: sync one, key cohort_id: ")
    assert words in problem


def test_what_may_look_odd_and_is_right(problems_of) -> None:
    names = [
        "Zoë 👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "\u0646\u0627\u0645\u200c\u0647\u0627",
        "The “best” of \u201926",
        "“A” or “B”",
        "$ {a}",
    ]
    syncs = "".join(
        f"- {{name: s{n}, cohort_id: a, segment_name: '{name}'}}\n" for n, name in enumerate(names)
    )
    assert all(problems == [] for problems in problems_of(f"syncs:\n{syncs}").values())


def test_a_cohort_id_that_only_looks_like_a_number_is_kept_as_written(dags_of) -> None:
    dags = dags_of("syncs:\n- {name: one, cohort_id: 12e4567, segment_id: 1}\n")
    assert dags["cohort_sync__one"].get_task("sync").cohort_id == "12e4567"


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file(problems_of) -> None:
    problems = problems_of("syncs:\n- name: one\n  cohort_id: 5\n  segment_id: 1\n  retries: x\n  nope: 1\n")[
        "one"
    ]
    assert [problem.split("key ")[1].split(":")[0] for problem in problems] == [
        "cohort_id",
        "retries",
        "nope",
    ]


def test_what_is_missing_is_said_with_the_line_of_the_sync(problems_of) -> None:
    problems = problems_of(f"syncs:\n{GOOD}- name: one\n")
    assert problems["one"] == ["my_syncs.yaml:3: sync one, key cohort_id: it is missing."]
    assert problems["good"] == []


def test_a_sync_without_a_segment(problems_of) -> None:
    (problem,) = problems_of("syncs:\n- {name: one, cohort_id: a}\n")["one"]
    assert "key segment_name: it is missing; give exactly one of segment_name and segment_id." in problem


@pytest.mark.parametrize(
    "name", ["power users", "a..b", ".a", "a.", "ä", "a/b", "'a\nb'", "x" * 238, "5", "''", "{}"]
)
def test_a_sync_without_a_usable_name_is_called_by_its_position(problems_of, name: str) -> None:
    problems = problems_of(f"syncs:\n{GOOD}- {{cohort_id: a, segment_id: 1, name: {name}}}\n")
    assert list(problems) == ["good", "sync_2"]
    assert ":3: sync sync_2, key name: " in problems["sync_2"][0]


@pytest.mark.parametrize("name", ["a", "Power-users_2.eu", "x" * 237, '"2024"', "-"])
def test_names_that_airflow_takes(dags_of, name: str) -> None:
    (dag,) = dags_of(f"syncs:\n- {{cohort_id: a, segment_id: 1, name: {name}}}\n").values()
    assert dag.dag_id == f"cohort_sync__{name.strip(chr(34))}"
    dag.validate()


def test_a_name_by_position_takes_no_other_syncs_name(problems_of) -> None:
    problems = problems_of("syncs:\n- 5\n- {name: sync_1, cohort_id: a, segment_id: 1}\n")
    assert problems["sync_1"] == []
    assert "it must be a mapping" in problems["sync_1_"][0]
    assert len(problems["sync_1_"]) == 1


def test_of_two_syncs_with_one_name_neither_runs(problems_of) -> None:
    problems = problems_of(
        f"syncs:\n- {{name: a, cohort_id: a, segment_id: 1}}\n{GOOD}- {{name: a, cohort_id: b}}\n"
    )
    assert list(problems) == ["a", "good"]
    assert ":4: sync a, key name: line 2 has a sync of the same name." in problems["a"][-1]
    assert problems["good"] == []


def test_a_wrong_key_in_defaults_stops_every_sync(problems_of) -> None:
    problems = problems_of(f"defaults:\n  adopt_segmnt: 5\nsyncs:\n{GOOD}")
    assert problems["good"] == [
        "my_syncs.yaml:2: sync good, key defaults.adopt_segmnt: there is no such key. "
        "Did you mean adopt_segment?"
    ]


def test_a_wrong_value_in_defaults_stops_only_the_syncs_that_take_it(problems_of) -> None:
    problems = problems_of(
        "defaults: {cadence: dayly}\n"
        f"syncs:\n{GOOD}- {{name: own, cohort_id: b, segment_id: 2, cadence: hourly}}\n"
    )
    assert problems["own"] == []
    assert problems["good"][0].startswith("my_syncs.yaml:1: sync good, key cadence (from defaults): ")


@pytest.mark.parametrize("line", ["start_date: 2026-13-45", "retries: 1\n  retries: 2"])
def test_an_unreadable_default_stops_only_the_syncs_that_take_it(problems_of, line: str) -> None:
    key = line.split(":")[0]
    own = "2026-01-01" if key == "start_date" else "1"
    problems = problems_of(
        f"defaults:\n  {line}\nsyncs:\n{GOOD}- {{name: own, cohort_id: b, segment_id: 2, {key}: {own}}}\n"
    )
    assert problems["own"] == []
    assert f"key {key} (from defaults): " in problems["good"][0]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("defaults: {name: a}\n", "key defaults.name: a name belongs to one sync"),
        ("defaults: [a]\n", "defaults must be a mapping of keys to values, but it is a list."),
        ("default: {}\n", 'the file has the unknown key "default". Did you mean defaults?'),
        ("defaults: {<<: 5}\n", 'key defaults.<<: it must refer to a mapping, but it is "5".'),
    ],
)
def test_what_is_wrong_around_the_syncs_stops_them_all(problems_of, head: str, message: str) -> None:
    (problem,) = problems_of(f"{head}syncs:\n{GOOD}")["good"]
    assert message in problem


def test_defaults_hold_for_every_sync_that_does_not_say_otherwise(dags_of) -> None:
    dags = dags_of(
        "defaults: {cadence: manual, owner: growth, tags: [x], cohort_id: d}\n"
        "syncs:\n- {name: a, segment_id: 1}\n"
        "- {name: b, segment_id: 2, cohort_id: e, owner: sales, tags: []}\n"
    )
    a, b = dags["cohort_sync__a"], dags["cohort_sync__b"]
    assert (a.get_task("sync").cohort_id, a.get_task("sync").owner) == ("d", "growth")
    assert (b.get_task("sync").cohort_id, b.get_task("sync").owner) == ("e", "sales")
    assert (a.tags, b.tags) == ({"cohort-sync", "x"}, {"cohort-sync"})


def test_a_segment_of_the_sync_takes_the_place_of_the_default_one(dags_of) -> None:
    dags = dags_of(
        "defaults: {segment_name: Everybody, mode: add_only}\n"
        "syncs:\n- {name: a, cohort_id: a}\n- {name: b, cohort_id: b, segment_id: 7}\n"
    )
    assert dags["cohort_sync__a"].get_task("sync").segment_name == "Everybody"
    task = dags["cohort_sync__b"].get_task("sync")
    assert (task.segment_name, task.segment_id) == (None, 7)


def test_anchors_and_merge_keys_work(dags_of) -> None:
    dags = dags_of(
        "syncs:\n- &a {name: a, cohort_id: a, segment_id: 1, owner: growth}\n"
        "- {<<: *a, name: b, segment_id: 2}\n"
        "- {<<: [{owner: sales}, *a], name: c, segment_id: 3}\n"
    )
    owners = [dag.get_task("sync").owner for dag in dags.values()]
    assert owners == ["growth", "growth", "sales"]


def test_keys_at_the_top_that_begin_with_x_may_hold_anything(dags_of) -> None:
    dags = dags_of(
        "x-usual: &usual {owner: growth, cadence: hourly}\nx-: [1, {a: b}]\n"
        "syncs:\n- {<<: *usual, name: a, cohort_id: a, segment_id: 1}\n"
    )
    assert dags["cohort_sync__a"].get_task("sync").owner == "growth"


def test_a_merge_key_that_leads_to_itself(problems_of) -> None:
    problems = problems_of(f"syncs:\n- &a {{name: a, <<: *a}}\n{GOOD}")
    assert problems["sync_1"] == ["my_syncs.yaml:2: sync sync_1, key <<: it refers to itself."]


def test_many_merges_of_merges_take_no_time(problems_of) -> None:
    layers = "".join(f"- &l{n} {{<<: [*l{n - 1}, *l{n - 1}], name: s{n}}}\n" for n in range(1, 60))
    problems = problems_of(
        f"syncs:\n- &l0 {{name: s0, cohort_id: a, segment_id: 1, mode: add_only}}\n{layers}"
    )
    assert len(problems) == 60


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty; it must be a mapping with the key syncs"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n", ":1: the file holds a list"),
        ("hello", ':1: the file holds "hello"'),
        ("defaults: {}\n", "the file has no key syncs"),
        (
            "sync: []\n",
            'the file has no key syncs, which must hold the list of syncs. Is "sync" a misspelling of it?',
        ),
        ("syncs: {a: b}\n", ":1: syncs must be a list .*but it is a mapping"),
        ("syncs: 5\n", 'syncs must be a list .*but it is "5"'),
        ("syncs: []\nsyncs: []\n", ':2: the key "syncs" appears twice, first on line 1'),
        ("syncs:\n- a: [\n", ":2: the file is not valid YAML"),
        ("syncs: []\n---\nsyncs: []\n", "the file is not valid YAML: expected a single document"),
        ("syncs:\n- name: a\n  cadence: * 6 * * *\n", r':3: .*quotes: cadence: "0 6 \* \* 1"\.'),
        ("syncs:\n", ":1: the key syncs is empty. Add a sync below it"),
        ("defaults: {}\nsyncs:\n# - name: a\n", r":2: the key syncs is empty\. .* or write syncs: \[\]"),
        (
            "syncs:\n- name: a\n  cadence: @daily\n",
            ":3: .*a cadence is written without @.*: cadence: daily",
        ),
        ("syncs:\n- name: a\n  owner: @growth\n", ":3: .*text that begins with @ must be put in quotes"),
        ("syncs: *nowhere\n", "undefined alias"),
        (b"syncs: \xff\xfe\n", "the file is not valid YAML"),
        (b"\x00", "the file is not valid YAML"),
        (b"syncs: " + b"[" * 100_000, "nested too deeply"),
        (b"- " * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_makes_no_sense_is_an_import_error_with_its_name(write, content, message: str) -> None:
    where = "" if message.startswith(":") else r":\d+: .*"
    with pytest.raises(CohortSyncConfigError, match=rf"(?s)my_syncs\.yaml{where}{message}"):
        load(write(content))


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        ("\tcohort_id: b", 3, "tabs cannot indent: use spaces."),
        ("  \tcohort_id: b", 3, "tabs cannot indent: use spaces."),
        ("-\tname: b", 3, "a tab cannot separate a key or a dash from its value: use a space."),
        (
            "  segment_name: Segment: x\n  cohort_id: b",
            3,
            'text with a colon must be put in quotes: segment_name: "Segment: x".',
        ),
        (
            "  cohort_id: b\n  segment_name: [Amplitude] x",
            4,
            'text that begins with [ must be put in quotes: segment_name: "[Amplitude] x".',
        ),
        ("  segment_name: {Amplitude} x", 3, 'must be put in quotes: segment_name: "{Amplitude} x".'),
        ("  segment_name: [Amplitude\n  cohort_id: b", 3, 'quotes: segment_name: "[Amplitude".'),
        ("  segment_name: *all", 3, 'If it is text, put it in quotes: segment_name: "*all".'),
        ("  segment_name: %x  # y", 3, 'text that begins with % must be put in quotes: segment_name: "%x".'),
        ("  segment_name: - x", 3, 'text that begins with - must be put in quotes: segment_name: "- x".'),
        ("  segment_name: |x y", 3, 'text that begins with | must be put in quotes: segment_name: "|x y".'),
        ("""  segment_name: "A" x""", 3, """must be put in quotes: segment_name: '"A" x'."""),
        ("  segment_name: 'it's'", 3, """must be put in quotes: segment_name: "it's"."""),
        ("  segment_name: 'it", 3, "the quotes of the value of segment_name are not closed."),
        ("  cohort_id b\n  segment_name: S", 3, "the key has no colon and space after it: write key: value."),
        ("  cohort_id: b\n   segment_name: S", 4, "the key begins in another column than the keys above"),
        ("  cohort_id: b\n segment_name: S", 4, "the key begins in another column than the keys above"),
        ("- {name: b, segment_name: A: x}", 3, "between { } and [ ], text with a colon, a comma or a"),
    ],
)
def test_a_usual_mistake_says_what_to_write_instead(write, lines: str, line: int, message: str) -> None:
    with pytest.raises(CohortSyncConfigError) as caught:
        load(write(f"syncs:\n- name: a\n{lines}\n"))
    assert f"my_syncs.yaml:{line}: the file is not valid YAML: " in str(caught.value)
    assert message in str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(problems_of, write) -> None:
    text = f"syncs:\n{GOOD}"
    assert [sync.problems for sync in load(write(b"\xef\xbb\xbf" + text.encode()))] == [()]
    assert [sync.problems for sync in load(write(text.replace("\n", "\r\n").encode()))] == [()]
    assert [sync.problems for sync in load(write(text.encode("utf-16")))] == [()]


def test_a_problem_knows_its_line_and_its_place_in_the_tree(write) -> None:
    path = write(
        "defaults: {id_type: phone}\n"
        "syncs:\n"
        "- name: one\n"
        "  cohort_id: a\n"
        "  retries: -1\n"
        "  alerts: [{notifier: x}]\n"
        "  targets:\n"
        "  - {name: eu, segment_id: 1, mode: copy}\n"
        "  - {name: us, colour: red}\n"
    )
    (sync,) = load(path)
    assert {(problem.line, problem.path) for problem in sync.problems} == {
        (1, ("defaults", "id_type")),
        (5, ("syncs", 0, "retries")),
        (6, ("syncs", 0, "alerts", 0, "notifier")),
        (8, ("syncs", 0, "targets", 0, "mode")),
        (9, ("syncs", 0, "targets", 1, "colour")),
    }
    assert all(
        str(problem) == f"my_syncs.yaml:{problem.line}: {problem.where}: {problem.message}"
        for problem in sync.problems
    )
