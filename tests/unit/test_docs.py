"""What the pages of ``docs/`` show works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.dag_processing.dagbag import DagBag

from airflow_provider_cio_cohort.dag_generation import build_dags

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: A command at the start of a line of a block, with the lines that it is continued on.
COMMAND = re.compile(r"^(?:\$ | *- run: )?(airflow cohort-sync (?:[^\n]*\\\n)*[^\n|>]*)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def blocks(*languages: str) -> list[tuple[str, str]]:
    found = [
        (path.name, text)
        for path in PAGES
        for language, text in BLOCK.findall(path.read_text(encoding="utf-8"))
        if language in languages
    ]
    assert found
    return found


def commands() -> list[str]:
    texts = [text for _, text in blocks("bash", "console", "yaml")]
    found = [line for text in texts for line in COMMAND.findall(text)]
    assert len(found) > 15
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_understood(command: str) -> None:
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    assert get_parser().parse_args(words[1:]).func


@pytest.mark.parametrize(
    ("page", "text"), [(page, text) for page, text in blocks("python") if "with DAG(" in text]
)
def test_every_dag_of_a_page_can_be_imported(tmp_path: Path, page: str, text: str) -> None:
    (tmp_path / "shown.py").write_text(text, encoding="utf-8")
    bag = DagBag(tmp_path)
    assert bag.import_errors == {}
    assert len(bag.dags) == 1, page


@pytest.mark.parametrize(
    ("page", "text"),
    [(page, text) for page, text in blocks("yaml") if re.search("^syncs:", text, re.MULTILINE)],
)
def test_every_file_of_syncs_makes_sound_dags(tmp_path: Path, page: str, text: str) -> None:
    path = tmp_path / "cohort_syncs.yaml"
    path.write_text(text, encoding="utf-8")
    dags = build_dags(path)
    assert dags, page
    assert not any("config-error" in dag.tags for dag in dags.values())


def headings(path: Path) -> set[str]:
    """All anchors of a page, as GitHub makes them."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(BLOCK.sub("", page.read_text(encoding="utf-8"))):
        path = (page.parent / target) if target else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(path), f"{page.name} links to {target}#{anchor}"
