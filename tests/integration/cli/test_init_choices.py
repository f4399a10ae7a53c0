"""``init`` offers the cohorts and the segments that the vendors list."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_cio_cohort.dag_generation.loader import load
from airflow_provider_cio_cohort.dag_generation.spec import Sync
from airflow_provider_cio_cohort.sync.target import describe
from tests.integration.cli.conftest import PERSON, Answer
from tests.integration.cli.test_init import on_terminal

Run = Callable[..., Answer]
Typing = Callable[..., Answer]
#: For all questions after those about the segment.
DEFAULTS = [""] * 5
NAME = ("--name", "first")


class Keyboard(io.StringIO):
    """A terminal at which these lines are typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def init(airflow: Run, monkeypatch: pytest.MonkeyPatch) -> Typing:
    """Type lines at the prompts of ``init``."""

    def run(typed: list[str], *arguments: str) -> Answer:
        monkeypatch.setattr("sys.stdin", Keyboard("".join(f"{line}\n" for line in typed)))
        return airflow("init", *arguments)

    return run


def written(airflow: Run) -> Sync:
    """Return the sync in the file, which ``validate`` accepts."""
    assert airflow("validate", "cohort_syncs.yaml").code == 0
    (loaded,) = load(Path("cohort_syncs.yaml"))
    assert loaded.spec is not None
    return loaded.spec


def test_a_cohort_and_a_segment_are_chosen_by_number(
    init: Typing, airflow: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", "b", id="bbbbbbb", name="beta")
    cohort("a", PERSON, id="aaaaaaa", name="Alpha: über, 2nd")
    segment("a", name="Made", description=describe("aaaaaaa", "Alpha", "mirror", "Made"))
    answer = init(["", "1", "", "1", "", *DEFAULTS])
    assert answer.code == 0, answer.err
    assert "   1  Alpha: über, 2nd (aaaaaaa), 2 people\n   2  beta (bbbbbbb), 2 people\n" in answer.err
    assert "created for cohort aaaaaaa" in answer.err
    assert "adopt_segment" not in answer.err
    assert PERSON not in answer.err
    sync = written(airflow)
    assert (sync.name, sync.cohort_id, sync.segment_name) == ("alpha_uber_2nd", "aaaaaaa", "Made")
    text = Path("cohort_syncs.yaml").read_text(encoding="utf-8")
    assert "cohort_id: aaaaaaa  # Alpha: über, 2nd\n" in text


def test_the_lists_of_a_real_terminal(tmp_path: Path, cohort: Any, segment: Any) -> None:
    cohort("a", id="aaaaaaa", name="Alpha")
    segment("a", name="Made")
    typed = ["\n", "alp\n", "\n", "\n", "1\n", *("\n" for _ in DEFAULTS)]
    code, screen = on_terminal(tmp_path, typed)
    assert code == 0, screen
    assert "(a part of) a name [1]: " in screen
    (loaded,) = load(tmp_path / "cohort_syncs.yaml")
    assert loaded.spec is not None
    assert (loaded.spec.cohort_id, loaded.spec.segment_name) == ("aaaaaaa", "Made")


def test_a_new_segment_is_offered_under_the_cohorts_name(
    init: Typing, airflow: Run, cohort: Any, segment: Any
) -> None:
    cohort("a", id="aaaaaaa", name='Say "hi": #1 [vip]')
    segment("a", name="Other")
    assert init(["", "aaaaaaa", "", "", "", *DEFAULTS]).code == 0
    assert written(airflow).segment_name == 'Say "hi": #1 [vip] [Amplitude]'
    answer = init(["", "1", "", "A new name", *DEFAULTS], *NAME, "--force")
    assert "creates the segment A new name" in answer.err
    assert written(airflow).segment_name == "A new name"


def test_a_part_of_a_name_finds_one_of_thousands(init: Typing, airflow: Run, cohort: Any) -> None:
    for number in range(3000):
        cohort(id=f"c{number:06}", name=f"Cohort {number:04}")
    answer = init(["", "none such", "OHORT 29", "2", *DEFAULTS], *NAME, "--segment-name", "S")
    assert answer.code == 0, answer.err
    all_of_them, without, few = answer.err.split("   1  ")[1:]
    assert without.startswith("Cohort 0000 ")
    assert all_of_them.count("Cohort 00") == 15
    assert "15 of 3,000: type a part of a name" in all_of_them
    assert "No cohort has none such in its name or id" in all_of_them
    assert "15 of 100: " in few
    assert written(airflow).cohort_id == "c002901"


def test_a_single_match_is_the_default(init: Typing, airflow: Run, cohort: Any) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    cohort(id="bbbbbbb", name="beta")
    assert init(["", "ALP", "", *DEFAULTS], *NAME, "--segment-name", "S").code == 0
    assert written(airflow).cohort_id == "aaaaaaa"


def test_what_no_sync_can_use_is_not_offered_but_explained(
    init: Typing, airflow: Run, cohort: Any, segment: Any
) -> None:
    cohort(id="aaaaaaa", name="Old", archived=True)
    cohort(id="bbbbbbb", name="Firms", group="Company")
    cohort("a", id="ccccccc", name="Huge", announced=2_000_001)
    segment(name="Computed", type="dynamic")
    typed = ["", "old", "bbbbbbb", "Huge", "", "Computed", "Mine", *DEFAULTS]
    answer = init(typed, *NAME)
    assert answer.code == 0, answer.err
    assert (
        "   1  Huge (ccccccc), 2,000,001 people, too large\nNot shown: 2 that no sync can use; type"
        in answer.err
    )
    for words in ("is archived", "groups of the type 'Company'", "at most 2,000,000 people", "data-driven"):
        assert words in answer.err
    sync = written(airflow)
    assert (sync.cohort_id, sync.segment_name) == ("ccccccc", "Mine")


def test_an_id_that_the_list_does_not_show_is_confirmed(init: Typing, airflow: Run, cohort: Any) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    typed = ["", "zzzzzzz", "n", "not an id", "zzzzzzz", "y", *DEFAULTS]
    answer = init(typed, *NAME, "--segment-name", "S")
    assert answer.code == 0, answer.err
    assert "no cohort zzzzzzz, but leaves out those that are not discoverable" in answer.err
    assert "No cohort has not an id in its name or id" in answer.err
    assert written(airflow).cohort_id == "zzzzzzz"


def test_empty_lists(init: Typing, airflow: Run, sandbox: Any) -> None:
    answer = init(["", "a1b2c3d", "y", "", "S", *DEFAULTS], *NAME)
    assert answer.code == 0, answer.err
    assert answer.err.count("(none)") == 2
    assert (written(airflow).cohort_id, written(airflow).segment_name) == ("a1b2c3d", "S")


def test_segments_of_one_name_are_told_apart_by_number(
    init: Typing, airflow: Run, cohort: Any, segment: Any
) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    first, second = segment(name="Twin\n"), segment(name="Twin")
    answer = init(["", "1", "", "Twin", *DEFAULTS], *NAME)
    assert answer.code == 0, answer.err
    assert "No sync created this segment for cohort aaaaaaa" in answer.err
    assert written(airflow).segment_name == "Twin"
    twin = segment(name="Twin")
    assert init(["", "1", "", "Twin", "2", *DEFAULTS], *NAME, "--force").code == 0
    assert written(airflow).segment_id in {second.id, twin.id}
    assert f"segment_id: {written(airflow).segment_id}  # Twin\n" in Path("cohort_syncs.yaml").read_text()
    flags = ("--cohort-id", "aaaaaaa", "--segment", str(first.id), "--force")
    assert init(["", *DEFAULTS], *NAME, *flags).code == 0
    assert written(airflow).segment_id == first.id


@pytest.mark.parametrize(
    "name", [" padded ", "two\nlines", "line\u2028end", "${SEGMENT}", "x" * 300, "007: 'a'"]
)
def test_whatever_a_segment_is_called_the_file_means_it(
    init: Typing, airflow: Run, cohort: Any, segment: Any, name: str
) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    made = segment(name=name)
    assert init(["", "1", "", "1", *DEFAULTS], *NAME).code == 0
    sync = written(airflow)
    assert sync.segment_id == made.id if sync.segment_name is None else sync.segment_name == name


def test_where_nothing_can_be_listed_ids_are_typed(init: Typing, airflow: Run) -> None:
    answer = init(["", "7654321", "", "Mine", *DEFAULTS], *NAME)
    assert answer.code == 0, answer.err
    assert "no connection 'amplitude_default'" in answer.err
    assert "The segments cannot be listed" in answer.err
    assert (written(airflow).cohort_id, written(airflow).segment_name) == ("7654321", "Mine")


def test_a_vendor_that_fails_is_named_and_the_other_is_listed(
    init: Typing, airflow: Run, sandbox: Any, segment: Any, impatient: None
) -> None:
    segment(name="Made")
    sandbox.faults.add("status", api="amplitude", status=500)
    answer = init(["", "7654321", "", "made", *DEFAULTS], *NAME)
    assert answer.code == 0, answer.err
    assert "Amplitude" in answer.err
    assert "The cohorts cannot be listed" in answer.err
    assert written(airflow).segment_name == "Made"


def test_keys_that_are_refused_are_named(init: Typing, airflow: Run, connect: Any) -> None:
    wrong = connect("amplitude_default", "wrong", password="not-the-key")
    answer = init(["7654321", *DEFAULTS], *NAME, "--amplitude-conn-id", wrong, "--segment-name", "S")
    assert answer.code == 0, answer.err
    assert "secret key of 'wrong'" in answer.err or "connection 'wrong'" in answer.err
    assert "not-the-key" not in answer.err


# ---- without a terminal


def test_a_script_names_both(airflow: Run, cohort: Any, segment: Any) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    segment(name="Made")
    assert airflow("init", *NAME, "--cohort", "alpha", "--segment", "Made").code == 0
    sync = written(airflow)
    assert (sync.cohort_id, sync.segment_name, sync.cadence) == ("aaaaaaa", "Made", "daily")


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (
            ("--cohort", "Alpa", "--segment", "Made"),
            2,
            '--cohort: "Alpa" is neither a name nor an id in the list. Did you mean Alpha?',
        ),
        (("--cohort", "Twin", "--segment", "Made"), 2, "several. Pass an id: ccccccc, ddddddd."),
        (("--cohort", "old", "--segment", "Made"), 1, "is archived"),
        (("--cohort", "Alpha", "--segment", "made up"), 2, "for a new segment, pass --segment-name"),
        (("--cohort", "Alpha", "--segment", "Computed"), 1, "data-driven"),
        (
            ("--cohort", "Alpha", "--cohort-id", "aaaaaaa", "--segment", "Made"),
            2,
            "either --cohort or --cohort-id",
        ),
        (("--segment", "Made"), 2, "pass --cohort or --cohort-id."),
        (("--cohort", "Alpha"), 2, "pass --segment or --segment-name."),
        (
            ("--cohort", "Alpha", "--segment", "Made", "--customer-io-conn-id", "gone"),
            3,
            "no connection 'gone'",
        ),
    ],
)
def test_what_a_script_cannot_mean(
    airflow: Run, cohort: Any, segment: Any, tmp_path: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    cohort(id="aaaaaaa", name="Alpha")
    cohort(id="bbbbbbb", name="Old", archived=True)
    cohort(id="ccccccc", name="Twin")
    cohort(id="ddddddd", name="Twin")
    segment(name="Made")
    segment(name="Computed", type="dynamic")
    answer = airflow("init", *NAME, *flags)
    assert answer.code == code, answer.err
    assert words in answer.err
    assert list(tmp_path.iterdir()) == []


def test_flags_that_are_not_looked_up_ask_no_vendor(airflow: Run, sandbox: Any) -> None:
    assert airflow("init", *NAME, "--cohort-id", "a1b2c3d", "--segment-name", "S").code == 0
    assert sandbox.requests == []
