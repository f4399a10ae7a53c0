"""The pages, their fenced blocks and what stands in backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(path for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md") if (path := ROOT / name).exists()),
    *sorted(DOCS.glob("*.md")),
]
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^`\n]*)$")
_SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """
    A fenced block.

    :param page: where it stands.
    :param line: of its fence, from 1.
    :param language: what follows the fence; empty if nothing does.
    :param text: without the fences, and without the indentation that they have.
    """

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}-{self.language}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def blocks_of(page: Path) -> tuple[Block, ...]:
    return tuple(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        opened = _FENCE.match(line)
        if opened is None:
            continue
        inside: list[str] = []
        for _, each in lines:
            if each.strip() == opened["fence"]:
                break
            inside.append(each.removeprefix(opened["indent"]))
        else:
            raise AssertionError(f"{name_of(page)}:{number}: the block is never closed")
        yield Block(page, number, opened["language"].strip(), "\n".join(inside) + "\n")


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are written in any of these languages; all, if none is named."""
    found = [block for page in PAGES for block in blocks_of(page)]
    return [block for block in found if not languages or block.language in languages]


@cache
def prose_of(page: Path) -> str:
    """Return a page without its blocks, line by line as long as the page."""
    inside = {
        number
        for block in blocks_of(page)
        for number in range(block.line, block.line + block.text.count("\n") + 2)
    }
    lines = page.read_text(encoding="utf-8").splitlines()
    return "\n".join("" if number in inside else line for number, line in enumerate(lines, start=1))


@cache
def spans_of(page: Path) -> tuple[str, ...]:
    """Return what stands in backticks outside of the blocks, each on one line."""
    paragraphs = re.split(r"\n\s*\n|\n(?=\|)", prose_of(page))  # a row of a table is one line
    return tuple(" ".join(span.split()) for text in paragraphs for _, span in _SPAN.findall(text))


@cache
def code_of(page: Path) -> str:
    """Return all that a page shows as code: what it documents by name."""
    return "\n".join([*spans_of(page), *(block.text for block in blocks_of(page))])


def names_in(page: Path) -> set[str]:
    """Return every word of a page's code, and every part of a dotted or hyphenated one."""
    code = code_of(page)
    return {*re.findall(r"\w+", code), *re.findall(r"--?[a-z][\w-]*", code), *re.findall(r"[\w.]+", code)}
