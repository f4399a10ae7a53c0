"""What a page names in a sentence is there: options, commands, targets, files and names of ours."""

from __future__ import annotations

import argparse
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.cli.cli_parser import get_parser

from tests.docs.commands import makefile, subcommands
from tests.docs.pages import PAGES, ROOT, code_of, name_of, spans_of
from tests.docs.settings import OPTION, check_option

_FILE = re.compile(r"(?:airflow_provider_cio_cohort|deploy|dev|docs|requirements|tests)(?:/[\w.-]+)+/?")
_NAME = re.compile(r"\bairflow_provider_cio_cohort(?:\.\w+)+")


def check_options(page: Path) -> None:
    """Check that every option is one of Airflow's or of ours."""
    for section, option in OPTION.findall(code_of(page)):
        if option != option.lower() and "…" not in option:
            check_option(section, option)
    for span in spans_of(page):
        if found := re.match(r"\[(\w+)\] (\w+)(?![\w…])", span):
            check_option(*found.groups())


def check_make(page: Path) -> None:
    """Check that every target and variable of ``make`` is in the Makefile."""
    targets, variables = makefile()
    for span in spans_of(page):
        if span.startswith("make "):
            named = re.findall(r"(?<= )([a-z][a-z-]*)(?= |$)", span.split(" #")[0])
            assert set(named) <= targets, span
            assert set(re.findall(r" ([A-Z]+)=", span)) <= variables, span


def check_commands(page: Path) -> None:
    """Check that every command of Airflow exists, with its flags."""
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


def check_names(page: Path) -> None:
    """Check that every dotted name of ours can be imported."""
    for name in _NAME.findall(code_of(page)):
        assert pkgutil.resolve_name(name)


def check_files(page: Path) -> None:
    """Check that every file of ours exists."""
    for span in spans_of(page):
        if _FILE.fullmatch(span):
            assert (ROOT / span).exists(), span


@pytest.mark.parametrize("check", [check_options, check_make, check_commands, check_names, check_files])
def test_what_the_pages_name_is_there(check: Callable[[Path], None]) -> None:
    problems = []
    for page in PAGES:
        try:
            check(page)
        except (AssertionError, AttributeError, ImportError) as error:
            problems.append(f"{name_of(page)}: {error}")
    assert not problems, "\n".join(problems)
