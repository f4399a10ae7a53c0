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
from airflow_provider_cio_cohort.dag_generation.errors import CohortSyncConfigError
from airflow_provider_cio_cohort.dag_generation.load import load
from airflow_provider_cio_cohort.hooks.amplitude import AmplitudeHook
from airflow_provider_cio_cohort.sync import guards
from airflow_provider_cio_cohort.sync.guards import Limits, Observation, check
from airflow_provider_cio_cohort.transfers.touched import EARLIER, NOTHING, SOME
from tests.unit.messages import Message, leaves, messages

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
KINDS = {kind.__name__: kind for kind in leaves()}
ROWS = dict(re.findall(r"^\| \[(\w+)\]\(#[a-z]+\) (\| .+)$", PAGE, re.MULTILINE))
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##+ |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BLOCKS = re.findall(r"^```text\n(\w+): (.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CHANGED = {True: "yes", False: "no", None: "maybe"}
GUARDS = {
    "empty_cohort": {"cohort_rows": 0, "identifiers": 0, "announced": 0, "to_remove": 9214},
    "large_removal": {"to_remove": 6000, "segment_before": 9214},
    "short_cohort": {"cohort_rows": 6000, "announced": 10_000, "to_remove": 4000},
    "foreign_segment": {"owned": False, "to_remove": 40},
    "low_match": {"matched": 40, "identifiers": 100},
}
USUAL = Observation(
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


@pytest.mark.parametrize("name", KINDS)
def test_the_row_says_whether_it_is_retried_and_whether_people_are_changed(name: str) -> None:
    _, retried, changed, todo, _ = re.split(r"\s*\|\s*", ROWS[name])
    assert (retried == "yes") is issubclass(KINDS[name], exceptions.RetryableError)
    assert (retried == "no") is issubclass(KINDS[name], exceptions.PermanentError)
    assert changed == CHANGED[KINDS[name].segment_touched]
    assert todo


@pytest.mark.parametrize("name", KINDS)
def test_the_section_shows_a_message_and_says_more(name: str) -> None:
    below = SECTIONS[name] if name != "GuardTrippedError" else PAGE[PAGE.index("#### empty_cohort") :]
    assert f"```text\n{name}: " in below
    said = re.sub(r"```text\n.*?```", "", SECTIONS[name], flags=re.DOTALL)
    assert len(said.split()) > 15


def one_line(text: str) -> str:
    return " ".join(text.split())


def pattern(message: Message) -> str:
    """A regular expression for a message; placeholders may be anything, also nothing."""
    whole = message.shown(lambda _: "\0")
    headline, _, rest = whole.partition("\n")
    return re.escape(f"{headline}\n{one_line(rest)}").replace("\0", ".*")


def is_telling(message: Message) -> bool:
    return len("".join(part for part in message.parts if isinstance(part, str))) > 30


@pytest.mark.parametrize(("name", "text"), [block for block in BLOCKS if block[0] in KINDS])
def test_a_shown_message_is_one_that_is_raised(name: str, text: str) -> None:
    headline, _, below = text.strip().partition("\n")
    below = one_line(below)
    told = next((each for each in (NOTHING, SOME, EARLIER) if below.startswith(each)), "")
    if told:
        assert KINDS[name].segment_touched in (None, told != NOTHING)
    templates = [each for each in messages() if each.kind == name and is_telling(each)]
    shown = f"{headline}\n{below.removeprefix(told).strip()}"
    assert [each for each in templates if re.fullmatch(pattern(each), shown)], shown


def test_every_guard_is_shown() -> None:
    source = ast.parse(inspect.getsource(guards))
    trips = [node.args[0] for node in ast.walk(source) if isinstance(node, ast.Call) and is_trip(node)]
    assert {name.value for name in trips if isinstance(name, ast.Constant)} == set(GUARDS)


def is_trip(node: ast.Call) -> bool:
    return ast.unparse(node.func) == "Trip"


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guards_message_is_that_of_these_counts(guard: str) -> None:
    seen = replace(USUAL, **GUARDS[guard])  # type: ignore[arg-type]
    members = seen.to_remove if guard == "empty_cohort" else seen.segment_before
    (trip,) = check(replace(seen, segment_before=members), Limits(min_match_rate=0.5))
    (text,) = [text for name, text in BLOCKS if text.startswith(f"Guard {guard} ")]
    assert trip.guard == guard
    assert text.splitlines()[0].endswith(f": {trip.short}.")
    assert f"{NOTHING} [{guard}] {trip.reason}. " in one_line(text)
    assert f"#### {guard}\n" in PAGE


@pytest.mark.parametrize("sentence", [NOTHING, SOME, EARLIER])
def test_what_a_message_says_about_people_is_explained(sentence: str) -> None:
    assert f"\n| {sentence} | " in PAGE


YAML = PAGE[PAGE.index("## Mistakes in the YAML") : PAGE.index("## Errors of Airflow's own")]
MISTAKES = re.findall(r"^\| `(\w+:[^`]*)` \| (.+?) \| .+ \|$", YAML, re.MULTILINE)


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_in_the_yaml_gets_the_message_shown(tmp_path: Path, line: str, message: str) -> None:
    (problem,) = problems(tmp_path, f"- name: one\n  cohort_id: a\n  segment_name: S\n  {line}\n")
    assert message in problem


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


def problems(folder: Path, syncs: str) -> list[str]:
    path = folder / "cohort_syncs.yaml"
    path.write_text(f"syncs:\n{syncs}", encoding="utf-8")
    found = [problem for sync in load(path) for problem in sync.problems]
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
