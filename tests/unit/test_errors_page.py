"""``docs/errors.md`` lists every error that there is, with messages that are really raised."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider_cio_cohort import exceptions
from airflow_provider_cio_cohort.dag_generation.loader import load
from airflow_provider_cio_cohort.dag_generation.messages import CohortSyncConfigError
from airflow_provider_cio_cohort.engine import guards
from airflow_provider_cio_cohort.engine.guards import Counts, Limits, check
from airflow_provider_cio_cohort.engine.identifiers import mapping_in_words
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.state import EARLIER, NOT_KNOWN, NOTHING, ONLY_ADDED, SOME
from tests.unit.messages import Message, leaves, messages

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
KINDS = {kind.__name__: kind for kind in leaves()}
ROWS = dict(re.findall(r"^\| \[(\w+)\]\(#[a-z]+\) (\| .+)$", PAGE, re.MULTILINE))
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BLOCKS = re.findall(r"^```text\n(\w+): (.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CHANGED = {True: "yes", False: "no", None: "maybe"}
#: A text message has 160 characters, and an alert puts the sync's name before the line.
LONGEST = 130
GUARDS = {
    "empty_cohort": {"cohort_rows": 0, "identifiers": 0, "announced": 0, "to_remove": 9214},
    "large_removal": {"to_remove": 6000, "segment_before": 9214},
    "large_addition": {"to_add": 40_000, "joining": 40_000, "segment_before": 9214},
    "short_cohort": {"cohort_rows": 6000, "announced": 10_000, "to_remove": 4000},
    "unmanaged_segment": {"owned": False, "to_remove": 40},
    "low_match": {
        "matched": 40,
        "identifiers": 100,
        "mapping": mapping_in_words([("user_id", "id")]),
    },
    "lost_tracking": {
        "tracked": 0,
        "tracking_problem": "the snapshot of 2026-11-22T06:00:00Z is damaged: its checksum does not match",
    },
}
USUAL = Counts(
    cohort_rows=10_000,
    identifiers=10_000,
    segment_before=10_000,
    to_add=0,
    to_remove=0,
    owned=True,
    announced=10_000,
    matched=10_000,
)


def test_the_page_has_been_read() -> None:
    assert len(KINDS) > 20
    assert len(BLOCKS) > len(KINDS)


def test_every_error_has_a_row_and_a_section_and_nothing_else_has() -> None:
    assert list(ROWS) == list(dict.fromkeys(ROWS))
    assert set(ROWS) == set(KINDS)
    assert set(SECTIONS) == set(KINDS) | {CohortSyncConfigError.__name__}


def test_the_rows_say_whether_an_error_is_retried_and_whether_people_are_changed() -> None:
    for name, kind in KINDS.items():
        _, retried, changed, todo, _ = re.split(r"\s*\|\s*", ROWS[name])
        assert (retried == "yes") is issubclass(kind, exceptions.RetryableError), name
        assert (retried == "no") is issubclass(kind, exceptions.PermanentError), name
        assert changed == CHANGED[kind.segment_touched], name
        assert todo, name


def test_every_error_is_shown_with_a_message() -> None:
    assert {name for name, _ in BLOCKS} >= set(KINDS)


def one_line(text: str) -> str:
    return " ".join(text.split())


def pattern(message: Message) -> str:
    """A regular expression for a message; placeholders may be anything, also nothing."""
    headline, _, rest = message.shown("\0").partition("\n")
    return re.escape(f"{headline}\n{one_line(rest)}").replace("\0", ".*")


def is_telling(message: Message) -> bool:
    return len(message.shown("")) > 30


def test_every_shown_message_is_one_that_is_raised() -> None:
    problems = []
    for name, text in BLOCKS:
        if name not in KINDS:
            continue
        headline, _, below = text.strip().partition("\n")
        below = one_line(below)
        told = next(
            (each for each in (NOTHING, SOME, EARLIER, NOT_KNOWN, ONLY_ADDED) if below.startswith(each)), ""
        )
        if told and KINDS[name].segment_touched not in (None, told != NOTHING):
            problems.append(f"{name} says of the segment: {told}")
        templates = [each for each in messages() if each.kind == name and is_telling(each)]
        shown = f"{headline}\n{below.removeprefix(told).strip()}"
        if not any(re.fullmatch(pattern(each), shown) for each in templates):
            problems.append(f"{name} is never raised with: {shown}")
    assert not problems, "\n".join(problems)


def test_the_first_line_of_every_shown_message_fits_on_a_pager() -> None:
    long = [text.partition("\n")[0] for _, text in BLOCKS if len(text.partition("\n")[0]) > LONGEST]
    assert long == []


def test_every_guard_is_shown() -> None:
    source = ast.parse(inspect.getsource(guards))
    trips = [node.args[0] for node in ast.walk(source) if isinstance(node, ast.Call) and is_trip(node)]
    assert {name.value for name in trips if isinstance(name, ast.Constant)} == {*GUARDS, "changed_plan"}


def is_trip(node: ast.Call) -> bool:
    return ast.unparse(node.func) == "Trip"


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guards_message_is_that_of_these_counts(guard: str) -> None:
    seen = replace(USUAL, **GUARDS[guard])  # type: ignore[arg-type]
    members = seen.to_remove if guard == "empty_cohort" else seen.segment_before
    (trip,) = check(replace(seen, segment_before=members), Limits(min_match_rate=0.5))
    (text,) = [text for name, text in BLOCKS if text.startswith(f"Guard {guard} stopped the change")]
    assert trip.guard == guard
    assert text.splitlines()[0].endswith(f": {trip.short}.")
    assert f"{NOTHING} [{guard}] {trip.reason}. " in one_line(text)
    assert f"#### {guard}\n" in PAGE


def test_what_a_message_says_about_people_is_explained() -> None:
    for sentence in (NOTHING, SOME, EARLIER, ONLY_ADDED):
        assert f"\n| {sentence} | " in PAGE


YAML = PAGE[PAGE.index("## Mistakes in the YAML") : PAGE.index("## Errors of Airflow's own")]
MISTAKES = re.findall(r"^\| `(\w+:[^`]*)` \| (.+?) \| .+ \|$", YAML, re.MULTILINE)


def test_a_mistake_in_the_yaml_gets_the_message_shown(tmp_path: Path) -> None:
    assert MISTAKES
    for line, message in MISTAKES:
        (problem,) = problems(tmp_path, f"- name: one\n  cohort_id: a\n  segment_name: S\n  {line}\n")
        assert message in problem, line


@pytest.mark.parametrize(
    ("syncs", "row"),
    [
        ("- {name: one, segment_name: S}\n", "left out"),
        ("- {name: one, cohort_id: a, segment_id: 1}\n" * 2, "of one `name`"),
        (
            "- {name: one, cohort_id: a, segment_id: 1}\n- {name: two, cohort_id: b, segment_id: 1}\n",
            "onto one segment",
        ),
        ("- {name: one, cohort_id: a, segment_id: 1}\nmax_exports_per_month: 1\n", "max_exports_per_month"),
    ],
)
def test_a_mistake_that_takes_more_than_a_line(tmp_path: Path, syncs: str, row: str) -> None:
    (message,) = re.findall(rf"^\| [^|]*{row}[^|]* \| (.+?) \|", PAGE, re.MULTILINE)
    assert all(message in problem for problem in problems(tmp_path, syncs))


FILE_ROWS = re.findall(r"^\| [^`|]+: `( *segment_name: [^`]*)` \| (.+?) \|$", YAML, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "message"), [*FILE_ROWS, ("\tmode: mirror", "tabs cannot indent: use spaces.")]
)
def test_a_usual_mistake_in_a_file_gets_the_message_shown(tmp_path: Path, line: str, message: str) -> None:
    assert len(FILE_ROWS) == 3
    assert f" | {message} |" in YAML
    with pytest.raises(CohortSyncConfigError) as caught:
        problems(tmp_path, f"- name: one\n  cohort_id: a\n  {line}\n")
    assert message in str(caught.value)


def problems(folder: Path, syncs: str) -> list[str]:
    path = folder / "cohort_syncs.yaml"
    path.write_text(f"syncs:\n{syncs}", encoding="utf-8")
    found = [str(problem) for sync in load(path) for problem in sync.problems]
    assert found
    return found


def test_a_file_without_syncs(tmp_path: Path) -> None:
    path = tmp_path / "cohort_syncs.yaml"
    path.write_text("defaults: {}\n", encoding="utf-8")
    with pytest.raises(CohortSyncConfigError) as caught:
        load(path)
    assert str(caught.value).replace(str(tmp_path), "dags") in SECTIONS["CohortSyncConfigError"]


def test_a_connection_that_is_not_there() -> None:
    with pytest.raises(AirflowNotFoundException) as caught:
        AmplitudeHook("amplitude_eu").list_cohorts()
    assert f"``AirflowNotFoundException: {caught.value}``" in PAGE
