"""What a page names in a sentence is there: options, commands, targets, files and names of ours."""

from __future__ import annotations

import argparse
import pkgutil
import re
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

from tests.docs.commands import makefile, subcommands
from tests.docs.pages import PAGES, ROOT, code_of, name_of, spans_of
from tests.docs.settings import OPTION, check_option

_FILE = re.compile(r"(?:airflow_provider_cio_cohort|deploy|dev|docs|requirements|tests)(?:/[\w.-]+)+/?")
_NAME = re.compile(r"\bairflow_provider_cio_cohort(?:\.\w+)+")

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


@each_page
def test_every_option_is_one_of_airflow_or_ours(page: Path) -> None:
    for section, option in OPTION.findall(code_of(page)):
        if option != option.lower() and "…" not in option:
            check_option(section, option)
    for span in spans_of(page):
        if found := re.match(r"\[(\w+)\] (\w+)(?![\w…])", span):
            check_option(*found.groups())


@each_page
def test_every_make_target_and_variable_is_in_the_makefile(page: Path) -> None:
    targets, variables = makefile()
    for span in spans_of(page):
        if span.startswith("make "):
            named = re.findall(r"(?<= )([a-z][a-z-]*)(?= |$)", span.split(" #")[0])
            assert set(named) <= targets, span
            assert set(re.findall(r" ([A-Z]+)=", span)) <= variables, span


@each_page
def test_every_command_is_one_with_its_flags(page: Path) -> None:
    for span in spans_of(page):
        if span.startswith("airflow ") and (words := span.split()[1:]):
            check_words(words)


def check_words(words: list[str]) -> None:
    """
    Check a command that a sentence names, which need not be whole.

    :param words: what follows ``airflow``.
    """
    parser: argparse.ArgumentParser = get_parser()
    if words[0] not in subcommands():
        assert words[0] in ("users", "celery", "kubernetes"), f"there is no airflow {words[0]}"
        return
    while (choices := choices_of(parser)) and words and not words[0].startswith("-"):
        assert words[0] in choices, f"there is no command {words[0]}"
        parser, words = choices[words[0]], words[1:]
    for word in words:
        if word.startswith("-") and word != "--":
            assert word.partition("=")[0] in parser._option_string_actions, f"{parser.prog} has no {word}"


def choices_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(groups[0].choices) if groups else {}


@each_page
def test_every_name_of_ours_can_be_resolved(page: Path) -> None:
    for name in _NAME.findall(code_of(page)):
        assert pkgutil.resolve_name(name)


@each_page
def test_every_file_of_ours_is_there(page: Path) -> None:
    for span in spans_of(page):
        if _FILE.fullmatch(span):
            assert (ROOT / span).exists(), f"{name_of(page)}: {span}"
