"""Whatever is public is named, as code, on the page on which a reader would look for it."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import DOCS, code_of, names_in, prose_of
from tests.docs.public import commands, public

PUBLIC = public()
CLI = DOCS / "cli.md"
#: Flags that every command has, which the page describes once.
OF_ALL = {"--output", "--verbose"}


@pytest.mark.parametrize("kind", PUBLIC)
def test_what_is_public_is_documented(kind: str) -> None:
    page, names = PUBLIC[kind]
    assert names
    assert names - names_in(DOCS / page) == set()


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented_with_its_flags(command: str) -> None:
    section = section_of(command)
    flags = set(commands()[command])
    assert flags >= OF_ALL
    assert f"cohort-sync {command.split()[0]}" in code_of(CLI)
    assert {
        flag
        for flag in flags - OF_ALL
        if not re.search(rf"`[^`\n]*{flag}\b|^\$.* {flag}\b", section, re.MULTILINE)
    } == set()


def test_the_flags_of_all_commands_are_documented() -> None:
    assert names_in(CLI) >= OF_ALL


def section_of(command: str) -> str:
    """Return the section of the page whose title names the command."""
    text = CLI.read_text(encoding="utf-8")
    word = command.split()[0]
    titles = [
        title
        for title in re.findall(r"^## (.+)$", prose_of(CLI), re.MULTILINE)
        if word in re.split(r"\W+", title)
    ]
    assert len(titles) == 1, f"{word} has {len(titles)} sections"
    return text.partition(f"\n## {titles[0]}\n")[2].partition("\n## ")[0]
