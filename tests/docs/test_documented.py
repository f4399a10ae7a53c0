"""Whatever is public is named, as code, on the page on which a reader would look for it."""

from __future__ import annotations

import re

from tests.docs.pages import DOCS, code_of, names_in
from tests.docs.public import commands, public

CLI = DOCS / "cli.md"
#: Flags that every command has, which the page describes once.
OF_ALL = {"--output", "--verbose"}


def test_what_is_public_is_documented() -> None:
    missing = {}
    for kind, (page, names) in public().items():
        assert names, kind
        if left := names - names_in(DOCS / page):
            missing[f"{kind} in {page}"] = left
    assert missing == {}


def test_every_command_is_documented_with_its_flags() -> None:
    assert names_in(CLI) >= OF_ALL
    missing = {}
    for command, flags in commands().items():
        section = section_of(command)
        assert f"cohort-sync {command.split()[0]}" in code_of(CLI)
        assert set(flags) >= OF_ALL
        if left := {
            flag
            for flag in set(flags) - OF_ALL
            if not re.search(rf"`[^`\n]*{flag}\b|^\$.* {flag}\b", section, re.MULTILINE)
        }:
            missing[command] = left
    assert missing == {}


def section_of(command: str) -> str:
    """Return the section of the page whose title names the command."""
    word = command.split()[0]
    text = CLI.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    found = [section for title, section in sections if word in re.split(r"\W+", title)]
    assert len(found) == 1, f"{word} has {len(found)} sections"
    return str(found[0])
